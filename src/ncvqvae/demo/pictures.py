"""The pictures of the app, as HTML: panels in a row on a wide screen, one below the other on a phone.

Each panel is an SVG, drawn by matplotlib, whose text has the colour of the page's: black in light mode, white in dark.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from colorsys import hsv_to_rgb
from functools import partial
from html import escape
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..data.meanings import explained
from ..evaluation.plots import as_written


REAL, MADE = "#7f8fa9", "#e0694c"  # both stand out on white and on black
TEXT = "#010203"  # becomes the page's own
MOST_CLASSES = 6
MOST_CHANNELS = 6
MOST_SERIES = 12  # of a kind, in a panel
MOST_GRIDS = 3
MOST_NUMBERED = 16  # columns of a grid whose codes are written into it; narrower cells say theirs to the mouse
Labelled = tuple[Tensor, Tensor | None]  # series `(series, channels, length)` and their classes `(series,)`


def series_panels(generated: Labelled, real: Labelled | None, names: Mapping[int, str], dataset: str | None) -> str:
    """Generated series over real ones: a panel for each class that was generated, and each channel."""
    classes: list[int | None] = [None] if generated[1] is None else generated[1].unique().tolist()
    channels = generated[0].shape[1]
    kinds: list[tuple[Any, ...]] = [("real", real, REAL, 0.5), ("generated", generated, MADE, 0.9)]
    panels = []
    for label in classes[:MOST_CLASSES]:
        parts = [(kind, _of_class(part, label), *style) for kind, part, *style in kinds if part is not None]
        counts = ", ".join(f"{_some(len(part))} {kind}" for kind, part, *_ in reversed(parts))
        name = f"class {explained(dataset, names[label])}: " if label in names else ""
        for channel in range(min(channels, MOST_CHANNELS)):
            title = name + f"channel {channel + 1}, " * (channels > 1) + counts
            panels.append(_panel(title, partial(_draw, parts=parts, channel=channel)))
    left_out = [f"the first {MOST_CLASSES} of {len(classes)} classes"] * (len(classes) > MOST_CLASSES)
    left_out += [f"the first {MOST_CHANNELS} of {channels} channels"] * (channels > MOST_CHANNELS)
    drawn = f" Drawn: {' and '.join(left_out)}." * bool(left_out)
    behind = (
        "Each line is a series; generated ones lie over real ones of the training split."
        if real
        else ("Each line is a generated series.")
    )
    legend = [("generated", MADE)] + [("real", REAL)] * (real is not None)
    return _group("Series", panels, behind + drawn, legend)


def spectrogram_panels(sets: Mapping[str, Tensor], spectrogram: Callable[[Tensor], Tensor]) -> str:
    """The mean magnitude of each set's spectrograms `(series, 2 x channels, frequencies, frames)`, in decibels.

    The channels are averaged; the scale is one for all sets.
    """
    powers = {name: spectrogram(values).square().sum(1).mean(0) for name, values in sets.items()}
    levels = {name: 10 * power.clamp_min(1e-6).log10().numpy() for name, power in powers.items()}
    low, high = min(level.min() for level in levels.values()), max(level.max() for level in levels.values())

    def draw(axis: Axes, level: np.ndarray) -> None:
        image = axis.imshow(level, aspect="auto", origin="lower", vmin=low, vmax=high, cmap="viridis")
        axis.set(xlabel="frame", ylabel="frequency bin")
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        axis.figure.colorbar(image, ax=axis, pad=0.02).outline.set_visible(False)

    panels = [
        _panel(f"mean of {len(sets[name])} {name} series, in dB", partial(draw, level=level))
        for name, level in levels.items()
    ]
    about = "What the tokenizer sees: how strong each frequency is (upwards) over time (to the right)."
    return _group("Spectrogram", panels, about)


def codes_grids(codes: Tensor, shape: tuple[int, int], titles: Sequence[str]) -> str:
    """The codes `(series, codes)` of the first series as grids of `shape` `(frequencies, width)`, low ones below."""
    panels = []
    for series, title in zip(codes[:MOST_GRIDS].tolist(), titles, strict=False):
        rows = [series[start : start + shape[1]] for start in range(0, len(series), shape[1])]
        cells = "".join(_cell(code, shape[1] <= MOST_NUMBERED) for row in reversed(rows) for code in row)
        style = (
            f"display:grid;grid-template-columns:repeat({shape[1]},1fr);font-size:10px;text-align:center;color:#000"
        )
        panels.append(f'<figure style="margin:0">{_caption(title)}<div style="{style}">{cells}</div></figure>')
    more = f" The first {len(panels)} of {len(codes)} series." if len(codes) > len(panels) else ""
    about = (
        f"What the model draws: {codes.shape[1]} codes for a series, in time from left to right. A colour is a code."
    )
    return _group("Codes", panels, about + more)


def reconstruction_panels(values: Tensor, again: Tensor, titles: Sequence[str]) -> str:
    """The first series `(series, channels, length)` and their reconstructions, a panel for each channel."""
    panels, channels = [], values.shape[1]
    for series, other, title in zip(values[:MOST_GRIDS], again, titles, strict=False):
        for channel in range(min(channels, MOST_CHANNELS)):
            parts = [("series", series[None], REAL, 1.0), ("reconstruction", other[None], MADE, 1.0)]
            panels.append(
                _panel(
                    title + f", channel {channel + 1}" * (channels > 1),
                    partial(_draw, parts=parts, channel=channel),
                )
            )
    more = f" The first {MOST_GRIDS} of {len(values)} series." if len(values) > MOST_GRIDS else ""
    about = "The series, and what its codes alone give back." + more
    return _group("Reconstruction", panels, about, [("series", REAL), ("reconstruction", MADE)])


def _of_class(part: Labelled, label: int | None) -> Tensor:
    return part[0] if label is None or part[1] is None else part[0][part[1] == label]


def _some(count: int) -> str:
    return f"{MOST_SERIES} of {count}" if count > MOST_SERIES else str(count)


def _draw(axis: Axes, parts: Sequence[tuple], channel: int) -> None:
    for _, values, colour, alpha in parts:
        axis.plot(values[:MOST_SERIES, channel].T.cpu().numpy(), color=colour, alpha=alpha, linewidth=1.2)
    axis.set(xlabel="sample", ylabel="value")
    axis.margins(x=0)


def _panel(title: str, draw: Callable[[Axes], None]) -> str:
    """A title and an SVG of 300 points, which is as wide as its column."""
    figure = Figure((300 / 72, 190 / 72), layout="constrained")
    axis = figure.subplots()
    draw(axis)
    for one in figure.axes:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["bottom", "left"]].set_color(TEXT)
        one.tick_params(colors=TEXT, labelsize=9)
        one.xaxis.label.set(color=TEXT, size=9)
        one.yaxis.label.set(color=TEXT, size=9)
    as_written(figure)
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    svg = written.getvalue().replace(TEXT, "currentColor")
    svg = re.sub(r"^.*?<svg ", f'<svg role="img" aria-label="{escape(title)}" ', svg, count=1, flags=re.DOTALL)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', ' width="100%"', svg, count=1)
    return f'<figure style="margin:0;max-width:460px">{_caption(title)}{svg}</figure>'


def _cell(code: int, numbered: bool) -> str:
    """Neighbouring codes have other colours, and a code the same in each picture."""
    red, green, blue = (round(255 * part) for part in hsv_to_rgb(code * 0.618034 % 1, 0.4, 0.95))
    return (
        f'<span title="code {code}" style="background:rgb({red},{green},{blue});min-height:22px;line-height:22px">'
        f"{code if numbered else ''}</span>"
    )


def _caption(title: str) -> str:
    return f'<figcaption style="font-size:13px;margin:4px 0">{escape(title)}</figcaption>'


def _group(name: str, panels: Sequence[str], about: str, legend: Sequence[tuple[str, str]] = ()) -> str:
    """Panels under their name, a legend and a sentence."""
    marks = "".join(
        f'<span style="margin-right:12px;white-space:nowrap"><span style="display:inline-block;width:18px;height:3px;'
        f'background:{colour};vertical-align:middle"></span> {what}</span>'
        for what, colour in legend
    )
    head = f'<h3 style="margin:0">{name}</h3><p style="margin:2px 0 6px;font-size:14px">{about} {marks}</p>'
    style = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:10px"
    return f'<section>{head}<div style="{style}">{"".join(panels)}</div></section>'
