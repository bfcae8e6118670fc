"""Tables, in memory or on disk, as datasets with a series in each row."""

import re
from decimal import Decimal
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import ClassLabel, Dataset

from ..runtime import one_line
from .columns import kind_of, reader
from .frames import with_index
from .from_arrays import MANY_SERIES, Opened, check_shapes, of_arrays
from .labels import label_names
from .layout import Columns, Kind, Layout, as_times, find_columns
from .names import FEW_SAMPLES, name_samples, question, some
from .tables import recordings


PEEKED = 1000  # rows that are looked at
MOST_CHANNELS = 64  # more columns are hardly the channels of one time
LEAST_SAMPLES = 16  # fewer columns are hardly the samples of many series


def from_arrow(source: Any, layout: Layout, told: list[str]) -> Opened:
    """Opens what holds a table of Arrow: a pyarrow table, or a frame of polars."""
    table = pa.table(source)
    for place, one in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_dictionary(one.type):  # categories, which `datasets` cannot hold
            column = column.unify_dictionaries().combine_chunks()
            names = column.dictionary.cast(pa.string())
            column = pa.DictionaryArray.from_arrays(column.indices, names).dictionary_decode()
        elif column.type in (pa.string_view(), pa.large_string()):
            column = column.cast(pa.string())
        table = table.set_column(place, one.name, column)
    return from_dataset(Dataset(datasets.table.InMemoryTable(table)), layout, told)


def from_dataset(dataset: Dataset, layout: Layout, told: list[str]) -> Opened:
    """Opens a dataset; what has a series in each row stays where it is.

    Raises:
        ValueError: see `find_columns`; also for an empty table, or one whose rows or axes seem to be something else.
    """
    if not len(dataset):
        raise ValueError("there are no series: the table is empty")
    kinds = {field.name: kind_of(field.type) for field in dataset.data.schema}
    columns = find_columns(kinds, layout, lambda name: len(dataset.unique(name)) < len(dataset))
    first = dataset.with_format("arrow")[: min(PEEKED, len(dataset))]
    columns = _judged(columns, first, len(dataset), layout)
    if columns.rows != "time":
        if columns.label and kind_of(dataset.data.schema.field(columns.label).type) == "list":
            raise ValueError(
                f"a label must be one name or number, found lists in the column {columns.label!r}; of one-hot labels "
                "take the index of the largest"
            )
        return Opened(dataset, columns, told + _of_lists(columns), _names_of_channels(columns))
    table: Any = dataset.with_format(None).to_pandas()
    known = dataset.features.get(columns.label) if columns.label else None
    if isinstance(known, ClassLabel):
        table[columns.label] = known.int2str(table[columns.label].tolist())
    return _from_times(table, columns, layout, told)


def from_frame(table: pd.DataFrame, layout: Layout, told: list[str]) -> Opened:
    """Opens a DataFrame, whose index may hold times, or series and times.

    Raises:
        ValueError: see `from_dataset`.
    """
    if isinstance(table.columns, pd.MultiIndex):  # of channel and sample
        table = table.set_axis(["_".join(str(part) for part in name if part != "") for name in table.columns], axis=1)
    table = with_index(table.rename(columns=str))
    table = table.astype(
        {name: kind.subtype for name, kind in table.dtypes.items() if isinstance(kind, pd.SparseDtype)}
    )
    if not len(table):
        raise ValueError("there are no series: the table is empty")
    if len(set(table.columns)) < len(table.columns):
        raise ValueError(f"the table has several columns of the name {table.columns[table.columns.duplicated()][0]!r}")
    kinds = {name: _kind_of_column(table[name]) for name in table.columns}
    columns = find_columns(kinds, layout, lambda name: bool(table[name].duplicated().any()))
    if columns.rows != "time":
        kept = _numbers_of_series(table, columns)
        columns = _judged(columns, kept.data.table.slice(0, PEEKED), len(table), layout)
    if columns.rows == "time":
        return _from_times(table, columns, layout, told)
    if columns.label:
        kept = kept.add_column(columns.label, label_names(table[columns.label]))
    return Opened(kept, columns, told + _of_lists(columns), _names_of_channels(columns))


def _numbers_of_series(table: pd.DataFrame, columns: Columns) -> Dataset:
    names = [name for channel in columns.values for name in channel]
    if columns.rows == "lists":
        kept = pd.DataFrame({name: [np.asarray(one) for one in table[name]] for name in names})
    else:
        kept = table[names].apply(lambda one: pd.to_numeric(one if one.dtype != object else one.astype(float)))
    try:
        return Dataset.from_pandas(kept, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the table holds more than numbers ({one_line(error)[:200]})") from None


def _kind_of_column(column: pd.Series) -> Kind:
    known = column.dropna()
    if pd.api.types.is_complex_dtype(column):
        return "other"
    if pd.api.types.is_numeric_dtype(column) or (column.dtype == object and not len(known)):
        return "number"
    if column.dtype != object:
        return "time" if column.dtype.kind in "mM" or isinstance(column.dtype, pd.PeriodDtype) else "other"
    if all(isinstance(one, np.ndarray | list | tuple | pd.Series) for one in known):
        return "list"
    return "number" if all(isinstance(one, int | float | np.number | Decimal) for one in known) else "other"


def _judged(columns: Columns, first: pa.Table, count: int, layout: Layout) -> Columns:
    """The columns, if the shape of the table and its `first` rows agree with them; else what they rather are.

    Raises:
        ValueError: for axes that seem to be in another order, or rows that seem to be times; with a window they are.
    """
    if columns.rows == "time":
        return columns
    if columns.rows == "lists":
        shapes = [one.shape for one in reader(columns)(first)]
        check_shapes(shapes, count, layout.channels_last)
        return columns
    if layout.channels_last is not None:
        raise ValueError("the columns of a table are its channels or samples; --channels-last is for arrays")
    names = [name for channel in columns.values for name in channel]
    channels, length = len(columns.values), len(columns.values[0])
    if channels > length or (count >= MANY_SERIES and length < FEW_SAMPLES):
        raise ValueError(question(names))
    if layout.values is None and not name_samples(names):
        many_rows = len(names) < LEAST_SAMPLES and count >= 10 * len(names)
        if many_rows or (count >= 4 * len(names) <= 4 * MOST_CHANNELS and _smooth_from_row_to_row(columns, first)):
            if layout.window is None:
                raise ValueError(question(names))
            return as_times(columns)
    return columns


def _smooth_from_row_to_row(columns: Columns, rows: pa.Table) -> bool:
    """Whether some rows of a table are much smoother from row to row than from column to column.

    Each column is scaled first. Rows that are times have steps of a sixth to two thirds of those between columns, and
    series of the UCR archive, of up to `MOST_CHANNELS` samples, steps that are larger than those.
    """
    values = np.stack([series.ravel() for series in reader(columns)(rows)])
    values = values[:, np.nanstd(values, 0) > 0]
    if values.shape[1] < 2:
        return False
    scaled = (values - np.nanmean(values, 0)) / np.nanstd(values, 0)
    down, across = (np.nanmedian(np.abs(np.diff(scaled, axis=axis))) for axis in (0, 1))
    return bool(down < 0.6 * across)


def _of_lists(columns: Columns) -> list[str]:
    names = [name for (name, *_) in columns.values]
    if columns.rows != "lists" or names == ["values"]:  # that is what is expected
        return []
    return [f"read from {'columns' if len(names) > 1 else 'a column'} of lists ({some(names)})"]


def _names_of_channels(columns: Columns) -> list[str] | None:
    if len(columns.values) == 1:
        return None
    return [re.sub(r"\d+$", "", channel[0]) if columns.rows == "series" else channel[0] for channel in columns.values]


def _from_times(table: pd.DataFrame, columns: Columns, layout: Layout, told: list[str]) -> Opened:
    if layout.channels_last is not None:
        raise ValueError("the columns of a table are its channels; --channels-last is for arrays")
    found = recordings(table, columns, layout)
    count, longest = len(found.series), max(one.shape[1] for one in found.series)
    if columns.id and (longest == 1 or (count >= MANY_SERIES and longest < FEW_SAMPLES)):
        raise ValueError(
            f"found {count} series of at most {longest} samples, too few to learn from: is {columns.id!r} the column "
            "that says which series a row belongs to? name it with --id-column"
        )
    opened = of_arrays(found.series, found.labels, [*told, *found.told])
    shape = "a value in each row"
    if columns.channel is None:
        shape = f"a time in each row (channel{'s' if len(found.channels) > 1 else ''} {some(found.channels)})"
    opened.told.insert(0, f"read from a table with {shape}")
    opened.columns.left_out, opened.channels = columns.left_out, found.channels
    return opened
