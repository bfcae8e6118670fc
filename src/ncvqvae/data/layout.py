"""What the columns of a table are: its layout, found from their names and kinds, or given by the caller."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from .names import (
    FEW_SAMPLES,
    MAY_BE_CLASSES,
    NAMES,
    ROW_NUMBERS,
    are_numbered,
    by_channel,
    name_channels,
    name_samples,
    natural,
    question,
    role_of,
    some,
    which,
)


Kind = Literal["list", "number", "time", "other"]


@dataclass(frozen=True)
class Layout:
    """What the caller says about the columns of a table, or the axes of an array; see `load_series`.

    With a `window`, rows are times of one recording where nothing else says what they are.
    """

    label: str | None = None
    id: str | None = None
    time: str | None = None
    values: Sequence[str] | None = None
    channel: str | None = None
    channels_last: bool | None = None
    day_first: bool | None = None
    window: int | None = None

    @property
    def named(self) -> list[str]:
        """The columns that are no values, by name."""
        return [name for name in (self.label, self.id, self.time, self.channel) if name is not None]

    def spelled(self, names: Iterable[str]) -> "Layout":
        """The same, with columns named as a table with these `names` spells them, in capitals or not."""
        spellings: dict[str, list[str]] = {}
        for name in names:
            spellings.setdefault(name.strip().lower(), []).append(name)

        def spelled(given: str | None) -> str | None:
            found = spellings.get((given or "").strip().lower(), [])
            return found[0] if len(found) == 1 else given

        values = None if self.values is None else [spelled(name) or name for name in self.values]
        label, id, time, channel = map(spelled, (self.label, self.id, self.time, self.channel))
        return replace(self, values=values, label=label, id=id, time=time, channel=channel)


@dataclass
class Columns:
    """What each column of a table is.

    Args:
        rows: what a row is: a `"series"`, whose samples are in the cells or in `"lists"`, or a `"time"`.
        label, id, time, channel: names of columns, if there are such.
        values: the columns of each channel, in the order of the samples; with `rows` `"time"` and a column of
            channels the one column of values.
        left_out: the columns that are not read, with the reason.
        channels_last: whether lists of lists are `(length, channels)`.
    """

    rows: Literal["series", "lists", "time"]
    label: str | None
    id: str | None
    time: str | None
    channel: str | None
    values: list[list[str]]
    left_out: dict[str, str] = field(default_factory=dict)
    channels_last: bool = False


def find_columns(kinds: Mapping[str, Kind], layout: Layout, repeats: Callable[[str], bool]) -> Columns:
    """Finds out what the columns of a table are.

    Args:
        kinds: what each column holds, by its name, in the order of the table.
        repeats: says whether a column has a value twice.

    Raises:
        ValueError: for a column that is not there, or a table that can be read in several ways; the message names the
            option that decides.
    """
    layout = layout.spelled(kinds)
    role = {kind: _find(kind, layout, list(kinds)) for kind in NAMES}
    role["time"] = role["time"] or _dated(kinds, role, layout)
    found = Columns("series", **role, values=[])  # type: ignore[arg-type]
    rest = _without_namesakes([name for name in kinds if name not in role.values()], layout, found)
    if lists := _lists(kinds, rest, layout):
        found.rows, found.values = "lists", [[name] for name in lists]
        found.channels_last = bool(layout.channels_last)
        found.left_out |= {name: "it holds no lists of numbers" for name in rest if kinds[name] != "list"}
        why = "it was not asked for" if layout.values else f"the series are in {lists[0]}"
        found.left_out |= {name: why for name in rest if name not in (*lists, *found.left_out)}
        return _of_series(found)
    values = _values(kinds, rest, layout, found)
    if _rows_are_times(values, layout, found, repeats):
        found.rows = "time"
        if role["channel"] and len(values) != 1:
            given = f"found {some(values)}; name it with --value-columns"
            raise ValueError(f"a table with the channels in a column, {role['channel']!r}, has one of values: {given}")
        if (
            layout.values is None
            and found.label is None
            and (classes := [one for one in values if MAY_BE_CLASSES.fullmatch(one)])
        ):
            hint = "name it with --label-column, or if it is a channel, name all channels with --value-columns"
            raise ValueError(f"the column {classes[0]!r} may hold the classes: {hint}")
        found.values = [[name] for name in (values if layout.values else sorted(values, key=natural))]
        return found
    found.values = by_channel(values, layout.day_first) if are_numbered(values) else [values]
    return _of_series(found)


def as_times(columns: Columns) -> Columns:
    """The columns of samples of a table as its channels, because a row seems to be a time."""
    names = sorted((name for channel in columns.values for name in channel), key=natural)
    return Columns("time", columns.label, None, None, None, [[name] for name in names], columns.left_out)


def _find(kind: str, layout: Layout, names: list[str]) -> str | None:
    given = getattr(layout, kind)
    if given is not None:
        if given not in names:
            raise ValueError(f"there is no {kind} column {given!r}; the columns are {some(names)}")
        return given
    taken = {*layout.named, *(layout.values or [])}
    found = [name for name in names if role_of(name) == kind and name not in taken]
    if len(found) > 1:
        raise ValueError(f"the {kind} may be in the columns {some(found)}: name one with --{kind}-column")
    return found[0] if found else None


def _dated(kinds: Mapping[str, Kind], role: Mapping[str, str | None], layout: Layout) -> str | None:
    """The only column of dates or durations, unless the samples of a series stand in each row."""
    others = [name for name in kinds if name not in (*role.values(), *(layout.values or []))]
    dated = [name for name in others if kinds[name] == "time"]
    numbers = [name for name in others if kinds[name] == "number" and not ROW_NUMBERS.fullmatch(name.strip())]
    in_rows = numbers and are_numbered(numbers) and name_samples(numbers)
    return dated[0] if len(dated) == 1 and not in_rows else None


def _without_namesakes(rest: list[str], layout: Layout, found: Columns) -> list[str]:
    """The columns without those that are called as one that an option names, such as a second column of times."""
    for name in rest:
        kind = role_of(name)
        if kind is not None and name not in (layout.values or []):
            found.left_out[name] = f"the {kind} is in {getattr(found, kind)}"
    return [name for name in rest if name not in found.left_out]


def _of_series(found: Columns) -> Columns:
    """Leaves out the columns that say nothing where a row is a series."""
    for kind in ("id", "time", "channel"):
        if name := getattr(found, kind):
            found.left_out[name] = "it names the rows" if kind == "id" else "a row is a series"
            setattr(found, kind, None)
    return found


def _lists(kinds: Mapping[str, Kind], rest: list[str], layout: Layout) -> list[str]:
    if layout.values is not None and all(kinds.get(name) == "list" for name in layout.values):
        return list(layout.values)
    lists = [name for name in rest if kinds[name] == "list" and not ROW_NUMBERS.fullmatch(name.strip())]
    return next(([name] for name in ("values", "target") if name in lists), sorted(lists, key=natural))


def _values(kinds: Mapping[str, Kind], rest: list[str], layout: Layout, found: Columns) -> list[str]:
    """The columns of values; those that are left out are noted."""
    if layout.values is not None:
        if missing := [name for name in layout.values if name not in kinds]:
            raise ValueError(f"there is no value column {missing[0]!r}; the columns are {some(list(kinds))}")
        if len(set(layout.values)) < len(layout.values):
            raise ValueError(f"--value-columns name a column twice; found {some(layout.values)}")
        found.left_out |= {name: "it was not asked for" for name in rest if name not in layout.values}
        rest = list(layout.values)
    else:
        found.left_out |= {name: "it numbers the rows" for name in rest if ROW_NUMBERS.fullmatch(name.strip())}
        rest = [name for name in rest if name not in found.left_out]
    if others := [name for name in rest if kinds[name] != "number"]:
        numbers = [name for name in rest if kinds[name] == "number"]
        if not _are_notes(others, numbers, layout, found):
            hint = "name the classes with --label-column, times with --time-column, or the values with --value-columns"
            raise ValueError(f"the column {others[0]!r} does not hold numbers: {hint}")
        found.left_out |= dict.fromkeys(others, "it holds no numbers")
        rest = numbers
    if not rest:
        raise ValueError("the table has no column of values")
    return rest


def _are_notes(others: list[str], numbers: list[str], layout: Layout, found: Columns) -> bool:
    """Whether columns that are no numbers are notes beside series in rows, whose samples and classes are known."""
    given = layout.values is not None or layout.id is not None or found.label is None
    return (
        not given
        and bool(numbers)
        and are_numbered(numbers)
        and name_samples(numbers)
        and not any(are_numbered([name]) for name in others)
    )


def _rows_are_times(values: list[str], layout: Layout, found: Columns, repeats: Callable[[str], bool]) -> bool:
    """Whether a row is a time, rather than a series."""
    numbered = are_numbered(values)
    if found.channel or layout.time:
        return True
    if found.id and not repeats(found.id) and numbered:
        return False
    if found.id and repeats(found.id):
        samples = not found.time or name_samples(values)
        if layout.id is None and numbered and len(values) >= FEW_SAMPLES and samples:
            raise ValueError(which("rows share values of", found.id, values, f"--id-column {found.id}"))
        return True
    if found.time:
        if numbered and len(values) >= FEW_SAMPLES and name_samples(values):
            raise ValueError(which("there are times in", found.time, values, f"--time-column {found.time}"))
        return True
    if not numbered:
        if layout.window is None and (layout.values is None or len(values) < FEW_SAMPLES):
            raise ValueError(question(values))
        return layout.window is not None
    if layout.window is not None and layout.window > len(by_channel(values, layout.day_first)[0]):
        return True  # no series in a row is so long
    if name_channels(values) and not name_samples(values):
        if layout.window is None:
            raise ValueError(question(values))
        return True
    return False
