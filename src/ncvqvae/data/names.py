"""What the names of columns say: which role a column has, and which columns are the samples of which channel."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from .times import read_times


# The names, in small letters with `_` and without a unit or `_id`, by which a column is known without an option.
NAMES = {
    "label": ("label", "labels", "class"),
    "id": (
        *("id", "series", "unique", "item", "instance", "window", "recording", "session", "trial", "rec", "run"),
        *("experiment", "episode", "segment", "unit", "unit_number", "subject", "user", "participant", "patient"),
    ),
    "time": (
        *("time", "timestamp", "ts", "ds", "date", "datetime", "time_index", "timepoint", "timestep", "time_step"),
        *("elapsed", "time_elapsed", "elapsed_time", "seconds_elapsed", "epoch", "unix_time", "unix_timestamp"),
        "date_time",
    ),
    "channel": ("channel", "dimension", "dim", "sensor", "variable"),
}
ROW_NUMBERS = re.compile(
    r"#|idx|index|no\.?|nr\.?|row|row[ _]?(names|number|num|no|nr|id|index)|unnamed: \d+|(__index_)?level_\d+(__)?",
    re.IGNORECASE,
)
COUNTS_ROWS = re.compile(r"time|stamp|elapsed|clock|frame|sample|step|tick|count|seq|packet", re.IGNORECASE)
UNIT = re.compile(r"[ _]*(\([^)]*\)|\[[^]]*\])|[ _](s|ms|us|µs|ns|sec|secs|seconds|utc|unix)")
NUMBERED = re.compile(r"(.*?)(\d+)")
# 2020-01-31, 2020-01, 2020/1/31 12:00, 2020Q1, 2020_01, 12:00: such names sort as words and numbers.
SORTABLE_TIME = re.compile(r"(19|20)\d\d[-/._ ]?[mqwMQW]?\d\d?\b.*|\d\d?:\d\d\b.*")
DAY_OR_MONTH_FIRST = re.compile(r"\d\d?[-/.]\d\d?[-/.]\d{2,4}\b.*")
CHANNELS = re.compile(
    r"(.*[ _])?(sensor|channel|chan|ch|electrode|emg|eeg|imu|acc|gyro?|mag|adc)[ _-]*", re.IGNORECASE
)
MAY_BE_CLASSES = re.compile(
    r"(activity|gesture|(activity|class|label|gesture|category)[ _-]?id|category)", re.IGNORECASE
)
# c0.1 is 0.1, or sample 1 of c0; t-1 and lag 1 go back in time; in t0_c1 the sample comes first.
UNCLEAR = re.compile(r".*\d\.\d+|(.*[ _])?(t-|lag[ _-]?)\d+|t[ _-]?\d+[ _-].*\d", re.IGNORECASE)
SAMPLES = re.compile(r"(.*[ _])?t[ _-]*|", re.IGNORECASE)
FEW_SAMPLES = 8  # fewer columns or samples seem to be the channels of one time, and are asked about


def role_of(name: str) -> str | None:
    """Whether a column's name says that it holds the `"label"`, the `"id"`, the `"time"` or the `"channel"`."""
    plain = re.sub(r"[ _-]+", "_", name.strip().lower())
    bare = re.sub(f"({UNIT.pattern})$", "", name.strip().lower()).replace(" ", "_")
    for role, names in NAMES.items():
        if plain in names or (role in ("id", "channel") and plain.removesuffix("_id") in names):
            return role
    return "time" if bare in NAMES["time"] else None


def natural(name: str) -> tuple:
    """A key that sorts names by their words and numbers: c2 before c10."""
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)), name


def some(names: Sequence[str], most: int = 10) -> str:
    """The first names of a list, in words."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def are_numbered(names: Sequence[str]) -> bool:
    """Whether names are numbers, times, or words that end in a number."""
    return _are_times(names) or all(_as_number(name) is not None or NUMBERED.fullmatch(name) for name in names)


def by_channel(names: Sequence[str], day_first: bool | None = None) -> list[list[str]]:
    """Numbered columns, those of each channel in the order of their numbers, wherever they stand.

    Examples are `t0, t1, ...`; `acc_x_0, acc_x_1, ..., acc_y_0, ...`; and the times of the samples.

    Raises:
        ValueError: for channels with unequal samples, samples that are missing, or dates that may be read both ways.
    """
    if all(SORTABLE_TIME.fullmatch(name) for name in names):
        return [sorted(names, key=natural)]
    if _are_times(names):
        times = read_times(pd.Series(names, name="names of the columns"), day_first)
        return [[names[place] for place in times.argsort()]]
    if at := _at_times(names):
        return [sorted(names, key=at.__getitem__)]
    placed: dict[str, dict[int, str]] = {}
    for name in names:
        match = NUMBERED.fullmatch(name)
        assert match is not None  # all are numbered
        placed.setdefault(match[1], {})[int(match[2])] = name
    channels = [placed[prefix] for prefix in sorted(placed, key=natural)]
    _check_evenly_numbered(names, channels)
    return [[channel[number] for number in sorted(channel)] for channel in channels]


def name_samples(names: Sequence[str]) -> bool:
    """Whether numbered columns can only be samples: t0, t1, ..., plain numbers, times, or many of several channels."""
    prefixes = _prefixes(names)
    several = len(prefixes) > 1 and len(names) >= FEW_SAMPLES * len(prefixes)
    return several or all(SAMPLES.fullmatch(prefix) for prefix in prefixes)


def name_channels(names: Sequence[str]) -> bool:
    """Whether the words of numbered columns name channels: sensor1, sensor2, ..."""
    return all(CHANNELS.fullmatch(prefix) for prefix in _prefixes(names))


def _prefixes(names: Sequence[str]) -> set[str]:
    if _are_times(names) or all(_as_number(name) is not None for name in names):
        return {""}
    return {match[1] for match in map(NUMBERED.fullmatch, names) if match}


def _are_times(names: Sequence[str]) -> bool:
    return any(all(kind.fullmatch(name) for name in names) for kind in (SORTABLE_TIME, DAY_OR_MONTH_FIRST))


def _as_number(name: str) -> float | None:
    return float(name) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", name.strip()) else None


def _at_times(names: Sequence[str]) -> dict[str, float]:
    """The times in names such as 0.5 or t_0.5, or nothing if these are not the names.

    Raises:
        ValueError: for numbers that may be those of channel and sample (0.1 beside 0.10), or go back in time (t-1).
    """
    times = {name: _as_number(re.sub(f"^({SAMPLES.pattern})(?=\\d+\\.\\d+$)", "", name, flags=re.I)) for name in names}
    known = {name: time for name, time in times.items() if time is not None}
    if len(set(known.values())) == len(names):
        return known
    unclear = [name for name in names if UNCLEAR.fullmatch(name) or (len(known) == len(names) and "." in name)]
    if unclear:
        raise ValueError(
            f"the number in the column {unclear[0]!r} may be read in several ways: number the columns t0, t1, ..., or "
            "those of several channels x_0, x_1, ..., y_0, ..."
        )
    return {}


def _check_evenly_numbered(names: Sequence[str], channels: list[dict[int, str]]) -> None:
    numbers = [sorted(channel) for channel in channels]
    if len(names) != sum(map(len, numbers)) or any(other != numbers[0] for other in numbers):
        raise ValueError(
            f"the columns {some(sorted(names, key=natural))} do not give each channel the same samples: "
            "a channel has columns such as acc_x_0, acc_x_1, ..."
        )
    steps = [after - before for before, after in pairwise(numbers[0])]
    if len(set(steps)) > 1:
        before = numbers[0][steps.index(max(steps))]
        beside = f"{channels[0][before]} and {channels[0][before + max(steps)]}"
        raise ValueError(f"the columns are not evenly numbered, between {beside} samples seem to be missing")


def which(what: str, name: str, values: list[str], option: str) -> str:
    """What is asked where rows may be times or series; `option` says that they are times."""
    columns = f"the columns {some(values)} may be samples or channels"
    return f"{what} {name!r}, and {columns}: if a row is a time, add {option}; if it is a series, leave the column out"


def question(values: list[str]) -> str:
    """What is asked about columns that may be samples of a series or channels of a time."""
    stray = [name for name in values if not are_numbered([name])]
    if 0 < len(stray) < len(values) and len(values) > FEW_SAMPLES:
        rest = [name for name in values if name not in stray]
        return (
            f"the column {stray[0]!r} is no sample of a series in the columns {some(rest)}: leave it out with "
            "--value-columns, or if it holds the classes, name it with --label-column"
        )
    return (
        f"the columns {some(values)} may be channels or samples: if a row is a time, name its column with "
        "--time-column, or cut the recording with --window; if a row is a series, number the columns t0, t1, ..."
    )
