"""The pictures of training and evaluation. Each function draws one figure and writes it to a file."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torch import Tensor

from ..runtime import whole_file


REAL, MADE, FAINT = "#33415c", "#c8553d", "#9aa5b1"
MOST_CLASSES = 6  # rows or columns beyond this are too small to read
MOST_SERIES = 12
MOST_POINTS = 1000


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
    labelled = real_labels is not None and generated_labels is not None
    classes = range(min(len(label_names), MOST_CLASSES)) if labelled else [None]
    figure = new_figure(9, 0.9 + 1.9 * len(classes))
    axes = figure.subplots(len(classes), 2, sharex=True, sharey="row", squeeze=False)
    for row, label in zip(axes, classes, strict=True):
        columns = ((real, real_labels, REAL, "real"), (generated, generated_labels, MADE, "generated"))
        for axis, (values, labels, colour, kind) in zip(row, columns, strict=True):
            chosen = values if label is None else values[labels.cpu() == label]
            drawn = chosen[:MOST_SERIES, 0].cpu().numpy()
            axis.plot(drawn[1:].T, color=colour, alpha=0.22, linewidth=0.8)
            axis.plot(drawn[:1].T, color=colour, linewidth=1.4)  # one series to follow with the eye
            name = "" if label is None else f", class {label_names[label]}"
            axis.set_title(f"{kind}{name} ({min(len(chosen), MOST_SERIES)} series)", fontsize=9)
        row[0].set_ylabel("value")
    for axis in axes[-1]:
        axis.set_xlabel("sample")
    hidden = len(label_names) - MOST_CLASSES
    save_figure(
        figure, title + (f" (the first {MOST_CLASSES} of {len(label_names)} classes)" if hidden > 0 else ""), path
    )


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
        axis.set_ylabel("value" if values.shape[1] == 1 else f"channel {channel}")
    more = [f"the first {MOST_CLASSES} of {len(label_names)} classes"] * (len(label_names) > MOST_CLASSES)
    more += [f"the first {channels} of {values.shape[1]} channels"] * (values.shape[1] > channels)
    save_figure(figure, title + (f" ({', '.join(more)})" if more else ""), path)


def plot_reconstructions(values: Tensor, reconstruction: Tensor, title: str, path: str | Path) -> None:
    """Series of the test split over their reconstructions, from the best to the worst. First channel only."""
    error = (values - reconstruction).square().mean((1, 2)) / values.var()
    order = error.argsort()
    picked = order[np.linspace(0, len(order) - 1, min(6, len(order))).round().astype(int)]
    rows = -(-len(picked) // 2)
    figure = new_figure(9, 0.9 + 1.9 * rows)
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
    save_figure(figure, title, path)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in the common style; sizes in inches."""
    matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9})
    return Figure((width, height), layout="constrained")


def save_figure(figure: Figure, title: str, path: str | Path) -> None:
    """Adds the title and writes the figure to a PNG file of 128 colours, a third of the size of one of all colours."""
    figure.suptitle(title, fontsize=11)
    as_written(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130)
    picture = Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    with whole_file(path) as partial:
        picture.save(partial, optimize=True)


def as_written(figure: Figure) -> None:
    """Lets `$` stand in what a finished figure says, as names of classes may hold it.

    matplotlib takes it for the start of a formula. Numbers along a logarithmic axis stay formulas: powers of ten.
    """
    formulas: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                formulas |= set(axis.get_ticklabels(which="both"))
    for text in set(figure.findobj(Text)) - formulas:
        text.set_parse_math(False)


def plot_spectrograms(
    sets: dict[str, tuple[Tensor, Tensor | None]],
    spectrogram: Callable[[Tensor], Tensor],
    label_names: Sequence[str],
    title: str,
    path: str | Path,
) -> None:
    """The mean magnitude of each class' spectrograms in decibels, a row for each class and a column for each set.

    `sets` has series `(series, channels, length)` with labels, by name. First channel only.
    """
    labelled = all(labels is not None for _, labels in sets.values())
    classes = range(min(len(label_names), MOST_CLASSES)) if labelled else [None]
    figure = new_figure(9, 1.0 + 1.5 * len(classes))
    axes = figure.subplots(len(classes), len(sets), sharex=True, sharey=True, squeeze=False)
    for row, label in zip(axes, classes, strict=True):
        levels = {}
        for name, (values, labels) in sets.items():
            chosen = values if label is None else values[labels == label]
            if len(chosen):
                power = spectrogram(chosen[:500])[:, :2].square().sum(1).mean(0)
                levels[name] = 10 * power.clamp_min(1e-6).log10()
        low, high = min(part.min() for part in levels.values()), max(part.max() for part in levels.values())
        for axis, name in zip(row, sets, strict=True):
            axis.set_title(name if label is None else f"{name}, class {label_names[label]}", fontsize=9)
            if name in levels:
                image = axis.imshow(levels[name], aspect="auto", origin="lower", vmin=low, vmax=high, cmap="viridis")
        row[0].set_ylabel("frequency bin")
        figure.colorbar(image, ax=row.tolist(), label="dB", pad=0.01)
    for axis in axes[-1]:
        axis.set_xlabel("frame")
    save_figure(figure, title, path)


def plot_features(features: dict[str, Tensor], title: str, path: str | Path, seed: int = 0) -> None:
    """Features `(series, features)` of several sets in two dimensions: their principal components, and t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    generator = torch.Generator().manual_seed(seed)
    orders = {name: torch.randperm(len(part), generator=generator)[:MOST_POINTS] for name, part in features.items()}
    sets = {name: part[orders[name]] for name, part in features.items()}
    stacked = torch.cat(list(sets.values())).double().numpy()
    pca = PCA(2, random_state=seed).fit(sets["test"].double().numpy())
    neighbours = TSNE(perplexity=min(30, (len(stacked) - 1) / 3), init="pca", random_state=seed).fit_transform(stacked)
    figure = new_figure(9, 4.4)
    axes = figure.subplots(1, 2)
    styles = {"test": (REAL, "o"), "train": (FAINT, "s"), "generated": (MADE, "^")}
    ends = np.cumsum([len(part) for part in sets.values()])[:-1]
    kinds = ((pca.transform(stacked), "principal components of the test series"), (neighbours, "t-SNE"))
    for axis, (points, kind) in zip(axes, kinds, strict=True):
        for name, part in zip(sets, np.split(points, ends), strict=True):
            colour, marker = styles[name]
            label = f"{name} ({len(part)} series)"
            axis.scatter(*part.T, s=14, alpha=0.6, color=colour, marker=marker, linewidths=0, label=label)
        axis.set_title(kind, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].legend(fontsize=8, frameon=False)
    save_figure(figure, title, path)


def plot_codes(codes: dict[str, Tensor], codebook_size: int, title: str, path: str | Path) -> None:
    """The share of each code in each set of codes `(series, codes)`, sorted by its share in the first set."""
    figure = new_figure(9, 3.2)
    axis = figure.subplots()
    counts = {name: torch.bincount(part.flatten(), minlength=codebook_size) for name, part in codes.items()}
    shares = {name: count / count.sum() for name, count in counts.items()}
    order = next(iter(shares.values())).argsort(descending=True)
    for (name, share), colour, width in zip(shares.items(), (REAL, MADE), (0.9, 0.45), strict=False):
        axis.bar(np.arange(codebook_size), share[order].numpy(), width, color=colour, label=name)
    axis.axhline(1 / codebook_size, color=FAINT, linewidth=0.8, label="all alike")
    axis.set_xlabel("code, by its share in the real series")
    axis.set_ylabel("share of all codes")
    axis.legend(fontsize=8, frameon=False)
    save_figure(figure, title, path)


def plot_nearest(generated: Tensor, train: Tensor, distances: dict[str, Tensor], title: str, path: str | Path) -> None:
    """Distances to the nearest training series, and the three pairs that are nearest."""
    figure = new_figure(9, 4.8)
    axes: dict[str, Axes] = figure.subplot_mosaic([["histogram"] * 3, ["0", "1", "2"]])
    edges = np.linspace(0, float(torch.cat(list(distances.values())).quantile(0.995)), 40).tolist()
    for (name, part), colour in zip(distances.items(), (REAL, MADE), strict=True):
        label = f"{name} ({len(part)} series)"
        axes["histogram"].hist(part.numpy(), edges, density=True, alpha=0.55, color=colour, label=label)
    axes["histogram"].set_xlabel("Euclidean distance to the nearest training series")
    axes["histogram"].set_ylabel("density")
    axes["histogram"].legend(fontsize=8, frameon=False)
    between = torch.cdist(generated.flatten(1), train.flatten(1))
    # The three training series to which generated series come nearest.
    for column, index in enumerate(between.amin(0).argsort()[:3].tolist()):
        axis = axes[str(column)]
        axis.plot(train[index, 0].numpy(), color=REAL, linewidth=1.2, label="training series")
        axis.plot(generated[between[:, index].argmin(), 0].numpy(), color=MADE, linewidth=1.0, label="generated")
        axis.set_title(f"distance {between[:, index].amin():.2f}", fontsize=9)
        axis.set_xlabel("sample")
    axes["0"].legend(fontsize=7, frameon=False)
    save_figure(figure, title, path)
