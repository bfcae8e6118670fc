"""A training split as the stages need it: its values and labels, the series held out, the scaler."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch import Tensor

from ..runtime import derived_seed, process_state
from .series import check_finite, read_labels
from .streaming import StreamedValues, Values, chunks, column_array, open_values


@dataclass
class TrainingData:
    """A training split on the training device, or streamed there if it is too large; see `open_values`.

    Attributes:
        values: `(series, channels, length)`, in the units of the data.
        labels: `(series,)`, or `None` without classes.
        label_names: the classes, in the order of their indices.
        train, held_out: indices of the series to train on, and of those to watch the training with.
        name: the dataset's name in the UCR or UEA archive, or `None` for other series.
    """

    values: Values
    labels: Tensor | None
    label_names: list[str]
    train: Tensor
    held_out: Tensor
    name: str | None

    @classmethod
    def from_dataset(cls, dataset: Dataset, seed: int, validation_fraction: float) -> "TrainingData":
        """Reads a dataset, and holds out `validation_fraction` of each class; `seed` decides which series.

        Raises:
            ValueError: for an empty split, or a class with fewer than two series.
        """
        device = process_state().device
        values, labels = open_values(dataset, device), read_labels(dataset)
        check_finite(values)
        names = dataset.features["label"].names if labels is not None else []
        for index, name in enumerate(names):
            if (count := int((labels == index).sum())) < 2:
                raise ValueError(
                    f"class {name!r} has {count} training series; each class needs two or more, or leave such classes "
                    "out with --drop-rare-classes"
                )
        train, held_out = split_series(dataset, seed, validation_fraction)
        labels = None if labels is None else labels.to(device)
        name = dataset.info.config_name if dataset.info.config_name != "default" else None
        return cls(values, labels, names, train.to(device), held_out.to(device), name)

    def part(self, indices: Tensor) -> Values:
        """The series at `indices`."""
        return self.values.select(indices) if isinstance(self.values, StreamedValues) else self.values[indices]

    @cached_property
    def scaler(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel."""
        return fit_scaler(self.values)

    @property
    def label_shares(self) -> list[float]:
        counts = torch.bincount(self.labels, minlength=len(self.label_names))
        return (counts / counts.sum()).tolist()


def evaluation_split(data: DatasetDict, seed: int, validation_fraction: float) -> tuple[Dataset, Dataset, str]:
    """The series that a model was trained on, the series to judge it by, and the kind of the latter.

    The model is judged by the `"test"` split if there is one, else by the `"held-out"` part of the training split,
    else by the `"training"` series themselves.
    """
    if "test" in data:
        return data["train"], data["test"], "test"
    train, held_out = split_series(data["train"], seed, validation_fraction)
    if not len(held_out):
        return data["train"], data["train"], "training"
    return data["train"].select(train.tolist()), data["train"].select(held_out.tolist()), "held-out"


def split_series(dataset: Dataset, seed: int, validation_fraction: float) -> tuple[Tensor, Tensor]:
    """Indices of the series of a training split to train on, and of those held out.

    Series that share a value in the column `series`, if the split has one, stay on one side: they are windows of one
    recording.
    """
    groups = None
    if "series" in dataset.column_names:
        sources = column_array(dataset, "series").to_numpy(zero_copy_only=False)
        groups = torch.from_numpy(np.unique(sources, return_inverse=True)[1])
    return hold_out(read_labels(dataset), len(dataset), validation_fraction, derived_seed(seed, "split"), groups)


def subsample(dataset: Dataset, most_series: int = 20_000, most_values: int = 2**28) -> Dataset:
    """Every k-th series of a dataset, with the smallest k that keeps to `most_series` and `most_values`."""
    _, channels, length = StreamedValues(dataset).shape
    step = -(-len(dataset) // max(min(most_series, most_values // (channels * length)), 1))
    return dataset if step == 1 else dataset.select(range(0, len(dataset), step))


def fit_scaler(values: Values) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all of `values` `(series, channels, length)`.

    Raises:
        ValueError: for a channel that is constant.
    """
    count, zero = 0, torch.zeros(values.shape[1], dtype=torch.float64)
    mean = squares = zero
    for part in chunks(values):  # moments of two parts give those of both together (Chan et al., 1983)
        size = part.shape[0] * part.shape[2]
        variance, part_mean = torch.var_mean(part.cpu().double(), (0, 2), correction=0)
        shift, count = part_mean - mean, count + size
        squares = squares + variance * size + shift.square() * (count - size) * size / count
        mean = mean + shift * (size / count)
    std = (squares / count).sqrt()
    if (std == 0).any():
        raise ValueError(f"channel {int(std.argmin())} is constant over the whole training split; remove it")
    return mean.tolist(), std.tolist()


def hold_out(
    labels: Tensor | None, size: int, fraction: float, seed: int, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Indices of the series to train on and of those held out, `fraction` of each class, rounded.

    `groups` `(series,)` numbers the source of each series, such as the recording that windows were cut from. Then
    whole sources are held out, so that no source is on both sides.
    """
    if groups is not None:
        numbers, source = groups.unique(return_inverse=True)
        if labels is not None:
            labels = torch.zeros_like(numbers).scatter_(0, source, labels)
        sides = hold_out(labels, len(numbers), fraction, seed)
        train, held_out = (torch.isin(source, side).nonzero()[:, 0] for side in sides)
        return train, held_out
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(size, dtype=torch.long) if labels is None else labels
    held = []
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        count = min(round(fraction * len(members)), len(members) - 1)
        held.append(members[torch.randperm(len(members), generator=generator)[:count]])
    held_out = torch.cat(held).sort().values
    keep = torch.ones(size, dtype=torch.bool)
    keep[held_out] = False
    return keep.nonzero()[:, 0], held_out
