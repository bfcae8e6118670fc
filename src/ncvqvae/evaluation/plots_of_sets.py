"""Pictures that compare sets of series: spectrograms, features, codes, nearest neighbours. Each is one file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from .plots import FAINT, MADE, MOST_CLASSES, REAL, legend_below, new_figure, save_figure


MOST_POINTS = 1000
MOST_CODES = 50  # the commonest: there may be thousands
RANGE = 50.0  # decibels from the greatest power to what counts as silence
LEAST_DIFFERENCE = 3.0  # decibels at the ends of a scale of differences: smaller ones should look small

Labelled = tuple[Tensor, Tensor | None]


def plot_spectrograms(
    sets: dict[str, Labelled],
    spectrogram: Callable[[Tensor], Tensor],
    label_names: Sequence[str],
    title: str,
    path: str | Path,
) -> None:
    """The mean power of each class' spectrograms in decibels, of two sets and their difference; a row for each class.

    `sets` has series `(series, channels, length)` with labels, by name. Power is averaged over channels.
    """
    labelled = all(labels is not None for _, labels in sets.values())
    classes = range(min(len(label_names), MOST_CLASSES)) if labelled else [None]
    figure = new_figure(9, 1.0 + 1.5 * len(classes))
    axes = figure.subplots(len(classes), 3, sharex=True, sharey=True, squeeze=False)
    names, length = list(sets), next(iter(sets.values()))[0].shape[2]
    for row, label in zip(axes, classes, strict=True):
        chosen = [values if label is None else values[labels == label] for values, labels in sets.values()]
        levels = [_decibels(spectrogram(part[:500])) for part in chosen if len(part)]
        high = max(float(part.max()) for part in levels)
        levels = [part.clamp_min(high - RANGE) for part in levels]
        kinds = [(part, "viridis", min(float(part.min()) for part in levels), high) for part in levels]
        if len(levels) == 2:
            difference = levels[1] - levels[0]
            most = max(float(difference.abs().quantile(0.99)), LEAST_DIFFERENCE)
            kinds.append((difference, "RdBu_r", -most, most))
        titles = [*names, f"{names[1]} minus {names[0]}"]
        for axis, name, (part, colours, least, greatest) in zip(row, titles, kinds, strict=False):
            place = {"extent": (0, length, 0, 0.5), "aspect": "auto", "origin": "lower"}
            image = axis.imshow(part, cmap=colours, vmin=least, vmax=greatest, **place)
            axis.set_title(name if label is None else f"{name}, class {label_names[label]}", fontsize=9)
            if name != names[0] or len(levels) < 2:
                figure.colorbar(image, ax=axis, label="dB", pad=0.01)
        row[0].set_ylabel("cycles per sample")
    for axis in axes[-1]:
        axis.set_xlabel("sample")
    save_figure(figure, title, path)


def _decibels(spectrograms: Tensor) -> Tensor:
    """The mean power `(frequencies, frames)` of spectrograms `(series, 2 x channels, frequencies, frames)`."""
    power = spectrograms.square().sum(1).mean(0) * 2 / spectrograms.shape[1]
    return 10 * power.clamp_min(1e-6).log10()


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
    figure = new_figure(9, 4.7)
    axes = figure.subplots(1, 2)
    styles = {"test": (REAL, "o"), "train": (FAINT, "s"), "generated": (MADE, "^")}
    ends = np.cumsum([len(part) for part in sets.values()])[:-1]
    shares = [
        f"component {one + 1} ({share:.0%} of the variance)" for one, share in enumerate(pca.explained_variance_ratio_)
    ]
    kinds = (
        (pca.transform(stacked), "principal components of the test series", shares),
        (neighbours, "t-SNE: near points are alike, far distances mean nothing", ["", ""]),
    )
    for axis, (points, kind, labels) in zip(axes, kinds, strict=True):
        for name, part in zip(sets, np.split(points, ends), strict=True):
            colour, marker = styles[name]
            label = f"{name} ({len(part)} series)"
            axis.scatter(*part.T, s=14, alpha=0.6, color=colour, marker=marker, linewidths=0, label=label)
        axis.set_title(kind, fontsize=9)
        axis.set(xticks=[], yticks=[], xlabel=labels[0], ylabel=labels[1])
    legend_below(figure, axes[0])
    save_figure(figure, title, path)


def plot_codes(codes: dict[str, Tensor], codebook_size: int, title: str, path: str | Path) -> None:
    """The share of the commonest codes in each set of codes `(series, codes)`, sorted by their share in the first."""
    figure = new_figure(9, 3.4)
    axis = figure.subplots()
    counts = {name: torch.bincount(part.flatten(), minlength=codebook_size) for name, part in codes.items()}
    shares = {name: count / count.sum() for name, count in counts.items()}
    order = next(iter(shares.values())).argsort(descending=True, stable=True)[:MOST_CODES]
    place, width = np.arange(1, len(order) + 1), 0.8 / len(shares)
    for index, ((name, share), colour) in enumerate(zip(shares.items(), (REAL, MADE), strict=False)):
        label = f"{name}: {share[order].sum():.0%} of its codes are these; "
        label += f"{int((share > 0).sum())} of {codebook_size} occur"
        offset = (index - (len(shares) - 1) / 2) * width
        axis.bar(place + offset, 100 * share[order].numpy(), width, color=colour, label=label)
    axis.set_xlim(0.4, len(order) + 0.6)
    first = next(iter(codes))
    axis.set_xlabel(f"the {len(order)} commonest codes of the {first} series, from the commonest on")
    axis.set_ylabel("% of all codes of the set")
    legend_below(figure, axis)
    save_figure(figure, title, path)


def plot_nearest(generated: Tensor, train: Tensor, distances: dict[str, Tensor], title: str, path: str | Path) -> None:
    """Distances to the nearest training series, and the three pairs that are nearest, channel by channel."""
    channels = min(train.shape[1], MOST_CLASSES)
    figure = new_figure(9, 3.6 + 1.7 * channels)
    pairs = [[f"{channel} {column}" for column in range(3)] for channel in range(channels)]
    heights = [1.4] + [1.0] * channels
    axes: dict[str, Axes] = figure.subplot_mosaic([["histogram"] * 3, *pairs], height_ratios=heights)
    edges = np.linspace(0, float(torch.cat(list(distances.values())).quantile(0.995)), 40).tolist()
    for (name, part), colour in zip(distances.items(), (REAL, MADE), strict=True):
        label, weights = f"{name} ({len(part)} series)", np.full(len(part), 100 / len(part))
        axes["histogram"].hist(part.numpy(), edges, weights=weights, alpha=0.55, color=colour, label=label)
    axes["histogram"].set_xlim(0, edges[-1])
    axes["histogram"].set_xlabel("Euclidean distance to the nearest training series")
    axes["histogram"].set_ylabel("% of the series")
    axes["histogram"].legend(fontsize=8, frameon=False)
    between = torch.cdist(generated.flatten(1), train.flatten(1))
    # The three training series to which generated series come nearest.
    for column, index in enumerate(between.amin(0).argsort()[:3].tolist()):
        made = generated[between[:, index].argmin()]
        for channel in range(channels):
            axis = axes[f"{channel} {column}"]
            axis.plot(train[index, channel].numpy(), color=REAL, linewidth=1.2, label="training series")
            axis.plot(made[channel].numpy(), color=MADE, linewidth=1.0, label="generated series nearest to it")
            axis.set_xlabel("sample" if channel == channels - 1 else "")
            axis.set_ylabel("" if column else "value" if channels == 1 else f"channel {channel + 1}")
        axes[f"0 {column}"].set_title(
            f"nearest pair {column + 1}: distance {between[:, index].amin():.2f}", fontsize=9
        )
    legend_below(figure, axes["0 0"])
    save_figure(figure, title, path)
