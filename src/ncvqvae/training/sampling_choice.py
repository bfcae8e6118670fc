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
SURE = 1.0  # standard errors by which other settings must be better than those that they replace


def choose_sampling(
    model: MaskGITForTimeSeriesGeneration, values: Tensor, labels: Tensor | None, seed: int
) -> dict[str, Any]:
    """The settings of `generate` whose series are nearest to real ones, class by class.

    The measure is the energy distance (Szekely and Rizzo, 2013) of MiniROCKET's features, scaled by their spread.
    Guidance, temperature and order are changed in turn from those of `START`, where the change is surely better: a few
    real series agree with many settings. (The cubic kernel of KID was tried. A few features that hardly vary decide
    it: it preferred guidance on CBF, which doubles the FID there.)

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
    asked = labels.repeat(-(-LEAST_SERIES // len(labels)))

    def distances(settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
        generator = torch.Generator(model.device).manual_seed(derived_seed(seed, "sampling"))
        wanted = asked if model.config.num_labels else None
        made: Any = model.generate(len(asked), wanted, **settings, generator=generator)
        found = features(made.cpu()) / scale
        parts = [(real[labels == label] / scale, found[asked == label]) for label in labels.unique()]
        of_real, of_made = zip(*[distance_shares(*part) for part in parts], strict=True)
        return torch.cat(of_real), torch.cat(of_made)

    chosen, best = START, distances(START)
    for changes in CHANGES if model.config.num_labels else CHANGES[1:]:
        tried = [(distances(chosen | change), chosen | change) for change in changes]
        shares, settings = max(tried, key=lambda one: _errors_less(one[0], best))
        if _errors_less(shares, best) > SURE:
            chosen, best = settings, shares
    return chosen


def _errors_less(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    """By how many standard errors, of the real and of the generated series, a distance is less than another."""
    # All settings draw alike, so that each generated series has its counterpart.
    less, of_made = (before - now for before, now in zip(other, one, strict=True))
    variance = less.var() / len(less) + of_made.var() / len(of_made)
    return (less.mean() / variance.sqrt().clamp_min(1e-12)).item()


def passes_to_choose(model: MaskGITForTimeSeriesGeneration, num_series: int) -> int:
    """How many series pass the network while sampling is chosen by `num_series`: guided ones twice in each step."""
    tried = 1 + sum(map(len, CHANGES))
    asked = num_series * -(-LEAST_SERIES // max(num_series, 1))
    return round(1.5 * tried) * asked * min(model.config.sampling_steps, model.num_codes)


def distance_shares(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """What each real series `(real,)` and each generated one `(generated,)` adds to the energy distance.

    The mean over the real ones is twice the mean distance between a real and a generated series, less that of two
    generated ones. What does not depend on `generated` is left out.
    """
    between = 2 * torch.cdist(real.double(), generated.double())
    within = torch.cdist(generated.double(), generated.double()).sum(1) / max(len(generated) - 1, 1)
    return between.mean(1) - within.mean(), between.mean(0) - 2 * within
