"""Pre-training of a prior over many sets of series, each with its own classes, length and units."""

from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..data.series import to_tensors
from ..data.training_split import fit_scaler, hold_out
from ..evaluation.stage_scores import score_prior
from ..models.configuration_maskgit import MaskGITConfig
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel, round_to_half
from ..runtime import derived_seed, digest, one_line, process_state
from .augmentations import augment, draw_strength
from .checkpoints import History
from .loop import Inputs, Stage, fit
from .recipes import Recipe
from .run_folder import Run, check_resumable, check_writable, default_work_dir, note_run, only_run_in, save


SETS_A_STEP = 8  # series of a set are encoded together, so many sets are many small batches
HELD_OUT = 20  # series of a set, at most


def check_prior(recipe: Recipe) -> None:
    """Raises `ValueError` for a recipe whose prior cannot be one over many sets, before its tokenizer is trained."""
    try:
        MaskGITConfig(
            tokenizer_config=NCVQVAEConfig(length=None, **recipe.tokenizer).to_dict(),
            id2label={0: "set/class"},
            sets=[{"name": "set", "length": 64, "mean": 0.0, "std": 1.0}],
            **recipe.prior,
        )
    except StrictDataclassError as error:
        raise ValueError(f"the recipe's prior: {one_line(error.__cause__ or error)}") from None


def pretrain_prior(
    tokenizer: NCVQVAEModel,
    sets: dict[str, Dataset],
    recipe: Recipe,
    output_dir: str | Path,
    work_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> tuple[MaskGITForTimeSeriesGeneration, History]:
    """Trains a prior over the codes of many sets, conditional on set and class, and saves it with its tokenizer.

    Each step draws series of a few sets; a set comes up with the square root of its size.

    Args:
        tokenizer: for series of every length.
        sets: training splits by the name of their set; see `load_classified`.
        recipe: the settings: `prior`, `prior_training` and `prior_views`.
        output_dir, work_dir, resume, overwrite: see `train`.

    Raises:
        ValueError: for no sets, a tokenizer for one length, a folder that cannot be used, or a run to resume that was
            another.
    """
    if not sets:
        raise ValueError("the mixture has no univariate set of one length with classes: name an archive or a table")
    if tokenizer.config.length is not None:
        raise ValueError(f"the tokenizer is for series of {tokenizer.config.length} samples, and not for all sets")
    check_writable(Path(output_dir))
    run = Run(recipe, Path(work_dir or default_work_dir(output_dir)), resume)
    if resume:
        check_resumable(run.work_dir)
    with only_run_in(run.work_dir):
        sizes = {name: len(dataset) for name, dataset in sets.items()}
        weights = digest(tokenizer.state_dict().values())
        facts = {"tokenizer_weights": weights, "sets": sizes, "output": (str(Path(output_dir).resolve()), None)}
        note_run(run.work_dir / "prior", recipe.to_dict() | facts, resume, overwrite)
        model, history = _train(tokenizer.eval(), sets, run)
        if recipe.half_weights:
            round_to_half(model)
        save(model, output_dir, recipe)
    return model, history


@dataclass
class _Split:
    """Scaled series `(series, 1, length)` of a set and their classes among those of all sets."""

    name: str
    values: Tensor
    labels: Tensor
    names: list[str]
    mean: float
    std: float
    train: Tensor
    held_out: Tensor


def _splits(sets: dict[str, Dataset], recipe: Recipe) -> list[_Split]:
    device, known, splits = process_state().device, 0, []
    for name, dataset in sets.items():
        values, labels = to_tensors(dataset)
        (mean,), (std,) = fit_scaler(values)
        names = [f"{name}/{label}" for label in dataset.features["label"].names]
        sides = hold_out(labels, len(labels), recipe.validation_fraction, derived_seed(recipe.seed, name))
        values, labels = ((values - mean) / std).to(device), labels.to(device) + known
        splits.append(_Split(name, values, labels, names, mean, std, *(side.to(device) for side in sides)))
        known += len(names)
    return splits


def _train(
    tokenizer: NCVQVAEModel, sets: dict[str, Dataset], run: Run
) -> tuple[MaskGITForTimeSeriesGeneration, History]:
    recipe, device = run.recipe, process_state().device
    splits = _splits(sets, recipe)
    names = [name for split in splits for name in split.names]
    counts = torch.bincount(torch.cat([split.labels[split.train] for split in splits]), minlength=len(names))
    torch.manual_seed(derived_seed(recipe.seed, "prior"))
    model = MaskGITForTimeSeriesGeneration.from_tokenizer(
        tokenizer,
        id2label=dict(enumerate(names)),
        label_shares=(counts / counts.sum()).tolist(),
        sets=[
            {"name": split.name, "length": split.values.shape[2], "mean": split.mean, "std": split.std}
            for split in splits
        ],
        **recipe.prior,
    ).to(device)
    tokenizer = model.tokenizer
    weights = torch.tensor([len(split.train) ** 0.5 for split in splits], device=device)

    @torch.no_grad()
    def inputs(indices: Tensor, generator: torch.Generator) -> Inputs:
        knows = recipe.prior.get("knows_strength")
        strength = draw_strength(len(indices), generator, device) if knows else None
        chosen = torch.multinomial(weights, SETS_A_STEP, replacement=True, generator=generator)
        codes: list[Tensor] = []
        labels: list[Tensor] = []
        places = torch.arange(len(indices), device=device).tensor_split(SETS_A_STEP)
        for which, place in zip(chosen.tolist(), places, strict=True):
            split = splits[which]
            drawn = torch.randint(len(split.train), place.shape, generator=generator, device=device)
            rows, part = split.train[drawn], None if strength is None else strength[place]
            view = augment(split.values[rows], recipe.prior_views, generator, part)
            codes.extend(tokenizer.encode(view, 0.0, 1.0).codes if len(rows) else ())
            labels.append(split.labels[rows])
        given = {"codes": pad_sequence(codes, True, -1), "labels": torch.cat(labels)}
        return given | ({} if strength is None else {"strength": strength})

    held_out = [split.held_out[:HELD_OUT] for split in splits]
    with torch.no_grad():
        watched = [
            code
            for split, rows in zip(splits, held_out, strict=True)
            if len(rows)
            for code in tokenizer.encode(split.values[rows], 0.0, 1.0).codes
        ]
    watched_labels = torch.cat([split.labels[rows] for split, rows in zip(splits, held_out, strict=True)])

    def evaluate(model: MaskGITForTimeSeriesGeneration) -> dict[str, float]:
        return score_prior(model, pad_sequence(watched, True, -1), watched_labels)

    size = sum(len(split.train) for split in splits)
    stage = Stage("prior", size, inputs, evaluate if watched else None, smaller="prior.hidden_size")
    return model, fit(model, stage, recipe.prior_training, run)
