"""Finds series in the columns of a dataset, and converts them to the columns that training reads."""

import re
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features

from .readers import LONG
from .series import fill_series, values_column


CHUNK_BYTES = 2**24  # bytes of the source that are in memory at a time
VERSION = 1  # raise it whenever the output of `convert` changes: it is part of the cache's key

Reader = Callable[[pa.Table], Iterator[np.ndarray]]


def reader(dataset: Dataset, label: str | None) -> Reader:
    """A function from a part of the dataset to its series `(channels, length)`, float64.

    Raises:
        ValueError: for columns that hold no numbers, or are no samples.
    """
    schema = dataset.data.schema
    if "values" in dataset.column_names:
        kind = leaf = schema.field("values").type
        while pa.types.is_nested(leaf) or isinstance(leaf, pa.ExtensionType):
            leaf = leaf.storage_type if isinstance(leaf, pa.ExtensionType) else leaf.value_type
        if leaf == kind or not _is_number(leaf):
            raise ValueError(f"the column 'values' must hold lists of numbers, found {kind}")
        return _nested
    columns = [name for name in dataset.column_names if name != label]
    for name in columns:
        if name in LONG["series"] or name.startswith(("Unnamed: ", "__index_level_")):
            raise ValueError(f"the column {name!r} names the rows and is not a sample; leave it out of a wide table")
        if not _is_number(kind := schema.field(name).type):
            raise ValueError(f"the column {name!r} holds {kind}, not numbers; if it is the label column, name it")
    if not columns:
        raise ValueError("the table has no column of samples")
    return partial(_wide, columns=_by_channel(columns))


def _by_channel(columns: list[str]) -> list[list[str]]:
    """The columns of each channel. There is one channel unless the columns are called c0_0, c0_1, ..."""
    places = [re.fullmatch(r"c(\d+)_(\d+)", name) for name in columns]
    if not all(places):
        return [columns]
    placed = {(int(place[1]), int(place[2])): place[0] for place in places}
    channels = max(placed)[0] + 1
    length = len(columns) // channels
    if sorted(placed) != [(channel, sample) for channel in range(channels) for sample in range(length)]:
        raise ValueError("the columns c0_0, c0_1, ... do not give each channel the same samples")
    return [[placed[channel, sample] for sample in range(length)] for channel in range(channels)]


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return any(is_kind(kind) for is_kind in (types.is_floating, types.is_integer, types.is_boolean, types.is_null))


def _nested(table: pa.Table) -> Iterator[np.ndarray]:
    column = table["values"].combine_chunks()
    for row in column.storage if isinstance(column, pa.ExtensionArray) else column:
        if row.values is None:
            raise ValueError("a series is empty: its 'values' are null")
        channels = [one.values for one in row.values] if pa.types.is_nested(row.values.type) else [row.values]
        if None in channels or len({len(one) for one in channels}) > 1:
            raise ValueError("a series has channels of unequal lengths")
        yield np.stack([one.to_numpy(zero_copy_only=False).astype(np.float64) for one in channels])


def _wide(table: pa.Table, columns: list[list[str]]) -> Iterator[np.ndarray]:
    samples = [np.stack([table[name].to_numpy().astype(np.float64) for name in row], 1) for row in columns]
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
    padded: bool,
    length: int | None,
    window: int | None,
    stride: int | None,
    sources: str | None,
    version: int,
) -> pa.Table:
    """Converts a part of a dataset: fills gaps, stretches to `length` or cuts windows, and turns classes into `ids`.

    `sources` names the column of the series' numbers, if the dataset holds windows already.
    """
    filled = [fill_series(series, padded, length) for series in read(table)]
    cut = [windows(series, window, stride) if window else [series] for series in filled]
    counts = [len(parts) for parts in cut]
    columns = {"values": values_column(np.stack([part for parts in cut for part in parts]).astype(np.float32))}
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
