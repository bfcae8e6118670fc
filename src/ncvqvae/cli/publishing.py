"""Commands by which things leave this machine: export, publish, publish-data, publish-space."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from ..hub.upload import Sent

DATA_DIR = "folder of the archive (default: the package aeon provides the dataset)"


def add_export(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="write a checkpoint as ONNX files, for programs without Python",
        description="Write encode.onnx, decode.onnx, prior_step.onnx and export.json, for batches of every size, and "
        "compare them with the checkpoint. Random draws are the caller's: see ncvqvae.hub.export.PriorStep.",
    )
    parser.set_defaults(run=export)
    parser.add_argument("checkpoint", help="a folder or an id on the Hub, of series of one length")
    parser.add_argument("--out", metavar="FOLDER", help="folder to write into (default: the checkpoint's name, -onnx)")


def export(options: argparse.Namespace) -> None:
    from ..hub.export import export as write_onnx
    from ..inference import load_checkpoint

    folder = Path(options.out or f"{Path(options.checkpoint).resolve().name}-onnx")
    units = {"encode": "of the codes", "decode": "standard deviations", "prior_step": "in the logits"}
    for name, difference in write_onnx(load_checkpoint(options.checkpoint), folder).items():
        size = (folder / f"{name}.onnx").stat().st_size
        compared = f"largest difference {difference:.1e} {units[name]}"
        print(f"{folder / name}.onnx: {size / 1e6:.1f} MB, {compared}")
    print(f"{folder / 'export.json'}: sizes, classes and settings")


def add_publish(commands: Any) -> None:
    parser = commands.add_parser(
        "publish",
        help="send a checkpoint to the Hugging Face Hub",
        description="Check a checkpoint's folder, write its card from metrics.json, and upload weights, code and card "
        "in one commit. The pictures are sent too, and show some of the series that it was trained on.",
    )
    parser.set_defaults(run=publish)
    parser.add_argument("folder", help="folder of a checkpoint, evaluated with --out FOLDER")
    _add_repository(parser, "model repository")
    parser.add_argument("--dry-run", action="store_true", help="check, and list the files to send; nothing is written")


def publish(options: argparse.Namespace) -> None:
    from ..hub.publish import publish as publish_folder
    from ..inference import silence_transformers

    silence_transformers()
    if not Path(options.folder).is_dir():
        raise ValueError(f"there is no folder {options.folder}")
    sent = publish_folder(options.folder, options.repo_id, options.private, options.dry_run)
    _print_sent(sent, options)
    written = "would be written" if options.dry_run else "written"
    print(f"README.md: {'kept as it was edited' if sent.card_kept else written}")


def add_publish_data(commands: Any) -> None:
    parser = commands.add_parser(
        "publish-data",
        help="send a dataset of the archive, or the synthetic series of a pre-training, to the Hub",
        description="Send a dataset to a dataset repository, for load_dataset(ORG/NAME, DATASET).",
    )
    parser.set_defaults(run=publish_data)
    named = (
        "name of a UCR or UEA dataset, for example GunPoint; or synthetic, for the synthetic series of a pre-training"
    )
    parser.add_argument("dataset", help=named)
    parser.add_argument("--recipe", metavar="NAME", help="recipe of the pre-training (default: base)")
    parser.add_argument("--data-dir", metavar="DIR", help=DATA_DIR)
    _add_repository(parser, "dataset repository")


def publish_data(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from ..hub.publish import publish_data as publish_dataset
    from ..hub.publish import publish_synthetic
    from ..training.recipes import load_recipe

    if options.dataset == "synthetic":
        recipe = load_recipe(options.recipe or "base")
        mixture = {"seed": recipe.seed, "mixture": asdict(recipe.mixture)}
        number = recipe.mixture.num_synthetic
        address = publish_synthetic(number, recipe.seed, mixture, options.repo_id, options.private)
    elif options.recipe:
        raise ValueError("--recipe is for synthetic series; a dataset of the archive needs none")
    else:
        address = publish_dataset(options.dataset, options.repo_id, options.data_dir, options.private)
    print(f"published: {address}")


def add_publish_space(commands: Any) -> None:
    parser = commands.add_parser(
        "publish-space",
        help="send the app to a Space on the Hub",
        description="Send the app's files, the checkpoints in its folder and this package to a Space, in one commit.",
    )
    parser.set_defaults(run=publish_space)
    parser.add_argument("folder", help="folder of the app: spaces/ncvqvae-sampler")
    _add_repository(parser, "Space")
    parser.add_argument("--dry-run", action="store_true", help="check, and list the files to send")


def publish_space(options: argparse.Namespace) -> None:
    from ..hub.publish import publish_space as publish_app
    from ..inference import silence_transformers

    silence_transformers()
    _print_sent(publish_app(options.folder, options.repo_id, options.private, options.dry_run), options)


def _add_repository(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument("--repo-id", required=True, metavar="ORG/NAME", help=f"id of the {kind}, created if needed")
    parser.add_argument("--private", action="store_true", help=f"make a new {kind} private")


def _print_sent(sent: "Sent", options: argparse.Namespace) -> None:
    for name, content in sent.files.items():
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        print(f"  {name:<48}{size / 1e6:>10.3f} MB")
    for name in sent.deleted:
        print(f"  deleted there, as of an earlier version: {name}")
    if not options.dry_run:
        print(f"published: {sent.address}")
        return
    print(f"would go to {sent.address}")
    new = "private" if options.private else "public, unless its organisation's default is private"
    print(f"a new repository would be {new}; in one that exists, files of these kinds that are not listed are deleted")
