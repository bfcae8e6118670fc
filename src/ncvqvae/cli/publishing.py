"""Commands that measure and publish: evaluate, publish, publish-data, publish-space."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from ..evaluation.evaluator import Model
    from ..hub.publish import Sent

DATA_DIR = "folder of the archive (default: the package aeon provides the dataset)"


def add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a checkpoint, next to the published models",
        description="Measure a checkpoint. Writes metrics.json, report.md and pictures, in minutes on two cores. "
        "A tokenizer for all series, such as ncvqvae-base, is measured on all sets at hand, without training on them.",
    )
    parser.set_defaults(run=evaluate)
    add = parser.add_argument
    add("checkpoint", help="a folder or an id on the Hub")
    add("--dataset", metavar="NAME", help="dataset of the archive (default: the one that the checkpoint names)")
    add("--data-dir", metavar="DIR", help=DATA_DIR)
    add("--fcn", metavar="DIR", help="folder of evaluation networks, NAME.safetensors (default: trained and cached)")
    add("--seeds", type=int, default=3, metavar="N", help="number of seeds for everything random (default: 3)")
    add("--only", choices=["tokenizer"], help="measure stage 1 alone: reconstruction, codes, probes")
    add("--out", metavar="DIR", help="folder of the report (default: report/NAME-OF-CHECKPOINT)")


def evaluate(options: argparse.Namespace) -> None:
    from ..training.run_folder import check_writable

    model = _load_part(options.checkpoint, options.only)
    tokenizer = getattr(model.config, "tokenizer_config", model.config)
    folder = Path(options.out or Path("report") / Path(options.checkpoint).resolve().name)
    check_writable(folder)
    measure = _evaluate_zero_shot if tokenizer.length is None else _evaluate_on_one_set
    measure(options, model, folder)


def _evaluate_on_one_set(options: argparse.Namespace, model: "Model", folder: Path) -> None:
    import time

    from ..data.ucr import load_ucr
    from ..evaluation.evaluator import evaluate as evaluate_model
    from ..evaluation.report import published_results, verdicts, write_report
    from ..models.precision import fast_bfloat16

    start = time.perf_counter()
    name = options.dataset or getattr(model.config, "tokenizer_config", model.config).dataset_name
    if name is None:
        raise ValueError(f"{options.checkpoint} does not name its dataset; name one with --dataset")
    result = evaluate_model(model, load_ucr(name, options.data_dir), options.fcn, options.seeds)
    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts(options, model) | {
        "dataset": name,
        "classifiers_trained_in": "bfloat16" if fast_bfloat16(model.device) else "float32",
        "seeds": [] if options.only else list(range(options.seeds)),
        "sampling": {key: value for key, value in model.config.to_dict().items() if key.startswith("sampling_")},
    }
    write_report(result, model, facts, folder)
    published = {key: part.get(name, {}) for key, part in published_results().items() if key != "about"}
    print(f"{facts['checkpoint']} on {name}, {time.perf_counter() - start:.0f} s")
    for sentence in verdicts(result.scores, published):
        print(f"  {sentence}")
    for what, why in result.not_measured.items():
        print(f"  not measured: {what}: {why}")
    print(f"report: {folder}/report.md    figures: {folder}/metrics.json")


def _evaluate_zero_shot(options: argparse.Namespace, model: "Model", folder: Path) -> None:
    """Measures a tokenizer for all series on every set at hand, or on the one that is named."""
    from ..evaluation.zero_shot import seen_sets, sets_at_hand, write_zero_shot, zero_shot
    from ..inference import find_checkpoint
    from ..runtime import digest

    archive, fcn = (Path(name) if name else None for name in (options.data_dir, options.fcn))
    seen = seen_sets(Path(find_checkpoint(options.checkpoint)))
    names = [options.dataset] if options.dataset else sets_at_hand(archive)
    tokenizer: Any = getattr(model, "tokenizer", model)
    facts = _facts(options, model) | {"tokenizer_sha256": digest(tokenizer.state_dict().values())}
    del facts["weights_sha256"]  # a prior may come later, and changes no figure
    rows = []
    for row in zero_shot(tokenizer, archive, fcn, names, seen):
        rows.append(row)
        fid = "" if row.reconstruction_fid is None else f"reconstruction FID {row.reconstruction_fid:.2f}, "
        print(f"  {row.name}: {fid}ridge on embed {row.ridge:.3f}, MiniROCKET {row.minirocket:.3f}", flush=True)
    write_zero_shot(rows, facts, folder)
    print(f"report: {folder}/report.md    figures: {folder}/metrics.json")


def _facts(options: argparse.Namespace, model: "Model") -> dict[str, Any]:
    """What `metrics.json` says about the checkpoint and the command."""
    import hashlib
    from datetime import UTC, datetime

    from ..inference import find_checkpoint

    checkpoint = Path(find_checkpoint(options.checkpoint))
    weights = checkpoint / "model.safetensors"
    return {
        "checkpoint": checkpoint.resolve().name,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None,
        "created": datetime.now(UTC).date().isoformat(),
        "command": options.command_line,
        "device": str(model.device),
    }


def _load_part(checkpoint: str, only: str | None) -> "Model":
    from ..inference import is_tokenizer, load_model
    from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
    from ..models.modeling_ncvqvae import NCVQVAEModel

    if only == "tokenizer":
        return load_model(NCVQVAEModel, checkpoint)
    if is_tokenizer(checkpoint):
        model = load_model(NCVQVAEModel, checkpoint)
        if model.config.length is None:
            return model
        missing = "a tokenizer without a prior, so FID, IS, CAS and whatever else is generated cannot be measured"
        raise ValueError(f"{checkpoint} is {missing}; --only tokenizer measures reconstruction, codes and probes")
    return load_model(MaskGITForTimeSeriesGeneration, checkpoint)


def add_publish(commands: Any) -> None:
    parser = commands.add_parser(
        "publish",
        help="send a checkpoint to the Hugging Face Hub",
        description="Check a checkpoint's folder, write its card from metrics.json, and upload weights, code and card "
        "in one commit.",
    )
    parser.set_defaults(run=publish)
    parser.add_argument("folder", help="folder of a checkpoint, evaluated with --out FOLDER")
    _add_repository(parser, "model repository")
    parser.add_argument("--dry-run", action="store_true", help="check, write the card, and list the files to send")


def publish(options: argparse.Namespace) -> None:
    from ..hub.publish import publish as publish_folder
    from ..inference import silence_transformers

    silence_transformers()
    if not Path(options.folder).is_dir():
        raise ValueError(f"there is no folder {options.folder}")
    sent = publish_folder(options.folder, options.repo_id, options.private, options.dry_run)
    _print_sent(sent, options)
    print(f"README.md: {'kept as it was edited' if sent.card_kept else 'written'}")


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
    for name, file in sent.files.items():
        print(f"  {name:<48}{file.stat().st_size / 1e6:>10.3f} MB")
    if not options.dry_run:
        print(f"published: {sent.address}")
        return
    print(f"would go to {sent.address}")
    new = "private" if options.private else "public, unless its organisation's default is private"
    print(f"a new repository would be {new}; in one that exists, files of these kinds that are not listed are deleted")
