"""What a training has come to, in words: whether it was long enough, whether the model copies, and what to change."""

from torch import Tensor

from ..evaluation.memorisation import memorisation
from .checkpoints import History
from .recipes import TrainingSettings


LEAST_HELD_OUT = 20  # series; the loss of fewer is too noisy to judge by
CLOSE = 0.02  # losses that differ by this share count as equal
FEW = 0.1  # share of near-copies that is none to worry about


def judge_length(history: History, settings: TrainingSettings, num_series: int, num_held_out: int) -> str:
    """A sentence on whether a prior was trained for long enough, by the loss of the held-out series.

    Args:
        history: of the prior.
        settings: how it was trained.
        num_series, num_held_out: how many series it was trained on, and watched with.
    """
    steps = settings.num_steps(num_series)
    more, fewer = (_steps_times(factor, settings, steps, num_series) for factor in (2, 0.5))
    if num_held_out < LEAST_HELD_OUT or len(history.validation) < 2:
        found = f"{num_held_out} held-out series are too few" if num_held_out else "there are no held-out series"
        return f"Trained enough? Nobody can say, {found}. If what it generates looks rough, set {more}."
    best, last = min(history.validation, key=lambda row: row["loss"]), history.validation[-1]
    if best["loss"] < (1 - CLOSE) * last["loss"]:
        risen = f"from {best['loss']:.2f} at step {best['step']:.0f} to {last['loss']:.2f} at the end"
        return f"Trained too long: the loss of the held-out series rose {risen}. Set {fewer}."
    recent = [row["loss"] for row in history.training if row["step"] > 0.8 * last["step"]]
    seen = sum(recent) / len(recent)
    losses = f"the loss of held-out series is {last['loss']:.2f}, that of the training series in new views {seen:.2f}"
    if last["loss"] < (1 + CLOSE) * seen:
        return f"Not trained to the end: {losses}, so nothing is learned by heart yet. For better series set {more}."
    return f"Trained enough: {losses}."


def _steps_times(factor: float, settings: TrainingSettings, steps: int, num_series: int) -> str:
    if settings.max_steps is None and settings.scaled_steps:
        decides = "scaled_steps" if steps == round(settings.scaled_steps * num_series**0.5) else "num_epochs"
        return f"prior_training.{decides}={round(getattr(settings, decides) * factor)}"
    return f"prior_training.max_steps={round(steps * factor)}"


def judge_copying(generated: Tensor, train: Tensor, new: Tensor, decoded: Tensor) -> str:
    """A sentence on whether a model copies.

    Args:
        generated, train: series `(series, channels, length)` that it generates, and that it learned from.
        new, decoded: real series that it did not learn from, and their reconstructions, which are as smooth as what
            is generated.
    """
    try:
        plain, control = (memorisation(generated, train, part) for part in (new, decoded))
    except ValueError as error:
        return f"Does it copy? {error}."
    found = (
        f"{control['near_copies']:.0%} of its series are near-copies of training series, 5% are chance; they are "
        f"{plain['nearest_ratio']:.2f} times as far from the nearest one as new series are"
    )
    if control["copies"] and control["near_copies"] > FEW:
        return f"It copies: {found}. Train with fewer steps, with stronger prior_views, or on more series."
    return f"It does not copy: {found}."
