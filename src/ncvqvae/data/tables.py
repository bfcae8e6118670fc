"""Tables with a time in each row: sensor logs with a column a channel, and tables with a value in each row."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .labels import label_name, sort_labels
from .layout import Columns, natural, some
from .times import largest_gap, read_times, show_step


@dataclass
class Recordings:
    """Series `(channels, length)`, float64 with NaN for gaps, their classes, and what is told about them."""

    series: list[np.ndarray]
    labels: list[str] | None
    told: list[str]


def with_index(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the times, or the series and their times, that its index holds as columns.

    An index of times and the two levels of an index of series and times have these names, whatever they were called.
    """
    names = [name for name in table.index.names if name is not None]
    if isinstance(table.index, pd.MultiIndex):
        if table.index.nlevels != 2:
            raise ValueError(f"an index has the levels series and time, found {table.index.nlevels} levels")
        return table.reset_index(names=["series", "time"])
    if isinstance(table.index, pd.DatetimeIndex | pd.PeriodIndex | pd.TimedeltaIndex):
        return table.reset_index(names="time")
    if names and names[0] not in table:  # an index with a name is what a column of this name would be
        return table.reset_index()
    return table.reset_index(drop=True)


def one_table(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Recordings in tables of their own, with a time in each row, as one table with a column `series`."""
    if any(list(table.columns) != list(tables[0].columns) for table in tables):
        raise ValueError("the tables of the list differ in their columns")
    return pd.concat([with_index(table).assign(series=number) for number, table in enumerate(tables)])


def recordings(table: pd.DataFrame, columns: Columns, day_first: bool | None, cut_at_labels: bool) -> Recordings:
    """The series of a table with a time in each row, in the order of their ids, each in the order of its times.

    Args:
        day_first: see `read_times`.
        cut_at_labels: whether one recording whose class changes becomes several series.

    Raises:
        ValueError: for a row without an id, a time twice, values that are no numbers, or a series of several classes.
    """
    table, told = table.reset_index(drop=True), []
    times = None if columns.time is None else read_times(table[columns.time], day_first)
    numbers, names = _ids(table, columns)
    order = np.lexsort((numbers,) if times is None else (pd.factorize(times, sort=True)[0], numbers))
    table, numbers = table.iloc[order], numbers[order]
    times = None if times is None else times.iloc[order]
    if columns.id is None and columns.label and cut_at_labels:
        classes = table[columns.label].astype(str).to_numpy()
        numbers = np.r_[0, np.cumsum(classes[1:] != classes[:-1])]
        names = list(range(numbers[-1] + 1))
        told += [f"cut where {columns.label} changes"] * bool(numbers[-1])
    labels = _labels(table, numbers, names, columns)
    if times is not None:
        told += _about_times(times, numbers, names, columns)
    _check_twice(table, times, numbers, columns)
    values = [_numbers(table[name]) for (name,) in columns.values]
    if columns.channel is None:
        wide = np.stack(values)
        cuts = np.flatnonzero(np.diff(numbers)) + 1
    else:
        channels = table[columns.channel].map(label_name)
        told.append(f"channels {some(sort_labels(channels))}")
        keys = pd.DataFrame({"series": numbers, "time": times, "channel": channels, "value": values[0]})
        pivoted = keys.pivot(index=["series", "time"], columns="channel", values="value")[sort_labels(channels)]
        wide = pivoted.to_numpy(np.float64).T
        cuts = np.flatnonzero(np.diff(pivoted.index.get_level_values("series"))) + 1
    return Recordings([np.ascontiguousarray(part) for part in np.split(wide, cuts, 1)], labels, told)


def _ids(table: pd.DataFrame, columns: Columns) -> tuple[np.ndarray, list]:
    """The number of the series of each row, and the names of the series."""
    if columns.id is None:
        return np.zeros(len(table), np.int64), [0]
    ids = table[columns.id]
    if (missing := (ids.isna() | ids.astype(str).eq("")).to_numpy()).any():
        raise ValueError(f"row {missing.argmax() + 1} has no id in the column {columns.id!r}")
    names = sorted(ids.unique(), key=lambda one: natural(label_name(one)))
    return pd.Categorical(ids, names).codes.astype(np.int64), names


def _labels(table: pd.DataFrame, numbers: np.ndarray, names: list, columns: Columns) -> list[str] | None:
    if columns.label is None:
        return None
    classes = table[columns.label].map(label_name).groupby(numbers)
    if (several := classes.nunique() > 1).any():
        which = f"series {names[several.idxmax()]}" if columns.id else "the recording"
        cut = "" if columns.id else ", or cut it with --window"
        raise ValueError(f"{which} has several labels in the column {columns.label!r}: add a column of ids{cut}")
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
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ValueError(f"the column {column.name!r} holds more than numbers") from None
