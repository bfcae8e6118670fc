"""What is missing in series, and what is put in its place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Survey:
    """What a set of series holds.

    `sizes` and `ends` are the samples of each, with and without the NaN that all its channels end in; `num_missing`
    counts every NaN; `padded` says that none stands before such an end.
    """

    channels: int
    sizes: list[int]
    ends: list[int]
    num_missing: int
    padded: bool


def survey(arrays: Iterable[np.ndarray]) -> Survey:
    """Looks at series `(channels, length)` one by one.

    Raises:
        ValueError: for no series, series of unequal channels, or one with a channel without any value.
    """
    found = Survey(0, [], [], 0, True)
    for index, series in enumerate(arrays):
        if found.channels not in (0, len(series)):
            raise ValueError(f"series differ in their channels: {sorted({found.channels, len(series)})}")
        known = ~np.isnan(series)
        if not known.any():
            raise ValueError(f"series {index} holds no value at all, only NaN")
        if not known.any(1).all():
            raise ValueError(f"series {index} has a channel that holds no value at all, only NaN")
        end = int(known.any(0).nonzero()[0][-1]) + 1
        found.channels = len(series)
        found.sizes.append(series.shape[1])
        found.ends.append(end)
        found.num_missing += int(known.size - known.sum())
        found.padded &= bool(known[:, :end].all())
    if not found.sizes:
        raise ValueError("there are no series: the split is empty")
    return found


def fill_series(series: np.ndarray, padded: bool, length: int | None = None) -> np.ndarray:
    """One series `(channels, length)` without its gaps, stretched to `length` (default: not stretched)."""
    known = ~np.isnan(series)
    if padded:
        end = int(known.any(0).nonzero()[0][-1]) + 1
        series, known = series[:, :end], known[:, :end]
    points = np.arange(series.shape[1])
    length = length or len(points)
    if known.all() and len(points) == length:
        return series
    target = np.linspace(0, len(points) - 1, length)
    return np.stack([np.interp(target, points[k], part[k]) for part, k in zip(series, known, strict=True)])


def fill_gaps(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Series `(channels, length)` with gaps to one array `(series, channels, length)` without.

    Two policies, one for each kind of dataset. Where series differ in length, or NaN stands only at their ends (the
    archive's padding), the series are of unequal length: each is stretched linearly to the longest, so that its whole
    shape stays. Where NaN stands anywhere else, values are missing: each is interpolated linearly in time, and
    takes the nearest known value at the ends.

    Raises:
        ValueError: for series of unequal channels, or one with a channel without any value.
    """
    found = survey(arrays)
    return np.stack([fill_series(series, found.padded, max(found.sizes)) for series in arrays])
