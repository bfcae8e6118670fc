"""Series as Hugging Face datasets and as tensors: the columns, the classes, the scaler, the split held out."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from torch import Tensor

from .gaps import fill_gaps
from .streaming import StreamedValues, Values, chunks, column_array


def series_features(num_channels: int, length: int, label_names: Sequence[str] | None) -> Features:
    """Columns of a dataset of series: `values` `(channels, length)` and, where there are classes, `label`."""
    features = Features(values=List(List(Value("float32"), length=length), length=num_channels))
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
            Gaps are NaN; see `fill_gaps`.
        labels (*optional*): the class of each series, of any kind that has a name.
        label_names (*optional*): all classes, in order; defaults to those found, sorted.

    Raises:
        ValueError: for no series, labels of another number, or a label that `label_names` lacks.
    """
    if not isinstance(values, list | tuple):
        values = np.asarray(values)  # a DataFrame would give its columns
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


def label_name(label: object) -> str:
    """The name of a class: `1.0`, as some files write it, is `"1"`.

    Raises:
        ValueError: for a label that is missing.
    """
    text = str(label)
    if label is None or text in ("nan", "NaN", ""):
        raise ValueError("a series has no label; label all series or none")
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def sort_labels(names: Sequence[str]) -> list[str]:
    """The distinct names, by number where all are numbers."""
    distinct = set(names)
    try:
        return sorted(distinct, key=float)
    except ValueError:
        return sorted(distinct)


def values_column(values: np.ndarray) -> pa.Array:
    """`values` `(series, channels, length)` as a column of Arrow, without a copy where they are contiguous."""
    _, channels, length = values.shape
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), length)
    return pa.FixedSizeListArray.from_arrays(column, channels)


def to_tensors(dataset: Dataset) -> tuple[Tensor, Tensor | None]:
    """`values` `(series, channels, length)` and `labels` `(series,)` of a dataset, in memory.

    Raises:
        ValueError: for an empty dataset, one without `values`, values of unequal shapes, NaN or infinite, or labels
            that are no `ClassLabel`.
    """
    values = StreamedValues(dataset)[:]
    check_finite(values)
    return values, read_labels(dataset)


def check_finite(values: Values) -> None:
    """Raises `ValueError` for `values` `(series, channels, length)` that are NaN or infinite."""
    if bad := sum(int((~part.isfinite()).flatten(1).any(1).sum()) for part in chunks(values)):
        raise ValueError(f"{bad} of {len(values)} series hold NaN or infinite values; `series_dataset` fills gaps")


def read_labels(dataset: Dataset) -> Tensor | None:
    """`labels` `(series,)` of a dataset; `None` where it has no classes.

    Raises:
        ValueError: for labels that are missing or no `ClassLabel`.
    """
    if "label" not in dataset.column_names:
        return None
    if not isinstance(dataset.features["label"], ClassLabel):
        raise ValueError("the column 'label' is no ClassLabel; call dataset.class_encode_column('label') first")
    labels = column_array(dataset, "label")
    if labels.null_count or (ids := torch.from_numpy(labels.to_numpy().copy())).min() < 0:
        raise ValueError("a series has no label; label all series or none")
    return ids


def spread(dataset: Dataset, most_series: int = 20_000, most_values: int = 2**28) -> Dataset:
    """The dataset or, where it is larger than that, every k-th of its series."""
    _, channels, length = StreamedValues(dataset).shape
    step = -(-len(dataset) // max(min(most_series, most_values // (channels * length)), 1))
    return dataset if step == 1 else dataset.select(range(0, len(dataset), step))


def fit_scaler(values: Values) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all of `values` `(series, channels, length)`.

    Raises:
        ValueError: for a channel that is constant.
    """
    count, mean, squares = 0, 0.0, 0.0
    for part in chunks(values):  # two moments of what was seen and of a part give those of both (Chan et al., 1983)
        size = part.shape[0] * part.shape[2]
        variance, part_mean = torch.var_mean(part.cpu().double(), (0, 2), correction=0)
        shift, count = part_mean - mean, count + size
        squares = squares + variance * size + shift.square() * (count - size) * size / count
        mean = mean + shift * (size / count)
    std = (squares / count).sqrt()
    if (std == 0).any():
        raise ValueError(f"channel {int(std.argmin())} is constant over the whole training split; remove it")
    return mean.tolist(), std.tolist()


def hold_out(
    labels: Tensor | None, size: int, fraction: float, seed: int, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Indices of the series to train on and of those held out, `fraction` of each class, rounded.

    Where `groups` `(series,)` numbers the source of each, such as the recording that windows were cut from, whole
    sources are held out, so that no source is on both sides.
    """
    if groups is not None:
        numbers, source = groups.unique(return_inverse=True)
        if labels is not None:
            labels = torch.zeros_like(numbers).scatter_(0, source, labels)
        sides = hold_out(labels, len(numbers), fraction, seed)
        return tuple(torch.isin(source, side).nonzero()[:, 0] for side in sides)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(size, dtype=torch.long) if labels is None else labels
    held = []
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        count = min(round(fraction * len(members)), len(members) - 1)
        held.append(members[torch.randperm(len(members), generator=generator)[:count]])
    held_out = torch.cat(held).sort().values
    keep = torch.ones(size, dtype=torch.bool)
    keep[held_out] = False
    return keep.nonzero()[:, 0], held_out
