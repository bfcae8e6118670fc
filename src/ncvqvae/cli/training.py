"""Commands that train on one dataset: train, finetune."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .own_series import add_data_options, load_splits


if TYPE_CHECKING:
    from datasets import DatasetDict

    from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
    from ..training.checkpoints import History
    from ..training.finetuning import Start
    from ..training.recipes import Recipe

# Settings of a fine-tuning without a recipe: short, and with small steps, so that the checkpoint is not forgotten.
FINETUNING = (
    "tokenizer_training={max_steps: 500, batch_size: 64, learning_rate: 3e-4}",
    "prior_training={max_steps: 500, batch_size: 64, repeats: 2, learning_rate: 5e-4}",
)

FROM_BASE = "from_base"  # the recipe of a training without another
FIGURES = "folder of the pictures (default: the checkpoint's)"


def add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train on a dataset of the UCR or UEA archive, or on series of your own, from ncvqvae-base",
        description="Train a prior on the codes of ncvqvae-base, the pre-trained checkpoint, in minutes; or both "
        "stages from scratch. The command leaves the checkpoint and three pictures, and prints a table and a verdict; "
        "only these use the test split, after training.",
    )
    parser.set_defaults(run=train)
    add = parser.add_argument
    add_data_options(add)
    add_run_options(add, recipe=FROM_BASE)
    add("--figures", metavar="DIR", help=FIGURES)
    add("--from-scratch", action="store_true", help="start from random weights; without --recipe, with all defaults")
    add("--tune-tokenizer", action="store_true", help="train the tokenizer of ncvqvae-base further too")
    stages = "tokenizer trains stage 1 alone (default: both); for stage 2 alone see ncvqvae finetune"
    add("--stage", choices=["tokenizer", "both"], default="both", help=stages)


def train(options: argparse.Namespace) -> None:
    from ..training.finetuning import Start
    from ..training.recipes import load_recipe

    recipe = load_recipe(options.recipe or (None if options.from_scratch else FROM_BASE), options.set)
    if options.from_scratch:
        recipe = replace(recipe, start=None)
    recipe = replace(recipe, tune_tokenizer=recipe.tune_tokenizer or options.tune_tokenizer)
    if recipe.tune_tokenizer and recipe.start is None:
        raise ValueError("--tune-tokenizer is for a training from a checkpoint; from scratch all is trained")
    if options.stage == "tokenizer" and recipe.start is not None and not recipe.tune_tokenizer:
        raise ValueError(f"the tokenizer of {recipe.start} stays as it is: add --tune-tokenizer or --from-scratch")
    _train(options, recipe, Start.of(recipe))


def add_finetune(commands: Any) -> None:
    parser = commands.add_parser(
        "finetune",
        help="train a checkpoint further, on other series, classes, lengths or channels",
        description="Train a checkpoint further. Weights that do not fit the new series start anew and are named at "
        "the end. Without a recipe each stage takes 500 steps.",
    )
    parser.set_defaults(run=finetune)
    add = parser.add_argument
    add("checkpoint", help="checkpoint to start from: a folder or an id on the Hub, of both stages or of stage 1")
    add_data_options(add)
    add_run_options(add)
    add("--stage", choices=["tokenizer", "prior", "both"], default="both", help="stage to train (default: both)")
    add("--figures", metavar="DIR", help=FIGURES)
    add("--freeze", metavar="PARTS", help="parts not to train, with commas: encoder,transformer.layers.0")


def finetune(options: argparse.Namespace) -> None:
    from ..training.finetuning import Start
    from ..training.recipes import load_recipe

    overrides = options.set if options.recipe else [*FINETUNING, *options.set]
    frozen = [part.strip() for part in options.freeze.split(",")] if options.freeze else []
    recipe = load_recipe(options.recipe, overrides)
    recipe = replace(recipe, start=options.checkpoint, tune_tokenizer=options.stage != "prior")
    _train(options, recipe, Start.of(recipe, frozen))


def add_run_options(add: Callable, recipe: str | None = None, output_dir: str | None = None) -> None:
    """Options that say how to train, and where the results go; `recipe` and `output_dir` are their defaults."""
    known = "settings: a recipe's name, such as thesis/barlow_slice, or a YAML file"
    add("--recipe", metavar="NAME", help=known + (f" (default: {recipe})" if recipe else ""))
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="one setting: prior_training.max_steps=100")
    default = output_dir or "ncvqvae-gunPoint for GunPoint, ncvqvae-mine for data/mine.csv"
    add("--output-dir", metavar="DIR", help=f"folder of the checkpoint (default: {default})")
    add("--work-dir", metavar="DIR", help="folder for resumable checkpoints and logs (default: runs/OUTPUT-DIR)")
    add("--resume", action="store_true", help="continue the run in the work folder")
    add("--overwrite", action="store_true", help="replace the finished checkpoint of another training")


def _train(options: argparse.Namespace, recipe: "Recipe", start: "Start") -> None:
    """Trains; the main process then draws and prints the results."""
    from ..data.series import to_tensors
    from ..data.training_split import subsample
    from ..evaluation.stage_scores import score_tokenizer
    from ..inference import BASE, silence_transformers
    from ..runtime import process_state
    from ..training.run_folder import check_writable, default_output_dir
    from ..training.stages import train

    silence_transformers()
    name, data = load_splits(options)
    only = None if options.stage == "both" else options.stage
    folder = Path(options.output_dir or default_output_dir(name, only))
    figures = Path(options.figures or folder)
    check_writable(figures)
    given = options.work_dir, options.resume, start, only, options.overwrite
    model, histories = train(data["train"], recipe, folder, *given)
    if not process_state().is_main_process:
        return
    origin = f"from {recipe.start}" if recipe.start else "from scratch"
    print(f"\n{name}, {origin}, recipe {options.recipe or (FROM_BASE if recipe.start == BASE else 'defaults')}")
    if start.new:
        print(f"  not in the checkpoint, hence new: {', '.join(start.new)}")
    if only == "tokenizer":
        seen = to_tensors(subsample(data["train"]))[0].to(model.device)
        error = score_tokenizer(model, seen)["reconstruction_error"]
        print(f"  reconstruction error of the training series {error:.4f}")
        print(f"\nmodel: {folder}/")
        return
    figures.mkdir(parents=True, exist_ok=True)
    _draw(model, data, histories, name, recipe, figures)
    print(f"\nmodel: {folder}/    pictures: {figures}/{{samples,reconstructions,training}}.png")
    print(f"load it: import ncvqvae; AutoModel.from_pretrained({str(folder)!r})")


def _draw(
    model: "MaskGITForTimeSeriesGeneration",
    data: "DatasetDict",
    histories: "dict[str, History]",
    name: str,
    recipe: "Recipe",
    figures: Path,
) -> None:
    """Draws three pictures and prints the table and the verdict."""
    from ..data.series import to_tensors
    from ..data.training_split import evaluation_split, split_series, subsample
    from ..evaluation.comparison import evenly_spaced
    from ..evaluation.plots import plot_reconstructions, plot_samples
    from ..inference import in_batches
    from ..training.summary import plot_training, training_summary
    from ..training.verdict import judge_copying, judge_length

    plot_training(histories, f"Training on {name}", figures / "training.png")
    seen, unseen, kind = evaluation_split(data, recipe.seed, recipe.validation_fraction)
    rows, samples, labels = training_summary(model, seen, unseen, seed=recipe.seed, kind=kind)
    real, real_labels = to_tensors(subsample(data["train"]))
    names = list(model.config.id2label.values())
    title = f"{name}: the training split and what the model generates"
    plot_samples(real, real_labels, samples.cpu(), labels, names, title, figures / "samples.png")
    drawn = evenly_spaced(to_tensors(subsample(unseen))[0], 1000)  # enough to find the best and the worst
    reconstruction = in_batches(model.reconstruct, drawn, model.device)
    title = f"{name}: {kind} series and their reconstructions from {model.num_codes} codes"
    plot_reconstructions(drawn, reconstruction, title, figures / "reconstructions.png")
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"  {key:<{width}}  {value}")
    parts = split_series(data["train"], recipe.seed, recipe.validation_fraction)
    print("\n" + judge_length(histories["prior"], recipe.prior_training, *map(len, parts)))
    if kind == "training":
        print("Does it copy? Without other real series to compare with, nothing can say.")
    else:
        print(judge_copying(samples.cpu(), to_tensors(subsample(seen))[0], drawn, reconstruction))
