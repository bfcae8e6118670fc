"""From the units of the data to zero mean and unit variance, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .precision import Constants


Moment = float | Sequence[float] | Tensor | None  # a mean or a standard deviation of each channel


def float_type(values: Tensor) -> torch.dtype:
    """That of the series that come of `values`: float64 for float64, else float32."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def enough_digits(mean: Sequence[float], std: Sequence[float]) -> torch.dtype:
    """The type of series of this mean and standard deviation of each channel: float32 where that holds them, and three
    digits of a standard deviation, else float64.
    """
    least, most = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
    for average, deviation in zip(mean, std, strict=True):
        if abs(average) > 1e4 * deviation or abs(average) + 100 * deviation > most or deviation < least:
            return torch.float64
    return torch.float32


class Scaler(Constants):
    """From the units of the data to zero mean and unit variance, channel by channel; and back.

    What is scaled is float32, computed in float64 from values or moments that are that. It comes back in the type of
    the moments; those of the configuration have `enough_digits`. `moments` `(2, batch or 1, channels, 1)` are means
    and standard deviations in their place.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.moments = [list(mean), list(std)]
        self.dtype = enough_digits(mean, std)
        self.mean_and_std = nn.Buffer(torch.empty(2, len(mean), 1, dtype=torch.float32), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        if not self.mean_and_std.is_meta:
            self.mean_and_std.copy_(torch.tensor(self.moments, dtype=torch.float32)[..., None])

    def of_config(self, dtype: torch.dtype) -> Tensor:
        """The configuration's moments, `(2, channels, 1)`."""
        if dtype == torch.float32:
            return self.mean_and_std
        return torch.tensor(self.moments, dtype=dtype, device=self.mean_and_std.device)[..., None]

    def forward(self, values: Tensor, moments: Tensor | None = None) -> Tensor:
        mean, std = self.of_config(float_type(values)) if moments is None else moments
        scaled = (values.to(torch.promote_types(values.dtype, mean.dtype)) - mean) / std
        return scaled.to(self.mean_and_std.dtype)

    def inverse(self, values: Tensor, moments: Tensor | None = None) -> Tensor:
        mean, std = self.of_config(self.dtype) if moments is None else moments
        return values.to(torch.promote_types(values.dtype, mean.dtype)) * std + mean


def moments_of(values: Tensor, mean: Moment, std: Moment, scale_each: bool) -> Tensor | None:
    """What scales `values` `(batch, channels, length)`, as `(2, batch, channels, 1)`: the given moments, else with
    `scale_each` those of each series, in `float_type(values)`; `None` where the configuration's are meant.

    Raises:
        ValueError: for one moment without the other, or a constant series that is to be scaled by itself.
    """
    if (mean is None) != (std is None):
        raise ValueError("give both mean and std, or neither")
    if mean is not None:
        given = [torch.as_tensor(moment, dtype=float_type(values), device=values.device) for moment in (mean, std)]
        return torch.stack([moment.expand(values.shape[:2])[..., None] for moment in given])
    if not scale_each:
        return None
    values = values.to(float_type(values))
    average, deviation = values.mean(-1, keepdim=True), values.std(-1, keepdim=True, correction=0)
    if not torch.compiler.is_compiling() and (deviation == 0).any():
        raise ValueError("a series is constant: give the mean and std to scale it by")
    return torch.stack((average, deviation))
