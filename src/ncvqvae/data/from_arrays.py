"""Arrays, tensors and lists of them as datasets with a series in each row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from datasets import Dataset
from torch import Tensor

from ..runtime import one_line
from .labels import label_names
from .layout import Columns, Layout
from .names import FEW_SAMPLES
from .series import as_doubles, values_column


MANY_SERIES = 16  # of few samples each: the axes seem to be in another order, or rows to be times


@dataclass
class Opened:
    """A dataset with a series in each row, what its columns are, and what is told about the source.

    `channels` are the names of the channels, where the source has names for them.
    """

    dataset: Dataset
    columns: Columns
    told: list[str] = field(default_factory=list)
    channels: list[str] | None = None


def from_arrays(values: Any, labels: Sequence | None, layout: Layout, told: list[str]) -> Opened:
    """Opens an array or tensor `(series, length)` or `(series, channels, length)`, or a list of `(channels, length)`.

    With a window, an array `(length,)`, or with `channels_last` also `(length, channels)`, is one recording.

    Raises:
        ValueError: for what are no real numbers, another number of axes, or axes that seem to be in another order.
    """
    if layout.named or layout.values:
        raise ValueError(f"arrays have no columns, so there is no column {(layout.named or layout.values)[0]!r}")
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1:
        values = list(values)  # of arrays of unequal lengths
    arrays = _as_arrays(values, layout)
    if not any(one.startswith("read from") for one in told):
        axes = ["length", "channels"] if layout.channels_last else ["channels", "length"]
        if isinstance(values, list | tuple):
            told = [f"read from a list of arrays ({', '.join(axes)})", *told]
        else:
            recording = layout.window is not None and values.ndim < (3 if layout.channels_last else 2)
            axes = axes if values.ndim == 3 or (recording and values.ndim == 2) else ["length"]
            told = [f"read from an array ({', '.join(axes if recording else ['series', *axes])})", *told]
    return of_arrays(arrays, None if labels is None else label_names(labels, len(arrays)), told)


def of_arrays(arrays: np.ndarray | list[np.ndarray], labels: list[str] | None, told: list[str]) -> Opened:
    """One array `(series, channels, length)`, or a list of `(channels, length)`, as a dataset."""
    if isinstance(arrays, list):
        nested = pa.list_(pa.list_(pa.float64()))
        columns: dict[str, Any] = {"values": pa.array([list(one) for one in arrays], type=nested)}
    else:
        columns = {"values": values_column(arrays)}
    if labels is not None:
        columns["label"] = labels
    label = None if labels is None else "label"
    return Opened(Dataset.from_dict(columns), Columns("lists", label, None, None, None, [["values"]]), told)


def check_shapes(shapes: Sequence[tuple[int, int]], count: int, channels_last: bool | None) -> None:
    """Refuses `count` series whose axes seem to be in another order, by the `(channels, length)` of some of them."""
    channels, length = shapes[0]
    differ = len({channels for channels, _ in shapes}) > 1
    if differ or (channels_last is not False and all(channels > length for channels, length in shapes)):
        found = f"{channels} channels of {length} samples"
        if channels_last:
            raise ValueError(f"with --channels-last the series have {found}: drop it, if the channels come first")
        sure = "" if differ else ", if they are right, --no-channels-last"
        raise ValueError(
            f"the array is (series, channels, length), found {found}: if its axes are in another order, "
            f"add --channels-last{sure}"
        )
    if count >= MANY_SERIES and max(length for _, length in shapes) < FEW_SAMPLES:
        raise ValueError(
            f"found {count} series of {length} samples, too few to learn from: if a row is a time of one recording, "
            "add --channels-last and --window; if the channels are the last axis, --channels-last"
        )


def _as_arrays(values: Any, layout: Layout) -> np.ndarray | list[np.ndarray]:
    """One array `(series, channels, length)`, or a list of `(channels, length)`."""
    arrays = [_as_numpy(one) for one in values] if isinstance(values, list | tuple) else [_as_numpy(values)]
    ragged = isinstance(values, list | tuple) and any(one.ndim for one in arrays)
    if isinstance(values, list | tuple) and not ragged:  # numbers, of one recording
        arrays = [np.array(arrays)]
    if layout.window is not None and not ragged and arrays[0].ndim == (2 if layout.channels_last else 1):
        arrays = [arrays[0][None]]
    if others := [one.dtype for one in arrays if one.dtype.kind not in "fiub"]:
        hint = "; take its real part, or stack real and imaginary part as channels" if others[0].kind == "c" else ""
        raise ValueError(f"series must be real numbers, found an array of {others[0]}{hint}")
    if not arrays or not all(one.size for one in arrays):
        raise ValueError("there are no series: the array is empty")
    axes = {one.ndim + ragged for one in arrays}
    if not axes <= {2, 3}:
        found = sorted({one.shape for one in arrays})[0]
        hint = "; cut one recording with --window" if axes == {1} else ""
        raise ValueError(f"values must be (series, length) or (series, channels, length), found {found}{hint}")
    arrays = [one.swapaxes(-1, -2) if layout.channels_last and one.ndim + ragged == 3 else one for one in arrays]
    series = [np.atleast_2d(one if ragged else one[0]) for one in arrays]
    check_shapes([one.shape for one in series], len(arrays) if ragged else len(arrays[0]), layout.channels_last)
    if ragged:
        return [as_doubles(one) for one in series]
    whole = arrays[0][:, None] if arrays[0].ndim == 2 else arrays[0]
    return whole if whole.dtype in (np.float32, np.float64) else as_doubles(whole)


def _as_numpy(values: Any) -> np.ndarray:
    """An array of numbers, if that is what it is; `None` and masked values become NaN."""
    if isinstance(values, Tensor):
        return _of_tensor(values)
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(as_doubles(values), np.nan)
    try:
        array = np.asarray(values)
    except ValueError:  # numbers beside arrays, or arrays of unequal lengths
        raise ValueError(
            "an element of the list is no array of numbers: pass the labels, if there are, apart"
        ) from None
    if array.dtype == object:
        try:
            return np.where(pd.isna(array), np.nan, array).astype(np.float64)
        except (TypeError, ValueError):
            return array
    return array


def _of_tensor(values: Tensor) -> np.ndarray:
    try:
        values = (values if values.layout == torch.strided else values.to_dense()).detach().cpu()
        values = values.dequantize() if values.is_quantized else values
        whole = values.is_floating_point() and values.dtype not in (torch.float32, torch.float64)
        return (values.float() if whole else values).numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"cannot read numbers from a tensor of {values.dtype} ({one_line(error)[:120]})") from None
