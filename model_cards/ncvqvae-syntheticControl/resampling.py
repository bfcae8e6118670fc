"""Resampling that is undone exactly: a short series is tokenized at more samples than it has.

With k (length - 1) + 1 samples every original sample is a sample of the refined series, so that refining and
coarsening return the series unchanged. A fixed number of samples would not: linear resampling to 512 and back costs up
to 8 of FID without any tokenizer (`training/LOG.md`).
"""

import torch
from torch import Tensor


def refined_length(length: int, working_length: int) -> int:
    """k (length - 1) + 1 for the largest k with which this is at most `working_length`; `length` if it is longer."""
    return max(1, (working_length - 1) // (length - 1)) * (length - 1) + 1


def refine(values: Tensor, length: int) -> Tensor:
    """`values` `(..., samples)` with straight lines between them, `(..., length)`; `length` is k (samples - 1) + 1."""
    factor = (length - 1) // (values.shape[-1] - 1)
    if factor == 1:
        return values
    fraction = torch.arange(factor, dtype=values.dtype, device=values.device) / factor
    left, right = values[..., :-1, None], values[..., 1:, None]
    lines = (left * (1 - fraction) + right * fraction).flatten(-2)  # at fraction 0 exactly the sample
    return torch.cat((lines, values[..., -1:]), -1)


def coarsen(values: Tensor, length: int) -> Tensor:
    """Every k-th sample of `values` `(..., samples)`, `length` of them; undoes `refine`."""
    return values[..., :: (values.shape[-1] - 1) // (length - 1)]
