"""The output of an evaluation: `metrics.json` for machines, `report.md` for people, and pictures."""

import json
import platform
from collections.abc import Iterable
from importlib import metadata, resources
from pathlib import Path

from ..runtime import whole_file
from .measures import COLUMNS, HEADLINES, HEADLINES_WITHOUT_CLASSES, PUBLISHED_NAMES, SECTIONS, Row
from .memorisation import NEAR_SHARE
from .pictures import READ, caption_of, draw
from .provenance import counted, judged_by, reproduction
from .result import Evaluation, Model, Score
from .usefulness import advice


PACKAGES = ("ncvqvae", "torch", "transformers", "datasets", "numpy", "scikit-learn", "aeon")


def published_results() -> dict:
    """Figures of the thesis, by dataset, arm and metric, and of TimeVQVAE, by dataset and metric."""
    return json.loads(resources.files(__package__).joinpath("published_results.json").read_text())


def write_report(result: Evaluation, model: Model, facts: dict, folder: Path) -> dict:
    """Writes everything into `folder`; returns the content of `metrics.json`.

    `facts` says how the evaluation was run; both files show it. See `provenance` for those of the user's own series.
    """
    known = {} if "data" in facts else published_results()  # a file of the user's own may have the name of a set
    metrics = facts | {
        "versions": {name: metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "sizes": result.sizes,
        "network": result.network,
        "scores": result.scores,
        "not_measured": result.not_measured,
        "published": {name: known.get(name, {}).get(facts["dataset"], {}) for name in ("thesis", "timevqvae")},
    }
    _write(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    _write(folder / "report.md", render(metrics, draw(result, model, facts["dataset"], folder)))
    return metrics


def render(metrics: dict, pictures: Iterable[str]) -> str:
    """The text of `report.md` from the content of `metrics.json` and the names of the `pictures` that exist."""
    scores, published = metrics["scores"], metrics["published"]
    table = headline_table(scores, published)
    lines = [f"# {metrics['checkpoint']} on {metrics['dataset']}", "", *_about(metrics), ""]
    lines += ["## In short", "", legend(table), "", *table, ""]
    lines += [f"- {sentence}" for sentence in verdicts(scores, published)]
    for title, explanation, rows in SECTIONS:
        known = [row for row in rows if row[0] in scores]
        if known:
            lines += ["", f"## {title}", "", explanation, "", *_table(scores, known)]
    if metrics["not_measured"]:
        lines += ["", "## Not measured", "", *[f"- {what}: {why}" for what, why in metrics["not_measured"].items()]]
    lines += ["", "## Pictures", ""]
    for file in pictures:
        caption = caption_of(file, bool(metrics["network"]))
        caption = caption[0].upper() + caption[1:]
        lines += [f"![{caption}]({file})", "", f"{caption}. {READ[file]}", ""]
    lines += ["## Reproduce", "", reproduction(metrics), "", "All figures and versions are in `metrics.json`.", ""]
    return "\n".join(lines)


def _about(metrics: dict) -> list[str]:
    """Lines on what was measured, and how."""
    data, network = metrics.get("data"), metrics["network"]
    sizes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in metrics["sizes"].items())
    lines = [f"Series: {sizes}."]
    if data is not None:
        lines = [f"The training split of `{data['file']}` has {counted(data)}.", *lines, judged_by(metrics)]
    if metrics["seeds"]:
        lines.append(f"Seeds of the random draws: {', '.join(map(str, metrics['seeds']))}.")
        lines.append("Intervals come from a bootstrap over series (95 %, seed 0).")
    if network:
        origin = ", the one behind the published figures"
        if network["source"] != "reference":
            origin = "; the published figures come from another one, so FIDs compare with them only roughly"
        origin = "" if data is not None else origin
        lines.append(f"Evaluation network: {network['source']}, test accuracy {network['test_accuracy']:.1%}{origin}.")
    return lines


def verdicts(scores: dict[str, Score], published: dict) -> list[str]:
    """Sentences that sum up the figures."""
    found = []
    for key, what in (("fid", "FID is {} with classes drawn"), ("minirocket_fid", "FID of MiniROCKET features is {}")):
        if key in scores:
            fid, floor = scores[key]["mean"], scores[key].get("real")
            tokenizer = scores[f"reconstruction_{key}"]["mean"]
            real = "" if floor is None else f", {floor:.2f} for real training series"
            found.append(f"{what.format(f'{fid:.2f}')}{real} and {tokenizer:.2f} for reconstructed test series.")
            break
    if "copies" in scores:
        found.append(copying(scores))
    found += advice(scores)
    peer = published["timevqvae"]
    for key, name, form, better in HEADLINES:
        known = peer.get(PUBLISHED_NAMES.get(key))
        if known and key in scores:
            found.append(f"{name}: {standing(scores[key], known, better)} TimeVQVAE's {format(known[0], form)}.")
    return found


def copying(scores: dict[str, Score]) -> str:
    """A sentence on whether the generator copies, by either distance."""
    # The share of seeds with more near-copies than chance has.
    flagged = max(scores["copies"]["mean"], scores["dtw_copies"]["mean"])
    judged = "It copies" if flagged == 1 else "In some draws it copies" if flagged else "No significant copying"
    kinds = ("decoded_near_copies", "dtw_decoded_near_copies", "near_copies", "dtw_near_copies", "duplicates")
    plain, warped, plain_test, warped_test, duplicates = (f"{scores[name]['mean']:.1%}" for name in kinds)
    return (
        f"{judged}: by Euclidean distance {plain} of its series are near-copies of training series, by dynamic time "
        f"warping {warped}, where {NEAR_SHARE:.0%} are expected by chance. Both shares are counted against "
        f"reconstructed test series, which are as smooth; against the test series themselves they are {plain_test} "
        f"and {warped_test}. The nearest-neighbour ratio is {scores['nearest_ratio']['mean']:.2f}, where 1 is as near "
        f"as new series come; {duplicates} of its series are exact duplicates."
    )


def standing(score: Score, known: list[float], better: str) -> str:
    """`ahead of` or `behind` a published mean, or `level with` one that is within the standard deviations of both."""
    if abs(score["mean"] - known[0]) <= score["std"] + known[1]:
        return "level with"
    return "ahead of" if (score["mean"] < known[0]) == (better == "lower") else "behind"


def headlines(scores: dict[str, Score]) -> list[Row]:
    """The figures to show first: those of series with classes, if there are any, else those of series without."""
    known = [[row for row in rows if row[0] in scores] for rows in (HEADLINES, HEADLINES_WITHOUT_CLASSES)]
    return known[0] or known[1]


def headline_table(scores: dict[str, Score], published: dict) -> list[str]:
    """Lines of a table that shows our figures next to the published ones; empty columns are left out."""
    thesis, peer = published["thesis"], published["timevqvae"]
    rows = {}
    for key, label, form, better in headlines(scores):
        name = PUBLISHED_NAMES.get(key)
        arms = {arm: figures[name] for arm, figures in thesis.items() if name in figures}
        best = (min if better == "lower" else max)(arms, key=lambda arm: arms[arm][0]) if arms else None
        real, warped = ({"mean": scores[key][kind]} if kind in scores[key] else None for kind in ("real", "warped"))
        real = scores["real_fcn"] if key == "cas_fcn" else real
        cells = (
            f"**{_mean_and_std(scores[key], form)}**",
            _mean_and_std(real, form),
            _mean_and_std(warped, form),
            pair(arms.get("none"), form),
            pair(arms.get(best), form) + (f" ({best})" if best else ""),
            pair(peer.get(name), form),
        )
        rows[f"{label} ({better} is better)"] = dict(zip(COLUMNS, cells, strict=True))
    columns = [name for name in COLUMNS if any(cells[name] for cells in rows.values())]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    return lines + [f"| {label} | {' | '.join(cells[name] for name in columns)} |" for label, cells in rows.items()]


def legend(table: list[str]) -> str:
    """A list that explains the columns of a `headline_table`."""
    shown = [f"- *{name}*: {meaning}" for name, meaning in COLUMNS.items() if f" {name} |" in table[0]]
    published = any(name in table[0] for name in list(COLUMNS)[3:])
    return "\n".join([*shown, f"- An empty cell: {'not published, or ' if published else ''}not defined."])


def _table(scores: dict[str, Score], rows: list[Row]) -> list[str]:
    """Lines of a table; columns that no row fills are left out."""
    columns = {"here": {key: _mean_and_std(scores[key], form) for key, _, form, _ in rows}}
    columns["95 % interval"] = {
        key: " to ".join(format(bound, form) for bound in scores[key]["interval"])
        for key, _, form, _ in rows
        if "interval" in scores[key]
    }
    for kind in ("real", "warped"):
        columns[kind] = {key: format(scores[key][kind], form) for key, _, form, _ in rows if kind in scores[key]}
    columns["better"] = {key: better for key, _, _, better in rows}
    columns = {name: cells for name, cells in columns.items() if cells}
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for key, label, _, _ in rows:
        lines.append(f"| {label} | {' | '.join(cells.get(key, '') for cells in columns.values())} |")
    return lines


def _mean_and_std(score: Score | None, form: str) -> str:
    if score is None:
        return ""
    spread = f" ± {format(score['std'], form.lstrip('+'))}" if len(score.get("values", ())) > 1 else ""
    return format(score["mean"], form) + spread


def pair(mean_and_std: list[float] | None, form: str) -> str:
    """`mean ± std`, without a deviation of zero."""
    if mean_and_std is None:
        return ""
    mean, std = mean_and_std
    return format(mean, form) + (f" ± {format(std, form.lstrip('+'))}" if std else "")


def _write(file: Path, text: str) -> None:
    with whole_file(file) as partial:
        partial.write_text(text)
