"""DataFrames whose index holds times, or series and times, and lists of them, as plain tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .names import role_of
from .times import look_like_dates


TIMES = pd.DatetimeIndex | pd.PeriodIndex | pd.TimedeltaIndex


def with_index(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the times, or the series and their times, that its index holds as columns.

    An index of times and the two levels of an index of series and times have these names, whatever they were called.
    Other levels keep theirs.

    Raises:
        ValueError: for an index that is called as a column, or whose levels have no names.
    """
    index = table.index
    own = [name for name in index.names if name is not None]
    named = len(own) == index.nlevels and bool({role_of(str(name)) for name in own} & {"label", "channel"})
    if isinstance(index, pd.MultiIndex) and not named and not (index.nlevels > 2 and len(own) == index.nlevels):
        if index.nlevels != 2:
            raise ValueError(f"an index has the levels series and time, found {index.nlevels} levels")
        is_time = [_is_time(index.levels[level], index.names[level]) for level in (0, 1)]
        own = ["time", "series"] if is_time == [True, False] else ["series", "time"]
    elif len(own) == 1 and own[0] in table and np.array_equal(table[own[0]], index):  # of set_index(..., drop=False)
        own = []
    elif isinstance(index, TIMES) or (not own and index.dtype.kind == "O" and look_like_dates(index)):
        own = ["time"]
    if twice := [name for name in own if name in table]:
        raise ValueError(f"the index and a column are both called {twice[0]!r}: leave one out, or call it otherwise")
    return table.reset_index(names=own) if own else table.reset_index(drop=True)


def one_table(tables: Sequence[pd.DataFrame], labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Recordings in tables of their own, with a time in each row, as one table with a column `series`."""
    if any(list(table.columns) != list(tables[0].columns) for table in tables):
        raise ValueError("the tables of the list differ in their columns")
    parts = [with_index(table).assign(series=number) for number, table in enumerate(tables)]
    if labels is not None:
        parts = [part.assign(label=label) for part, label in zip(parts, labels, strict=True)]
    return pd.concat(parts)


def _is_time(level: pd.Index, name: object) -> bool:
    return isinstance(level, TIMES) or role_of(str(name)) == "time"
