"""Series as Hugging Face datasets and as tensors: columns, classes, missing values and unequal lengths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from torch import Tensor

from .labels import label_name, sort_labels
from .spread import Spread
from .streaming import StreamedValues, Values, chunks, column_array


EXACT = 2**53  # float64 holds the whole numbers below


def series_features(
    num_channels: int, length: int, label_names: Sequence[str] | None, double: bool = False
) -> Features:
    """Columns of a dataset of series: `values` `(channels, length)` and, if there are classes, `label`.

    `values` are float32, or with `double` float64.
    """
    kind = Value("float64" if double else "float32")
    features = Features(values=List(List(kind, length=length), length=num_channels))
    if label_names is not None:
        features["label"] = ClassLabel(names=list(label_names))
    return features


def series_dataset(
    values: np.ndarray | Tensor | Sequence[np.ndarray],
    labels: Sequence[str | int] | np.ndarray | None = None,
    label_names: Sequence[str] | None = None,
) -> Dataset:
    """Your own series as a dataset to train on.

    Args:
        values: `(series, length)`, `(series, channels, length)`, or a list of `(channels, length)` of unequal lengths.
            NaN are gaps; see `fill_gaps`.
        labels (*optional*): the class of each series, of any type; see `label_name`.
        label_names (*optional*): all classes, in order; defaults to those found, sorted.

    Raises:
        ValueError: for no series, another number of labels than series, or a label that `label_names` lacks.
    """
    if not isinstance(values, list | tuple):
        values = np.asarray(values)  # iteration over a DataFrame gives its columns
    arrays = [np.atleast_2d(np.asarray(series, dtype=np.float64)) for series in values]
    if not arrays:
        raise ValueError("there are no series: the split is empty")
    if np.ndim(values[0]) < 1:
        raise ValueError("values must be (series, length) or (series, channels, length), found one series only")
    filled = fill_gaps(arrays).astype(np.float32)
    columns: dict[str, object] = {"values": values_column(filled)}
    if labels is not None:
        names = [label_name(label) for label in labels]
        if len(names) != len(arrays):
            raise ValueError(f"each series needs a label, found {len(names)} labels for {len(arrays)} series")
        label_names = sort_labels(names) if label_names is None else list(label_names)
        if unknown := set(names) - set(label_names):
            raise ValueError(f"unknown label {sorted(unknown)[0]!r}; the classes are {', '.join(label_names)}")
        columns["label"] = [label_names.index(name) for name in names]
    features = series_features(filled.shape[1], filled.shape[2], label_names if labels is not None else None)
    return Dataset.from_dict(columns, features=features)


def as_doubles(values: np.ndarray) -> np.ndarray:
    """Numbers in float64. Raises `ValueError` for whole ones that are too large for it to hold them all."""
    found = values.astype(np.float64)
    if values.dtype.kind in "iu" and found.size and np.abs(found).max() >= EXACT:
        largest = max(values.max(), values.min(), key=abs)
        raise ValueError(f"the number {largest} is too large for its digits to be kept: subtract an offset, or scale")
    return found


def values_column(values: np.ndarray) -> pa.Array:
    """`values` `(series, channels, length)` as a column of Arrow, without a copy where they are contiguous."""
    _, channels, length = values.shape
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), length)
    return pa.FixedSizeListArray.from_arrays(column, channels)


def to_tensors(dataset: Dataset) -> tuple[Tensor, Tensor | None]:
    """`values` `(series, channels, length)` and `labels` `(series,)` of a dataset, in memory.

    Raises:
        ValueError: for an empty dataset, one without `values`, values that are NaN, infinite or of unequal shapes, or
            labels that are no `ClassLabel`.
    """
    values = StreamedValues(dataset)[:]
    check_finite(values)
    return values, read_labels(dataset)


def check_finite(values: Values) -> None:
    """Raises `ValueError` for `values` `(series, channels, length)` that are NaN or infinite."""
    if bad := sum(int((~part.isfinite()).flatten(1).any(1).sum()) for part in chunks(values)):
        raise ValueError(f"{bad} of {len(values)} series hold NaN or infinite values; `series_dataset` fills gaps")


def read_labels(dataset: Dataset) -> Tensor | None:
    """`labels` `(series,)` of a dataset, or `None` if it has no classes.

    Raises:
        ValueError: for labels that are missing or no `ClassLabel`.
    """
    if "label" not in dataset.column_names:
        return None
    if not isinstance(dataset.features["label"], ClassLabel):
        raise ValueError("the column 'label' is not a ClassLabel; call dataset.class_encode_column('label') first")
    labels = column_array(dataset, "label")
    if labels.null_count or (ids := torch.from_numpy(labels.to_numpy().copy())).min() < 0:
        raise ValueError("a series has no label; label all series or none")
    return ids


@dataclass
class Survey:
    """The sizes, gaps and numbers of a set of series.

    `sizes` counts the samples of each series; `ends` leaves out the NaN in which all its channels end. `num_missing`
    counts every NaN. `padded` says that NaN stand only at such ends.
    """

    channels: int
    sizes: list[int]
    ends: list[int]
    num_missing: int
    padded: bool
    spread: Spread

    @property
    def lengths(self) -> list[int]:
        """The samples of each series: to its own end if series are padded, else at most to the latest end of all."""
        latest = max(self.ends)
        return self.ends if self.padded else [min(size, latest) for size in self.sizes]


def survey(arrays: Iterable[np.ndarray]) -> Survey:
    """Surveys series `(channels, length)`, one by one.

    Raises:
        ValueError: for no series, different numbers of channels, or a channel without any value.
    """
    found = Survey(0, [], [], 0, True, Spread())
    for index, series in enumerate(arrays):
        if found.channels not in (0, len(series)):
            raise ValueError(f"series differ in their channels: {sorted({found.channels, len(series)})}")
        known = ~np.isnan(series)
        if not known.any():
            raise ValueError(f"series {index} holds nothing but NaN")
        if not known.any(1).all():
            raise ValueError(f"series {index} has a channel that holds nothing but NaN")
        end = int(known.any(0).nonzero()[0][-1]) + 1
        found.channels = len(series)
        found.sizes.append(series.shape[1])
        found.ends.append(end)
        found.num_missing += int(known.size - known.sum())
        found.padded &= bool(known[:, :end].all())
        found.spread.add(index, series)
    if not found.sizes:
        raise ValueError("there are no series: the split is empty")
    return found


def fill_series(series: np.ndarray, end: int | None, length: int | None = None) -> np.ndarray:
    """Fills the gaps of one series `(channels, length)` and stretches it to `length`, by default not at all.

    What lies behind `end`, or without it behind the last value, is padding.
    """
    known = ~np.isnan(series)
    end = int(known.any(0).nonzero()[0][-1]) + 1 if end is None else end
    series, known = series[:, :end], known[:, :end]
    points = np.arange(series.shape[1])
    length = length or len(points)
    if known.all() and len(points) == length:
        return series
    target = np.linspace(0, len(points) - 1, length)
    return np.stack([np.interp(target, points[k], part[k]) for part, k in zip(series, known, strict=True)])


def fill_gaps(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Fills the gaps of series `(channels, length)` and joins them in one array `(series, channels, length)`.

    There are two policies, one for each kind of dataset. If series differ in length, or NaN stands only at their ends
    (the archive's padding), the series have unequal lengths: each is stretched linearly to the longest, so that its
    whole shape stays. If NaN stands anywhere else, values are missing: each is interpolated linearly in time, and
    takes the nearest known value at the ends. What lies behind the latest end of all series is padding in both cases.

    Raises:
        ValueError: for different numbers of channels, or a channel without any value.
    """
    found = survey(arrays)
    longest = max(found.lengths)
    return np.stack([fill_series(series, None if found.padded else longest, longest) for series in arrays])
