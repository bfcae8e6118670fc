"""How cost grows with the length of a series, the batch, the number of series and the number of codes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ncvqvae.runtime import whole_file


@dataclass
class Curve:
    """What is measured at which sizes; `reference` are the arguments of the reference, where it measures the same."""

    what: str
    axis: str
    sizes: dict[int, int]  # on the axis, by what is asked for
    reference: Callable[[int], list[str]] | None = None
    most: int = 1 << 30  # for the reference, which takes minutes beyond


def _same(*sizes: int) -> dict[int, int]:
    return {size: size for size in sizes}


CURVES = {
    "length": Curve(
        "stage-1 step, batch 16, projector 4096",
        "samples of a series",
        _same(64, 128, 256, 512, 1024, 2048, 4096),
        lambda size: ["step", "--length", size, "--batch", 16, "--repeat", 2],
    ),
    "batch": Curve(
        "stage-1 step, 500 samples, projector 4096",
        "series a step",
        _same(8, 32, 128, 512),
        lambda size: ["step", "--batch", size, "--repeat", 2],
    ),
    "series": Curve(
        "sampling, 10 steps, guidance 1, 500 samples",
        "series generated",
        _same(16, 64, 256, 1024, 4096),
        lambda size: ["sample", "--num", size, "--repeat", 1],
        most=256,
    ),
    # Windows of 4 to 32 samples give 500 samples 3 to 17 frequencies.
    "codes": Curve("stage-2 step, batch 256", "codes of a series", {4: 45, 16: 63, 8: 75, 32: 119}),
}


def measure(program: str, against: str, measured: Callable[..., float]) -> dict[str, dict]:
    """Seconds by curve, side and size; one measurement each."""
    growth = {}
    for name, curve in CURVES.items():
        ours = {axis: measured(program, "--point", name, str(size)) for size, axis in curve.sizes.items()}
        growth[name] = {"what": curve.what, "axis": curve.axis, "ncvqvae": ours}
        if against and curve.reference:
            small = [size for size in curve.sizes if size <= curve.most]
            sides = {size: measured(against, *map(str, curve.reference(size))) for size in small}
            growth[name]["reference"] = sides
    return growth


def table(growth: dict[str, dict]) -> str:
    lines = ["| work | size | seconds | reference | ratio |", "|---|---|---|---|---|"]
    for curve in growth.values():
        for size, seconds in curve["ncvqvae"].items():
            other = curve.get("reference", {}).get(size)
            compared = " | |" if other is None else f" {other:.3g} | {other / seconds:.1f} |"
            lines.append(f"| {curve['what']} | {size} {curve['axis']} | {seconds:.3g} |{compared}")
    return "\n".join(lines)


def plot(growth: dict[str, dict], file: Path) -> None:
    """A panel for each curve, both axes logarithmic: work in proportion to the size is a line of slope one."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    for axes, curve in zip(figure.subplots(1, len(growth)), growth.values(), strict=True):
        for side, colour in (("ncvqvae", "C0"), ("reference", "C1")):
            if points := curve.get(side):
                axes.loglog(list(points), list(points.values()), "o-", color=colour, label=side)
        axes.set_title(curve["what"].replace(", ", "\n", 1), fontsize=9)
        axes.set_xlabel(curve["axis"])
        axes.set_ylabel("seconds")
        axes.set_xticks(list(curve["ncvqvae"]), [str(size) for size in curve["ncvqvae"]], fontsize=8)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    with whole_file(file) as partial:
        figure.savefig(partial, dpi=130)
