"""Pre-training of a tokenizer on many sets of series: `ncvqvae pretrain`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import torch
from datasets import Dataset
from torch import Tensor

from ..data.mixture import draw_crops, hold_out_series, mix
from ..data.streaming import column_array
from ..evaluation.stage_scores import score_tokenizer
from ..evaluation.zero_shot import SEEN
from ..models.configuration_ncvqvae import NCVQVAEConfig
from ..models.modeling_ncvqvae import NCVQVAEModel, round_to_half
from ..models.modeling_ncvqvae_pretraining import NCVQVAEForPreTraining
from ..runtime import bars_for_terminals, derived_seed, process_state, whole_file
from .adversarial import AdversarialDecoder
from .augmentations import augment
from .checkpoints import History
from .loop import Inputs, Stage, fit
from .recipes import Recipe
from .run_folder import Run, check_resumable, check_writable, default_work_dir, note_run, only_run_in, save


HELD_OUT_CROPS = 1024


def pretrain(
    sets: dict[str, Dataset],
    recipe: Recipe,
    output_dir: str | Path,
    work_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> tuple[NCVQVAEModel, dict[str, History]]:
    """Trains a tokenizer for series of every length on crops of many sets, and saves it.

    `pretraining.json` in the folder says what it has seen. A tokenizer with `decoder_noise` has a second phase, which
    trains its decoder alone; see `adversarial`.

    Args:
        sets: training series by the name of their set; see `load_mixture`.
        recipe: the settings; `recipe.mixture` says how series are drawn.
        output_dir, work_dir, resume, overwrite: see `train`.

    Returns:
        The tokenizer, in evaluation mode, and the history of each phase, `tokenizer` and `decoder`.

    Raises:
        ValueError: for no sets, a folder that cannot be used, or a run to resume that was another.
    """
    check_writable(Path(output_dir))
    run = Run(recipe, Path(work_dir or default_work_dir(output_dir)), resume)
    if resume:
        check_resumable(run.work_dir)
    with only_run_in(run.work_dir):
        sizes = {name: len(dataset) for name, dataset in sets.items()}
        facts = {"sets": sizes, "output": (str(Path(output_dir).resolve()), "tokenizer")}
        note_run(run.work_dir, recipe.to_dict() | facts, resume, overwrite)
        model, histories = _train(sets, run)
        if recipe.half_weights:
            round_to_half(model)
        save(model, output_dir, recipe)
        if process_state().is_main_process:
            with whole_file(Path(output_dir) / SEEN) as partial:
                partial.write_text(json.dumps(_description(sets, recipe), indent=1) + "\n")
    return model, histories


def _description(sets: dict[str, Dataset], recipe: Recipe) -> dict[str, Any]:
    """What a tokenizer has seen: the number of series of each set, and their lengths in samples."""
    seen = {}
    for name, dataset in sets.items():
        lengths = pc.list_value_length(column_array(dataset, "values"))
        seen[name] = {"series": len(dataset), "shortest": pc.min(lengths).as_py(), "longest": pc.max(lengths).as_py()}
    return {"sets": seen, "synthetic_series": recipe.mixture.num_synthetic}


def _train(sets: dict[str, Dataset], run: Run) -> tuple[NCVQVAEModel, dict[str, History]]:
    recipe, device = run.recipe, process_state().device
    crops = _Crops(sets, recipe)
    torch.manual_seed(derived_seed(recipe.seed, "tokenizer"))
    config = NCVQVAEConfig(length=None, **recipe.tokenizer)
    _check_crop(config, recipe.mixture.crop)
    model = NCVQVAEForPreTraining(config).to(device)
    # Crops come scaled, and at the samples at which they are tokenized.
    final = {name: getattr(config, name) for name in ("working_length", "scale_each")}
    config.working_length, config.scale_each = None, False

    def views(indices: Tensor, generator: torch.Generator) -> Inputs:
        drawn = crops.draw(indices, generator)
        return {"values": drawn} | (
            {"augmented_values": augment(drawn, recipe.views, generator)} if recipe.views else {}
        )

    def with_noise(indices: Tensor, generator: torch.Generator) -> Inputs:
        drawn = crops.draw(indices, generator)
        shape = len(drawn), config.dim, *config.grid(drawn.shape[-1])
        return {"values": drawn, "noise": torch.randn(shape, generator=generator, device=device)}

    stage = Stage("tokenizer", len(crops.mixture), views, crops.score if len(crops.held_out) else None)
    histories = {"tokenizer": fit(model, stage, recipe.tokenizer_training, run)}
    if config.decoder_noise:
        torch.manual_seed(derived_seed(recipe.seed, "decoder"))
        judged = AdversarialDecoder(model.tokenizer).to(device)
        # Batch norms and codebook stay as the first phase left them.
        stage = replace(stage, name="decoder", inputs=with_noise, frozen=[model.tokenizer])
        histories["decoder"] = fit(judged, stage, recipe.decoder_training, run)
    for name, value in final.items():
        setattr(config, name, value)
    return model.tokenizer, histories


def _check_crop(config: NCVQVAEConfig, crop: int) -> None:
    """Raises `ValueError` for crops unlike the series that the tokenizer will see."""
    if config.working_length is not None and crop > config.working_length:
        longest = f"whole series are tokenized at {config.working_length} samples (tokenizer.working_length)"
        raise ValueError(f"mixture.crop is {crop} samples, but {longest}; lower mixture.crop")
    unit = (config.n_fft // 4) << config.num_downsampling
    if crop % unit:
        raise ValueError(f"mixture.crop must be a whole number of codes, {unit} samples each; found {crop}")


class _Crops:
    """Crops of the series to train on, and of those that are held out."""

    def __init__(self, sets: dict[str, Dataset], recipe: Recipe):
        self.settings = recipe.mixture
        with bars_for_terminals():
            kept, self.held_out = hold_out_series(sets, recipe.validation_fraction, recipe.seed)
            self.mixture = mix(kept, recipe.mixture, recipe.seed)

    def draw(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        return draw_crops(self.mixture, indices, self.settings, generator)

    def score(self, model: NCVQVAEForPreTraining | AdversarialDecoder) -> dict[str, float]:
        """The scores of the same held-out crops at every call."""
        device = model.tokenizer.device
        generator = torch.Generator(device).manual_seed(0)
        indices = torch.randint(len(self.held_out), (HELD_OUT_CROPS,), generator=generator, device=device)
        return score_tokenizer(model.tokenizer, draw_crops(self.held_out, indices, self.settings, generator))
