"""Turns the classes that a caller asks for, by index or by name, into class indices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .configuration_maskgit import MaskGITConfig


Labels = int | str | Sequence[int | str] | np.ndarray | Tensor | None


def label_ids(
    labels: Labels,
    num_samples: int | None,
    config: MaskGITConfig,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Class indices, one for each sample, on the device; `config.num_labels` is the null class.

    `None` draws classes at the shares of the training split, and `"null"` asks for no class. Otherwise `labels` has a
    class for all samples, or one for each. Of a prior over many sets, the name of a set draws its classes.

    Raises:
        ValueError: for a class that the model does not know, or a wrong number of them.
    """
    if num_samples is not None and num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, found {num_samples}")
    if isinstance(labels, Tensor | np.ndarray | np.generic):
        labels = labels.tolist()
    shares = torch.tensor(config.label_shares or [], device=device)
    if config.sets is not None:
        shares = shares * _of_one_set(labels, config).to(device)
        labels = None if isinstance(labels, str) and labels not in config.label2id else labels
    if labels is None and config.num_labels:
        return torch.multinomial(shares, num_samples or 1, replacement=True, generator=generator)
    if labels is None or (isinstance(labels, str) and labels == "null"):
        return torch.full((num_samples or 1,), config.num_labels, device=device)
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        labels = [labels] * (num_samples or 1)
    if num_samples not in (None, len(labels)) or not len(labels):
        raise ValueError(f"give one label, or one for each of {num_samples} samples; found {len(labels)}")
    return torch.tensor([_label_id(label, config) for label in labels], device=device)


def _of_one_set(labels: Labels, config: MaskGITConfig) -> Tensor:
    """Which classes belong to the one set that `labels` are of."""
    given: Any = [labels] if isinstance(labels, int | str) else labels or []
    asked = {str(config.id2label.get(label, label)).partition("/")[0] for label in given}
    known = [one["name"] for one in config.sets or []]
    if len(asked) != 1 or not asked <= set(known):
        wanted = 'name one set, labels="CBF", or classes of one, labels="CBF/2"'
        raise ValueError(f"{wanted}; found {', '.join(sorted(asked)) or 'none'}; the sets are {', '.join(known)}")
    return torch.tensor([name.partition("/")[0] in asked for name in config.id2label.values()])


def _label_id(label: int | str, config: MaskGITConfig) -> int:
    names = config.id2label
    if isinstance(label, str) and label in config.label2id:
        return config.label2id[label]
    if isinstance(label, int | np.integer) and int(label) in names:
        return int(label)
    known = ", ".join(f"{index} ({name!r})" for index, name in names.items()) or "none"
    raise ValueError(f"unknown label {label!r}; the model's classes are {known}")
