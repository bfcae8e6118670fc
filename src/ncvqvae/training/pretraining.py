"""Pre-training of a tokenizer on many sets of series: `ncvqvae pretrain`."""

from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor

from ..data.mixture import draw_crops, hold_out_series, mix
from ..evaluation.stage_scores import score_tokenizer
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..models.modeling_ncvqvae_pretraining import NCVQVAEForPreTraining
from ..runtime import bars_for_terminals, derived_seed, process_state
from .augmentations import augment
from .checkpoints import History
from .loop import Inputs, Stage, fit
from .recipes import Recipe
from .run_folder import Run, check_writable, default_work_dir, note_run, only_run_in, save


HELD_OUT_CROPS = 1024


def pretrain(
    sets: dict[str, Dataset],
    recipe: Recipe,
    output_dir: str | Path,
    work_dir: str | Path | None = None,
    resume: bool = False,
) -> tuple[NCVQVAEModel, History]:
    """Trains a tokenizer for series of every length on crops of many sets, and saves it.

    Args:
        sets: training series by the name of their set; see `load_mixture`.
        recipe: the settings; `recipe.mixture` says how series are drawn.
        output_dir, work_dir, resume: see `train`.

    Returns:
        The tokenizer, in evaluation mode, and the history of its training.

    Raises:
        ValueError: for no sets, a folder that cannot be used, or a run to resume that was another.
    """
    check_writable(Path(output_dir))
    run = Run(recipe, Path(work_dir or default_work_dir(output_dir)), resume)
    with only_run_in(run.work_dir):
        sizes = {name: len(dataset) for name, dataset in sets.items()}
        note_run(run.work_dir, recipe.to_dict() | {"sets": sizes}, resume)
        model, history = _train(sets, run)
        save(model, output_dir, recipe)
    return model, history


def _train(sets: dict[str, Dataset], run: Run) -> tuple[NCVQVAEModel, History]:
    recipe, device = run.recipe, process_state().device
    with bars_for_terminals():
        kept, held_out = hold_out_series(sets, recipe.validation_fraction, recipe.seed)
        mixture = mix(kept, recipe.mixture, recipe.seed)
    torch.manual_seed(derived_seed(recipe.seed, "tokenizer"))
    config = NCVQVAEConfig(length=None, **recipe.tokenizer)
    model = NCVQVAEForPreTraining(config).to(device)
    # Crops come scaled, and at the samples at which they are tokenized.
    final = {name: getattr(config, name) for name in ("working_length", "scale_each")}
    config.working_length, config.scale_each = None, False

    def inputs(indices: Tensor, generator: torch.Generator) -> Inputs:
        crops = draw_crops(mixture, indices, recipe.mixture, generator)
        return {"values": crops} | (
            {"augmented_values": augment(crops, recipe.views, generator)} if recipe.views else {}
        )

    def evaluate(model: NCVQVAEForPreTraining) -> dict[str, float]:
        generator = torch.Generator(device).manual_seed(0)
        indices = torch.randint(len(held_out), (HELD_OUT_CROPS,), generator=generator, device=device)
        return score_tokenizer(model.tokenizer, draw_crops(held_out, indices, recipe.mixture, generator))

    stage = Stage("tokenizer", len(mixture), inputs, evaluate if len(held_out) else None)
    history = fit(model, stage, recipe.tokenizer_training, run)
    for name, value in final.items():
        setattr(config, name, value)
    return model.tokenizer, history
