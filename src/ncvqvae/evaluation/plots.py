"""Pictures of series, and how every picture is drawn. Each function draws one figure and writes it to a file."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torch import Tensor

from ..runtime import whole_file


REAL, MADE, FAINT = "#33415c", "#c8553d", "#9aa5b1"
MOST_CLASSES = 6  # rows or columns beyond this are too small to read
MOST_ROWS = 12
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
    """Real and generated series side by side, a row for each channel of each class, with one scale for each row.

    Series are `(series, channels, length)`, labels `(series,)`.
    """
    labelled = real_labels is not None and generated_labels is not None
    channels = min(real.shape[1], MOST_CLASSES)
    most = max(MOST_ROWS // channels, 1)
    classes = range(min(len(label_names), most, MOST_CLASSES)) if labelled else [None]
    figure = new_figure(9, 0.9 + 1.9 * len(classes) * channels)
    axes = figure.subplots(len(classes) * channels, 2, sharex=True, sharey="row", squeeze=False)
    columns = ((real, real_labels, REAL, "real"), (generated, generated_labels, MADE, "generated"))
    for row, pair in enumerate(axes):
        label, channel = classes[row // channels], row % channels
        for axis, (values, labels, colour, kind) in zip(pair, columns, strict=True):
            chosen = values if label is None else values[labels.cpu() == label]
            axis.plot(chosen[:MOST_SERIES, channel].cpu().numpy().T, color=colour, alpha=0.45, linewidth=0.9)
            name = "" if label is None else f", class {label_names[label]}"
            name += f", channel {channel + 1}" if real.shape[1] > 1 else ""
            axis.set_title(f"{kind}{name} ({min(len(chosen), MOST_SERIES)} series)", fontsize=9)
        pair[0].set_ylabel("value")
    for axis in axes[-1]:
        axis.set_xlabel("sample")
    save_figure(figure, title + _left_out(len(classes), len(label_names) * labelled, channels, real.shape[1]), path)


def _left_out(classes: int, all_classes: int, channels: int, all_channels: int) -> str:
    """What a title says about classes and channels that are not drawn."""
    more = [f"the first {classes} of {all_classes} classes"] * (all_classes > classes)
    more += [f"the first {channels} of {all_channels} channels"] * (all_channels > channels)
    return f" ({', '.join(more)})" if more else ""


def plot_series(
    values: Tensor, labels: Tensor | None, label_names: Sequence[str], title: str, path: str | Path
) -> None:
    """Series `(series, channels, length)`, a row for each channel and a column for each class, up to six of both."""
    classes = range(min(len(label_names), MOST_CLASSES)) if labels is not None else [None]
    channels = min(values.shape[1], MOST_CLASSES)
    figure = new_figure(max(4.5, 2.6 * len(classes)), 0.9 + 1.6 * channels)
    axes = figure.subplots(channels, len(classes), sharex=True, sharey="row", squeeze=False)
    for column, label in zip(axes.T, classes, strict=True):
        chosen = values if label is None or labels is None else values[labels == label]
        for channel, axis in enumerate(column):
            axis.plot(chosen[:MOST_SERIES, channel].numpy().T, color=REAL, alpha=0.4, linewidth=0.8)
        shown = f"{min(len(chosen), MOST_SERIES)} of {len(chosen)} series"
        column[0].set_title(shown if label is None else f"{label_names[label]}: {shown}", fontsize=9)
        column[-1].set_xlabel("sample")
    for channel, axis in enumerate(axes[:, 0]):
        axis.set_ylabel("value" if values.shape[1] == 1 else f"channel {channel + 1}")
    drawn = len(classes), len(label_names) * (labels is not None), channels, values.shape[1]
    save_figure(figure, title + _left_out(*drawn), path)


def plot_reconstructions(values: Tensor, reconstruction: Tensor, title: str, path: str | Path) -> None:
    """Six series of the test split over their reconstructions, from the best to the worst.

    Of one channel two series stand in a row; of several a row is a series, and a column a channel, up to six.
    """
    error = (values - reconstruction).square().mean((1, 2)) / values.var()
    order = error.argsort()
    picked = order[np.linspace(0, len(order) - 1, min(6, len(order))).round().astype(int)].tolist()
    channels = min(values.shape[1], MOST_CLASSES)
    columns = 2 if channels == 1 else channels
    rows = -(-len(picked) * channels // columns)
    figure = new_figure(max(9, 2.6 * columns), 1.2 + 1.9 * rows)
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for place, axis in enumerate(axes.flat[: len(picked) * channels]):
        index, channel = picked[place // channels], place % channels
        axis.plot(values[index, channel].numpy(), color=REAL, linewidth=1.2, label="test series")
        axis.plot(reconstruction[index, channel].numpy(), color=MADE, linewidth=1.0, label="its reconstruction")
        rank = int((order == index).nonzero()) + 1
        which = "best" if rank == 1 else "worst" if rank == len(values) else f"{rank} of {len(values)} from the best"
        if channel == 0:
            axis.set_title(f"{which}: error {100 * error[index]:.2g}% of the variance", fontsize=9, loc="left")
        if channels > 1 or place % columns == 0:
            axis.set_ylabel("value" if channels == 1 else f"channel {channel + 1}")
    for axis in axes.flat[len(picked) * channels :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("sample")
    legend_below(figure, axes[0, 0])
    save_figure(figure, title + _left_out(0, 0, channels, values.shape[1]), path)


def legend_below(figure: Figure, axis: Axes) -> None:
    """The legend of an axis below all axes, where it hides nothing."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in the common style; sizes in inches."""
    matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9})
    return Figure((width, height), layout="constrained")


def save_figure(figure: Figure, title: str, path: str | Path) -> None:
    """Adds the title and writes the figure to a PNG file of 256 colours, much smaller than one of all."""
    figure.suptitle(title, fontsize=11)
    as_written(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130)
    picture = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with whole_file(path) as partial:
        picture.save(partial, optimize=True)


def as_written(figure: Figure) -> None:
    """Lets `$` stand in what a finished figure says, as names of classes may hold it.

    matplotlib takes it for the start of a formula.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)
