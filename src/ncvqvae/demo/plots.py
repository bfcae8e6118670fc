"""The pictures of the app. Each function returns one figure; of several channels the first is drawn."""

from collections.abc import Callable, Mapping, Sequence
from colorsys import hsv_to_rgb

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..evaluation.plots import FAINT, MADE, MOST_CLASSES, MOST_SERIES, REAL, as_written


MOST_GRIDS = 3  # side by side; more are too small to read
MOST_NUMBERS = 200  # a grid with more cells shows no numbers
Labelled = tuple[Tensor, Tensor | None]  # series `(series, channels, length)` and their classes `(series,)`


def series_figure(generated: Labelled, real: Labelled | None, names: Mapping[int, str]) -> Figure:
    """Generated series over real ones, a panel for each class that was generated."""
    labels = generated[1]
    classes = [None] if labels is None else labels.unique().tolist()
    shown = classes[:MOST_CLASSES]
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure = _figure(0.7 + (3.0 if rows == 1 else 2.2 * rows))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis, label in zip(axes.flat, shown, strict=False):
        counts = []
        for part, colour, kind, alpha in ((real, REAL, "real", 0.35), (generated, MADE, "generated", 0.8)):
            if part is None:
                continue
            chosen = part[0] if label is None or part[1] is None else part[0][part[1] == label]
            drawn = chosen[:MOST_SERIES, 0].T.numpy()
            axis.plot(drawn, color=colour, alpha=alpha, linewidth=1.0)
            axis.plot([], color=colour, alpha=alpha, label="real, training split" if kind == "real" else kind)
            share = f"{MOST_SERIES} of " * (len(chosen) > MOST_SERIES)
            counts.append(f"{share}{len(chosen)} {kind}")
        class_name = f"class {names[label]}: " if label in names else ""
        _label(axis, class_name + ", ".join(reversed(counts)), "sample", "value")
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=9, frameon=False
    )
    hidden = f" (the first {len(shown)} of {len(classes)} classes drawn)" if len(classes) > len(shown) else ""
    return _title(figure, f"Series{hidden}")


def spectrogram_figure(sets: dict[str, Tensor], spectrogram: Callable[[Tensor], Tensor]) -> Figure:
    """The mean magnitude of each set's spectrograms in decibels, one scale for all."""
    figure = _figure(3.0)
    axes = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    powers = [spectrogram(values)[:, :2].square().sum(1).mean(0) for values in sets.values()]
    levels = [10 * power.clamp_min(1e-6).log10().numpy() for power in powers]
    low, high = min(level.min() for level in levels), max(level.max() for level in levels)
    for axis, (name, values), level in zip(axes, sets.items(), levels, strict=True):
        image = axis.imshow(level, aspect="auto", origin="lower", vmin=low, vmax=high, cmap="viridis")
        _label(axis, f"mean of {len(values)} {name} series", "frame", "frequency bin" if axis is axes[0] else "")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    bar = figure.colorbar(image, ax=axes.tolist(), pad=0.01)
    bar.ax.set_title("dB", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return _title(figure, "Spectrogram")


def codes_figure(codes: Tensor, shape: tuple[int, int], titles: Sequence[str]) -> Figure:
    """The codes `(series, codes)` of the first series as grids of `shape` `(frequencies, width)`."""
    grids = codes[:MOST_GRIDS].view(-1, *shape).numpy()
    figure = _figure(0.9 + min(6.0, max(1.7, 0.36 * shape[0])))
    axes = figure.subplots(1, len(grids), sharey=True, squeeze=False)[0]
    for axis, grid, title in zip(axes, grids, titles, strict=False):
        axis.imshow(_tints(grid), aspect="auto", origin="lower")
        for (row, column), code in np.ndenumerate(grid) if grid.size <= MOST_NUMBERS else ():
            axis.text(column, row, str(code), ha="center", va="center", fontsize=7, color="black")
        _label(axis, title, "time", "frequency" if axis is axes[0] else "")
        axis.set_xticks([])
        axis.set_yticks([])
    more = f" of the first {len(grids)} of {len(codes)} series" if len(codes) > len(grids) else ""
    return _title(figure, f"Codes{more}, low frequencies at the bottom; a colour stands for a code")


def reconstruction_figure(values: Tensor, reconstruction: Tensor, titles: Sequence[str]) -> Figure:
    """The first series and their reconstructions, a panel for each."""
    count = min(len(values), MOST_GRIDS)
    figure = _figure(3.2)
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axis, series, again, title in zip(axes, values, reconstruction, titles, strict=False):
        axis.plot(series[0].numpy(), color=REAL, linewidth=1.4, label="series")
        axis.plot(again[0].numpy(), color=MADE, linewidth=1.1, label="reconstruction")
        axis.axhline(0, color=FAINT, linewidth=0.5, zorder=0)
        _label(axis, title, "sample", "value" if axis is axes[0] else "")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=9, frameon=False)
    return _title(figure, f"The first {count} of {len(values)} series" if len(values) > count else "Reconstruction")


def _tints(grid: np.ndarray) -> np.ndarray:
    """A light colour for each code, the same in every picture; neighbouring codes differ."""
    golden = 0.618034
    return np.array([[hsv_to_rgb(code * golden % 1, 0.3, 0.97) for code in row] for row in grid])


def _figure(height: float) -> Figure:
    return Figure((9, height), dpi=150, layout="constrained")


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _title(figure: Figure, title: str) -> Figure:
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    as_written(figure)
    return figure
