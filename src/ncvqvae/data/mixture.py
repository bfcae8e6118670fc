"""Many sets of series as one dataset to pre-train on, and crops of its series at the scale of the tokenizer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets, interleave_datasets
from huggingface_hub.dataclasses import strict
from torch import Tensor

from .labels import label_name
from .series import fill_series, series_dataset
from .synthetic import synthetic_dataset
from .ucr import read_split


EMBEDDED = ("ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels", "OSULeaf")  # in aeon
SYNTHETIC = "synthetic"
SHORTEST = 8  # samples


@strict
@dataclass
class MixtureSettings:
    """How series are drawn for pre-training.

    Args:
        crop: samples of a crop, at the scale of the tokenizer.
        working_length: samples that a whole series is tokenized at, about; longer series keep their own number.
        synthetic_share: share of synthetic series.
        num_synthetic: number of different synthetic series.
        least_scale, most_scale: the range of the random time scale, in octaves.
        amplitude: deviation of the logarithm of the random amplitude.
    """

    crop: int = 192
    working_length: int = 512
    synthetic_share: float | int = 0.25
    num_synthetic: int = 20_000
    least_scale: float | int = -0.9
    most_scale: float | int = 0.4
    amplitude: float | int = 0.25

    def validate_ranges(self) -> None:
        if self.crop < 64:
            raise ValueError(f"mixture.crop must be at least 64 samples, found {self.crop}")
        if not 0 <= self.synthetic_share < 1:
            raise ValueError(f"mixture.synthetic_share must lie in [0, 1), found {self.synthetic_share}")
        if self.num_synthetic < 1 or self.working_length < SHORTEST:
            raise ValueError("mixture.num_synthetic must be at least 1 and mixture.working_length at least 8")
        if not self.least_scale <= self.most_scale:
            raise ValueError("mixture.least_scale must be at most mixture.most_scale")


Split = tuple[list[np.ndarray], list[str] | None]  # series (channels, length), and their classes


def load_mixture(
    archives: Sequence[str | Path] = (), tables: Sequence[str | Path] = (), leave_out: Sequence[str] = ()
) -> dict[str, Dataset]:
    """Training series of many sets, by the name of the set; no test split is read.

    Each set is scaled by its mean and standard deviation; gaps are filled, and each channel is a series of its own. A
    set's dataset has the column `values` `(length,)`, of unequal lengths.

    Args:
        archives: folders that hold `<name>/<name>_TRAIN.tsv`.
        tables: parquet files with the columns `dataset` and `values`, and perhaps `label`.
        leave_out: names of sets to leave out.

    Raises:
        ValueError: for a folder without such files, a file that is no such table, or a set to leave out that is not
            there.
    """
    scaled = {name: _scaled(series) for name, (series, _) in _read(archives, tables, leave_out).items()}
    return {name: dataset for name, dataset in scaled.items() if len(dataset)}


def load_classified(
    archives: Sequence[str | Path] = (),
    tables: Sequence[str | Path] = (),
    leave_out: Sequence[str] = (),
    most_samples: int | None = None,
) -> dict[str, Dataset]:
    """The training splits of `load_mixture` that a prior can learn by class: univariate, of one length, with classes.

    They are in their own units, with the columns `values` `(1, length)` and `label`.

    Args:
        most_samples (*optional*): leaves longer series out.

    Others, and errors: see `load_mixture`.
    """
    found = {}
    for name, (series, labels) in _read(archives, tables, leave_out).items():
        shapes = {one.shape for one in series}
        channels, length = next(iter(shapes), (0, 0))
        fits = len(shapes) == 1 and channels == 1 and SHORTEST <= length <= (most_samples or length)
        if labels is not None and fits and all(np.isfinite(one).any() for one in series):
            found[name] = series_dataset(series, labels)
    return found


def _read(archives: Sequence[str | Path], tables: Sequence[str | Path], leave_out: Sequence[str]) -> dict[str, Split]:
    found: dict[str, Split] = {name: read_split(None, name, "train") for name in EMBEDDED}
    for folder in map(Path, archives):
        names = sorted(path.parent.name for path in folder.glob("*/*_TRAIN.tsv"))
        if not names:
            raise ValueError(f"{folder} holds no <name>/<name>_TRAIN.tsv")
        found |= {name: read_split(folder / name, name, "train") for name in names}
    for file in map(Path, tables):
        found |= _read_table(file)
    if missing := sorted(set(leave_out) - found.keys()):
        raise ValueError(f"there is no set {missing[0]} to leave out; the mixture has {', '.join(sorted(found))}")
    return {name: split for name, split in sorted(found.items()) if name not in leave_out}


def _read_table(file: Path) -> dict[str, Split]:
    try:
        known = pq.read_schema(file).names
        table = pq.read_table(file, columns=["dataset", "values", *({"label"} & set(known))]).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} is no parquet table with the columns dataset and values ({error})") from None
    found = {}
    for name, rows in table.groupby("dataset", observed=True):
        series = [np.asarray(one, dtype=np.float64)[None] for one in rows["values"]]
        found[str(name)] = series, list(map(label_name, rows["label"])) if "label" in rows else None
    return found


def _scaled(series: Iterable[np.ndarray]) -> Dataset:
    filled = [fill_series(one, end=None) for one in series if np.isfinite(one).any(1).all()]
    channels = [channel for one in filled for channel in one if len(channel) >= SHORTEST]
    every = np.concatenate(channels) if channels else np.ones(1)
    mean, deviation = every.mean(), every.std() or 1.0
    values = [((one - mean) / deviation).astype(np.float32) for one in channels]
    return Dataset.from_dict({"values": values}, features=Features(values=List(Value("float32"))))


def hold_out_series(sets: dict[str, Dataset], fraction: float, seed: int) -> tuple[dict[str, Dataset], Dataset]:
    """The sets without `fraction` of the series of each, and those series together."""
    kept, held = {}, []
    for name, dataset in sets.items():
        order = np.random.default_rng((seed, len(dataset))).permutation(len(dataset))
        count = int(fraction * len(dataset))
        kept[name] = dataset.select(np.sort(order[count:]))
        held.append(dataset.select(np.sort(order[:count])))
    return kept, concatenate_datasets(held)


def mix(sets: dict[str, Dataset], settings: MixtureSettings, seed: int) -> Dataset:
    """One dataset in which the sets and synthetic series take turns at random, until each series has come.

    A set comes with the square root of its size, so that large sets do not drown small ones. The column `source` says
    where a series is from.

    Raises:
        ValueError: for no sets.
    """
    if not sets:
        raise ValueError("the mixture has no sets: name an archive or a table")
    names = [*sets, SYNTHETIC]
    weights = np.array([len(dataset) ** 0.5 for dataset in sets.values()])
    shares = [*weights / weights.sum() * (1 - settings.synthetic_share), settings.synthetic_share]
    parts = [*sets.values(), synthetic_dataset(settings.num_synthetic, seed)]
    source = ClassLabel(names=names)
    parts = [
        part.add_column("source", pa.array([index] * len(part)), feature=source) for index, part in enumerate(parts)
    ]
    known = [index for index, share in enumerate(shares) if share > 0]
    return interleave_datasets(
        [parts[index] for index in known],
        [shares[index] for index in known],
        seed=seed,
        stopping_strategy="all_exhausted",
    )


def draw_crops(
    dataset: Dataset, indices: Tensor, settings: MixtureSettings, generator: torch.Generator | None
) -> Tensor:
    """Crops `(batch, 1, settings.crop)` of the series at `indices`, as the tokenizer will see them.

    A series is brought to the working length, or keeps its own if it is longer, times a random power of two; a crop of
    it gets a random amplitude, and sometimes noise, an offset or the other sign.
    """
    column = dataset.with_format("arrow")[indices.tolist()]["values"].combine_chunks()
    lengths = torch.from_numpy(np.diff(column.offsets.to_numpy())).to(indices.device)
    rows = torch.nn.utils.rnn.pad_sequence(
        list(torch.from_numpy(column.flatten().to_numpy().copy()).split(lengths.tolist())), batch_first=True
    ).to(indices.device)

    def uniform(size: int = 1, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(len(rows), size, generator=generator, device=rows.device)

    def normal(size: int = 1) -> Tensor:
        return torch.randn(len(rows), size, generator=generator, device=rows.device)

    crop, lengths = settings.crop, lengths[:, None]
    octaves = uniform(low=settings.least_scale, high=settings.most_scale)
    scaled = (lengths.clamp_min(settings.working_length) * 2**octaves).round().clamp_min(crop)
    start = (uniform() * (scaled - crop + 1)).floor()
    position = (start + torch.arange(crop, device=rows.device)) * (lengths - 1) / (scaled - 1)
    lower = position.floor().long().clamp_max(rows.shape[1] - 2)
    fraction = position - lower
    upper = torch.minimum(lower + 1, lengths - 1)
    crops = rows.gather(1, lower) * (1 - fraction) + rows.gather(1, upper) * fraction
    crops = crops * (settings.amplitude * normal()).exp()
    crops = crops + (uniform() < 0.3) * 0.1 * uniform() * normal(crop)
    crops = torch.where(uniform() < 0.1, -crops, crops)
    return (crops + (uniform() < 0.3) * 0.3 * normal())[:, None]
