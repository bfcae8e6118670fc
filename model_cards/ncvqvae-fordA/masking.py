"""Masking of codes, for training and for sampling: one schedule for both (MaskGIT, Chang et al., arXiv 2202.04200)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def mask_ratio(progress: Tensor | float) -> Tensor | float:
    """Share of masked codes after `progress` (0 to 1) of the decoding: the cosine schedule, from all to none."""
    if isinstance(progress, Tensor):
        return torch.cos(progress * (math.pi / 2))
    return math.cos(progress * math.pi / 2)


def training_mask(
    batch: int,
    num_codes: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Which codes to hide, `(batch, num_codes)`, at least one a sample, at positions drawn uniformly.

    The ratio is drawn for each sample at a uniformly random progress, so it averages 2 / pi. (The thesis' baseline
    hides the complement, and draws one ratio for a batch.)
    """
    progress = torch.rand(batch, generator=generator, device=device)
    num_masked = (num_codes * mask_ratio(progress)).long().clamp_min(1)
    order = torch.rand(batch, num_codes, generator=generator, device=device).argsort(1).argsort(1)
    return order < num_masked[:, None]


def remask(
    probabilities: Tensor,
    known: Tensor,
    progress: float,
    choice_temperature: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Which codes to hide again after a decoding step, `(batch, num_codes)`: the least confident that are not known.

    Args:
        probabilities: of the codes just drawn, `(batch, num_codes)`.
        known: codes fixed by earlier steps, `(batch, num_codes)`; they are never hidden again.
        progress: share of the decoding that is done after this step, in (0, 1]; at 1 nothing is hidden.
        choice_temperature: scale of the Gumbel noise on the confidence, annealed to 0 as the decoding proceeds.
    """
    num_codes = known.shape[1]
    uniform = torch.rand(known.shape, generator=generator, device=known.device, dtype=probabilities.dtype)
    gumbel = -(-(uniform.clamp_min(1e-20)).log()).clamp_min(1e-20).log()
    confidence = (probabilities + 1e-5).log() + choice_temperature * (1 - progress) * gumbel
    confidence = confidence.masked_fill(known, math.inf)
    least = confidence.topk(int(num_codes * mask_ratio(progress)), dim=1, largest=False).indices
    return torch.zeros_like(known).scatter_(1, least, True) & ~known


def decode_iteratively(
    predict: Callable[[Tensor, Tensor], Tensor],
    codes: Tensor,
    num_steps: int,
    temperature: float = 1.0,
    choice_temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Codes from nothing in `num_steps` parallel steps: draw all that are unknown, keep the most confident.

    Args:
        predict: logits `(batch, num_codes, codebook_size)` of `codes` `(batch, num_codes)`, of which a mask of the
            same shape says which are known.
        codes: any codes of the shape wanted, `(batch, num_codes)`.
        temperature: of the codes drawn.
        choice_temperature: see `remask`.
    """
    known = torch.zeros_like(codes, dtype=torch.bool)
    for step in range(1, num_steps + 1):
        probabilities = (predict(codes, known).float() / temperature).softmax(-1)
        drawn = torch.multinomial(probabilities.flatten(0, 1), 1, generator=generator).view_as(codes)
        codes = torch.where(known, codes, drawn)
        chosen = probabilities.gather(-1, codes[..., None])[..., 0]
        known = ~remask(chosen, known, step / num_steps, choice_temperature, generator)
    return codes
