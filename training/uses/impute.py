"""Fills gaps of test series by shipped checkpoints, and by three simple rivals: a table of their errors.

    python training/uses/impute.py --data-dir UCRArchive_2018

Test series lose 10, 30 and 50 % of their samples: one block, many short ones, or the end. An error is the squared one
of what was missing, as a share of its variance around the training split's mean. A finished set is never run again.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cells import once
from ncvqvae import MaskGITForTimeSeriesGeneration, load_ucr
from ncvqvae.cli.__main__ import run
from ncvqvae.data.series import to_tensors
from ncvqvae.inference import load_model
from ncvqvae.models.interpolation import interpolate


CARDS = Path(__file__).parents[2] / "model_cards"
SHAPES, SHARES = ("block", "short blocks", "end"), (0.1, 0.3, 0.5)
SHORT = 0.03  # of the length: one of many blocks
COLUMNS = ("lines", "class mean", "nearest", "ncvqvae", "one draw")


def gap(shape: str, share: float, length: int, random: np.random.Generator) -> np.ndarray:
    """Which samples of a series are missing."""
    missing, count = np.zeros(length, dtype=bool), round(share * length)
    if shape == "end":
        missing[length - count :] = True
    elif shape == "block":
        start = random.integers(1, length - count)  # not at an end
        missing[start : start + count] = True
    else:
        size = max(1, round(SHORT * length))
        for start in random.permutation(np.arange(random.integers(size), length, size)):
            missing[start : start + min(size, count - missing.sum())] = True
    return missing


def rivals(values: Tensor, known: Tensor, labels: Tensor, train: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """Straight lines, the class' mean, and the training series of the class that is nearest in the known samples."""
    mean, nearest = torch.empty_like(values), torch.empty_like(values)
    for label in labels.unique():
        own, rows = train[classes == label], labels == label
        mean[rows] = own.mean(0)
        distance = ((values[rows, None] - own).square() * known[rows, None]).sum((2, 3))
        nearest[rows] = own[distance.argmin(1)]
    return {"lines": interpolate(values, known), "class mean": mean, "nearest": nearest}


def measure(name: str, options: argparse.Namespace) -> dict:
    """The errors of each kind of gap and each filling."""
    checkpoint = CARDS / f"ncvqvae-{name[0].lower()}{name[1:]}"
    model, data = load_model(MaskGITForTimeSeriesGeneration, checkpoint), load_ucr(name, options.data_dir)
    (train, classes), (values, labels) = to_tensors(data["train"]), to_tensors(data["test"])
    random, began, errors = np.random.default_rng(0), time.process_time(), {}
    chosen = random.permutation(len(values))[: options.series]
    values, labels = values[chosen], labels[chosen]
    for shape in SHAPES:
        for share in SHARES:
            missing = np.stack([gap(shape, share, values.shape[-1], random) for _ in values])
            known = ~torch.from_numpy(missing)[:, None].expand(values.shape)
            gappy = values.masked_fill(~known, torch.nan)
            seed = torch.Generator(model.device).manual_seed(0)
            filled = model.impute(gappy, labels, options.draws, generator=seed)
            found = rivals(values, known, labels, train, classes) | {"ncvqvae": filled.values.cpu()}
            found |= {"one draw": filled.draws[0].cpu()}
            true = values[~known]
            scale = (true - train.mean()).square().mean()
            row = {key: float((one[~known] - true).square().mean() / scale) for key, one in found.items()}
            row["spread"] = float((filled.spread.cpu()[~known].square().mean() / scale).sqrt())
            errors[f"{share:.0%} {shape}"] = row
    return {"series": len(values), "draws": options.draws, "seconds": time.process_time() - began, "errors": errors}


def table(rows: dict[tuple[str, ...], list[dict]], headings: str) -> str:
    """Mean errors of each row; the best of rivals and model is bold."""
    lines = [f"| {headings} | {' | '.join(COLUMNS)} | spread / error |", f"|{'---|' * (headings.count('|') + 8)}"]
    for names, errors in rows.items():
        mean = {key: float(np.mean([one[key] for one in errors])) for key in errors[0]}
        best = min(COLUMNS[:4], key=lambda key: mean[key])
        cells = [f"**{mean[key]:.3f}**" if key == best else f"{mean[key]:.3f}" for key in COLUMNS]
        spread = np.mean([one["spread"] / one["ncvqvae"] ** 0.5 for one in errors])
        lines.append(f"| {' | '.join(names)} | {' | '.join(cells)} | {spread:.2f} |")
    return "\n".join([*lines, ""])


def report(results: dict[str, dict]) -> str:
    """Means over gaps and over sets, then every row."""
    every = {(name, kind): [row] for name, one in results.items() for kind, row in one["errors"].items()}
    kinds = list(dict.fromkeys(kind for _, kind in every))
    by_kind = {(kind,): [row for (_, other), (row,) in every.items() if other == kind] for kind in kinds}
    by_set = {(name,): list(one["errors"].values()) for name, one in results.items()}
    rows = [row for (row,) in every.values()]
    wins = [sum(row["ncvqvae"] < min(row[key] for key in COLUMNS[:rivals]) for row in rows) for rivals in (1, 2, 3)]
    told = (
        f"Of {len(rows)} rows ncvqvae is ahead of straight lines in {wins[0]}, also of the class mean in {wins[1]}, "
    )
    told += f"also of the nearest training series in {wins[2]}.\n"
    return "\n".join([table(by_kind, "missing"), table(by_set, "dataset"), told, table(every, "dataset | missing")])


def main(options: argparse.Namespace) -> None:
    out, results = Path(options.out), {}
    for name in options.datasets.split(","):
        results[name] = once(out / f"{name}.json", partial(measure, name, options))
    (out / "results.md").write_text(report(results))
    print(report(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder of the archive; GunPoint and ItalyPowerDemand may come from aeon")
    default = "GunPoint,ItalyPowerDemand,SonyAIBORobotSurface1,CBF,ECG200,SyntheticControl,ECG5000,FordA"
    parser.add_argument("--datasets", default=default, help="sets with a shipped checkpoint (default: all eight)")
    parser.add_argument("--series", type=int, default=24, help="test series of each set (default: 24)")
    parser.add_argument("--draws", type=int, default=5, help="draws that are averaged (default: 5)")
    parser.add_argument("--out", default="uses/impute", help="folder of results (default: uses/impute)")
    raise SystemExit(run(main, parser.parse_args(), "impute.py"))
