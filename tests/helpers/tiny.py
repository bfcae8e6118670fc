"""Tiny configurations, recipes and datasets, on which real models train in a second."""

import math

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining
from ncvqvae.data.series import series_dataset


TINY = dict(length=40, dim=8, num_residual_blocks=1, codebook_size=6, projector_dim=16)
TINY_PRIOR = dict(
    id2label={0: "down", 1: "up"},
    label_shares=[0.25, 0.75],
    hidden_size=16,
    num_hidden_layers=2,
    head_dim=8,
    intermediate_size=16,
)

# A tokenizer for series of every length.
ANY_LENGTH = dict(
    length=None,
    num_halvings=2,
    fold_frequencies=True,
    channelwise=True,
    scale_each=True,
    working_length=100,
    dim=8,
    code_dim=4,
    normalise_codes=True,
    codebook_size=16,
    num_residual_blocks=1,
    projector_dim=8,
)

# What a prior on it is, besides its sizes.
FROM_BASE = {"code_embedding": "geometry", "position_encoding": "rotary", "convolution_width": 3}

# A recipe of twelve steps a stage, as overrides.
SETTINGS = [
    "report_to=null",
    "validation_fraction=0.25",
    "tokenizer={dim: 8, num_residual_blocks: 1, codebook_size: 6, projector_dim: 16}",
    "views=[window_warp, amplitude_resize]",
    "tokenizer_training={max_steps: 12, batch_size: 8, save_steps: 5, eval_steps: 4, precision: 'no'}",
    "prior={hidden_size: 16, num_hidden_layers: 1, head_dim: 8, intermediate_size: 16}",
    "prior_training={max_steps: 12, batch_size: 8, repeats: 2, save_steps: 5, eval_steps: 4, precision: 'no'}",
]
# The same without the sizes, which a fine-tuning takes from its checkpoint.
FURTHER = [*SETTINGS[:2], *SETTINGS[3:5], *SETTINGS[6:], "tokenizer.projector_dim=16"]

# The recipe of a sweep's tests: the tokenizer trains for long enough to be interrupted.
SWEEP_RECIPE = {
    "report_to": None,
    "tokenizer": {"dim": 8, "num_residual_blocks": 1, "codebook_size": 6, "projector_dim": 16},
    "tokenizer_training": {"max_steps": 100, "save_steps": 10},
    "prior": {"hidden_size": 16, "num_hidden_layers": 1, "head_dim": 8, "intermediate_size": 16, "sampling_steps": 2},
    "prior_training": {"max_steps": 5},
}

CLASSES = ["down", "up"]


def as_options(settings: list[str] = SETTINGS) -> list[str]:
    """Overrides as they stand on a command line."""
    return [argument for setting in settings for argument in ("--set", setting)]


def toy_dataset(labelled: bool = True, channels: int = 1) -> Dataset:
    """Sines of two frequencies, the classes, with random phases."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 6)
    phase = rng.uniform(0, 6.28, size=(12, channels, 1))
    values = np.sin(np.arange(24) * np.where(labels, 1.5, 0.4)[:, None, None] + phase) * 3 + 10
    return series_dataset(values, labels if labelled else None)


def split(size: int, seed: int, length: int = 40, names: list[str] = CLASSES) -> Dataset:
    """Noisy lines that fall or rise, the classes of `TINY_PRIOR`."""
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % 2
    slope = np.linspace(-1, 1, length) * np.where(labels, 1, -1)[:, None]
    values = slope + 0.3 * rng.normal(size=(size, length))
    return series_dataset(values, [names[label] for label in labels], names)


def sines_in_noise(series: int, length: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two classes of sines, of one or three periods, of any phase, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(series) % 2
    phase = 6.3 * torch.rand(series, 1, 1, generator=generator)
    time = 2 * math.pi * torch.arange(length) / length
    noise = 0.2 * torch.randn(series, 1, length, generator=generator)
    return 7 + 3 * torch.sin(phase + (1 + 2 * labels[:, None, None]) * time) + noise, labels


def tiny_tokenizer() -> NCVQVAEForPreTraining:
    """A tiny stage 1 with projector, whose codebook and running statistics have seen a few batches."""
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY))
    for _ in range(3):
        values = torch.randn(8, 1, 40)
        model(values, values + 0.1 * torch.randn_like(values))
    return model


def tiny_generator(pretrained: NCVQVAEForPreTraining) -> MaskGITForTimeSeriesGeneration:
    """A tiny composite model in evaluation mode."""
    return MaskGITForTimeSeriesGeneration.from_tokenizer(pretrained.tokenizer, **TINY_PRIOR).eval()
