"""Names of classes, from whatever a file or a program calls them."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from torch import Tensor


def label_name(label: object) -> str:
    """The name of a class. `1.0`, as some files write it, is `"1"`; bytes are text, a tensor of no axis is its number.

    Raises:
        ValueError: for a label that is missing (`None`, NaN, NaT, `pd.NA` or empty), or several numbers in its place.
    """
    if isinstance(label, Tensor | np.ndarray):
        if label.ndim:
            shape = tuple(label.shape)
            hint = "for a column of labels take labels[:, 0], for one-hot labels labels.argmax(1)"
            raise ValueError(f"a label must be one name or number, found an array of shape {shape}; {hint}")
        label = label.item()
    if isinstance(label, list | tuple | dict | set):
        raise ValueError(f"a label must be one name or number, found {label!r}")
    text = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
    if pd.isna(label) or text in ("nan", "NaN", ""):
        raise ValueError("a series has no label; label all series or none")
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


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
