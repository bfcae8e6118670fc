"""How a new prior samples, chosen by what it generates, against training series that it did not learn."""

import math
from typing import Any

import torch
from torch import Tensor

from ..evaluation.classification import minirocket_features
from ..evaluation.metrics import kernel_distance
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..runtime import derived_seed


# One after the other: the best of the first is kept while the second is chosen, and so on.
CHOICES: list[list[dict[str, Any]]] = [
    [
        {"order": "low_discrepancy"},
        {"order": "confidence", "choice_temperature": 1.0},
        {"order": "confidence", "choice_temperature": 4.0},
    ],
    [{"temperature": temperature} for temperature in (0.9, 0.8, 1.0)],
    [{"guidance_scale": scale} for scale in (1.5, 1.0, 2.0)],
]
NUM_FEATURES = 1008
LEAST_SERIES = 128  # generated for each choice


def choose_sampling(
    model: MaskGITForTimeSeriesGeneration, values: Tensor, labels: Tensor | None, seed: int
) -> dict[str, Any]:
    """The settings of `generate` whose series are nearest to real ones, class by class.

    The measure is the kernel distance in MiniROCKET's features, which has no bias for small samples. Order,
    temperature and guidance are chosen in turn.

    Args:
        values: real series `(series, channels, length)` that the prior did not learn, in the units of the data.
        labels: their classes `(series,)`, or `None` without classes.
        seed: of everything random; all choices draw alike.

    Returns:
        Arguments for `generate`.
    """
    values = values.cpu()
    labels = torch.zeros(len(values), dtype=torch.long) if labels is None else labels.cpu()
    features = minirocket_features(values, NUM_FEATURES)
    real = features(values)
    scale = real.std(0).clamp_min(1e-3)
    asked = labels.repeat(-(-LEAST_SERIES // len(labels)))

    def distance(settings: dict[str, Any]) -> float:
        generator = torch.Generator(model.device).manual_seed(derived_seed(seed, "sampling"))
        wanted = asked if model.config.num_labels else None
        made: Any = model.generate(len(asked), wanted, **settings, generator=generator)
        found = features(made.cpu())
        total = 0.0
        for label, count in zip(*labels.unique(return_counts=True), strict=True):
            if count > 1:
                parts = real[labels == label] / scale, found[asked == label] / scale
                total += kernel_distance(*parts) * int(count)
        return total

    chosen: dict[str, Any] = {"temperature": 0.9, "guidance_scale": 1.5 if model.config.num_labels else 1.0}
    best = math.inf
    for choices in CHOICES if model.config.num_labels else CHOICES[:-1]:
        tried = [{**chosen, **choice} for choice in choices]
        distances = [best if settings == chosen else distance(settings) for settings in tried]
        best = min(distances)
        chosen = tried[distances.index(best)]
    return chosen
