"""What is read of a user's own series, and the options that say how: the same on the command line and in the app."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple


TEXTS = (".csv", ".tsv", ".txt")
ENDINGS = (*TEXTS, *(f"{ending}.gz" for ending in TEXTS), ".parquet", ".npy", ".npz", ".ts", ".arff")


class Option(NamedTuple):
    """An argument of `load_series` that a user gives by name.

    `kind` is the name of a column, names of columns with commas, a whole number, a number, yes or no where not giving
    it means neither, or a switch.
    """

    kind: Literal["column", "columns", "count", "number", "choice", "switch"]
    help: str


OPTIONS = {
    "label_column": Option("column", "column of the classes (default: label, if there is one)"),
    "id_column": Option("column", "column that says which series a row belongs to (default: id, series, ...)"),
    "time_column": Option("column", "column of the times of the rows (default: time, timestamp, ...)"),
    "value_columns": Option("columns", "columns of the values, with commas (default: all other columns)"),
    "channel_column": Option("column", "column that says which channel a row's value belongs to"),
    "channels_last": Option("choice", "whether arrays are (series, length, channels)"),
    "day_first": Option("choice", "whether dates such as 10/01/2020 name the day first, or the month"),
    "missing_value": Option("number", "a number that stands for a missing value, such as -9999"),
    "window": Option("count", "cut series into windows of N samples (default: whole series)"),
    "stride": Option("count", "samples from one window's start to the next (default: --window)"),
    "drop_rare_classes": Option("switch", "leave out classes with one training series"),
}


def ending(path: Path) -> str:
    """The ending of a file's name, in small letters, with what stands before `.gz`."""
    name = path.name.lower()
    return next((one for one in sorted(ENDINGS, key=len, reverse=True) if name.endswith(one)), path.suffix.lower())


def arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of the `OPTIONS`, as arguments of `load_series`.

    `None`, blank text, and a switch that is off are not given. Numbers may be text. A choice may be `"yes"` or `"no"`;
    other text is none.

    Raises:
        ValueError: for text in the place of a number.
    """
    found = {}
    for name, option in OPTIONS.items():
        value = given.get(name)
        if isinstance(value, str):
            value = value.strip() or None
        if isinstance(value, str):
            value = _of_text(name, option, value)
        if value is not None and not (option.kind == "switch" and not value):
            found[name] = value
    return found


def _of_text(name: str, option: Option, text: str) -> Any:
    match option.kind:
        case "choice":
            return {"yes": True, "no": False}.get(text)
        case "columns":
            return [one.strip() for one in text.split(",")]
        case "count" | "number":
            try:
                return int(text) if option.kind == "count" else float(text)
            except ValueError:
                whole = "whole " * (option.kind == "count")
                raise ValueError(f"{spelled(name)} takes a {whole}number, found {text!r}") from None
    return text


def spelled(name: str) -> str:
    """An option as it stands on a command line."""
    return f"--{name.replace('_', '-')}"
