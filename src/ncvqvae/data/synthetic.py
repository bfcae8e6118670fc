"""Synthetic series of many kinds, for pre-training: sums and products of random components.

After KernelSynth of Chronos (Ansari et al., arXiv 2403.07815) and CauKer (arXiv 2508.02879), which compose series from
Gaussian-process kernels. The components here are kernel samples, oscillations, chirps, random walks, steps, peaks,
noise, resonances, pulse trains, trends and square waves.
"""

from collections.abc import Iterator

import numpy as np
from datasets import Dataset, Features, List, Value


VERSION = 1  # raise it whenever the series change: it is part of the cache's key
LENGTHS = (64, 96, 128, 192, 256, 384, 512)


def synthetic_dataset(num_series: int, seed: int = 0) -> Dataset:
    """Series of `LENGTHS` samples, mean 0 and standard deviation 1, in a column `values` `(length,)`.

    The dataset is cached by its arguments.
    """
    features = Features(values=List(Value("float32")))
    arguments = {"num_series": num_series, "seed": seed, "version": VERSION}
    return Dataset.from_generator(_rows, features=features, gen_kwargs=arguments)


def _rows(num_series: int, seed: int, version: int) -> Iterator[dict]:
    for index in range(num_series):
        rng = np.random.default_rng((seed, index))
        yield {"values": synthetic_series(int(rng.choice(LENGTHS)), rng).astype(np.float32)}


def synthetic_series(length: int, rng: np.random.Generator) -> np.ndarray:
    """One series `(length,)` of one to three components, sometimes within a window only, often with noise."""
    time = np.linspace(0, 1, length)
    series = _component(time, rng)
    for _ in range(rng.integers(0, 3)):
        other = _component(time, rng) * 10 ** rng.uniform(-1, 0.2)
        series = series * other if rng.random() < 0.15 else series + other
    if rng.random() < 0.3:
        start, end = np.sort(rng.random(2))
        inside = (time > start) & (time < end)
        series = np.where(inside, series, 0.1 * rng.standard_normal())
    if rng.random() < 0.5:
        scale = 10 ** rng.uniform(-2, -0.3) * (series.std() + 1e-6)
        series = series + scale * rng.standard_normal(length)
    deviation = series.std()
    if deviation < 1e-6:  # a step or a window outside of the series: try again
        return synthetic_series(length, rng)
    return (series - series.mean()) / deviation


def _component(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return COMPONENTS[rng.integers(len(COMPONENTS))](time, rng)


def _kernel(time: np.ndarray, rng: np.random.Generator, scale: float | None = None) -> np.ndarray:
    """A sample of a Gaussian process with a squared exponential kernel, by random Fourier features."""
    scale = 10 ** rng.uniform(-2, 0) if scale is None else scale
    frequency, phase, weight = rng.standard_normal(64) / scale, 2 * np.pi * rng.random(64), rng.standard_normal(64)
    return (weight[:, None] * np.cos(frequency[:, None] * time + phase[:, None])).sum(0) / 32**0.5


def _oscillation(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = np.sin(2 * np.pi * (2 ** rng.uniform(0, 6) * time + rng.random()))
    return wave * (1 + 0.5 * _kernel(time, rng, 0.3)) if rng.random() < 0.5 else wave


def _chirp(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    first, last = 2 ** rng.uniform(0, 6, 2)
    return np.sin(2 * np.pi * (first * time + (last - first) * time**2 / 2 + rng.random()))


def _walk(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.standard_normal(len(time))) * 2 / len(time) ** 0.5


def _steps(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = rng.integers(1, 6)
    return (rng.standard_normal((count, 1)) * (time > rng.random((count, 1)))).sum(0)


def _peaks(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = rng.integers(1, 12)
    distance = (time - rng.random((count, 1))) / 10 ** rng.uniform(-2.7, -1, (count, 1))
    return (rng.standard_normal((count, 1)) * np.exp(-0.5 * distance**2)).sum(0)


def _noise(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(len(time))


def _resonance(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An autoregressive process of order 2 with complex roots."""
    radius, angle = rng.uniform(0.7, 0.995), rng.uniform(0.02, 2.5)
    values = [0.0, 0.0]
    for shock in rng.standard_normal(len(time) + 200):
        values.append(2 * radius * np.cos(angle) * values[-1] - radius**2 * values[-2] + shock)
    return np.array(values[-len(time) :]) / np.std(values)


def _pulses(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A periodic shape with 2 to 12 harmonics: heartbeats, gaits, seasons."""
    phase = time / 10 ** rng.uniform(-1.7, -0.2) + rng.random()
    order = np.arange(1, rng.integers(3, 13))[:, None]
    weight = rng.standard_normal(order.shape) / order ** rng.uniform(0.2, 1.2)
    return (weight * np.cos(2 * np.pi * (order * phase + rng.random(order.shape)))).sum(0)


def _trend(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-2, 2]) * time ** rng.uniform(0.3, 3)


def _square(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sign(np.sin(2 * np.pi * (2 ** rng.uniform(0, 4) * time + rng.random())))


COMPONENTS = (
    *(_kernel, _oscillation, _chirp, _walk, _steps, _peaks),
    *(_noise, _resonance, _pulses, _trend, _square),
)
