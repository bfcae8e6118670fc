"""What a generator has to beat: the training series themselves, lightly changed."""

import torch
from torch import Tensor

from ..runtime import derived_seed
from .classification import Classified


SHIFT, STRETCH, SCALE = 0.012, 0.012, 0.05  # standard deviations, in lengths and in amplitudes
JITTER = 0.03  # standard deviations of a channel, as usual (Iwana and Uchida, arXiv 2007.15951)


def lightly_warped(real: Classified, rows: Tensor, seed: int) -> Classified:
    """Real series at `rows`, each moved in time, stretched around its middle, and scaled around its mean, by a little.

    They stay as they are whatever views a recipe has, so that figures can be compared.

    Args:
        real: series `(series, channels, length)` and their classes, which may be `None`.
        rows: indices of series, which may repeat.
        seed: of the changes.
    """
    values, labels = real[0][rows], None if real[1] is None else real[1][rows]
    generator = torch.Generator().manual_seed(derived_seed(seed, "rival"))
    shift, stretch, scale = torch.randn(3, len(rows), 1, generator=generator)
    length = values.shape[2]
    time = torch.linspace(-0.5, 0.5, length)
    place = ((time * (1 + 2 * STRETCH * stretch) + SHIFT * shift + 0.5) * (length - 1)).clamp(0, length - 1)
    lower = place.long().clamp_max(length - 2)
    left, right = (values.gather(2, (lower + side)[:, None].expand_as(values)) for side in (0, 1))
    moved = left.lerp(right, (place - lower)[:, None])
    mean = moved.mean(2, keepdim=True)
    return mean + (moved - mean) * (1 + SCALE * scale[:, None]), labels


def jittered(values: Tensor, seed: int) -> Tensor:
    """Series `(series, channels, length)` with Gaussian noise of 0.03 standard deviations of their channel."""
    noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(derived_seed(seed, "jitter")))
    return values + JITTER * values.std((0, 2), keepdim=True) * noise.to(values.dtype)
