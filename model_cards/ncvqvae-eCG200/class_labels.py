"""Turns the classes that a caller asks for, by index or by name, into class indices."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .configuration_maskgit import MaskGITConfig


MOST_SAMPLES = 2**31
NO_CLASS = -1  # in tensors and arrays, as `datasets.ClassLabel` writes a label that is missing
Labels = int | str | Sequence[int | str] | np.ndarray | Tensor | None


def label_ids(
    labels: Labels,
    num_samples: int | None,
    config: MaskGITConfig,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Class indices, one for each sample, on the device; `config.num_labels` is the index of no class.

    `None` draws classes at the shares of the training split, and `"null"` asks for no class unless one is called so.
    Otherwise `labels` has a class for all samples, or one for each, as its name or its index. An integer tensor or
    NumPy array holds indices, as what this package returns does, and -1 for no class; any other integer (alone, in a
    list, of a pandas Series) must not be the index of one class and the name of another. Of a prior over many sets,
    the name of a set draws its classes.

    Raises:
        ValueError: for a class that the model does not know, an integer that may mean two, or a wrong number of them.
    """
    if num_samples is not None and not (isinstance(num_samples, Integral) and num_samples <= MOST_SAMPLES):
        raise ValueError(f"num_samples must be a whole number up to {MOST_SAMPLES}, found {num_samples!r}")
    if num_samples is not None and num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, found {num_samples}")
    by_index = isinstance(labels, Tensor) or (isinstance(labels, np.ndarray) and labels.dtype.kind in "iu")
    if hasattr(labels, "tolist"):
        labels = labels.tolist()
    shares = torch.tensor(config.label_shares or [], dtype=torch.float32, device=device)
    if config.sets is not None:
        shares = shares * _of_one_set(labels, config).to(device)
        labels = None if isinstance(labels, str) and labels not in config.label2id else labels
    if labels is None and config.num_labels:
        return torch.multinomial(shares, num_samples or 1, replacement=True, generator=generator)
    if labels is None or (isinstance(labels, str) and labels == "null" and "null" not in config.label2id):
        return torch.full((num_samples or 1,), config.num_labels, device=device)
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        labels = [labels] * (num_samples or 1)
    if num_samples not in (None, len(labels)) or not len(labels):
        raise ValueError(f"give one label, or one for each of {num_samples} samples; found {len(labels)}")
    return torch.tensor([_label_id(label, config, by_index) for label in labels], device=device)


def _of_one_set(labels: Labels, config: MaskGITConfig) -> Tensor:
    """Which classes belong to the one set that `labels` are of."""
    given: Any = [labels] if isinstance(labels, int | str) else labels or []
    asked = {str(config.id2label.get(label, label)).partition("/")[0] for label in given}
    known = [one["name"] for one in config.sets or []]
    if len(asked) != 1 or not asked <= set(known):
        wanted = 'name one set, labels="CBF", or classes of one, labels="CBF/2"'
        raise ValueError(f"{wanted}; found {', '.join(sorted(asked)) or 'none'}; the sets are {', '.join(known)}")
    return torch.tensor([name.partition("/")[0] in asked for name in config.id2label.values()])


def _label_id(label: int | str, config: MaskGITConfig, by_index: bool) -> int:
    names, indices = config.id2label, config.label2id
    if isinstance(label, str) and label in indices:
        return indices[label]
    namesake = None  # the class that is called as an integer is written
    if isinstance(label, int | np.integer):
        label = int(label)
        namesake = indices.get(str(label))
        if by_index and label == NO_CLASS:
            return config.num_labels
        if label in names and (by_index or namesake in (None, label)):
            return label
    if namesake is not None and label in names:
        readings = f"the index of class {names[label]!r} and the name of the class of index {namesake}"
        wanted = f'labels="{names[label]}" or labels="{label}", or indices as a tensor'
        raise ValueError(f"label {label} is {readings}; give a name, {wanted}")
    known = ", ".join(f"{index} ({name!r})" for index, name in names.items()) or "none"
    hint = "" if namesake is None else f'; a class is asked for by its name as text, labels="{label}"'
    raise ValueError(f"unknown label {label!r}; the model's classes are {known}{hint}")
