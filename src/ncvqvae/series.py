"""Series as Hugging Face datasets and as tensors: the columns, what happens to gaps, the scaler, the split held
out.
"""

from collections.abc import Sequence

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from torch import Tensor


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
    columns: dict[str, object] = {"values": list(filled)}
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


def fill_gaps(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Series `(channels, length)` with gaps to one array `(series, channels, length)` without.

    Two policies, one for each kind of dataset. Where series differ in length, or NaN stands only at their ends (the
    archive's padding), the series are of unequal length: each is stretched linearly to the longest, so that its whole
    shape stays. Where NaN stands anywhere else, values are missing: each is interpolated linearly in time, and
    takes the nearest known value at the ends.

    Raises:
        ValueError: for series of unequal channels, or one without any value.
    """
    if len({len(series) for series in arrays}) > 1:
        raise ValueError(f"series differ in their channels: {sorted({len(series) for series in arrays})}")
    ends = [_end(series) for series in arrays]
    if min(ends) == 0:
        raise ValueError(f"series {ends.index(0)} holds no value at all, only NaN")
    longest = max(series.shape[1] for series in arrays)
    padded = all(not np.isnan(series[:, :end]).any() for series, end in zip(arrays, ends, strict=True))
    filled = []
    for series, end in zip(arrays, ends, strict=True):
        part = series[:, :end] if padded else series
        points = np.arange(part.shape[1])
        target = np.linspace(0, part.shape[1] - 1, longest)
        if (known := ~np.isnan(part)).all() and len(points) == longest:
            filled.append(part)
        else:
            pairs = zip(part, known, strict=True)
            filled.append(np.stack([np.interp(target, points[k], channel[k]) for channel, k in pairs if k.any()]))
        if len(filled[-1]) < len(series):
            raise ValueError(f"series {len(filled) - 1} has a channel that holds no value at all, only NaN")
    return np.stack(filled)


def _end(series: np.ndarray) -> int:
    """Samples before the NaN that all channels end in."""
    known = (~np.isnan(series)).any(0).nonzero()[0]
    return int(known[-1]) + 1 if len(known) else 0


def to_tensors(dataset: Dataset) -> tuple[Tensor, Tensor | None]:
    """`values` `(series, channels, length)` and `labels` `(series,)` of a dataset, in memory.

    Raises:
        ValueError: for an empty dataset, one without `values`, values of unequal shapes, NaN or infinite, or labels
            that are no `ClassLabel`.
    """
    if "values" not in dataset.column_names:
        raise ValueError(f"the dataset needs a column 'values', found {', '.join(dataset.column_names)}")
    if not len(dataset):
        raise ValueError("there are no series: the split is empty")
    table = dataset.with_format("arrow")[:]
    first = np.asarray(table["values"][0].as_py(), dtype=np.float32)
    flat = table["values"].combine_chunks()
    while hasattr(flat, "flatten") and flat.type.num_fields:
        flat = flat.flatten()
    values = torch.from_numpy(flat.to_numpy(zero_copy_only=False).astype(np.float32))
    shape = (len(table), *np.atleast_2d(first).shape)
    if first.ndim > 2 or values.numel() != np.prod(shape):
        raise ValueError("all values must be (channels, length) of one shape; `series_dataset` stretches unequal ones")
    values = values.view(shape)
    if bad := int((~values.isfinite()).flatten(1).any(1).sum()):
        raise ValueError(f"{bad} of {len(values)} series hold NaN or infinite values; `series_dataset` fills gaps")
    if "label" not in dataset.column_names:
        return values, None
    if not isinstance(dataset.features["label"], ClassLabel):
        raise ValueError("the column 'label' is no ClassLabel; call dataset.class_encode_column('label') first")
    labels = table["label"].to_pylist()
    if any(label is None or label < 0 for label in labels):
        raise ValueError("a series has no label; label all series or none")
    return values, torch.tensor(labels)


def fit_scaler(values: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all of `values` `(series, channels, length)`.

    Raises:
        ValueError: for a channel that is constant.
    """
    values = values.cpu().double()
    mean, std = values.mean((0, 2)), values.std((0, 2), correction=0)
    if (std == 0).any():
        raise ValueError(f"channel {int(std.argmin())} is constant over the whole training split; remove it")
    return mean.tolist(), std.tolist()


def hold_out(labels: Tensor | None, size: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the series to train on and of those held out, `fraction` of each class, rounded."""
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
