"""How far the values of series spread: whether float32 has digits enough for them, and whether one is an outlier."""

import numpy as np


# Values that are so many standard deviations from zero lose more than a thousandth of one in float32.
FAR_FROM_ZERO = 1e4
# A value so many times as far from the median as the others spread leaves them fewer than two digits in float32.
OUTLIER = 1e6
MOST = 1e150  # the squares of larger values are infinite
FLOAT32 = np.finfo(np.float32)
SAMPLES = 64  # values of each series and channel that stand for it in the quantiles
MOST_SAMPLES = 200_000


class Spread:
    """Collects extremes, and a sample of the values, of each channel of series that come one by one."""

    def __init__(self) -> None:
        self._least: list[tuple[float, int]] = []  # of each channel: the value, and the series that holds it
        self._largest: list[tuple[float, int]] = []
        self._sample: list[np.ndarray] = []  # (channels, some values)
        self._size = 0

    def add(self, index: int, series: np.ndarray) -> None:
        """Takes in series number `index`, `(channels, length)` with NaN for gaps, none of which is empty."""
        if not self._least:
            self._least, self._largest = [(np.inf, 0)] * len(series), [(-np.inf, 0)] * len(series)
        self._least = list(map(min, self._least, ((float(one), index) for one in np.nanmin(series, 1))))
        self._largest = list(map(max, self._largest, ((float(one), index) for one in np.nanmax(series, 1))))
        if self._size < MOST_SAMPLES:
            self._sample.append(series[:, :: -(-series.shape[1] // SAMPLES)])
            self._size += self._sample[-1].shape[1]

    def check(self) -> None:
        """Raises `ValueError` for a value that is so far from most others that these would lose their digits."""
        for channel, sample in enumerate(np.concatenate(self._sample, 1)):
            for value, index in (self._least[channel], self._largest[channel]):
                low, median, high = _middle(sample, value)
                where = f"series {index}" + (f", channel {channel}" if len(self._least) > 1 else "")
                if abs(value) > MOST:
                    raise ValueError(f"{where} holds {value:g}, which is too large to compute with: scale the series")
                if high > low and abs(value - median) > OUTLIER * (high - low):
                    raise ValueError(
                        f"{where} holds {value:g}, while most values lie between {low:g} and {high:g}, which "
                        f"leaves them without digits: remove it, or mark it as a gap with --missing-value={value!r}"
                    )

    @property
    def needs_double(self) -> bool:
        """Whether float32 has too few digits, or too small a range, for a channel."""
        for channel, sample in enumerate(np.concatenate(self._sample, 1)):
            far = max(abs(self._least[channel][0]), abs(self._largest[channel][0]))
            with np.errstate(over="ignore"):
                least, most, std = (float(one) for one in (FLOAT32.tiny, FLOAT32.max, np.nanstd(sample)))
            if far > most or far > FAR_FROM_ZERO * std > 0 or 0 < std < least:
                return True
        return False


def _middle(sample: np.ndarray, value: float) -> tuple[float, float, float]:
    """The least and largest value of a sample, and the median, without all that equal `value`.

    A tenth, but at least one, is left out at each end, unless what remains is one number.
    """
    known = np.sort(sample[~np.isnan(sample) & (sample != value)])
    out = max(1, len(known) // 10)
    if len(known) <= 2 * out:
        return 0.0, 0.0, 0.0
    low, median, high = float(known[out]), float(np.median(known)), float(known[-1 - out])
    return (low, median, high) if high > low else (float(known[0]), median, float(known[-1]))
