"""From the units of the data to zero mean and unit variance, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


Moment = float | Sequence[float] | Tensor | None  # a mean or a standard deviation of each channel


class Scaler(nn.Module):
    """From the units of the data to zero mean and unit variance, channel by channel, in float32; and back.

    `moments` `(2, batch or 1, channels, 1)` are means and standard deviations in the place of the configuration's.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.moments = [list(mean), list(std)]
        self.mean_and_std = nn.Buffer(torch.empty(2, len(mean), 1, dtype=torch.float32), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        if not self.mean_and_std.is_meta:
            self.mean_and_std.copy_(torch.tensor(self.moments)[..., None])

    def forward(self, values: Tensor, moments: Tensor | None = None) -> Tensor:
        mean, std = self.mean_and_std if moments is None else moments
        return (values.to(mean.dtype) - mean) / std

    def inverse(self, values: Tensor, moments: Tensor | None = None) -> Tensor:
        mean, std = self.mean_and_std if moments is None else moments
        return values.to(mean.dtype) * std + mean


def moments_of(values: Tensor, mean: Moment, std: Moment, scale_each: bool) -> Tensor | None:
    """What scales `values` `(batch, channels, length)`, as `(2, batch, channels, 1)`: the given moments, else with
    `scale_each` those of each series; `None` where the configuration's are meant.

    Raises:
        ValueError: for one moment without the other, or a constant series that is to be scaled by itself.
    """
    if (mean is None) != (std is None):
        raise ValueError("give both mean and std, or neither")
    if mean is not None:
        given = [torch.as_tensor(moment, dtype=torch.float32, device=values.device) for moment in (mean, std)]
        return torch.stack([moment.expand(values.shape[:2])[..., None] for moment in given])
    if not scale_each:
        return None
    values = values.float()
    average, deviation = values.mean(-1, keepdim=True), values.std(-1, keepdim=True, correction=0)
    if not torch.compiler.is_compiling() and (deviation == 0).any():
        raise ValueError("a series is constant: give the mean and std to scale it by")
    return torch.stack((average, deviation))
