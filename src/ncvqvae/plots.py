"""Every picture. Each function draws one figure and writes it to a file."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from .training import History


REAL, MADE, FAINT = "#33415c", "#c8553d", "#9aa5b1"
MOST_CLASSES = 6  # rows or columns beyond this are too small to read
MOST_SERIES = 12


def plot_samples(
    real: Tensor,
    real_labels: Tensor | None,
    generated: Tensor,
    generated_labels: Tensor | None,
    label_names: Sequence[str],
    title: str,
    path: str | Path,
) -> None:
    """Real and generated series side by side, a row for each class, one scale for each row. First channel only.

    Series are `(series, channels, length)`, labels `(series,)`.
    """
    classes = range(min(len(label_names), MOST_CLASSES)) if real_labels is not None else [None]
    figure = _figure(9, 0.9 + 1.9 * len(classes))
    axes = figure.subplots(len(classes), 2, sharex=True, sharey="row", squeeze=False)
    for row, label in zip(axes, classes, strict=True):
        columns = ((real, real_labels, REAL, "real"), (generated, generated_labels, MADE, "generated"))
        for axis, (values, labels, colour, kind) in zip(row, columns, strict=True):
            chosen = values if label is None else values[labels.cpu() == label]
            drawn = chosen[:MOST_SERIES, 0].cpu().numpy()
            axis.plot(drawn[1:].T, color=colour, alpha=0.22, linewidth=0.8)
            axis.plot(drawn[:1].T, color=colour, linewidth=1.4)  # one to follow with the eye
            name = "" if label is None else f", class {label_names[label]}"
            axis.set_title(f"{kind}{name} ({min(len(chosen), MOST_SERIES)} series)", fontsize=9)
        row[0].set_ylabel("value")
    for axis in axes[-1]:
        axis.set_xlabel("sample")
    hidden = len(label_names) - MOST_CLASSES
    _finish(figure, title + (f" (the first {MOST_CLASSES} of {len(label_names)} classes)" if hidden > 0 else ""), path)


def plot_reconstructions(values: Tensor, reconstruction: Tensor, title: str, path: str | Path) -> None:
    """Series of the test split over their reconstructions, from the best to the worst. First channel only."""
    error = (values - reconstruction).square().mean((1, 2)) / values.var()
    order = error.argsort()
    picked = order[np.linspace(0, len(order) - 1, min(6, len(order))).round().astype(int)]
    rows = -(-len(picked) // 2)
    figure = _figure(9, 0.9 + 1.9 * rows)
    axes = figure.subplots(rows, 2, sharex=True, squeeze=False)
    for axis, index in zip(axes.flat, picked.tolist(), strict=False):
        axis.plot(values[index, 0].numpy(), color=REAL, linewidth=1.2, label="series")
        axis.plot(reconstruction[index, 0].numpy(), color=MADE, linewidth=1.0, label="reconstruction")
        rank = int((order == index).nonzero()) + 1
        axis.set_title(f"rank {rank} of {len(values)}, relative error {error[index]:.3g}", fontsize=9)
    for axis in axes.flat[len(picked) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("sample")
    for row in axes:
        row[0].set_ylabel("value")
    axes[0, 0].legend(fontsize=8, frameon=False)
    _finish(figure, title, path)


def plot_training(histories: dict[str, History], title: str, path: str | Path) -> None:
    """The named losses of each stage against the step, and what was measured on held-out series."""
    figure = _figure(9, 4.6)
    for axis, (stage, history) in zip(
        figure.subplots(1, len(histories), squeeze=False)[0], histories.items(), strict=True
    ):
        steps = [row["step"] for row in history.training]
        names = [name for name in history.training[0] if name == "loss" or name.endswith("_loss")]
        for name in names:
            width, colour = (1.6, REAL) if name == "loss" else (0.9, None)
            label = "total loss" if name == "loss" else name.replace("_", " ")
            axis.plot(steps, [row[name] for row in history.training], linewidth=width, color=colour, label=label)
        score = "reconstruction_error" if stage == "tokenizer" else "loss"
        if history.validation:
            held_out = [row["step"] for row in history.validation], [row[score] for row in history.validation]
            label = f"held out: {score.replace('_', ' ')}"
            axis.plot(*held_out, "o--", color=MADE, markersize=3, linewidth=1.0, label=label)
        axis.set_yscale("log")
        axis.set_xlabel("optimiser step")
        axis.set_ylabel("loss")
        axis.set_title(f"stage {1 if stage == 'tokenizer' else 2}: {stage}", fontsize=10)
        axis.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    _finish(figure, title, path)


def _figure(width: float, height: float) -> Figure:
    matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9})
    return Figure((width, height), layout="constrained")


def _finish(figure: Figure, title: str, path: str | Path) -> None:
    figure.suptitle(title, fontsize=11)
    partial = Path(path).with_suffix(".partial.png")
    figure.savefig(partial, dpi=130)
    partial.replace(path)
