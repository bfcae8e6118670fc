"""The output of an evaluation: `metrics.json` for machines, `report.md` for people, and pictures."""

import json
import platform
from collections.abc import Callable, Iterable
from importlib import metadata, resources
from pathlib import Path

from torch import Tensor
from tqdm.auto import tqdm

from ..models.modeling_ncvqvae import NCVQVAEModel
from ..runtime import whole_file
from .evaluator import Evaluation, Model, Score
from .measures import COLUMNS, HEADLINES, PUBLISHED_NAMES, SECTIONS, Row
from .memorisation import NEAR_SHARE, nearest_distances
from .plots import plot_codes, plot_features, plot_nearest, plot_reconstructions, plot_samples, plot_spectrograms


CAPTIONS = {
    "samples.png": "real training series and generated ones, by class",
    "spectrograms.png": "mean spectrogram of the test series and of the generated ones",
    "features.png": "features of the evaluation network",
    "nearest.png": "how near generated series come to training series, against how near test series come",
    "codes.png": "how often each code occurs",
    "reconstructions.png": "test series and their reconstructions, from the best to the worst",
}
PACKAGES = ("ncvqvae", "torch", "transformers", "datasets", "numpy", "scikit-learn", "aeon")


def published_results() -> dict:
    """Figures of the thesis, by dataset, arm and metric, and of TimeVQVAE, by dataset and metric."""
    return json.loads(resources.files(__package__).joinpath("published_results.json").read_text())


def write_report(result: Evaluation, model: Model, facts: dict, folder: Path) -> None:
    """Writes everything into `folder`. `facts` says how the evaluation was run; both files show it."""
    published = published_results()
    metrics = facts | {
        "versions": {name: metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "sizes": result.sizes,
        "network": result.network,
        "scores": result.scores,
        "not_measured": result.not_measured,
        "published": {name: published[name].get(facts["dataset"], {}) for name in ("thesis", "timevqvae")},
    }
    _write(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    _write(folder / "report.md", render(metrics, draw(result, model, facts["dataset"], folder)))


def render(metrics: dict, pictures: Iterable[str]) -> str:
    """The text of `report.md` from the content of `metrics.json` and the names of the `pictures` that exist."""
    scores, published, network = metrics["scores"], metrics["published"], metrics["network"]
    sizes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in metrics["sizes"].items())
    origin = ", the one behind the published figures"
    if network["source"] != "reference":
        origin = "; the published figures come from another one, so FIDs compare with them only roughly"
    about = [f"Series: {sizes}."]
    if metrics["seeds"]:
        about.append(f"Seeds of the random draws: {', '.join(map(str, metrics['seeds']))}.")
        about.append("Intervals come from a bootstrap over series (95 %, seed 0).")
    about.append(f"Evaluation network: {network['source']}, test accuracy {network['test_accuracy']:.1%}{origin}.")
    table = headline_table(scores, published)
    lines = [f"# {metrics['checkpoint']} on {metrics['dataset']}", "", *about, ""]
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
        caption = CAPTIONS[file][0].upper() + CAPTIONS[file][1:]
        lines += [f"![{caption}]({file})", "", caption + ".", ""]
    lines += ["## Reproduce", "", reproduction(metrics), "", "All figures and versions are in `metrics.json`.", ""]
    return "\n".join(lines)


def reproduction(metrics: dict) -> str:
    """The command that reproduces the figures on any machine, and the files that it needs there."""
    name, dataset = metrics["checkpoint"], metrics["dataset"]
    command = f"ncvqvae evaluate {name} --dataset {dataset} --out {name}"
    command += f" --seeds {len(metrics['seeds'])}" if metrics["seeds"] else " --only tokenizer"
    if metrics["network"]["source"] != "reference":
        return f"`{command}`."
    network = f"`{command} --fcn FOLDER`, where\n`FOLDER` holds `{dataset}.safetensors`, the evaluation network"
    link = "[supervised-FCN](https://github.com/danelee2601/supervised-FCN)"
    return f"{network} of\n{link} for this dataset, with its own names of the weights."


def verdicts(scores: dict[str, Score], published: dict) -> list[str]:
    """Sentences that sum up the figures."""
    found = []
    if "fid" in scores:
        fid, floor, tokenizer = scores["fid"]["mean"], scores["fid"].get("real"), scores["reconstruction_fid"]["mean"]
        real = "" if floor is None else f", {floor:.2f} for real training series"
        found.append(f"FID is {fid:.2f} with classes drawn{real} and {tokenizer:.2f} for reconstructed test series.")
        if "copies" in scores:
            found.append(copying(scores))
    if "gain_fcn" in scores:
        classifiers = ("fcn", "the FCN"), ("minirocket", "MiniROCKET")
        gains = [f"{scores[f'gain_{key}']['mean']:+.1%} for {name}" for key, name in classifiers]
        found.append(f"Adding its series to the real ones changes test accuracy by {' and '.join(gains)}.")
        if "warped" in scores["gain_minirocket"]:
            found.append(_against_warping(scores["gain_minirocket"]))
    peer = published["timevqvae"]
    for key, name, form, better in HEADLINES:
        known = peer.get(PUBLISHED_NAMES.get(key))
        if known and key in scores:
            found.append(f"{name}: {standing(scores[key], known, better)} TimeVQVAE's {format(known[0], form)}.")
    return found


def _against_warping(gain: Score) -> str:
    """A sentence on whether generated series help a classifier more than `lightly_warped` training series do."""
    warped = f"lightly warped training series change MiniROCKET's accuracy by {gain['warped']:+.1%}"
    if gain["mean"] > gain["warped"]:
        return f"That is more useful than warping: {warped}."
    return f"That is no more useful than warping: {warped}."


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


def headline_table(scores: dict[str, Score], published: dict) -> list[str]:
    """Lines of a table that shows our figures next to the published ones; empty columns are left out."""
    thesis, peer = published["thesis"], published["timevqvae"]
    rows = {}
    for key, label, form, better in HEADLINES:
        if key not in scores:
            continue
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
    return "\n".join([*shown, "- An empty cell: not published, or not defined."])


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


def draw(result: Evaluation, model: Model, dataset: str, folder: Path) -> list[str]:
    """Draws every picture for which there are series; returns the names of their files."""
    tokenizer = model if isinstance(model, NCVQVAEModel) else model.tokenizer
    names, size, codes = result.label_names, tokenizer.config.codebook_size, {"test": result.test_codes}

    def spectrogram(values: Tensor) -> Tensor:
        return tokenizer.time_frequency(tokenizer.scale(values.to(tokenizer.device))).cpu()

    drawings: dict[str, tuple[Callable, tuple]] = {}
    if result.generated is not None:
        codes["generated"] = result.generated_codes
        sets = {"test": result.test, "generated": result.generated}
        distances = {name: nearest_distances(values, result.train[0]) for name, (values, _) in sets.items()}
        drawings["samples.png"] = plot_samples, (*result.train, *result.generated, names)
        drawings["spectrograms.png"] = plot_spectrograms, (sets, spectrogram, names)
        drawings["features.png"] = plot_features, (result.features,)
        drawings["nearest.png"] = plot_nearest, (result.generated[0], result.train[0], distances)
    drawings["codes.png"] = plot_codes, (codes, size)
    drawings["reconstructions.png"] = plot_reconstructions, (result.test[0], result.reconstruction)
    for file, (plot, arguments) in tqdm(drawings.items(), desc="drawing", leave=False, disable=None):
        plot(*arguments, f"{dataset}: {CAPTIONS[file]}", folder / file)
    return list(drawings)


def _write(file: Path, text: str) -> None:
    with whole_file(file) as partial:
        partial.write_text(text)
