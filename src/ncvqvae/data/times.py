"""Times of samples, however a table writes them: numbers, dates, periods and durations."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..runtime import one_line


NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
YEAR_FIRST = re.compile(r"\s*\d{4}([-/.]\d{1,2}([-/.]\d{1,2}.*)?)?\s*")
DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))(\D.*)?")
QUARTER = re.compile(r"\s*\d{4}-?[Qq][1-4]\s*")
YEAR_MONTH_DAY = re.compile(r"^(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2}))?")
DAY_OR_MONTH_FIRST = re.compile(r"\s*(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})\b.*")
DURATION = re.compile(
    r"\s*[-+]?(\d+ days?,?\s*)?(\d+:\d\d(:\d\d)?(\.\d+)?)?\s*|\s*(\d+(\.\d+)?\s*[a-zA-Zµ]{1,7}\s*)+|P[\dTDHMS.]+"
)
CLOCK = re.compile(r"\s*\d{1,2}(:\d\d){0,2}(\.\d+)? ?[ap]\.?m\.?\s*", re.IGNORECASE)
ZONE = re.compile(r".*\d{2}:?\d{2}.*([zZ]|[-+]\d{2}:?\d{2})\s*")
CLOCK_COMMA = re.compile(r"(\d:\d{2}),(\d+)")  # 12:00:00,250, as Python's logging writes it
HALF_DAY = re.compile(r".*\d ?[ap]\.?m\.?\s*", re.IGNORECASE)
UTC = re.compile(r"(?<=\d) ?(UTC|GMT)\s*$")
YEARS = 1678, 2261  # those that nanoseconds of 64 bits reach; Jan-22 becomes a day of the year 1
DAY = 24 * 60 * 60  # seconds
FORMATS = "a number or a date such as 2020-01-31 or 2020-01-31 12:00:00"


def read_times(column: pd.Series, day_first: bool | None = None) -> pd.Series:
    """The times of a column as numbers, dates or durations, which sort.

    Dates with a time zone become UTC, periods their start, and text what it says: a number, an ISO date with or
    without a clock time, a quarter (2020Q1), a duration (1 days 02:00:00), or a date with the month in words.

    Args:
        day_first: whether 10/01/2020 is the tenth of January; `None` refuses dates that may be read both ways.

    Raises:
        ValueError: for a time that is missing or cannot be read; the message names its row, counted from 1.
    """
    name = column.name
    if (missing := column.isna().to_numpy()).any():
        raise ValueError(f"row {missing.argmax() + 1} has no time in the column {name!r}")
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.start_time
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return _finite(column)
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.dt.tz_convert("UTC") if column.dt.tz is not None else column
    if pd.api.types.is_timedelta64_dtype(column):
        return column
    text = column.astype(str).str.replace(CLOCK_COMMA, r"\1.\2", regex=True)
    text = text.str.replace(UTC, "Z", regex=True)
    if (empty := text.str.strip().eq("").to_numpy()).any():
        raise ValueError(f"row {empty.argmax() + 1} has no time in the column {name!r}")
    return _read_text(text, day_first)


def _finite(times: pd.Series) -> pd.Series:
    if (endless := ~np.isfinite(times.to_numpy(np.float64))).any():
        raise ValueError(
            f"row {endless.argmax() + 1} holds no time in the column {times.name!r}, but {times[endless].iloc[0]}"
        )
    return times


def look_like_dates(texts: Sequence) -> bool:
    """Whether all texts, of which there is one at least, are dates in numbers."""
    return len(texts) > 0 and all(DATE.fullmatch(str(text)) for text in texts)


def largest_gap(times: pd.Series) -> tuple[float, float] | None:
    """The largest step of sorted times and their usual one, if that is less by more than a fifth; else `None`."""
    steps = np.diff(as_numbers(times))
    if not len(steps) or steps.max() <= 1.2 * np.median(steps):
        return None
    return float(steps.max()), float(np.median(steps))


def passes_midnight(times: pd.Series) -> bool:
    """Whether clock times, in the order of a file, rise but for falls from the end of a day to its begin."""
    if not pd.api.types.is_timedelta64_dtype(times):
        return False
    seconds = times.dt.total_seconds().to_numpy()
    steps = np.diff(seconds)
    falls = steps[steps < 0]
    return bool(len(falls) and (falls < -DAY / 2).all() and seconds.min() >= 0 and seconds.max() < DAY)


def show_step(step: float, times: pd.Series) -> str:
    """A step of `largest_gap` in words."""
    if pd.api.types.is_numeric_dtype(times) and not pd.api.types.is_timedelta64_dtype(times):
        return f"{step:g}"
    return str(pd.Timedelta(int(step), unit="ns"))


def as_numbers(times: pd.Series) -> np.ndarray:
    """Times of `read_times` in float64; dates and durations in nanoseconds, from the first one on."""
    if pd.api.types.is_datetime64_any_dtype(times):
        times = (times.dt.tz_localize(None) if times.dt.tz is not None else times).astype("datetime64[ns]")
    elif not pd.api.types.is_timedelta64_dtype(times):
        return times.to_numpy(np.float64)
    steps = (times - times.min()).astype("timedelta64[ns]")
    return steps.astype(np.int64).to_numpy().astype(np.float64)


def _read_text(text: pd.Series, day_first: bool | None) -> pd.Series:
    matches = {kind: text.str.fullmatch(kind).to_numpy(bool) for kind in (NUMBER, QUARTER, YEAR_FIRST, DURATION)}
    if matches[NUMBER].all():
        return pd.to_numeric(text)
    if matches[QUARTER].all():
        periods = pd.PeriodIndex(text.str.strip().str.upper().str.replace("-", ""), freq="Q")
        return pd.Series(periods.start_time, index=text.index, name=text.name)
    if matches[YEAR_FIRST].all():
        kind = "mixed" if text.str.fullmatch(HALF_DAY).any() else "ISO8601"
        return _convert(text.str.strip().str.replace(YEAR_MONTH_DAY, _iso, regex=True), text, format=kind)
    if text.str.fullmatch(CLOCK).all():
        return _convert("2000-01-01 " + text.str.strip(), text, format="mixed") - pd.Timestamp("2000-01-01")
    if matches[DURATION].all():
        return _read_durations(text)
    parts = text.str.extract(DAY_OR_MONTH_FIRST)
    if parts[0].notna().all():
        return _read_day_or_month_first(text, parts, day_first)
    if (odd := _odd_one(text, [*matches.values(), parts[0].notna().to_numpy()])) is not None:
        found = f"row {odd + 1} of the column {text.name!r} holds {text.iloc[odd]!r}"
        raise ValueError(f"{found}, unlike the other times; expected {FORMATS}")
    return _convert(text, text, format="mixed")


def _read_durations(text: pd.Series) -> pd.Series:
    """Durations; 1:30 are hours and minutes, but minutes and seconds where seconds have decimals (1:30.5).

    Raises:
        ValueError: for text that is no duration, or both kinds of 1:30 and 1:30:00.
    """
    plain = text.str.strip()
    short, long = (plain.str.fullmatch(rf"(.*\s)?[-+]?\d+(:\d\d){{{colons}}}(\.\d+)?") for colons in (1, 2))
    if short.any() and long.any():
        row = int(short.to_numpy().argmax())
        found = f"row {row + 1} of the column {text.name!r} holds {text.iloc[row]!r}, unlike others without seconds"
        raise ValueError(f"{found}: write all as hours:minutes:seconds")
    minutes = bool((short & plain.str.contains(".", regex=False)).any())
    plain = (
        plain.str.replace(r"(\d+:\d\d(\.\d+)?)$", r"0:\1" if minutes else r"\1:00", regex=True)
        if short.any()
        else plain
    )
    try:
        return pd.to_timedelta(plain)
    except ValueError as error:
        raise ValueError(f"the column {text.name!r} holds no durations ({one_line(error)[:120]})") from None


def _odd_one(text: pd.Series, matches: list[np.ndarray]) -> int | None:
    """The first row that is not written as most others are."""
    usual = max(matches, key=np.sum)
    return int((~usual).argmax()) if usual.mean() > 0.5 else None


def _iso(date: re.Match) -> str:
    return f"{date[1]}-{int(date[2]):02}-{int(date[3] or 1):02}"


def _convert(dates: pd.Series, text: pd.Series, **how: Any) -> pd.Series:
    """Dates to timestamps; either all name a time zone or none."""
    zones = text.str.fullmatch(ZONE).to_numpy(bool)
    if zones.any() and not zones.all():
        row = int((~zones).argmax())
        raise ValueError(f"row {row + 1} of the column {text.name!r}, {text.iloc[row]!r}, lacks the others' time zone")
    found = pd.to_datetime(dates, errors="coerce", utc=bool(zones.any()), **how)
    if (bad := ~found.dt.year.between(*YEARS).to_numpy()).any():
        row = int(bad.argmax())
        raise ValueError(f"row {row + 1} of the column {text.name!r} holds {text.iloc[row]!r}; expected {FORMATS}")
    return found


def _read_day_or_month_first(text: pd.Series, parts: pd.DataFrame, day_first: bool | None) -> pd.Series:
    days, months = (parts[index].astype(int).to_numpy() for index in ((0, 1) if day_first else (1, 0)))
    row = int((months > 12).argmax())
    where = f"row {row + 1} of the column {text.name!r} holds {text.iloc[row]!r}"
    if (months > 12).any() and day_first:
        raise ValueError(f"{where}, which does not name the day first as --day-first says")
    if (months > 12).any():
        raise ValueError(f"{where}, with the day first: add --day-first, or write the dates as 2020-01-31")
    if day_first is None and not (days > 12).any():
        both = "the day first (add --day-first) or the month (--no-day-first)"
        raise ValueError(f"{where}: the dates may name {both}; or write them as 2020-01-31")
    slashes = text.str.strip().str.replace(r"^(\d+)[-.](\d+)[-.]", r"\1/\2/", regex=True)
    return _convert(slashes, text, format="mixed", dayfirst=bool(day_first))
