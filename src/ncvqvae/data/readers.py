"""Opens arrays, tables, files of either, and datasets on disk and on the Hub."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetDict
from datasets.exceptions import DatasetsError
from torch import Tensor

from ..runtime import one_line
from .columns import kind_of
from .files import read_archive, read_arrays
from .labels import label_name
from .layout import FEW_SAMPLES, Columns, Kind, Layout, find_columns, question, some
from .series import values_column
from .tables import one_table, recordings, with_index
from .text import read_text


Source: TypeAlias = str | Path | np.ndarray | Tensor | Sequence | pd.DataFrame | pa.Table | Dataset | DatasetDict

TEXTS, ARCHIVES = (".csv", ".tsv", ".txt"), (".ts", ".arff")
ENDINGS = (*TEXTS, *(f"{ending}.gz" for ending in TEXTS), ".parquet", ".npy", ".npz", *ARCHIVES)
HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?")
MANY_SERIES = 16  # of few samples each: the axes seem to be in another order, or rows to be times


@dataclass
class Opened:
    """A dataset with a series in each row, what its columns are, and what is told about the source."""

    dataset: Dataset
    columns: Columns
    told: list[str] = field(default_factory=list)


def open_source(source: Source, labels: Sequence | None, layout: Layout) -> dict[str, Opened]:
    """Opens a source as datasets with a series in each row, by the names of its splits, or as `"all"`.

    Nothing is filled in yet, and data in Arrow files stay on disk.

    Raises:
        ValueError: for a source that cannot be read, or can be read in several ways, in one line.
    """
    told: list[str] = []
    if isinstance(source, str | Path):
        if labels is not None:
            raise ValueError("labels belong to an array; in a table they are a column, named by label_column")
        source, labels, told = _read(Path(source), str(source), layout)
    if isinstance(source, list | tuple) and source and all(isinstance(one, pd.DataFrame) for one in source):
        source, layout = one_table(source), replace(layout, id=layout.id or "series")
        if labels is not None:
            source["label"] = np.repeat([label_name(one) for one in labels], source.groupby("series").size())
            labels = None
    if isinstance(source, np.ndarray | Tensor | list | tuple):
        return {"all": _from_arrays(source, labels, layout, told)}
    if labels is not None:
        raise ValueError("labels belong to an array; in a table they are a column, named by label_column")
    if isinstance(source, Mapping):
        return {name: _from_dataset(part, layout, told) for name, part in source.items()}
    if isinstance(source, pd.DataFrame):
        return {"all": _from_frame(source, layout, told)}
    if not isinstance(source, Dataset) and hasattr(source, "__arrow_c_stream__"):  # pyarrow, polars, ...
        source = Dataset(datasets.table.InMemoryTable(pa.table(source)))
    if isinstance(source, Dataset):
        return {"all": _from_dataset(source, layout, told)}
    raise ValueError(f"cannot read series from a {type(source).__name__}: pass an array, table, path or dataset")


def ending(path: Path) -> str:
    """The ending of a file's name, in small letters, with what stands before `.gz`."""
    name = path.name.lower()
    return next((one for one in sorted(ENDINGS, key=len, reverse=True) if name.endswith(one)), path.suffix.lower())


def _read(path: Path, source: str, layout: Layout) -> tuple[Any, Sequence | None, list[str]]:
    """The content of a file, a folder or a dataset on the Hub, its classes if it is no table, and what is told."""
    if path.is_dir():
        try:
            return datasets.load_from_disk(source), None, []
        except (OSError, ValueError, KeyError, pa.ArrowException):
            raise ValueError(f"{source} is not a folder that save_to_disk of a dataset wrote") from None
    kind = ending(path)
    if kind in ENDINGS and not path.is_file():
        raise ValueError(f"there is no file {source}")
    if kind.removesuffix(".gz") in TEXTS:
        table, told = read_text(path, layout)
        return table, None, told
    if kind in ARCHIVES:
        return *read_archive(path), [f"read from {path.name}"]
    if kind == ".npz":
        return *read_arrays(path), []
    if kind == ".npy":
        try:
            return np.load(path, mmap_mode="r"), None, []
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{source} does not hold an array of numbers ({one_line(error)[:200]})") from None
    hub_id = HUB_ID.fullmatch(source)
    if kind != ".parquet" and (path.is_file() or not hub_id):
        kinds = f"a file that ends in {', '.join(ENDINGS)}, a folder of save_to_disk or ORG/NAME on the Hub"
        raise ValueError(f"{source} is not {kinds}")
    try:
        if kind == ".parquet":
            return Dataset.from_parquet(source), None, []
        return datasets.load_dataset(hub_id[1], hub_id[2]), None, []
    except (DatasetsError, OSError, ValueError) as error:
        wrong = "not a parquet table" if kind == ".parquet" else "neither a file here nor a dataset on the Hub"
        raise ValueError(f"{source} is {wrong} ({one_line(error.__cause__ or error)[:200]})") from None


def _from_arrays(values: Any, labels: Sequence | None, layout: Layout, told: list[str]) -> Opened:
    if layout.named or layout.values:
        raise ValueError(f"arrays have no columns, so there is no column {(layout.named or layout.values)[0]!r}")
    arrays = _as_arrays(values, layout.channels_last)
    if labels is not None:
        labels = [label_name(label) for label in labels]
        if len(labels) != len(arrays):
            raise ValueError(f"each series needs a label, found {len(labels)} labels for {len(arrays)} series")
    return _of_arrays(arrays, labels, told)


def _as_arrays(values: Any, channels_last: bool) -> np.ndarray | list[np.ndarray]:
    """One array `(series, channels, length)`, or a list of `(channels, length)`."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    ragged = isinstance(values, list | tuple)
    arrays = [np.asarray(one) for one in values] if ragged else [values]
    if not len(values) or not all(one.size for one in arrays):
        raise ValueError("there are no series: the array is empty")
    if others := [one.dtype for one in arrays if one.dtype.kind not in "fiub"]:
        hint = "; take its real part, or stack real and imaginary part as channels" if others[0].kind == "c" else ""
        raise ValueError(f"series must be real numbers, found an array of {others[0]}{hint}")
    axes = {one.ndim + ragged for one in arrays}
    if not axes <= {2, 3}:
        found = values.shape if not ragged else sorted({one.shape for one in arrays})[0]
        raise ValueError(f"values must be (series, length) or (series, channels, length), found {found}")
    arrays = [one.swapaxes(-1, -2) if channels_last and one.ndim + ragged == 3 else one for one in arrays]
    _check_shape([one if ragged else one[0] for one in arrays], len(values), channels_last)
    if ragged:
        return [np.atleast_2d(one).astype(np.float64) for one in arrays]
    whole = arrays[0][:, None] if arrays[0].ndim == 2 else arrays[0]
    return whole if whole.dtype in (np.float32, np.float64) else whole.astype(np.float64)


def _check_shape(series: list[np.ndarray], count: int, channels_last: bool) -> None:
    """Refuses arrays whose axes seem to be in another order."""
    shapes = [np.atleast_2d(one).shape for one in series]
    channels, length = shapes[0]
    axes = "drop" if channels_last else "add"
    if all(channels > length for channels, length in shapes) or (len({one[0] for one in shapes}) > 1):
        found = f"{channels} channels of {length} samples"
        order = "(series, channels, length)"
        raise ValueError(
            f"the array is {order}, found {found}: if its axes are in another order, {axes} --channels-last"
        )
    if count >= MANY_SERIES and max(length for _, length in shapes) < FEW_SAMPLES:
        raise ValueError(
            f"found {count} series of {length} samples, too few to learn from: if a row is a time of one recording, "
            f"transpose the array and cut it with --window; if the channels are its last axis, {axes} --channels-last"
        )


def _of_arrays(arrays: np.ndarray | list[np.ndarray], labels: list[str] | None, told: list[str]) -> Opened:
    if isinstance(arrays, list):
        nested = pa.list_(pa.list_(pa.float64()))
        columns: dict[str, Any] = {"values": pa.array([list(one) for one in arrays], type=nested)}
    else:
        columns = {"values": values_column(arrays)}
    if labels is not None:
        columns["label"] = labels
    label = None if labels is None else "label"
    return Opened(Dataset.from_dict(columns), Columns("lists", label, None, None, None, [["values"]]), told)


def _from_frame(table: pd.DataFrame, layout: Layout, told: list[str]) -> Opened:
    table = with_index(table.rename(columns=str))
    if not len(table):
        raise ValueError("there are no series: the table is empty")
    if len(set(table.columns)) < len(table.columns):
        raise ValueError(f"the table has several columns of the name {table.columns[table.columns.duplicated()][0]!r}")
    kinds = {name: _kind_of_column(table[name]) for name in table.columns}
    columns = find_columns(kinds, layout, lambda name: bool(table[name].duplicated().any()))
    if columns.rows == "time":
        return _from_times(table, columns, layout, told)
    _check_columns(columns, len(table))
    names = [name for channel in columns.values for name in channel]
    kept = table[names].copy() if columns.rows == "lists" else table[names].apply(pd.to_numeric)
    if columns.label:
        kept[columns.label] = [label_name(one) for one in table[columns.label]]
    try:
        dataset = Dataset.from_pandas(kept, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the table holds more than numbers ({one_line(error)[:200]})") from None
    return Opened(dataset, columns, told)


def _check_columns(columns: Columns, count: int) -> None:
    """Refuses a table of many rows and few columns: its rows seem to be times."""
    if columns.rows == "series" and count >= MANY_SERIES and len(columns.values[0]) < FEW_SAMPLES:
        raise ValueError(question([name for channel in columns.values for name in channel]))


def _kind_of_column(column: pd.Series) -> Kind:
    known = column.dropna()
    if pd.api.types.is_complex_dtype(column):
        return "other"
    if pd.api.types.is_numeric_dtype(column) or (column.dtype == object and not len(known)):
        return "number"
    if column.dtype != object:
        return "other"
    if all(isinstance(one, np.ndarray | list | tuple) for one in known):
        return "list"
    return "number" if all(isinstance(one, int | float | np.number) for one in known) else "other"


def _from_dataset(dataset: Dataset, layout: Layout, told: list[str]) -> Opened:
    if not len(dataset):
        raise ValueError("there are no series: the table is empty")
    kinds = {field.name: kind_of(field.type) for field in dataset.data.schema}
    columns = find_columns(kinds, layout, lambda name: len(dataset.unique(name)) < len(dataset))
    if columns.rows != "time":
        _check_columns(columns, len(dataset))
        return Opened(dataset, columns, told)
    table: Any = dataset.with_format(None).to_pandas()
    known = dataset.features.get(columns.label) if columns.label else None
    if isinstance(known, ClassLabel):
        table[columns.label] = known.int2str(table[columns.label].tolist())
    return _from_times(table, columns, layout, told)


def _from_times(table: pd.DataFrame, columns: Columns, layout: Layout, told: list[str]) -> Opened:
    found = recordings(table, columns, layout.day_first, layout.recording)
    opened = _of_arrays(found.series, found.labels, [*told, *found.told])
    shape = "a value in each row" if columns.channel else "a time in each row"
    if columns.channel is None:
        names = some([name for (name,) in columns.values])
        shape += f" (channel{'s' if len(columns.values) > 1 else ''} {names})"
    opened.told.insert(0, f"read from a table with {shape}")
    opened.columns.left_out = columns.left_out
    return opened
