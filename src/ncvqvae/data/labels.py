"""Names of classes, from whatever a file or a program calls them."""

import math
from collections.abc import Iterable, Mapping, Set

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import Tensor


def label_name(label: object) -> str:
    """The name of a class. `1.0`, as some files write it, is `"1"`; bytes are text, a tensor of no axis is its number.

    Raises:
        ValueError: for a label that is missing (`None`, NaN, NaT, `pd.NA` or empty), or several numbers in its place.
    """
    label = label.as_py() if isinstance(label, pa.Scalar) else label
    if is_missing(label):
        raise ValueError("a series has no label; label all series or none")
    if isinstance(label, Tensor | np.ndarray):
        if label.ndim:
            shape = tuple(label.shape)
            hint = "for a column of labels take labels[:, 0], for one-hot labels labels.argmax(1)"
            raise ValueError(f"a label must be one name or number, found an array of shape {shape}; {hint}")
        label = label.item()
    if isinstance(label, list | tuple | dict | set | np.void):
        hint = "of a column of labels take the only one, of one-hot labels the index of the largest"
        raise ValueError(f"a label must be one name or number, found {str(label)[:40]}; {hint}")
    text = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
    text = "0" if text == "-0.0" else text
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def label_names(labels: Iterable, count: int | None = None) -> list[str]:
    """The names of the classes of `count` series, by `label_name`.

    Raises:
        ValueError: see `label_name`; also for another number of labels than series.
    """
    several = isinstance(labels, Iterable) and not isinstance(labels, str | bytes | Mapping | Set | pd.DataFrame)
    if not several or (hasattr(labels, "ndim") and labels.ndim == 0):
        found = type(labels).__name__ if isinstance(labels, Iterable) else repr(labels)
        raise ValueError(f"each series needs a label, in a list, an array or one column of a table; found {found}")
    names = []
    for index, label in enumerate(labels):
        if is_missing(label):
            raise ValueError(f"a series has no label: series {index}; label all series or none")
        names.append(label_name(label))
    if count is not None and len(names) != count:
        raise ValueError(f"each series needs a label, found {len(names)} labels for {count} series")
    return names


def is_missing(label: object) -> bool:
    """Whether a label is none: `None`, NaN, NaT, `pd.NA`, a masked value, the text of one of these, or blank text."""
    if label is np.ma.masked:
        return True
    if isinstance(label, pa.Scalar):
        label = label.as_py()
    if isinstance(label, Tensor | np.ndarray) and label.ndim == 0:
        label = label.item()
    text = label.decode(errors="replace") if isinstance(label, bytes) else label
    if isinstance(text, str):
        return text.strip() in ("nan", "NaN", "NaT", "<NA>", "")
    return pd.isna(text) is True  # of what is no scalar, it is an array


def sort_labels(names: Iterable[str]) -> list[str]:
    """The distinct names, sorted as numbers if all are numbers, else as text. Equal numbers are sorted as text."""
    distinct = set(names)
    try:
        numbers = {name: float(name) for name in distinct}
    except ValueError:
        return sorted(distinct)
    if any(map(math.isnan, numbers.values())):
        return sorted(distinct)
    return sorted(distinct, key=lambda name: (numbers[name], name))
