"""The command that trains on many sets: pretrain."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .training import add_run_options


if TYPE_CHECKING:
    from datasets import Dataset

    from ..training.checkpoints import History


def add_pretrain(commands: Any) -> None:
    parser = commands.add_parser(
        "pretrain",
        help="pre-train a tokenizer for all series, or a prior over many sets",
        description="Pre-train a tokenizer for series of every length on the training splits of many sets and on "
        "synthetic series, or a prior over the univariate sets with classes. The sets inside the package aeon are "
        "always part of the mixture.",
    )
    parser.set_defaults(run=pretrain)
    add = parser.add_argument
    add(
        "--archive",
        action="append",
        default=[],
        metavar="DIR",
        help="folder of NAME/NAME_TRAIN.tsv; repeat it for more",
    )
    add(
        "--table", action="append", default=[], metavar="FILE", help="parquet file with the columns dataset and values"
    )
    add("--leave-out", default="", metavar="NAMES", help="sets to leave out, with commas")
    stage = "stage to train (default: tokenizer); prior builds on --tokenizer"
    add("--stage", choices=["tokenizer", "prior", "both"], default="tokenizer", help=stage)
    add("--tokenizer", metavar="CHECKPOINT", help="with --stage prior: the pre-trained tokenizer to build on")
    add_run_options(add, recipe="base", output_dir="ncvqvae-base")


def pretrain(options: argparse.Namespace) -> None:
    from ..data.mixture import load_classified, load_mixture
    from ..inference import load_model, silence_transformers
    from ..models.modeling_ncvqvae import NCVQVAEModel
    from ..runtime import process_state
    from ..training.pretraining import pretrain as pretrain_tokenizer
    from ..training.prior_pretraining import check_prior, pretrain_prior
    from ..training.recipes import load_recipe

    if (options.stage == "prior") != bool(options.tokenizer):
        raise ValueError("--stage prior builds on a tokenizer, named with --tokenizer; other stages train their own")
    silence_transformers()
    recipe = load_recipe(options.recipe or "base", options.set)
    if options.stage == "both":
        check_prior(recipe)
    sources = options.archive, options.table, [name for name in options.leave_out.split(",") if name]
    folder, given = Path(options.output_dir or "ncvqvae-base"), (options.work_dir, options.resume)
    histories: dict[str, History] = {}
    process_state()  # decides which GPU is this process's, before the checkpoint goes there
    tokenizer: NCVQVAEModel
    if options.stage == "prior":
        tokenizer = load_model(NCVQVAEModel, options.tokenizer)
    else:
        sets = load_mixture(*sources)
        _say_sets(sets)
        tokenizer, histories = pretrain_tokenizer(sets, recipe, folder, *given, options.overwrite)
    if options.stage != "tokenizer":
        classified = load_classified(*sources, most_samples=tokenizer.config.working_length)
        _say_sets(classified)
        # The checkpoint of both stages takes the place of its own tokenizer's.
        replaces = options.overwrite or options.stage == "both" or _is_the_tokenizer(folder, options.tokenizer)
        _, histories["prior"] = pretrain_prior(tokenizer, classified, recipe, folder, *given, replaces)
    if process_state().is_main_process:
        if options.stage == "prior":
            _keep_what_it_has_seen(options.tokenizer, folder)
        for phase, history in histories.items():
            print(f"{phase}, {'held-out' if history.validation else 'training'} series")
            for name, value in (history.validation or history.training)[-1].items():
                print(f"  {name.replace('_', ' ')}  {value:.4g}")
        print(f"\nmodel: {folder}/")


def _say_sets(sets: "dict[str, Dataset]") -> None:
    from ..runtime import process_state

    if process_state().is_main_process:
        print(f"{sum(map(len, sets.values()))} series of {len(sets)} sets: {', '.join(sets)}")


def _is_the_tokenizer(folder: Path, tokenizer: str) -> bool:
    """Whether the folder holds the tokenizer that a prior is trained on, and no more."""
    from ..inference import find_checkpoint, is_tokenizer

    source = Path(find_checkpoint(tokenizer))
    return folder.is_dir() and source.is_dir() and source.samefile(folder) and is_tokenizer(folder)


def _keep_what_it_has_seen(tokenizer: str, folder: Path) -> None:
    """Copies what says which sets a tokenizer has seen beside the prior on it."""
    import shutil

    from ..evaluation.zero_shot import SEEN
    from ..inference import find_checkpoint

    source = Path(find_checkpoint(tokenizer)) / SEEN
    if source.is_file() and not source.samefile(folder):
        shutil.copy(source, folder / SEEN)
