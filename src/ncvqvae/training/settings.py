"""How one stage is optimised: the steps, the batches and the learning rate of each step."""

import math
import sys
from dataclasses import dataclass
from typing import Literal

from huggingface_hub.dataclasses import strict


MOST = 2**31 - 1  # of every number of steps, series or checkpoints


@strict
@dataclass
class TrainingSettings:
    """How one stage is optimised: AdamW with a cosine schedule to zero.

    Args:
        num_epochs: passes over the training series, rounded up to whole batches; not used with `max_steps`. With
            `scaled_steps` no more passes than this are made.
        max_steps: optimiser steps.
        scaled_steps: optimiser steps for one series, which grow with the square root of their number; not used with
            `max_steps`.
        batch_size: series a step; never more than the training split has, times `repeats`.
        repeats: how often an epoch shows each series, each time in another view or under another mask.
        learning_rate, weight_decay: settings of AdamW.
        max_grad_norm: the norm to which gradients are clipped; `None` does not clip.
        precision: precision of products and convolutions. Quantizer, objectives and transform are always in float32.
            `"no"` is float32, `"bf16"` is bfloat16, `"auto"` is bfloat16 where the hardware has it.
        eval_steps: steps between scores of the held-out series.
        save_steps: steps between checkpoints to resume from.
        save_total_limit: how many checkpoints to keep.
    """

    num_epochs: int = 1000
    max_steps: int | None = None
    scaled_steps: int | None = None
    batch_size: int = 128
    repeats: int = 1
    learning_rate: float | int = 1e-3
    weight_decay: float | int = 1e-3
    max_grad_norm: float | int | None = None
    precision: Literal["auto", "no", "bf16"] = "auto"
    eval_steps: int = 100
    save_steps: int = 500
    save_total_limit: int = 2

    def validate_ranges(self) -> None:
        for name in (
            "num_epochs",
            "max_steps",
            "scaled_steps",
            "batch_size",
            "repeats",
            "eval_steps",
            "save_steps",
            "save_total_limit",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value}")
            if value is not None and value > MOST:
                raise ValueError(f"{name} must be at most {MOST}, found {value}")
        for name in ("learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= sys.float_info.max:
                raise ValueError(f"{name} must be above 0 and finite, found {value}")
        if not 0 <= self.weight_decay <= sys.float_info.max:
            raise ValueError(f"weight_decay must be at least 0 and finite, found {self.weight_decay}")

    def num_steps(self, num_series: int) -> int:
        """Optimiser steps of the stage on `num_series` training series."""
        shown = num_series * self.repeats
        if self.max_steps is None and self.scaled_steps is not None:
            most = -(-self.num_epochs * shown // min(self.batch_size, shown))
            return min(round(self.scaled_steps * num_series**0.5), most)
        return self.max_steps or self.num_epochs * -(-shown // self.batch_size)

    def learning_rate_at(self, step: int, num_steps: int) -> float:
        """The learning rate of step 0, 1, ...: half a cosine, from `learning_rate` to zero after `num_steps`."""
        return self.learning_rate * ((1 + math.cos(math.pi * step / num_steps)) / 2)
