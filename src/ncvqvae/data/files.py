"""Series in files: CSV, npz and parquet, chosen by the ending of the name.

CSV and parquet hold a series in a row: a column `label` where there are classes, then a column for each sample, `c0_0,
c0_1, ...` channel after channel. npz holds the arrays `values` `(series, channels, length)` and `labels`.
"""

import contextlib
import csv
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ..runtime import one_line, whole_file


if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".npz", ".parquet")


def check_output(path: str | Path) -> None:
    """Raises `ValueError` for a file that cannot be written, before any work is done for it."""
    _check_format(path)
    if not Path(path).resolve().parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {Path(path).parent}")


def write_series(path: str | Path, values: Tensor, labels: Sequence[str] | None) -> None:
    """Writes `values` `(series, channels, length)` and their labels."""
    _, channels, length = values.shape
    columns = [f"c{channel}_{sample}" for channel in range(channels) for sample in range(length)]
    _write(path, values.cpu().numpy(), labels, columns)


def write_features(path: str | Path, features: Tensor, labels: Sequence[str] | None) -> None:
    """Writes `features` `(series, features)` and the labels of their series."""
    _write(path, features.cpu().numpy(), labels, [f"f{index}" for index in range(features.shape[1])])


def read_series(path: str | Path, num_channels: int | None = None) -> tuple[Tensor, list[str] | None]:
    """Series `(series, num_channels, length)` and their labels, from a file like those written here.

    Without `num_channels` the file decides: by its columns `c0_0, ..., c1_0, ...`, or by three axes of an array; else
    its series have one channel.

    Raises:
        ValueError: for a file that is missing, of another kind, or does not hold series of `num_channels` channels.
    """
    _check_format(path)
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    values, labels, channels = _read(Path(path))
    num_channels = num_channels or channels
    if values.ndim == 0 or not len(values):
        raise ValueError(f"{path} holds no series")
    if labels is not None and len(labels) != len(values):
        raise ValueError(f"{path} holds {len(labels)} labels for {len(values)} series")
    if values.ndim == 2 and values.shape[1] % num_channels == 0:
        values = values.reshape(len(values), num_channels, -1)
    if values.ndim != 3:
        raise ValueError(f"{path} must hold series of {num_channels} channels, found the shape {values.shape}")
    return torch.from_numpy(values.astype(np.float32)), labels


def _write(path: str | Path, array: np.ndarray, labels: Sequence[str] | None, columns: list[str]) -> None:
    path = Path(path)
    with whole_file(path) as partial:
        if path.suffix == ".npz":
            arrays: dict[str, Any] = {"values": array} | ({} if labels is None else {"labels": np.array(labels)})
            np.savez_compressed(partial, **arrays)
        elif path.suffix == ".csv":
            _write_csv(partial, array.reshape(len(array), -1), labels, columns)
        else:
            import pandas as pd

            table = pd.DataFrame(array.reshape(len(array), -1), columns=columns)
            if labels is not None:
                table.insert(0, "label", list(labels))
            table.to_parquet(partial, index=False)


def _write_csv(path: Path, rows: np.ndarray, labels: Sequence[str] | None, columns: list[str]) -> None:
    """Writes a CSV without pandas, which the inference install lacks."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns if labels is None else ["label", *columns])
        for index, row in enumerate(rows):
            values = ["" if np.isnan(value) else str(value) for value in row]  # the shortest exact text
            writer.writerow(values if labels is None else [labels[index], *values])


def _read(path: Path) -> tuple[np.ndarray, list[str] | None, int]:
    """Values, labels, and the number of channels as the columns of a table say it."""
    if path.suffix == ".npz":
        values, labels = read_arrays(path)
        return values, labels, values.shape[1] if values.ndim == 3 else 1
    table = read_table(path)
    labels = [str(label) for label in table.pop("label")] if "label" in table else None
    channels = {match[1] for column in table if (match := re.fullmatch(r"c(\d+)_\d+", str(column)))}
    with _explained(path):
        return table.to_numpy(np.float64), labels, max(len(channels), 1)


def read_arrays(path: Path) -> tuple[np.ndarray, list[str] | None]:
    """`values` and `labels` of an npz file. Raises `ValueError` for one that is damaged or lacks values."""
    with _explained(path), np.load(path) as arrays:
        labels = [str(label) for label in arrays["labels"]] if "labels" in arrays else None
        return arrays["values"], labels


def read_table(path: Path, label_column: str = "label") -> "pd.DataFrame":
    """A CSV or parquet file. Raises `ValueError` for a file that is not a table, or whose columns have no names."""
    with _explained(path):
        import pandas as pd

        # Labels are read as text: a class may be called "null".
        table = pd.read_csv(path, converters={label_column: str}) if path.suffix == ".csv" else pd.read_parquet(path)
        if path.suffix == ".csv" and all(_is_number(column) for column in table.columns):
            raise ValueError("its first line is a series, not the names of the columns")
        return table


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} does not hold series ({one_line(error)}); see the columns that `ncvqvae sample` writes"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_format(path: str | Path) -> None:
    if Path(path).suffix not in FORMATS:
        raise ValueError(f"{path} must end in {', '.join(FORMATS)}")
