"""The table of a sweep, and the figures of its ablations."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata, wilcoxon

from ncvqvae.evaluation.measures import PUBLISHED_NAMES
from ncvqvae.evaluation.report import pair
from ncvqvae.runtime import whole_file


# key in metrics.json, heading, format, whether lower is better
COLUMNS = [
    ("null_fid", "FID", ".2f", True),
    ("fid", "FID, classes drawn", ".2f", True),
    ("reconstruction_fid", "reconstruction FID", ".2f", True),
    ("duplicates", "duplicates", ".0%", True),
    ("nearest_ratio", "nearest", ".2f", None),
    ("decoded_near_copies", "near-copies", ".0%", None),
    ("null_inception_score", "IS", ".2f", False),
    ("inception_score", "IS, classes drawn", ".2f", False),
    ("cas_fcn", "CAS", ".1%", False),
    ("gain_fcn", "gain", "+.1%", False),
    ("gain_minirocket", "gain of MiniROCKET", "+.1%", False),
    ("gain_embed", "gain of a linear model on `embed`", "+.1%", False),
    ("svm", "SVM", ".1%", False),
    ("knn", "5-NN", ".1%", False),
    ("logistic_regression", "strong probe", ".1%", False),
    ("test_reconstruction_error", "error", ".4f", True),
]
# dataset, arm -> the scores of each seed
Results = dict[tuple[str, str], list[dict[str, dict]]]


def load_results(out: Path) -> tuple[Results, dict[str, set[str]]]:
    """The scores of every finished cell, and, for each dataset, which evaluation networks they are from."""
    results: Results = defaultdict(list)
    networks: dict[str, set[str]] = defaultdict(set)
    for report in sorted(out.glob("*/*/seed-*/report/report.md")):  # written last
        dataset, arm = report.parts[-5:-3]
        metrics = json.loads(report.with_name("metrics.json").read_text())
        results[dataset, arm].append(metrics["scores"])
        networks[dataset].add(metrics["network"]["source"] + " " + metrics["network"]["sha256"])
    return dict(results), dict(networks)


def render(
    results: Results, networks: dict[str, set[str]], arms: Sequence[str], published: dict, failures: dict[str, str]
) -> str:
    """One table: means and deviations over seeds, published figures under them, then ranks and Wilcoxon's test of
    `arms`. Cells of other arms are shown too.
    """
    columns = [column for column in COLUMNS if any(column[0] in run for runs in results.values() for run in runs)]
    shown = [*arms, *dict.fromkeys(arm for _, arm in results if arm not in arms)]
    lines = [
        f"| dataset | arm | seeds | {' | '.join(heading for _, heading, _, _ in columns)} |",
        "|---" * (len(columns) + 3) + "|",
    ]
    for dataset in dict.fromkeys(name for name, _ in results):
        here = {arm: results[dataset, arm] for arm in shown if (dataset, arm) in results}
        reference = all(network.startswith("reference") for network in networks[dataset])
        lines += [_row(dataset, arm, runs, here, columns) for arm, runs in here.items()]
        lines += _published_rows(dataset, here, published, columns, reference)
    lines += _rank_rows(results, arms, columns)
    for dataset, found in networks.items():
        if len(found) > 1:
            lines.append(f"\n{dataset} was measured with {len(found)} evaluation networks: its FIDs do not compare.")
        elif not next(iter(found)).startswith("reference"):
            lines.append(f"\n{dataset}: the network is our own, so published FID and IS, of another, are left out.")
    lines += [f"\nFailed: {cell}: {reason}" for cell, reason in failures.items()]
    return "\n".join(lines) + "\n"


def _row(dataset: str, arm: str, runs: list, here: dict[str, list], columns: list) -> str:
    cells = []
    for key, _, form, lower in columns:
        values = [run[key]["mean"] for run in runs if key in run]
        if not values:
            cells.append("")
            continue
        text = format(np.mean(values), form)
        if len(values) > 1:
            text += f" ± {format(np.std(values, ddof=1), form.lstrip('+'))}"
        others = [mean for runs in here.values() if (mean := _mean(runs, key)) is not None]
        best = lower is not None and len(others) > 1 and np.mean(values) == (min if lower else max)(others)
        cells.append(f"**{text}**" if best else text)
    return f"| {dataset} | {arm} | {len(runs)} | {' | '.join(cells)} |"


def _published_rows(dataset: str, here: dict[str, list], published: dict, columns: list, reference: bool) -> list[str]:
    """The rivals, and what the thesis has for the same arms and TimeVQVAE for the dataset."""
    first = next(iter(here.values()))[0]
    floor, warped = (
        {key: [first[key][kind], 0] for key, *_ in columns if kind in first.get(key, {})}
        for kind in ("real", "warped")
    )
    # Those that classifiers gain by are jittered too.
    rivals = {key: key.replace("gain", "rival") for key, *_ in columns if key.startswith("gain_")}
    warped |= {key: [first[rival]["mean"], 0] for key, rival in rivals.items() if rival in first}
    if "real_fcn" in first:
        floor["cas_fcn"] = [np.mean([run["real_fcn"]["mean"] for runs in here.values() for run in runs]), 0]
    thesis, peer = published["thesis"].get(dataset, {}), published["timevqvae"].get(dataset, {})
    known = {"*copies of the training series*": floor, "*training series, lightly warped*": warped}
    known |= {f"*thesis, {arm}*": _renamed(thesis.get(arm, {}), reference) for arm in here}
    known["*TimeVQVAE*"] = _renamed(peer, reference)
    lines = []
    for name, figures in known.items():
        if any(key in figures for key, *_ in columns):
            cells = [pair(figures.get(key), form) for key, _, form, _ in columns]
            lines.append(f"| {dataset} | {name} | | {' | '.join(cells)} |")
    return lines


def _renamed(figures: dict[str, list[float]], reference: bool) -> dict[str, list[float]]:
    """Published figures under our names; without those that only the same evaluation network may be compared with."""
    apart = () if reference else ("null_fid", "null_inception_score", "fid", "inception_score")
    return {key: figures[name] for key, name in PUBLISHED_NAMES.items() if name in figures and key not in apart}


def _rank_rows(results: Results, arms: list[str], columns: list) -> list[str]:
    """Mean rank of each arm over the datasets that all arms have, and the test of each arm against the first."""
    arms = [arm for arm in arms if any(arm == found for _, found in results)]
    names = dict.fromkeys(name for name, _ in results)
    datasets = [name for name in names if all((name, arm) in results for arm in arms)]
    if len(arms) < 2 or not datasets:
        return []
    ranks, tests = {arm: [] for arm in arms}, {arm: [] for arm in arms[1:]}
    for key, _, _, lower in columns:
        table = np.array([[_mean(results[name, arm], key) for arm in arms] for name in datasets], dtype=float)
        scored = lower is not None and np.isfinite(table).all()
        mean_ranks = rankdata(table if lower else -table, axis=1).mean(0) if scored else None
        for index, arm in enumerate(arms):
            ranks[arm].append(f"{mean_ranks[index]:.2f}" if scored else "")
            if index:
                difference = table[:, index] - table[:, 0]
                usable = scored and np.any(difference)
                tests[arm].append(f"p {wilcoxon(difference).pvalue:.3f}" if usable else "")
    kept = f"{len(datasets)} datasets"
    return [f"| mean rank, {kept} | {arm} | | {' | '.join(cells)} |" for arm, cells in ranks.items()] + [
        f"| Wilcoxon, {kept} | {arm} against {arms[0]} | | {' | '.join(cells)} |" for arm, cells in tests.items()
    ]


def _mean(runs: list[dict], key: str) -> float | None:
    values = [run[key]["mean"] for run in runs if key in run]
    return float(np.mean(values)) if values else None


def plot_ablation(results: Results, arms: Sequence, path: Path) -> None:
    """A column for each dataset and set of views: probe above, reconstruction error below, coloured by objective."""
    panels = dict.fromkeys((name, arm.panel) for name, _ in results for arm in arms if (name, arm.name) in results)
    if not panels:
        return
    rows = (("svm", "SVM accuracy"), ("test_reconstruction_error", "reconstruction error, test"))
    figure = Figure((1.6 + 2.3 * len(panels), 5.2), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False, sharex="col")
    colours = {"none": "#9aa5b1", "barlow": "#33415c", "vibcreg": "#c8553d"}
    choices = list(dict.fromkeys(arm.choice for arm in arms))
    for column, (dataset, panel) in enumerate(panels):
        for (key, label), axis in zip(rows, axes[:, column], strict=True):
            for objective, colour in colours.items():
                points = [
                    arm
                    for arm in arms
                    if (arm.panel, arm.objective) == (panel, objective) and (dataset, arm.name) in results
                ]
                if not points:
                    continue
                values = [[run[key]["mean"] for run in results[dataset, arm.name]] for arm in points]
                places = [choices.index(arm.choice) for arm in points]
                errors = [np.std(one, ddof=1) if len(one) > 1 else 0 for one in values]
                axis.errorbar(
                    places,
                    [np.mean(one) for one in values],
                    errors,
                    color=colour,
                    marker="o",
                    capsize=3,
                    label=objective,
                    linestyle="-" if panel else "none",
                )
            axis.set_xticks(range(len(choices)), choices)
            axis.set_ylabel(label if column == 0 else "")
        axes[0, column].set_title(f"{dataset}{', ' if panel else ''}{panel}", fontsize=10)
    figure.supxlabel("weight of the augmented reconstruction" if arms[0].panel else "views", fontsize=10)
    axes[0, 0].legend(fontsize=8, frameon=False)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=130)
