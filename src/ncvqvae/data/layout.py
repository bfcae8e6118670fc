"""What the columns of a table are: its layout, found from their names and kinds, or given by the caller."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal


# The names, in small letters, by which a column is known without an option.
NAMES = {
    "label": ("label", "labels", "class"),
    "id": ("id", "series", "series_id", "unique_id", "item_id", "instance", "window_id", "recording", "recording_id"),
    "time": ("time", "timestamp", "ds", "date", "datetime", "time_index", "timepoint", "timestep", "time_step"),
    "channel": ("channel", "channel_id", "dimension", "dim", "sensor", "variable"),
}
ROW_NUMBERS = re.compile(r"index|rownames|unnamed: \d+|__index_level_\d+__|level_\d+", re.IGNORECASE)
NUMBERED = re.compile(r"(.*?)(\d+)")
DATE = re.compile(r"\d{4}-\d\d?-\d\d?\b.*")
KNOWN = {name for names in NAMES.values() for name in names}
FEW_SAMPLES = 8  # fewer columns or samples seem to be the channels of one time, and are asked about

Kind = Literal["list", "number", "other"]


@dataclass(frozen=True)
class Layout:
    """What the caller says about the columns of a table, or the axes of an array; see `load_series`.

    `recording` says that rows are times of one recording where nothing else says what they are.
    """

    label: str | None = None
    id: str | None = None
    time: str | None = None
    values: Sequence[str] | None = None
    channel: str | None = None
    channels_last: bool = False
    day_first: bool | None = None
    recording: bool = False

    @property
    def named(self) -> list[str]:
        """The columns that are no values, by name."""
        return [name for name in (self.label, self.id, self.time, self.channel) if name is not None]


@dataclass
class Columns:
    """What each column of a table is.

    Args:
        rows: what a row is: a `"series"`, whose samples are in the cells or in `"lists"`, or a `"time"`.
        label, id, time, channel: names of columns, if there are such.
        values: the columns of each channel, in the order of the samples; with `rows` `"time"` and a column of
            channels the one column of values.
        left_out: the columns that are not read, with the reason.
    """

    rows: Literal["series", "lists", "time"]
    label: str | None
    id: str | None
    time: str | None
    channel: str | None
    values: list[list[str]]
    left_out: dict[str, str] = field(default_factory=dict)


def find_columns(kinds: Mapping[str, Kind], layout: Layout, repeats: Callable[[str], bool]) -> Columns:
    """Finds out what the columns of a table are.

    Args:
        kinds: what each column holds, by its name, in the order of the table.
        repeats: says whether a column has a value twice.

    Raises:
        ValueError: for a column that is not there, or a table that can be read in several ways; the message names the
            option that decides.
    """
    role = {kind: _find(kind, getattr(layout, kind), list(kinds)) for kind in NAMES}
    rest = [name for name in kinds if name not in role.values()]
    found = Columns("series", **role, values=[])  # type: ignore[arg-type]
    if lists := _lists(kinds, rest, layout):
        found.rows, found.values = "lists", [[name] for name in lists]
        found.left_out = {name: "it holds no lists" for name in rest if name not in lists}
        return found
    values = _values(kinds, rest, layout, found)
    if role["time"] or role["channel"] or (role["id"] and _rows_are_times(role["id"], layout, repeats, values)):
        found.rows = "time"
    elif not _are_numbered(values):
        if layout.recording:
            found.rows = "time"
        elif layout.values is None or len(values) < FEW_SAMPLES:
            raise ValueError(question(values))
    if found.rows == "time":
        if role["channel"] and len(values) != 1:
            given = f"found {some(values)}; name it with --value-columns"
            raise ValueError(f"a table with the channels in a column, {role['channel']!r}, has one of values: {given}")
        found.values = [[name] for name in (values if layout.values else sorted(values, key=natural))]
        return found
    if role["id"]:
        found.left_out[role["id"]] = "it names the rows"
        found.id = None
    found.values = _by_channel(values) if _are_numbered(values) else [values]
    return found


def natural(name: str) -> tuple:
    """A key that sorts names by their words and numbers: c2 before c10."""
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)), name


def _find(kind: str, given: str | None, names: list[str]) -> str | None:
    if given is not None:
        if given not in names:
            raise ValueError(f"there is no {kind} column {given!r}; the columns are {some(names)}")
        return given
    found = [name for name in names if name.strip().lower() in NAMES[kind]]
    if len(found) > 1:
        raise ValueError(f"the {kind} may be in the columns {some(found)}: name one with --{kind}-column")
    return found[0] if found else None


def _lists(kinds: Mapping[str, Kind], rest: list[str], layout: Layout) -> list[str]:
    if layout.values is not None and all(kinds.get(name) == "list" for name in layout.values):
        return list(layout.values)
    lists = [name for name in rest if kinds[name] == "list"]
    return ["values"] if "values" in lists else sorted(lists, key=natural)


def _values(kinds: Mapping[str, Kind], rest: list[str], layout: Layout, found: Columns) -> list[str]:
    """The columns of values; those that are left out are noted."""
    if layout.values is not None:
        if missing := [name for name in layout.values if name not in kinds]:
            raise ValueError(f"there is no value column {missing[0]!r}; the columns are {some(list(kinds))}")
        found.left_out |= {name: "it was not asked for" for name in rest if name not in layout.values}
        rest = list(layout.values)
    else:
        found.left_out |= {name: "it numbers the rows" for name in rest if ROW_NUMBERS.fullmatch(name.strip())}
        rest = [name for name in rest if name not in found.left_out]
    if others := [name for name in rest if kinds[name] != "number"]:
        hint = "name the classes with --label-column, times with --time-column, or the values with --value-columns"
        raise ValueError(f"the column {others[0]!r} does not hold numbers: {hint}")
    if not rest:
        raise ValueError("the table has no column of values")
    return rest


def _rows_are_times(name: str, layout: Layout, repeats: Callable[[str], bool], values: list[str]) -> bool:
    """Whether a row is a time of the series that its id names, rather than a series."""
    if not repeats(name):
        return False
    if layout.id is None and _are_numbered(values) and len(values) >= FEW_SAMPLES:
        columns = f"the columns {some(values)} may be samples or channels"
        raise ValueError(
            f"rows share values of {name!r}, and {columns}: if a row is a time of the series {name}, add "
            f"--id-column {name}; if it is a series, leave the column out"
        )
    return True


def _are_numbered(values: list[str]) -> bool:
    dates = all(DATE.fullmatch(name) for name in values)
    return dates or all(_as_number(name) is not None or NUMBERED.fullmatch(name) for name in values)


def question(values: list[str]) -> str:
    """What is asked about columns that may be samples of a series or channels of a time."""
    stray = [name for name in values if not _are_numbered([name])]
    if len(stray) < len(values) and len(values) > FEW_SAMPLES:
        rest = [name for name in values if name not in stray]
        return (
            f"the column {stray[0]!r} is no sample of a series in the columns {some(rest)}: leave it out with "
            "--value-columns, or if it holds the classes, name it with --label-column"
        )
    return (
        f"the columns {some(values)} may be channels or samples: if a row is a time, name its column with "
        "--time-column, or cut the recording with --window; if a row is a series, number the columns t0, t1, ..."
    )


def _as_number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def _by_channel(values: list[str]) -> list[list[str]]:
    """The columns of each channel in the order of their numbers: t0, t1, ...; acc_x_0, acc_x_1, ..., acc_y_0, ..."""
    if all(DATE.fullmatch(name) for name in values):
        return [sorted(values, key=natural)]
    if all(_as_number(name) is not None for name in values):
        return [sorted(values, key=float)]
    placed: dict[str, dict[int, str]] = {}
    for name in values:
        match = NUMBERED.fullmatch(name)
        assert match is not None  # all are numbered
        placed.setdefault(match[1], {})[int(match[2])] = name
    channels = [placed[prefix] for prefix in sorted(placed, key=natural)]
    numbers = [sorted(channel) for channel in channels]
    if len(values) != sum(map(len, numbers)) or any(other != numbers[0] for other in numbers):
        raise ValueError(
            f"the columns {some(sorted(values, key=natural))} do not give each channel the same samples: "
            "a channel has columns such as acc_x_0, acc_x_1, ..."
        )
    steps = [after - before for before, after in pairwise(numbers[0])]
    if len(set(steps)) > 1:
        before = numbers[0][steps.index(max(steps))]
        beside = f"{channels[0][before]} and {channels[0][before + max(steps)]}"
        raise ValueError(f"the columns are not evenly numbered, between {beside} samples seem to be missing")
    return [[channel[number] for number in numbers[0]] for channel in channels]


def some(names: Sequence[str], most: int = 10) -> str:
    """The first names of a list, in words."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
