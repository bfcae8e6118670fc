"""A training split as the stages need it: values, labels, what is held out, the scaler."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from .recipes import Recipe
from .runs import process_state
from .series import check_finite, fit_scaler, hold_out, read_labels
from .streaming import StreamedValues, Values, column_array, open_values
from .training import derived_seed


@dataclass
class TrainingData:
    """A training split on the device it is trained on, or streamed to it where it is too large; see `open_values`.

    `values` `(series, channels, length)` in their own units, `labels` `(series,)` or `None`; `train` and `held_out`
    are indices of series. `name` is that of the archive's dataset, if it is one.
    """

    values: Values
    labels: Tensor | None
    label_names: list[str]
    train: Tensor
    held_out: Tensor
    name: str | None

    @classmethod
    def from_dataset(cls, dataset: Dataset, recipe: Recipe) -> "TrainingData":
        """Raises `ValueError` for a split that is empty, or a class with fewer than two series."""
        device = process_state().device
        values, labels = open_values(dataset, device), read_labels(dataset)
        check_finite(values)
        names = dataset.features["label"].names if labels is not None else []
        for index, name in enumerate(names):
            if (count := int((labels == index).sum())) < 2:
                raise ValueError(f"class {name!r} has {count} training series; each class needs two or more")
        train, held_out = split_series(dataset, recipe)
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


def split_series(dataset: Dataset, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Indices of the series of a training split to train on, and of those held out.

    Where there is a column `series`, all series that have one value there are on one side.
    """
    groups = None
    if "series" in dataset.column_names:
        sources = column_array(dataset, "series").to_numpy(zero_copy_only=False)
        groups = torch.from_numpy(np.unique(sources, return_inverse=True)[1])
    seed = derived_seed(recipe.seed, "split")
    return hold_out(read_labels(dataset), len(dataset), recipe.validation_fraction, seed, groups)
