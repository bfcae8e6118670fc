"""Tables with a time in each row: sensor logs with a column a channel, and tables with a value in each row."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .labels import is_missing, label_name, sort_labels
from .layout import Columns, Layout
from .names import COUNTS_ROWS, FEW_SAMPLES, natural, some
from .series import as_doubles
from .times import as_numbers, largest_gap, passes_midnight, read_times, show_step


EPOCH = 1e8  # seconds since 1970 are more
SAME_SPEED = 0.01  # as a part of the usual one: clocks that round differ so


@dataclass
class Recordings:
    """Series `(channels, length)`, float64 with NaN for gaps, their classes, what is told, and the channels' names."""

    series: list[np.ndarray]
    labels: list[str] | None
    told: list[str]
    channels: list[str]


def recordings(table: pd.DataFrame, columns: Columns, layout: Layout) -> Recordings:
    """The series of a table with a time in each row, in the order of their ids, each in the order of its times.

    With a window, a series is cut where its class changes. Columns that only count the rows are left out.

    Raises:
        ValueError: for a row without an id, a time twice, values that are no numbers, or a series of several classes.
    """
    table, told = table.reset_index(drop=True), []
    times = None if columns.time is None else read_times(table[columns.time], layout.day_first)
    numbers, names = _ids(table, columns)
    if times is not None and times.groupby(numbers).apply(passes_midnight).any():
        raise ValueError(
            f"the times in {columns.time!r} pass midnight, hence have no order: write them with their dates"
        )
    order = np.lexsort((numbers,) if times is None else (pd.factorize(times, sort=True)[0], numbers))
    table, numbers = table.iloc[order], numbers[order]
    times = None if times is None else times.iloc[order]
    if times is not None:
        told += _about_times(times, numbers, names, columns)
    _check_twice(table, times, numbers, columns)
    labels = None if columns.label is None else _labels(table[columns.label])
    if labels is not None and layout.window is not None and columns.channel is None:
        numbers, names = _cut_at_labels(labels, numbers, names, columns, layout.window, told)
        table, labels, numbers = table[numbers >= 0], labels[numbers >= 0], numbers[numbers >= 0]
    classes = None if labels is None else _classes(labels, numbers, names, columns)
    values = [_numbers(table[name]) for (name,) in columns.values]
    if columns.channel is None:
        channels = _without_counters(values, numbers, times, columns, layout)
        wide = np.stack([values[place] for place in channels])
        found = [columns.values[place][0] for place in channels]
        cuts = np.flatnonzero(np.diff(numbers)) + 1
    else:
        column = table[columns.channel].map(label_name)
        found = sort_labels(column)
        told.append(f"channels {some(found)}")
        keys = pd.DataFrame({"series": numbers, "time": times, "channel": column, "value": values[0]})
        pivoted = keys.pivot(index=["series", "time"], columns="channel", values="value")[found]
        wide = pivoted.to_numpy(np.float64).T
        cuts = np.flatnonzero(np.diff(pivoted.index.get_level_values("series"))) + 1
    series = [np.ascontiguousarray(part) for part in np.split(wide, cuts, 1)]
    return Recordings(series, classes, told, found)


def _without_counters(
    values: list[np.ndarray], numbers: np.ndarray, times: pd.Series | None, columns: Columns, layout: Layout
) -> list[int]:
    """The places of the columns of values, without those that count the rows or the time.

    Raises:
        ValueError: for a column that seems to hold the times, where none else does.
    """
    places = list(range(len(values)))
    inside = np.diff(numbers) == 0
    if layout.values is not None or inside.sum() < FEW_SAMPLES:
        return places
    growing = [place for place in places if (np.diff(values[place])[inside] > 0).all()]
    if len(growing) == len(values):
        return places
    steps = None if times is None else np.diff(as_numbers(times))[inside]
    counters = [
        place
        for place in growing
        if COUNTS_ROWS.search(columns.values[place][0])
        or (values[place][0] > EPOCH and _in_step(np.diff(values[place])[inside], steps))
    ]
    columns.left_out |= {columns.values[place][0]: "it counts the rows or the time" for place in counters}
    rest = [place for place in growing if place not in counters]
    if times is None and len(rest) == 1:
        raise ValueError(
            f"the column {columns.values[rest[0]][0]!r} grows from row to row, as times do: name it with "
            "--time-column, or if it is a channel, name all channels with --value-columns"
        )
    return [place for place in places if place not in counters]


def _in_step(growth: np.ndarray, steps: np.ndarray | None) -> bool:
    """Whether a column grows as the times do."""
    if steps is None or not (steps > 0).all():
        return False
    speed = growth / steps
    return bool(np.ptp(speed) <= SAME_SPEED * np.median(speed))


def _ids(table: pd.DataFrame, columns: Columns) -> tuple[np.ndarray, list]:
    """The number of the series of each row, and the names of the series."""
    if columns.id is None:
        return np.zeros(len(table), np.int64), [0]
    ids = table[columns.id]
    if (missing := (ids.isna() | ids.astype(str).eq("")).to_numpy()).any():
        raise ValueError(f"row {missing.argmax() + 1} has no id in the column {columns.id!r}")
    names = sorted(ids.unique(), key=lambda one: natural(label_name(one)))
    return ids.astype(object).map({name: place for place, name in enumerate(names)}).to_numpy(np.int64), names


def _labels(column: pd.Series) -> np.ndarray:
    """The class of each row."""
    plain = column.astype(object)
    if plain.map(type).isin([list, np.ndarray]).any():
        raise ValueError(f"a label must be one name or number, found lists in the column {column.name!r}")
    named = plain.map({one: label_name(one) for one in plain.unique() if not is_missing(one)})
    if (missing := named.isna().to_numpy()).any():
        row = f"row {column.index[missing.argmax()] + 1}"
        raise ValueError(f"{row} has no label in the column {column.name!r}; label all rows or none")
    return named.to_numpy(object)


def _cut_at_labels(
    labels: np.ndarray, numbers: np.ndarray, names: list, columns: Columns, window: int, told: list[str]
) -> tuple[np.ndarray, list]:
    """The number of the piece of each row, where series are cut at each change of class, and the pieces' names.

    Rows of pieces that are shorter than the window have the number -1.
    """
    change = (labels[1:] != labels[:-1]) | (np.diff(numbers) != 0)
    pieces = np.r_[0, np.cumsum(change)]
    if pieces[-1] + 1 == len(names):
        return numbers, names
    sizes = np.bincount(pieces)
    kept = np.where(sizes < window, -1, np.cumsum(sizes >= window) - 1)
    if kept.max() < 0:
        where = f"all stretches of one class in the column {columns.label!r}"
        raise ValueError(f"the window of {window} samples is longer than {where}")
    told.append(f"cut where {columns.label} changes")
    if short := int((kept < 0).sum()):
        told.append(f"without {short} piece{'s' * (short > 1)} shorter than the window")
    return kept[pieces], list(range(kept.max() + 1))


def _classes(labels: np.ndarray, numbers: np.ndarray, names: list, columns: Columns) -> list[str]:
    """The class of each series."""
    classes = pd.Series(labels).groupby(numbers)
    if (several := classes.nunique() > 1).any():
        which = f"series {names[several.idxmax()]}" if columns.id else "the recording"
        raise ValueError(
            f"{which} has several labels in the column {columns.label!r}: add a column of ids, or cut it with --window"
        )
    return classes.first().tolist()


def _about_times(times: pd.Series, numbers: np.ndarray, names: list, columns: Columns) -> list[str]:
    """When the series begin and end, and a warning where a series has steps of unequal lengths."""
    gaps = {names[index]: largest_gap(part.drop_duplicates()) for index, part in times.groupby(numbers)}
    if found := {name: gap for name, gap in gaps.items() if gap is not None}:
        name = max(found, key=lambda one: found[one][0])
        largest, usual = (show_step(step, times) for step in found[name])
        which = f" in series {name}" if columns.id else ""
        warnings.warn(
            f"the times in {columns.time!r} have unequal steps, which count as equal: the largest is "
            f"{largest}{which}, the usual one {usual}",
            stacklevel=2,
        )
        return [f"times {times.min()} to {times.max()}, in unequal steps"]
    return [f"times {times.min()} to {times.max()}"]


def _check_twice(table: pd.DataFrame, times: pd.Series | None, numbers: np.ndarray, columns: Columns) -> None:
    """Refuses two rows of one series, time and channel."""
    if times is None:
        if columns.channel is not None:
            raise ValueError(
                "a table with the channels in a column needs a column of times: name it with --time-column"
            )
        return
    keys = pd.DataFrame({"series": numbers, "time": times.to_numpy()})
    if columns.channel is not None:
        keys["channel"] = table[columns.channel].to_numpy()
    if (twice := keys.duplicated().to_numpy()).any():
        row = table.iloc[int(twice.argmax())]
        named = [name for name in (columns.id, columns.time, columns.channel) if name is not None]
        hint = "" if columns.id else "; if the rows are of several series, name their column with --id-column"
        raise ValueError(f"the table has two rows for {', '.join(f'{name} {row[name]}' for name in named)}{hint}")


def _numbers(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_integer_dtype(column) and not column.hasnans:
        return as_doubles(column.to_numpy())
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ValueError(f"the column {column.name!r} holds more than numbers") from None
