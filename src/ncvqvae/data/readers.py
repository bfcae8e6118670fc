"""Opens arrays, tables, files of either, and datasets on disk and on the Hub."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict
from datasets.exceptions import DatasetsError
from datasets.table import InMemoryTable
from torch import Tensor

from ..runtime import one_line
from .files import read_arff, read_arrays, read_ts
from .frames import TIMES, one_table
from .from_arrays import Opened, from_arrays
from .from_tables import from_arrow, from_dataset, from_frame
from .labels import label_names
from .layout import Layout
from .sources import ENDINGS, TEXTS, ending
from .text import read_text


Source: TypeAlias = str | Path | np.ndarray | Tensor | Sequence | pd.DataFrame | pa.Table | Dataset | DatasetDict

MOST_IN_MEMORY = 2**28  # bytes of an unpacked parquet file; a larger one is read from a copy in the cache of datasets
HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?")


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
        if isinstance(source, list):  # of an archive's file, which says which axis is which
            layout = replace(layout, channels_last=False)
    if isinstance(source, pd.Series):
        source = source.to_frame(str(source.name or "value"))
    if isinstance(source, list | tuple) and any(_has_times(one) for one in source):
        source = [one.to_frame("value") if _has_times(one) else one for one in source]
    if isinstance(source, list | tuple) and source and all(_is_frame(one) for one in source):
        frames = [one if isinstance(one, pd.DataFrame) else pa.table(one).to_pandas() for one in source]
        names = None if labels is None else label_names(labels, len(frames))
        source, labels, layout = one_table(frames, names), None, replace(layout, id=layout.id or "series")
    if isinstance(source, np.ndarray | Tensor | list | tuple):
        return {"all": from_arrays(source, labels, layout, told)}
    if labels is not None:
        raise ValueError("labels belong to an array; in a table they are a column, named by label_column")
    if isinstance(source, Mapping) and source and all(isinstance(part, Dataset) for part in source.values()):
        return {name: from_dataset(part, layout, told) for name, part in source.items()}
    if isinstance(source, pd.DataFrame):
        return {"all": from_frame(source, layout, told)}
    if isinstance(source, Dataset):
        return {"all": from_dataset(source, layout, told)}
    if _is_frame(source):
        return {"all": from_arrow(source, layout, told)}
    raise ValueError(f"cannot read series from a {type(source).__name__}: pass an array, table, path or dataset")


def _has_times(source: object) -> bool:
    return isinstance(source, pd.Series) and isinstance(source.index, TIMES)


def _is_frame(source: object) -> bool:
    """Whether it is a table in memory: of pandas, polars, pyarrow, or another that gives a table of Arrow."""
    return hasattr(source, "__arrow_c_stream__") and hasattr(source, "columns")


def _read(path: Path, source: str, layout: Layout) -> tuple[Any, Any, list[str]]:
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
    if kind == ".ts":
        return read_ts(path)
    if kind == ".arff":
        return *read_arff(path, layout.label), [f"read from {path.name}"]
    if kind == ".npz":
        return read_arrays(path)
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
        if kind == ".parquet" and _unpacked(path) < MOST_IN_MEMORY:  # without a copy in the cache
            return Dataset(InMemoryTable(pq.read_table(path))), None, []
        if kind == ".parquet":
            return Dataset.from_parquet(source), None, []
        return datasets.load_dataset(hub_id[1], hub_id[2]), None, []
    except (DatasetsError, pa.ArrowException, OSError, ValueError) as error:
        wrong = "not a parquet table" if kind == ".parquet" else "neither a file here nor a dataset on the Hub"
        raise ValueError(f"{source} is {wrong} ({one_line(error.__cause__ or error)[:200]})") from None


def _unpacked(path: Path) -> int:
    """The bytes that the columns of a parquet file take, as its end says."""
    about = pq.read_metadata(path)
    return sum(about.row_group(index).total_byte_size for index in range(about.num_row_groups))
