"""The two stages of a run: a tokenizer is trained on series, then a prior on the tokenizer's codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from torch import Tensor

from ..data.streaming import StreamedValues, Values, chunks
from ..data.training_split import TrainingData
from ..evaluation.plots import plot_reconstructions, plot_samples
from ..evaluation.stage_scores import encode_all, score_prior, score_tokenizer
from ..models.configuration_maskgit import SAMPLING
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..models.distributed import num_processes
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel, round_to_half
from ..models.modeling_ncvqvae_pretraining import NCVQVAEForPreTraining
from ..models.time_frequency import low_band
from ..runtime import derived_seed, digest, process_state
from .augmentations import augment, draw_strength
from .checkpoints import History
from .finetuning import Start
from .loop import Inputs, Stage, fit
from .recipes import Recipe
from .run_folder import Run, check_resumable, check_writable, default_work_dir, note_run, only_run_in, save
from .sampling_choice import START, choose_sampling, passes_to_choose


LEAST_TO_CHOOSE_BY, MOST_TO_CHOOSE_BY = 50, 1024  # series that the sampling is chosen by
DRAWN = 24  # series in the pictures that a tracker gets


def train(
    dataset: Dataset,
    recipe: Recipe,
    output_dir: str | Path,
    work_dir: str | Path | None = None,
    resume: bool = False,
    start: Start | None = None,
    only: Literal["tokenizer", "prior"] | None = None,
    overwrite: bool = False,
) -> tuple[MaskGITForTimeSeriesGeneration | NCVQVAEModel, dict[str, History]]:
    """Trains both stages on a training split and saves the composite checkpoint.

    Args:
        dataset: with the columns `values` and, for a class-conditional model, `label`; see `series_dataset`.
        recipe: the settings.
        output_dir: the checkpoint's folder.
        work_dir (*optional*, defaults to `runs/<output_dir>`): holds checkpoints to resume from. Those of another
            run are deleted.
        resume: continue the run in `work_dir`.
        overwrite: replace the finished checkpoint of another training in `output_dir`. The same training may be
            repeated without.
        start: fine-tune this checkpoint, with the sizes of its networks; defaults to the recipe's `start`.
        only: train one stage. `"tokenizer"` saves stage 1 without a prior, because a prior knows only the codes of
            the tokenizer that it was trained on; `"prior"` trains stage 2 on the tokenizer of `start`. Defaults to the
            prior for a recipe with a `start` whose tokenizer it does not tune, else to both.

    Returns:
        The model, in evaluation mode, and the histories of `"tokenizer"` and `"prior"`.

    Raises:
        ValueError: for data or a folder that cannot be used, for resuming another run or none, or for an `output_dir`
            with a finished checkpoint; the message is one line.
    """
    work_dir = Path(work_dir or default_work_dir(output_dir))
    if resume:
        check_resumable(work_dir)
    start = start or Start.of(recipe)
    if recipe.start is not None and not recipe.tune_tokenizer:
        only = only or "prior"
    start.check(output_dir, only)
    data = TrainingData.from_dataset(dataset, recipe.seed, recipe.validation_fraction)
    output = str(Path(output_dir).resolve()), only
    run = Run(start.adapt(recipe, data.values.shape[2]), work_dir, resume, start, output, overwrite)
    config = tokenizer_config(data, run.recipe)
    check_writable(Path(output_dir))
    with only_run_in(work_dir):
        check_run(data, run)
        histories = {}
        if only == "prior":
            model = start.kept_tokenizer(config).to(data.values.device)
        else:
            pretrained, histories["tokenizer"] = train_tokenizer(data, run)
            model = pretrained.tokenizer
        if only != "tokenizer":
            model, histories["prior"] = train_prior(model, data, run)
        if run.recipe.half_weights:
            round_to_half(model)
        if run.recipe.choose_sampling and only != "tokenizer":
            _choose_sampling(model, data, run.recipe.seed)
        save(model, output_dir, run.recipe)
    return model, histories


def tokenizer_config(data: TrainingData, recipe: Recipe) -> NCVQVAEConfig:
    """The configuration of stage 1: the recipe's settings, and the scaler and sizes of the data."""
    mean, std = data.scaler
    _, channels, length = data.values.shape
    if min(len(data.train) * recipe.tokenizer_training.repeats, recipe.tokenizer_training.batch_size) < 2:
        raise ValueError("stage 1 needs batches of two series or more, for its batch norm")
    scale = {"mean": mean, "std": std}
    return NCVQVAEConfig(num_channels=channels, length=length, dataset_name=data.name, **scale, **recipe.tokenizer)


def train_tokenizer(data: TrainingData, run: Run) -> tuple[NCVQVAEForPreTraining, History]:
    """Trains stage 1; returns the model and its history."""
    recipe, config = run.recipe, tokenizer_config(data, run.recipe)
    torch.manual_seed(derived_seed(recipe.seed, "tokenizer"))
    model, frozen = run.start.new_tokenizer(config)
    tokenizer, values = model.to(data.values.device).tokenizer, data.part(data.train)

    def inputs(indices: Tensor, generator: torch.Generator) -> Inputs:
        batch = values[indices]
        if not recipe.views:
            return {"values": batch}
        view = _augmented(tokenizer, tokenizer.scale(batch), recipe, generator)
        return {"values": batch, "augmented_values": tokenizer.scale.inverse(view)}

    def evaluate(model: NCVQVAEForPreTraining) -> dict[str, float]:
        return score_tokenizer(model.tokenizer, data.part(data.held_out))

    def draw(model: NCVQVAEForPreTraining, file: Path) -> None:
        again = model.tokenizer.reconstruct(shown)
        plot_reconstructions(shown.cpu(), again.cpu(), "Training series, reconstructed", file)

    shown = values[torch.arange(min(len(values), DRAWN))]
    smaller = "tokenizer.projector_dim" if config.ssl_objective else None
    stage = Stage("tokenizer", len(values), inputs, evaluate if len(data.held_out) else None, draw, frozen, smaller)
    return model, fit(model, stage, recipe.tokenizer_training, run)


def _augmented(tokenizer: NCVQVAEModel, scaled: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """A view of scaled series `(batch, channels, length)`, of each band by its own augmentations if it has some."""
    if not recipe.high_views:
        return augment(scaled, recipe.views, generator)
    low = low_band(tokenizer.time_frequency, scaled)
    return augment(low, recipe.views, generator) + augment(scaled - low, recipe.high_views, generator)


def train_prior(
    tokenizer: NCVQVAEModel, data: TrainingData, run: Run
) -> tuple[MaskGITForTimeSeriesGeneration, History]:
    """Trains stage 2 on the codes of a tokenizer; returns the model and its history."""
    recipe, classes = run.recipe, {}
    if data.labels is not None:
        classes = {"id2label": dict(enumerate(data.label_names)), "label_shares": data.label_shares}
    note_run(run.work_dir / "prior", {"tokenizer": digest(tokenizer.state_dict().values())}, run.resume)
    torch.manual_seed(derived_seed(recipe.seed, "prior"))
    tokenizer = tokenizer.eval()
    model, frozen = run.start.new_prior(tokenizer, **classes, **recipe.prior)
    model.to(data.values.device)
    values = data.part(data.train)
    codes_of = (
        _codes_drawn_anew(tokenizer, values, run) if recipe.prior_views else _codes_known(tokenizer, values, run)
    )
    labels = None if data.labels is None else data.labels[data.train]
    held_out_codes = encode_all(tokenizer, data.part(data.held_out), "codes") if len(data.held_out) else None
    held_out_labels = None if data.labels is None else data.labels[data.held_out]

    def inputs(indices: Tensor, generator: torch.Generator) -> Inputs:
        return codes_of(indices, generator) | ({} if labels is None else {"labels": labels[indices]})

    def evaluate(model: MaskGITForTimeSeriesGeneration) -> dict[str, float]:
        return score_prior(model, held_out_codes, held_out_labels)

    def draw(model: MaskGITForTimeSeriesGeneration, file: Path) -> None:
        made: Any = model.generate(DRAWN, generator=torch.Generator(shown.device).manual_seed(0), return_labels=True)
        made_labels = None if labels is None else made.labels
        plot_samples(
            shown, shown_labels, made.values, made_labels, data.label_names, "Real and generated series", file
        )

    first = data.train[:DRAWN]
    shown, shown_labels = data.values[first], None if labels is None else data.labels[first]
    smaller = "prior.hidden_size" if run.start.prior is None else None
    stage = Stage("prior", len(values), inputs, None if held_out_codes is None else evaluate, draw, frozen, smaller)
    if recipe.choose_sampling:  # a step is about three passes of a batch: forward, and twice that backward
        series = min(len(_chosen_by(data)), MOST_TO_CHOOSE_BY)
        stage.after = passes_to_choose(model, series) / (3 * min(len(values), recipe.prior_training.batch_size))
    return model, fit(model, stage, recipe.prior_training, run)


def _codes_known(tokenizer: NCVQVAEModel, values: Values, run: Run) -> Callable[[Tensor, torch.Generator], Inputs]:
    """The codes of the series at given indices, from all series encoded once."""
    temperature = run.recipe.code_temperature
    # Drawing codes anew at each step needs the latents they are drawn from.
    kind = "latents" if temperature else "codes"
    streamed = temperature and isinstance(values, StreamedValues)
    file = run.work_dir / "prior" / f"latents-{process_state().process_index}.bin" if streamed else None
    encoded = encode_all(tokenizer, values, kind, file)

    def codes_of(indices: Tensor, generator: torch.Generator) -> Inputs:
        batch = encoded[indices.to(encoded.device)].to(indices.device)
        if temperature:
            batch = tokenizer.quantizer.sample(batch.flatten(0, 1), temperature, generator).view(len(batch), -1)
        return {"codes": batch.long()}

    return codes_of


def _codes_drawn_anew(
    tokenizer: NCVQVAEModel, values: Values, run: Run
) -> Callable[[Tensor, torch.Generator], Inputs]:
    """The codes of new views of the series at given indices, and how strong the views are, if the prior is to know."""
    recipe = run.recipe

    @torch.no_grad()
    def codes_of(indices: Tensor, generator: torch.Generator) -> Inputs:
        knows = recipe.prior.get("knows_strength")
        strength = draw_strength(len(indices), generator, indices.device) if knows else None
        view = augment(tokenizer.scale(values[indices]), recipe.prior_views, generator, strength)
        encoded = tokenizer.encode(tokenizer.scale.inverse(view))
        codes = encoded.codes
        if recipe.code_temperature:
            codes = tokenizer.quantizer.sample(encoded.latents, recipe.code_temperature, generator)
        return {"codes": codes} | ({} if strength is None else {"strength": strength})

    return codes_of


def _choose_sampling(model: MaskGITForTimeSeriesGeneration, data: TrainingData, seed: int) -> None:
    """Makes the settings that `choose_sampling` finds those of the checkpoint, or its `START` where series are few."""
    rows = _chosen_by(data)
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:MOST_TO_CHOOSE_BY]]
    labels = None if data.labels is None else data.labels[rows.to(data.labels.device)]
    settings = START
    if len(rows):
        settings = choose_sampling(model, data.values[rows.to(data.values.device)], labels, seed)
    for name, value in settings.items():
        setattr(model.config, SAMPLING[name], value)


def _chosen_by(data: TrainingData) -> Tensor:
    """Indices of the series that the sampling is chosen by: held-out ones, or all if those are few, or none."""
    enough = (rows for rows in (data.held_out, torch.arange(len(data.values))) if len(rows) >= LEAST_TO_CHOOSE_BY)
    return next(enough, data.held_out[:0])


def check_run(data: TrainingData, run: Run) -> None:
    """Notes the run's settings, data and start in its work folder; see `note_run`."""
    check_writable(run.work_dir)
    found = {
        "processes": num_processes(),
        "classes": data.label_names,
        "shape": list(data.values.shape),
        "values": digest(chunks(data.values)),
        "labels": None if data.labels is None else digest([data.labels]),
        "held_out": digest([data.held_out]),  # which also decides the series to train on
        "output": run.output,
    }
    if run.start.model is not None:
        weights = digest(run.start.model.state_dict().values())
        found |= {"checkpoint": weights, "frozen": list(run.start.frozen)}
    note_run(run.work_dir, run.recipe.to_dict() | found, run.resume, run.overwrite)
