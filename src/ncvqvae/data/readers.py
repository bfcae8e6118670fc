"""Opens arrays, tables, files of either, and datasets on disk and on the Hub."""

import re
from collections.abc import Sequence
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
from .files import read_arrays, read_table
from .labels import label_name, sort_labels
from .series import values_column


Source: TypeAlias = str | Path | np.ndarray | Tensor | Sequence[np.ndarray] | pd.DataFrame | Dataset | DatasetDict

# The names that the columns of a long table, with a value in each row, may have.
LONG = {
    "series": ("series", "id", "unique_id", "item_id"),
    "time": ("time", "timestamp", "ds"),
    "channel": ("channel",),
    "value": ("value", "y", "target"),
}
ENDINGS = (".csv", ".parquet", ".npy", ".npz")
HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?")


def open_source(source: Source, labels: Sequence | None, label_column: str | None) -> Dataset | DatasetDict:
    """Opens a source as datasets: with `values` of `(channels, length)` or `(length,)`, or a sample in each column.

    Nothing is checked or filled in yet, and data in Arrow files stay on disk.

    Raises:
        ValueError: for a source that cannot be read, in one line.
    """
    if isinstance(source, str | Path):
        if labels is not None:
            raise ValueError("labels belong to an array; in a table they are a column, named by label_column")
        source, labels = _read(str(source), label_column)
    if isinstance(source, np.ndarray | Tensor | list | tuple):
        if label_column is not None:
            raise ValueError(f"arrays have no columns, so there is no label column {label_column!r}")
        return _from_arrays(source, labels)
    if labels is not None:
        raise ValueError("labels belong to an array; in a table they are a column, named by label_column")
    if isinstance(source, pd.DataFrame):
        return _from_table(source, label_column or "label")
    if isinstance(source, Dataset):
        return _unfolded(source, label_column or "label")
    if isinstance(source, DatasetDict):
        return DatasetDict({name: _unfolded(part, label_column or "label") for name, part in source.items()})
    raise ValueError(f"cannot read series from a {type(source).__name__}: pass an array, table, path or dataset")


def _read(source: str, label_column: str | None) -> tuple[Source, list[str] | None]:
    path = Path(source)
    if path.is_dir():
        try:
            return datasets.load_from_disk(source), None
        except (OSError, ValueError, KeyError, pa.ArrowException):
            raise ValueError(f"{source} is not a folder that save_to_disk of a dataset wrote") from None
    if path.suffix in ENDINGS and not path.is_file():
        raise ValueError(f"there is no file {source}")
    if path.suffix == ".csv":
        return read_table(path, label_column or "label"), None
    if path.suffix == ".npz":
        return read_arrays(path)
    if path.suffix == ".npy":
        try:
            return np.load(path, mmap_mode="r"), None
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{source} does not hold an array of numbers ({one_line(error)[:200]})") from None
    hub_id = HUB_ID.fullmatch(source)
    if path.suffix != ".parquet" and (path.is_file() or not hub_id):
        kinds = f"a file that ends in {', '.join(ENDINGS)}, a folder of save_to_disk or ORG/NAME on the Hub"
        raise ValueError(f"{source} is not {kinds}")
    try:
        if path.suffix == ".parquet":
            return Dataset.from_parquet(source), None
        return datasets.load_dataset(hub_id[1], hub_id[2]), None
    except (DatasetsError, OSError, ValueError) as error:
        kind = "not a parquet table" if path.suffix == ".parquet" else "neither a file here nor a dataset on the Hub"
        raise ValueError(f"{source} is {kind} ({one_line(error.__cause__ or error)[:200]})") from None


def _from_arrays(values: Any, labels: Sequence | None) -> Dataset:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    ragged = isinstance(values, list | tuple)
    arrays = [np.asarray(one) for one in values] if ragged else [values]
    if not len(values) or not all(one.size for one in arrays):
        raise ValueError("there are no series: the array is empty")
    if others := [one.dtype for one in arrays if one.dtype.kind not in "fiub"]:
        raise ValueError(f"series must be numbers, found an array of {others[0]}")
    if ragged:
        nested = pa.list_(pa.list_(pa.float64()))
        columns = {"values": pa.array([list(np.atleast_2d(one).astype(np.float64)) for one in arrays], type=nested)}
    elif values.ndim in (2, 3):
        values = values[:, None] if values.ndim == 2 else values
        exact = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
        columns = {"values": values_column(exact)}
    else:
        raise ValueError(f"values must be (series, length) or (series, channels, length), found {values.shape}")
    if labels is not None:
        columns["label"] = [label_name(label) for label in labels]
        if len(columns["label"]) != len(values):
            raise ValueError(f"each series needs a label, found {len(labels)} labels for {len(values)} series")
    return Dataset.from_dict(columns)


def _from_table(table: pd.DataFrame, label: str) -> Dataset:
    table = table.rename(columns=str)
    if not len(table):
        raise ValueError("there are no series: the table is empty")
    if label in table:
        table[label] = [label_name(one) for one in table[label]]
    try:
        return _unfolded(Dataset.from_pandas(table, preserve_index=False), label)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(
            f"the table holds more than numbers ({one_line(error)[:200]}); name its label column"
        ) from None


def _unfolded(dataset: Dataset, label: str) -> Dataset:
    """A long table becomes one with a series in a row; other tables stay as they are."""
    columns = [column for column in dataset.column_names if column != label]
    role = {kind: next((name for name in names if name in columns), None) for kind, names in LONG.items()}
    if "values" in columns or None in (role["series"], role["time"], role["value"]):
        return dataset
    if unknown := [column for column in columns if column not in role.values()]:
        found = "; ".join(f"{kind}: {' or '.join(names)}" for kind, names in LONG.items())
        raise ValueError(f"a long table has no column {unknown[0]!r}; its columns may be {found}")
    table = dataset.to_pandas()
    numbers, names = pd.factorize(table[role["series"]])  # in the order of their first rows
    if (numbers < 0).any() or table[role["time"]].isna().any():
        raise ValueError(f"a row of the long table has no {role['series']} or no {role['time']}")
    arrays = _by_time(table, numbers, role)
    if label not in table:
        return _from_arrays(arrays, None)
    classes = table.groupby(numbers)[label]
    if (several := classes.nunique(dropna=False) > 1).any():
        raise ValueError(f"series {names[several.idxmax()]} has several labels in the column {label!r}")
    first = classes.first()
    known = dataset.features[label]
    return _from_arrays(arrays, known.int2str(first.tolist()) if isinstance(known, ClassLabel) else first.tolist())


def _by_time(table: pd.DataFrame, numbers: np.ndarray, role: dict[str, str | None]) -> list[np.ndarray]:
    """Each series `(channels, length)` of a long table, NaN where a channel lacks a time that another has."""
    if not pd.api.types.is_numeric_dtype(table[role["value"]]):
        raise ValueError(f"the column {role['value']!r} holds more than numbers")
    channels = table[role["channel"]].map(label_name) if role["channel"] else pd.Series("", table.index)
    places = {name: index for index, name in enumerate(sort_labels(channels.unique()))}
    key = {"series": numbers, "time": _ordered(table[role["time"]]), "channel": channels.map(places)}
    key = pd.DataFrame(key | {"value": table[role["value"]]})
    if (twice := key.duplicated(["series", "time", "channel"])).any():
        row = table[twice].iloc[0]
        where = ", ".join(f"{column} {row[column]}" for kind, column in role.items() if column and kind != "value")
        raise ValueError(f"the long table has two values for {where}")
    wide = key.pivot(index=["series", "time"], columns="channel", values="value")
    cuts = np.flatnonzero(np.diff(wide.index.get_level_values("series"))) + 1
    return [part.T for part in np.split(wide.to_numpy(np.float64), cuts)]


def _ordered(time: pd.Series) -> pd.Series:
    """Times as values that sort: numbers or dates."""
    if pd.api.types.is_numeric_dtype(time) or pd.api.types.is_datetime64_any_dtype(time):
        return time
    try:
        return pd.to_datetime(time)
    except (ValueError, TypeError):
        raise ValueError(f"the column {time.name!r} holds neither numbers nor dates") from None
