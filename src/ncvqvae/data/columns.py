"""Finds series in the columns of a dataset, and converts them to the columns that training reads."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features

from .layout import Columns, Kind
from .series import as_doubles, fill_series, values_column
from .streaming import leaf_of


CHUNK_BYTES = 2**24  # bytes of the source that are in memory at a time
VERSION = 3  # raise it whenever the output of `convert` changes: it is part of the cache's key

Reader = Callable[[pa.Table], Iterator[np.ndarray]]


def kind_of(kind: pa.DataType) -> Kind:
    """What a column of Arrow holds."""
    types, leaf = pa.types, leaf_of(kind)
    if leaf == kind and types.is_decimal(kind):
        return "number"
    if leaf == kind and types.is_temporal(kind):
        return "time"
    if not any(is_kind(leaf) for is_kind in (types.is_floating, types.is_integer, types.is_boolean, types.is_null)):
        return "other"
    return "number" if leaf == kind else "list"


def reader(columns: Columns, missing: float | None = None) -> Reader:
    """A function from a part of a dataset with a series in each row to its series `(channels, length)`, float64.

    The number `missing` becomes NaN.
    """
    names = [name for (name, *_) in columns.values]
    read: Reader = partial(_wide, columns=columns.values)
    if columns.rows == "lists":
        read = partial(_nested, names=names, channels_last=columns.channels_last)
    return read if missing is None else partial(_without, read=read, missing=missing)


def _without(table: pa.Table, read: Reader, missing: float) -> Iterator[np.ndarray]:
    # As float32 writes it, too: 999.9 of a float32 array is 999.90002 in float64.
    with np.errstate(over="ignore"):
        marks = [missing, float(np.float32(missing))]
    return (np.where(np.isin(series, marks), np.nan, series) for series in read(table))


def _nested(table: pa.Table, names: list[str], channels_last: bool) -> Iterator[np.ndarray]:
    """The series of a column of `(channels, length)` or `(length,)`, or of a column for each channel."""
    parts = [table[name].combine_chunks() for name in names]
    rows = [part.storage if isinstance(part, pa.ExtensionArray) else part for part in parts]
    for row in zip(*rows, strict=True):
        channels: list = []
        for cell in row:
            if cell.values is None:
                raise ValueError("a series is empty: its values are null")
            nested = pa.types.is_nested(cell.values.type)
            lists = [one.values for one in cell.values] if nested else [cell.values]
            channels += _swapped(lists) if nested and channels_last else lists
        if None in channels or len({len(one) for one in channels}) > 1:
            raise ValueError("a series has channels of unequal lengths")
        yield np.stack([as_doubles(one.to_numpy(zero_copy_only=False)) for one in channels])


def _swapped(times: list) -> list[pa.Array]:
    """The channels of one series, from its times."""
    if None in times or len({len(one) for one in times}) > 1:
        raise ValueError("a series has times with unequal numbers of channels")
    return list(map(pa.array, np.stack([as_doubles(one.to_numpy(zero_copy_only=False)) for one in times], 1)))


def _wide(table: pa.Table, columns: list[list[str]]) -> Iterator[np.ndarray]:
    samples = [np.stack([as_doubles(table[name].to_numpy()) for name in row], 1) for row in columns]
    return iter(np.stack(samples, 1))


def _rows_at_a_time(dataset: Dataset) -> int:
    return int(np.clip(CHUNK_BYTES * len(dataset.data) // max(dataset.data.nbytes, 1), 1, 10_000))


def arrays(dataset: Dataset, read: Reader) -> Iterator[np.ndarray]:
    """All series, a chunk of the dataset in memory at a time. Raises `ValueError` for infinite values."""
    index = 0
    for table in dataset.with_format("arrow").iter(_rows_at_a_time(dataset)):
        for series in read(table):
            if np.isinf(series).any():
                raise ValueError(f"series {index} holds infinite values")
            yield series
            index += 1


def converted(dataset: Dataset, features: Features, label: str | None, whole: bool, **arguments: object) -> Dataset:
    """Converts the dataset to `features`, in a file beside its own, unless it has them and is `whole`.

    Args:
        label (*optional*): the column of the classes.
        whole: whether no value is missing and no series is to be cut.
        arguments: the other arguments of `convert`.
    """
    if whole:
        same = dataset.rename_column(label, "label") if label and label != "label" else dataset
        if all(same.features.get(name) == kind for name, kind in features.items()):
            return same.select_columns(list(features))
    made = dataset.with_format("arrow").map(
        convert,
        with_indices=True,
        batched=True,
        batch_size=_rows_at_a_time(dataset),
        remove_columns=dataset.column_names,
        features=features,
        fn_kwargs={"label": label, "version": VERSION, **arguments},
        desc="series",
    )
    return made.with_format(None)


def convert(
    table: pa.Table,
    indices: list[int],
    read: Reader,
    label: str | None,
    ids: dict[object, int],
    end: int | None,
    length: int | None,
    window: int | None,
    stride: int | None,
    sources: str | None,
    double: bool,
    version: int,
) -> pa.Table:
    """Converts a part of a dataset: fills gaps, stretches to `length` or cuts windows, and turns classes into `ids`.

    `sources` names the column of the series' numbers, if the dataset holds windows already. `double` keeps float64.
    """
    filled = [fill_series(series, end, length) for series in read(table)]
    cut = [windows(series, window, stride) if window else [series] for series in filled]
    counts = [len(parts) for parts in cut]
    stacked = np.stack([part for parts in cut for part in parts])
    columns = {"values": values_column(stacked if double else stacked.astype(np.float32))}
    if label:
        columns["label"] = pa.array(np.repeat([ids[one] for one in table[label].to_pylist()], counts))
    if sources or window:
        columns["series"] = pa.array(np.repeat(table[sources].to_pylist() if sources else indices, counts))
    return pa.table(columns)


def windows(series: np.ndarray, window: int, stride: int) -> list[np.ndarray]:
    """Parts of `window` samples of a series `(channels, length)`; see `load_series`."""
    last = series.shape[1] - window
    starts = list(range(0, last + 1, stride))
    return [series[:, start : start + window] for start in starts + [last] * (starts[-1] < last)]
