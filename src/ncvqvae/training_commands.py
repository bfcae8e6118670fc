"""The commands that train: what they take, what they leave, what they print. They need the extra `train`."""

import argparse
from pathlib import Path

from datasets import DatasetDict

from .commands import in_batches, load_any, quiet
from .finetuning import Start
from .history import History
from .modeling_maskgit import MaskGITForTimeSeriesGeneration
from .own_data import training_data
from .plots import plot_reconstructions, plot_samples, plot_training
from .recipes import Recipe, load_recipe
from .runs import check_writable, default_output_dir, process_state
from .scores import score_tokenizer
from .series import spread, to_tensors
from .stages import train as train_stages
from .summary import training_summary, unseen_series


# What a fine-tuning takes where no recipe says otherwise: short, and slower to leave what is known.
FINETUNING = (
    "tokenizer_training={max_steps: 500, batch_size: 64, learning_rate: 3e-4}",
    "prior_training={max_steps: 500, batch_size: 64, repeats: 2, learning_rate: 5e-4}",
)


def train(options: argparse.Namespace) -> None:
    """`ncvqvae train`."""
    run(options, load_recipe(options.recipe, options.set))


def finetune(options: argparse.Namespace) -> None:
    """`ncvqvae finetune`."""
    overrides = options.set if options.recipe else [*FINETUNING, *options.set]
    frozen = [part.strip() for part in options.freeze.split(",")] if options.freeze else []
    process_state()  # says which GPU is this process's, before the checkpoint goes there
    start = Start(load_any(options.checkpoint), frozen)
    run(options, load_recipe(options.recipe, overrides), start, None if options.stage == "both" else options.stage)


def run(options: argparse.Namespace, recipe: Recipe, start: Start | None = None, only: str | None = None) -> None:
    """Trains, and on the main process draws and prints what came of it."""
    quiet()
    name, data = training_data(options)
    folder = Path(options.output_dir or default_output_dir(name))
    figures = Path(options.figures or folder)
    check_writable(figures)
    model, histories = train_stages(
        data["train"], recipe, folder, options.work_dir, options.resume, start=start, only=only
    )
    if not process_state().is_main_process:
        return
    print(f"\n{name}, recipe {options.recipe or 'defaults'}")
    if start is not None and start.new:
        print(f"  not in the checkpoint, hence new: {', '.join(start.new)}")
    if only == "tokenizer":
        seen = to_tensors(spread(data["train"]))[0].to(model.device)
        scores = score_tokenizer(model, seen)
        print(f"  reconstruction error of the training series {scores['reconstruction_error']:.4f}")
        print(f"\nmodel: {folder}/")
        return
    figures.mkdir(parents=True, exist_ok=True)
    _draw(model, data, histories, name, recipe, figures)
    print(f"\nmodel: {folder}/    pictures: {figures}/{{samples,reconstructions,training}}.png")
    print(f"load it: import ncvqvae; AutoModel.from_pretrained({str(folder)!r})")


def _draw(
    model: MaskGITForTimeSeriesGeneration,
    data: DatasetDict,
    histories: dict[str, History],
    name: str,
    recipe: Recipe,
    figures: Path,
) -> None:
    """The table and three pictures."""
    plot_training(histories, f"Training on {name}", figures / "training.png")
    seen, unseen, kind = unseen_series(data, recipe)
    rows, samples, labels = training_summary(model, seen, unseen, seed=recipe.seed, kind=kind)
    real, real_labels = to_tensors(spread(data["train"]))
    names = list(model.config.id2label.values())
    title = f"{name}: the training split and what the model generates"
    plot_samples(real, real_labels, samples.cpu(), labels, names, title, figures / "samples.png")
    drawn = to_tensors(spread(unseen))[0][:1000]  # enough to find the best and the worst
    title = f"{name}: {kind} series and their reconstructions from {model.num_codes} codes"
    plot_reconstructions(
        drawn, in_batches(model.reconstruct, drawn, model.device), title, figures / "reconstructions.png"
    )
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"  {key:<{width}}  {value}")
