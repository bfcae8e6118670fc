"""The command line of `ncvqvae`. A user's mistake gets one line and exit code 2."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from huggingface_hub.errors import StrictDataclassError

from .commands import demo, embed, evaluate, info, publish, publish_data, publish_space, reconstruct, sample
from .console import say_failure, speaks


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(arguments)
    options.command_line = shlex.join(["ncvqvae", *arguments])
    return run(options.run, options, f"ncvqvae {options.command}")


def run(function: Callable[[argparse.Namespace], None], options: argparse.Namespace, name: str) -> int:
    """Calls a command; the exit code is 2, with one line and no stack trace, for what a user can put right."""
    try:
        function(options)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from .processes import leave_processes

            leave_processes()
    except ImportError as error:
        say_failure(f"{name}: {error}; install ncvqvae with its extras: pip install -e '.[eval,demo]' in its source")
        return 2
    except (ValueError, OSError, RuntimeError, FloatingPointError, StrictDataclassError) as error:
        reason = error.__cause__ if isinstance(error, StrictDataclassError) and error.__cause__ else error
        lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
        say_failure(f"{name}: {lines[0] if lines else type(error).__name__}")
        return 2
    except KeyboardInterrupt as interrupt:
        if speaks():
            print(f"{name}: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ncvqvae", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        function: Callable[[argparse.Namespace], None], summary: str, description: str
    ) -> argparse.ArgumentParser:
        name = function.__name__.replace("_", "-")
        added = commands.add_parser(name, help=summary, description=f"{summary}. {description}")
        added.set_defaults(run=function)
        return added

    def train(options: argparse.Namespace) -> None:
        from .training_commands import train  # needs the extra `train`, which the other commands do without

        train(options)

    def finetune(options: argparse.Namespace) -> None:
        from .training_commands import finetune

        finetune(options)

    add = command(
        train,
        "train both stages on a dataset of the UCR or UEA archive, or on series of your own",
        "Leaves the checkpoint, three pictures and a table. The test split is looked at only for those, at the end.",
    ).add_argument
    add_data_options(add)
    add_run_options(add)
    add(
        "--output-dir",
        metavar="DIR",
        help="the checkpoint's folder (default: ncvqvae-gunPoint for GunPoint, ncvqvae-mine for data/mine.csv)",
    )
    add("--figures", metavar="DIR", help="folder of the pictures (default: the checkpoint's)")

    add = command(
        finetune,
        "train a checkpoint further, on other series, classes, lengths or channels",
        "What does not fit the new series starts anew, and is named. Without a recipe each stage takes 500 steps.",
    ).add_argument
    add("checkpoint", help="to start from: a folder or an id on the Hub, of both stages or of stage 1")
    add_data_options(add)
    add_run_options(add)
    add("--stage", choices=["tokenizer", "prior", "both"], default="both", help="what to train (default: both)")
    add("--freeze", metavar="PARTS", help="keep these as they are, with commas: encoder,transformer.layers.0")
    add("--output-dir", metavar="DIR", help="the new checkpoint's folder (default: as for train)")
    add("--figures", metavar="DIR", help="folder of the pictures (default: the checkpoint's)")

    add = command(sample, "generate series into a file", "What is not given comes from the checkpoint.").add_argument
    _add_files(add, reads=False)
    add("-n", "--num-samples", type=int, metavar="N", help="how many (default: one for each label given)")
    add(
        "--label",
        action="append",
        default=[],
        metavar="NAME",
        help="a class by name; repeat it for one class a sample; "
        "'null' for no class (default: drawn at the shares of the training split)",
    )
    add("--num-steps", type=int, metavar="N", help="parallel decoding steps: more are slower and mostly better")
    add("--temperature", type=float, metavar="T", help="below 1 is more typical, above 1 more diverse")
    add("--choice-temperature", type=float, metavar="T", help="noise in the choice of which codes to keep")
    add("--guidance-scale", type=float, metavar="S", help="above 1 follows the class more closely")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same series (default: 0)")

    add = command(reconstruct, "encode and decode the series of a file", "").add_argument
    _add_files(add, reads=True)
    add = command(embed, "features of the series of a file, for classifiers", "Scale each feature first.").add_argument
    _add_files(add, reads=True)
    add = command(
        evaluate,
        "measure a checkpoint, beside the published models",
        "Writes metrics.json, report.md and pictures. On two cores it takes minutes.",
    ).add_argument
    add("checkpoint", help="a folder or an id on the Hub")
    add("--dataset", metavar="NAME", help="of the archive (default: the one that the checkpoint was trained on)")
    add("--data-dir", metavar="DIR", help="folder of the archive (default: aeon)")
    add("--fcn", metavar="DIR", help="folder of evaluation networks, NAME.safetensors (default: trained and cached)")
    add("--seeds", type=int, default=3, metavar="N", help="how often everything random is drawn (default: 3)")
    add("--only", choices=["tokenizer"], help="measure stage 1 alone: reconstruction, codes, probes")
    add("--out", metavar="DIR", help="folder of the report (default: report/NAME-OF-CHECKPOINT)")
    add = command(
        publish,
        "send a checkpoint to the Hugging Face Hub",
        "Checks the folder, writes its card from metrics.json, and uploads weights, code and card in one commit.",
    ).add_argument
    add("folder", help="of a checkpoint, evaluated with --out FOLDER")
    add("--repo-id", required=True, metavar="ORG/NAME", help="of the repository, which is created if need be")
    add("--private", action="store_true", help="make a new repository private")
    add("--dry-run", action="store_true", help="check, write the card, and say what would be sent")
    add = command(
        publish_data,
        "send a dataset of the archive to a dataset repository on the Hub",
        "load_dataset(ORG/NAME, DATASET) then reads it.",
    ).add_argument
    add("dataset", help="its name, as the archive spells it: GunPoint")
    add("--repo-id", required=True, metavar="ORG/NAME", help="of the repository, which is created if need be")
    add("--data-dir", metavar="DIR", help="folder of the archive (default: aeon)")
    add("--private", action="store_true", help="make a new repository private")
    add = command(
        publish_space,
        "send the app to a Space on the Hub",
        "The folder's files, the checkpoints in it, and this package go there in one commit.",
    ).add_argument
    add("folder", help="of the app: spaces/ncvqvae-sampler")
    add("--repo-id", required=True, metavar="ORG/NAME", help="of the Space, which is created if need be")
    add("--private", action="store_true", help="make a new Space private")
    add("--dry-run", action="store_true", help="check, and say what would be sent")
    add = command(demo, "serve the app on this machine", "It generates and reconstructs in a browser.").add_argument
    add(
        "checkpoint",
        nargs="?",
        help="a folder or an id on the Hub (default: $NCVQVAE_CHECKPOINT, or ncvqvae-gunPoint here or in the source's "
        "model_cards)",
    )
    add("--port", type=int, metavar="N", help="of the server (default: the first free one from 7860)")
    command(info, "what is in a checkpoint", "").add_argument("checkpoint", help="a folder or an id on the Hub")
    return parser


def add_data_options(add: Callable) -> None:
    """What names the series to train on, for `training_data`."""
    add("dataset", nargs="?", help="of the archive, as it spells it: GunPoint; or else --data")
    add(
        "--data",
        metavar="SOURCE",
        help="series of your own: a .csv or .parquet (a series or a value in a row), .npy, .npz, a folder of "
        "save_to_disk, or ORG/NAME or ORG/NAME:CONFIG on the Hub",
    )
    add("--test", metavar="SOURCE", help="series to test on at the end, likewise (default: the split test of --data)")
    add("--label-column", metavar="NAME", help="holds the classes (default: label if there is one, else no classes)")
    add("--window", type=int, metavar="N", help="cut series into windows of N samples (default: not)")
    add("--stride", type=int, metavar="N", help="samples from one window's start to the next (default: --window)")


def add_run_options(add: Callable) -> None:
    """What every command that trains takes."""
    add(
        "--data-dir",
        metavar="DIR",
        help="folder of the archive, which holds DATASET/DATASET_TRAIN.tsv (default: aeon)",
    )
    add("--recipe", metavar="YAML", help="run settings, see training/recipes (default: those of `Recipe`)")
    add(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a setting: --set prior_training.max_steps=100"
    )
    add("--work-dir", metavar="DIR", help="folder of what it takes to resume (default: runs/NAME-OF-OUTPUT-DIR)")
    add("--resume", action="store_true", help="go on with the run that the work folder holds")


def _add_files(add: Callable, reads: bool) -> None:
    add("checkpoint", help="a folder or an id on the Hub")
    if reads:
        add("input", help="series: .csv or .parquet (a row each, with or without a column 'label') or .npz")
    add("output", help="file to write: .csv, .npz or .parquet")


if __name__ == "__main__":
    sys.exit(main())
