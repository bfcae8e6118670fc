"""What an evaluation leaves: figures by name, what could not be measured, and the series that pictures show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..runtime import one_line
from .classification import Classified


Model = MaskGITForTimeSeriesGeneration | NCVQVAEModel
Score = dict[str, Any]
Measures = dict[str, Callable[[], Any]]


@dataclass
class Evaluation:
    """The figures, and the series that the pictures show. Series and labels are on the CPU.

    Args:
        train, test, label_names: the data; without classes the labels are `None`.
        network: a description of the evaluation network; empty without classes.
        reconstruction, test_codes: the test split's reconstructed series and codes.
        scaled: whether series, all of them, are scaled by the checkpoint's scaler.
        scores: the figures by name. Each has `values` (one for each seed, or a single one), their `mean` and `std`,
            and, where it makes sense, `interval` (95 %, bootstrap, first seed), `real` (the same figure with the
            training split in the place of generated series) and `warped` (the same with `lightly_warped` ones).
        not_measured: the figures that could not be measured, with the reason.
        sizes: how many series there are in each set.
        features: the evaluation network's features of `train`, `test` and `generated`.
        generated, generated_codes: the series and codes of the first seed; `None` without a prior.
    """

    train: Classified
    test: Classified
    label_names: list[str]
    network: dict[str, object]
    reconstruction: Tensor
    test_codes: Tensor
    scaled: bool = False
    scores: dict[str, Score] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)
    generated: Classified | None = None
    generated_codes: Tensor | None = None

    @cached_property
    def seen(self) -> bool:
        """Whether the test series are the training series, by which nobody can tell what is new from what is known."""
        return torch.equal(self.train[0], self.test[0])


def score(values: float | Sequence[float], **beside: object) -> Score:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    std = array.std(ddof=1) if len(array) > 1 else 0.0
    return {"mean": float(array.mean()), "std": float(std), "values": array.tolist(), **beside}


def measure(measures: Measures, not_measured: dict[str, str]) -> dict[str, Any]:
    """Calls the measures and returns figures by name. Notes in `not_measured` which one had too few series."""
    figures: dict[str, Any] = {}
    for name, one in measures.items():
        try:
            value = one()
        except ValueError as error:
            not_measured[name.replace("_", " ")] = one_line(error)
            continue
        figures |= value if isinstance(value, dict) else {name: value}
    return figures
