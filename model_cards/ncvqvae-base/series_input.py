"""Series from what a caller has: tensors, arrays or lists."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .configuration_ncvqvae import NCVQVAEConfig


MOST_EXACT = 2**24  # float32 holds whole numbers up to this
Series = Tensor | np.ndarray | Sequence  # `(batch, channels, length)`; of one channel also `(batch, length)`


def as_series(values: Series, config: NCVQVAEConfig, device: torch.device) -> Tensor:
    """Series as a tensor `(batch, channels, length)` of the model's shape; without channels, `values` are of one.

    A tensor stays where it is. An array, or what NumPy makes one of, goes to the device; its float64 stays that. Other
    numbers become float32, and so do lists, or float64 where whole numbers would lose digits.

    Raises:
        ValueError: for series of another shape than the model's or of unequal lengths, or for what is no number.
    """
    if not isinstance(values, Tensor):
        values = _from_numpy(values).to(device)
    elif values.dtype in (torch.int32, torch.int64):
        values = values.to(torch.float64 if (values.abs() > MOST_EXACT).any() else torch.float32)
    if values.ndim == 2 and (config.num_channels == 1 or _any_channels(config)):
        values = values[:, None]
    check_shape(values, config)
    return values


def check_shape(values: Tensor, config: NCVQVAEConfig) -> None:
    """Raises `ValueError` for series of another number of channels or length than the model's."""
    wanted = ("channels" if _any_channels(config) else config.num_channels, config.length or "length")
    fits = values.ndim == 3 and values.shape[0] and values.shape[1] and values.shape[2] >= 8
    for axis, size in enumerate(wanted, 1):
        fits = fits and (isinstance(size, str) or values.shape[axis] == size)
    if not fits:
        least = "" if config.length else ", of at least 8 samples"
        alone = "; of one series give values[None]" if values.ndim == 1 else ""
        found = f"{tuple(values.shape)}{alone}"
        raise ValueError(f"series must have the shape (batch, {wanted[0]}, {wanted[1]}){least}, found {found}")


def _any_channels(config: NCVQVAEConfig) -> bool:
    return config.length is None and config.channelwise


def _from_numpy(values: np.ndarray | Sequence) -> Tensor:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):  # lists of unequal lengths, of tensors on a GPU
        raise ValueError("series in lists must be numbers, and equally many in each; found others") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"series must be numbers, found {type(values).__name__} of {array.dtype}")
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 4 and not isinstance(values, list | tuple)
    large = array.dtype != np.float32 and array.dtype.itemsize >= 4
    wide = wide or (large and bool((np.abs(array, dtype=np.float64) > MOST_EXACT).any()))
    return torch.from_numpy(np.array(array, np.float64 if wide else np.float32, order="C"))  # a copy: no odd strides
