"""How a new prior samples, chosen by what it generates, against training series that it did not learn."""

from typing import Any

import torch
from torch import Tensor

from ..evaluation.classification import minirocket_features
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..runtime import derived_seed


START: dict[str, Any] = {"order": "low_discrepancy", "temperature": 1.0, "guidance_scale": 1.0}
# One after the other: what the first changes is kept while the second is tried, and so on.
CHANGES: list[list[dict[str, Any]]] = [
    [{"guidance_scale": scale} for scale in (1.5, 2.0)],
    [{"temperature": temperature} for temperature in (0.9, 0.8)],
    [{"order": "confidence", "choice_temperature": scale} for scale in (4.0, 1.0)],
]
NUM_FEATURES = 1008
LEAST_SPREAD = 0.02  # of a feature, which lies in 0 to 1; less is counted as this
LEAST_SERIES = 128  # generated for each choice


def choose_sampling(
    model: MaskGITForTimeSeriesGeneration, values: Tensor, labels: Tensor | None, seed: int
) -> dict[str, Any]:
    """The settings of `generate` whose series are nearest to real ones, class by class.

    The measure is the energy distance (Szekely and Rizzo, 2013) of MiniROCKET's features, scaled by their spread.
    Guidance, temperature and order are changed in turn from those of `START`, where that is nearer. (The cubic kernel
    of KID was tried. A few features that hardly vary decide it: it preferred guidance on CBF, which doubles the FID
    there.)

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
    scale = real.std(0).clamp_min(LEAST_SPREAD)
    classes, counts = labels.unique(return_counts=True)
    asked = labels.repeat(-(-LEAST_SERIES // len(labels)))

    def distance(settings: dict[str, Any]) -> float:
        generator = torch.Generator(model.device).manual_seed(derived_seed(seed, "sampling"))
        wanted = asked if model.config.num_labels else None
        made: Any = model.generate(len(asked), wanted, **settings, generator=generator)
        found = features(made.cpu()) / scale
        parts = [energy_distance(real[labels == label] / scale, found[asked == label]) for label in classes]
        return torch.stack(parts).mul(counts).sum().item()

    chosen, best = START, distance(START)
    for changes in CHANGES if model.config.num_labels else CHANGES[1:]:
        tried = [(distance(chosen | change), chosen | change) for change in changes]
        chosen, best = min(((best, chosen), *tried), key=lambda one: one[0])[::-1]
    return chosen


def passes_to_choose(model: MaskGITForTimeSeriesGeneration, num_series: int) -> int:
    """How many series pass the network while sampling is chosen by `num_series`: guided ones twice in each step."""
    tried = 1 + sum(map(len, CHANGES))
    asked = num_series * -(-LEAST_SERIES // max(num_series, 1))
    return round(1.5 * tried) * asked * min(model.config.sampling_steps, model.num_codes)


def energy_distance(real: Tensor, generated: Tensor) -> Tensor:
    """Twice the mean distance between a real `(real, features)` and a generated series `(generated, features)`, less
    that of two generated ones. What does not depend on `generated` is left out."""
    between, within = (torch.cdist(one.double(), generated.double()) for one in (real, generated))
    return 2 * between.mean() - within.sum() / max(len(generated) * (len(generated) - 1), 1)
