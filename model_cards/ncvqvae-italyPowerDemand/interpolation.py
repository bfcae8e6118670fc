"""Straight lines through the known samples of a series."""

import torch
from torch import Tensor


def neighbours(known: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the nearest known sample up to each sample, and from each sample on, of `known` `(..., length)`.

    They are -1 where there is none before, and the length where there is none behind.
    """
    length = known.shape[-1]
    place = torch.arange(length, device=known.device).expand(known.shape)
    before = place.masked_fill(~known, -1).cummax(-1).values
    behind = place.masked_fill(~known, length).flip(-1).cummin(-1).values.flip(-1)
    return before, behind


def interpolate(values: Tensor, known: Tensor) -> Tensor:
    """`values` `(..., length)` where they are `known`, and between those straight lines.

    Before the first known sample and behind the last one its value goes on. Each series needs one.
    """
    before, behind = neighbours(known)
    last = values.shape[-1] - 1
    left, right = (values.gather(-1, side.clamp(0, last)) for side in (before, behind))
    left, right = torch.where(before < 0, right, left), torch.where(behind > last, left, right)
    place = torch.arange(last + 1, device=values.device)
    weight = (place - before).to(values.dtype) / (behind - before).clamp_min(1)
    return torch.where(known, values, left + (right - left) * weight)


def distance_to_known(known: Tensor) -> Tensor:
    """Samples `(..., length)` to the nearest of those that are `known`."""
    before, behind = neighbours(known)
    place, length = torch.arange(known.shape[-1], device=known.device), known.shape[-1]
    far = torch.full_like(before, length)
    left = torch.where(before < 0, far, place - before)
    right = torch.where(behind >= length, far, behind - place)
    return torch.minimum(left, right)


def likely_error(values: Tensor, known: Tensor) -> Tensor:
    """How far the missing samples of `values` `(..., length)` may lie from the straight lines; 0 where they are known.

    A known sample lies off the line through its two neighbours by the curvature of the series. Errors grow with the
    distance to the nearest known sample to the power 3/2, as those of smooth series do, up to the standard deviation.
    """
    together = known[..., 2:] & known[..., 1:-1] & known[..., :-2]
    bend = values.diff(n=2, dim=-1).square() / 4
    count = together.sum(-1, keepdim=True)
    typical = (bend * together).sum(-1, keepdim=True) / count.clamp_min(1)
    total = known.sum(-1, keepdim=True)
    mean = (values * known).sum(-1, keepdim=True) / total
    most = (((values - mean) * known).square().sum(-1, keepdim=True) / total).sqrt()
    typical = torch.where(count > 0, typical.sqrt(), most)
    return torch.minimum(typical * distance_to_known(known) ** 1.5, most)
