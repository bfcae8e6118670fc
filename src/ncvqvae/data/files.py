"""Series in files. They are written as CSV, npz or parquet, chosen by the ending of the name.

CSV and parquet hold a series in a row: a column `label` where there are classes, then a column for each sample, `c0_0,
c0_1, ...` channel after channel. npz holds the arrays `values` `(series, channels, length)` and `labels`.
"""

import contextlib
import csv
import re
import zlib
from collections.abc import Iterator, Sequence
from html import unescape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from torch import Tensor

from ..runtime import one_line, whole_file
from .lines import decoded


if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".npz", ".parquet")
FORMULA = re.compile(r"'*[=+@\t\r#-]")  # or a comment
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


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


def write_features(
    path: str | Path, features: Tensor, labels: Sequence[str] | None, names: list[str] | None = None
) -> None:
    """Writes `features` `(series, features)`, called `f0, f1, ...` or by their `names`, and their series' labels."""
    _write(path, features.cpu().numpy(), labels, names or [f"f{index}" for index in range(features.shape[1])])


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
            writer.writerow(values if labels is None else [_no_formula(labels[index]), *values])


def _no_formula(label: str) -> str:
    """The name of a class, with a quotation mark before one that is a formula or a comment; `read_text` removes it."""
    return f"'{label}" if FORMULA.match(label) and not NUMBER.fullmatch(label) else label


def read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """`values` and `labels` (or `label`, or `class`) of an npz file, and what is told about its other arrays.

    Raises:
        ValueError: for one that is damaged, lacks values, or has several arrays of labels.
    """
    from .names import role_of, some

    with _explained(path), np.load(path) as arrays:
        labels = [name for name in arrays if role_of(name) == "label"]
        if "values" not in arrays or len(labels) > 1:
            raise ValueError(f"it holds {', '.join(arrays) or 'nothing'}: call the series values and classes labels")
        others = [name for name in arrays if name not in ("values", *labels)]
        told = [f"without {some(others)}: the series are in values"] * bool(others)
        return arrays["values"], arrays[labels[0]] if labels else None, told


def read_ts(path: Path) -> tuple[list[np.ndarray], list[str | None] | None, list[str]]:
    """The series `(channels, length)` and the classes of an archive's `.ts` file, read by aeon, and what is told."""
    from aeon.datasets import load_from_ts_file

    with _explained(path):
        if re.search(r"^\s*@timestamps\s+true\b", path.read_text(errors="replace"), re.IGNORECASE | re.MULTILINE):
            raise ValueError("it has a time beside each value, which aeon does not read; leave the times out")
        series, labels, about = load_from_ts_file(str(path), return_meta_data=True)
        if not len(series):
            raise ValueError("it has no line of series below @data")
    told = [f"read from {path.name}"]
    if about["targetlabel"]:
        told.append("without the targets: they are numbers to predict, no classes")
    labels = _labels_as_written(path, len(series)) if about["classlabel"] else None
    return [np.asarray(one, dtype=np.float64) for one in series], labels, told


def _labels_as_written(path: Path, count: int) -> list[str | None]:
    """The classes of a `.ts` file; aeon writes them in small letters, and replaces their `nan`."""
    _, _, data = re.split(r"^(\s*@data\s*)$", path.read_text(encoding="utf-8"), maxsplit=1, flags=re.I | re.M)
    lines = [line for line in data.splitlines() if line.strip()]
    if len(lines) != count:
        raise ValueError(f"it has {len(lines)} lines below @data, for {count} series")
    labels = [line.rpartition(":")[2].strip() for line in lines]
    return [None if label == "?" else label for label in labels]


def read_arff(path: Path, label: str | None) -> "tuple[list[np.ndarray] | pd.DataFrame, list[str] | None]":
    """The series `(channels, length)` and classes of an archive's `.arff` file of several channels, read by aeon, or
    the table of one without, read by scipy; there the column of classes is `label`, if the caller names none.
    """
    import pandas as pd
    from aeon.datasets import load_from_arff_file
    from scipy.io.arff import ArffError, loadarff

    with _explained(path):
        text = decoded(path)[0]
        if re.search(r"^\s*@attribute\s.*\brelational\b", text, re.IGNORECASE | re.MULTILINE):
            series, labels = load_from_arff_file(str(path))
            return list(np.asarray(series, dtype=np.float64)), [label.strip("'\"") for label in labels]
        try:
            rows, about = loadarff(StringIO(text.encode("ascii", "xmlcharrefreplace").decode()))  # scipy reads ASCII
        except (ArffError, NotImplementedError, IndexError, StopIteration) as error:
            raise ValueError(str(error) or "it has no line @data") from None
    table = pd.DataFrame(rows).rename(columns=unescape)
    words = [unescape(name) for name, kind in zip(about.names(), about.types(), strict=True) if kind == "nominal"]
    for name in words:
        table[name] = table[name].str.decode("ascii").map(unescape).replace("?", None)
    return table.rename(columns={words[0]: "label"} if len(words) == 1 and label is None else {}), None


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} does not hold series ({one_line(error)}); see what `ncvqvae sample` writes"
        ) from None


def _check_format(path: str | Path) -> None:
    if Path(path).suffix not in FORMATS:
        raise ValueError(f"{path} must end in {', '.join(FORMATS)}")
