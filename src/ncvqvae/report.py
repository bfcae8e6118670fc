"""What an evaluation leaves: `metrics.json` for machines, `report.md` for people, and pictures."""

import json
import platform
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path

from torch import Tensor
from tqdm.auto import tqdm

from .evaluation import Evaluation, Model, Score
from .memorisation import nearest_distances
from .modeling_ncvqvae import NCVQVAEModel
from .plots import plot_codes, plot_features, plot_nearest, plot_reconstructions, plot_samples, plot_spectrograms
from .report_rows import HEADLINES, PUBLISHED_NAMES, SECTIONS, Row


PACKAGES = ("ncvqvae", "torch", "transformers", "datasets", "numpy", "scikit-learn", "aeon")


def published_results() -> dict:
    """Figures of the thesis, by dataset, arm and metric, and of TimeVQVAE, by dataset and metric."""
    return json.loads(resources.files(__package__).joinpath("published_results.json").read_text())


def write_report(result: Evaluation, model: Model, facts: dict, folder: Path) -> None:
    """Writes everything into `folder`. `facts` says how the evaluation came about; it goes into both files."""
    published = published_results()
    here = {name: published[name].get(facts["dataset"], {}) for name in ("thesis", "timevqvae")}
    everything = facts | {
        "versions": {name: metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "sizes": result.sizes,
        "network": result.network,
        "scores": result.scores,
        "not_measured": result.not_measured,
        "published": here,
    }
    _write(folder / "metrics.json", json.dumps(everything, indent=1) + "\n")
    pictures = draw(result, model, facts["dataset"], folder)
    _write(folder / "report.md", render(result, facts, here, pictures))


def render(result: Evaluation, facts: dict, published: dict, pictures: dict[str, str]) -> str:
    sizes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in result.sizes.items())
    network = result.network
    origin = ", the one behind the published figures"
    if network["source"] != "reference":
        origin = "; the published figures come from another, so that an FID compares with them only roughly"
    seeds = ""
    if facts["seeds"]:
        seeds = f"Seeds of what is drawn: {', '.join(map(str, facts['seeds']))}; ± is the standard deviation over"
        seeds += " them, and so of one training. Intervals are a bootstrap over series (95 %, seed 0). "
    lines = [
        f"# {facts['checkpoint']} on {facts['dataset']}",
        "",
        f"Series: {sizes}. {seeds}*Real* is the same figure of the training split in the place of the generated",
        "series: the floor, which small splits raise.",
        f"Evaluation network: {network['source']}, test accuracy {network['test_accuracy']:.1%}{origin}.",
        "",
        "## In short",
        "",
        *headline_table(result.scores, published),
        "",
        *[f"- {sentence}" for sentence in verdicts(result.scores, published)],
    ]
    for title, explanation, rows in SECTIONS:
        known = [row for row in rows if row[0] in result.scores]
        if known:
            lines += ["", f"## {title}", "", explanation, "", *_table(result.scores, known)]
    if result.not_measured:
        lines += ["", "## Not measured", "", *[f"- {what}: {why}" for what, why in result.not_measured.items()]]
    lines += ["", "## Pictures", ""]
    for file, caption in pictures.items():
        lines += [f"![{caption}]({file})", "", caption + ".", ""]
    lines += ["## Reproduce", "", f"`{facts['command']}`", "", "All figures and versions are in `metrics.json`.", ""]
    return "\n".join(lines)


def verdicts(scores: dict[str, Score], published: dict) -> list[str]:
    """What the figures say, in sentences."""
    found = []
    if "fid" in scores:
        fid, floor, tokenizer = scores["fid"]["mean"], scores["fid"].get("real"), scores["reconstruction_fid"]["mean"]
        real = "" if floor is None else f", real training series {floor:.2f}"
        found.append(f"FID {fid:.2f} with classes drawn{real}; reconstructed test series {tokenizer:.2f}.")
        if "copies" in scores:
            ratio, share = scores["nearest_ratio"]["mean"], scores["decoded_near_copies"]["mean"]
            flagged = scores["copies"]["mean"]  # the share of seeds in which more than chance copies
            copies = "Many" if flagged == 1 else "No more than chance" if flagged == 0 else "In some draws many"
            found.append(
                f"{copies} of its series are nearly copies of training series: {share:.0%}, where reconstructions of "
                f"new series have 5 %. Nearest-neighbour ratio {ratio:.2f}, exact duplicates "
                f"{scores['duplicates']['mean']:.1%}."
            )
    if "gain_fcn" in scores:
        classifiers = ("fcn", "the FCN"), ("minirocket", "MiniROCKET")
        gains = [f"{scores[f'gain_{key}']['mean']:+.1%} for {name}" for key, name in classifiers]
        found.append(f"Adding its series to the real ones changes test accuracy by {' and '.join(gains)}.")
    peer = published["timevqvae"]
    for key, name, form, better in HEADLINES:
        known = peer.get(PUBLISHED_NAMES.get(key))
        if known and key in scores:
            found.append(f"{name}: {standing(scores[key], known, better)} TimeVQVAE's {format(known[0], form)}.")
    return found


def standing(score: Score, known: list[float], better: str) -> str:
    """`ahead of` or `behind` a published mean; `level with` it where the two are within their standard deviations."""
    if abs(score["mean"] - known[0]) <= score["std"] + known[1]:
        return "level with"
    return "ahead of" if (score["mean"] < known[0]) == (better == "lower") else "behind"


def headline_table(scores: dict[str, Score], published: dict) -> list[str]:
    """Lines of a table of the figures that others have published too, beside theirs."""
    thesis, peer = published["thesis"], published["timevqvae"]
    lines = ["| | here | real | thesis, plain | thesis, best arm | TimeVQVAE |", "|---|---|---|---|---|---|"]
    for key, label, form, better in HEADLINES:
        if key not in scores:
            continue
        name = PUBLISHED_NAMES.get(key)
        arms = {arm: figures[name] for arm, figures in thesis.items() if name in figures}
        best = (min if better == "lower" else max)(arms, key=lambda arm: arms[arm][0]) if arms else None
        real = {"mean": scores[key]["real"]} if "real" in scores[key] else None
        real = scores["real_fcn"] if key == "cas_fcn" else real
        cells = [
            f"**{_spread(scores[key], form)}**",
            _spread(real, form),
            pair(arms.get("none"), form),
            pair(arms.get(best), form) + (f" ({best})" if best else ""),
            pair(peer.get(name), form),
        ]
        lines.append(f"| {label} ({better} is better) | {' | '.join(cells)} |")
    return lines


def _table(scores: dict[str, Score], rows: list[Row]) -> list[str]:
    """A table whose columns are those that some row fills."""
    columns = {"here": {key: _spread(scores[key], form) for key, _, form, _ in rows}}
    columns["95 % interval"] = {
        key: " to ".join(format(bound, form) for bound in scores[key]["interval"])
        for key, _, form, _ in rows
        if "interval" in scores[key]
    }
    columns["real"] = {key: format(scores[key]["real"], form) for key, _, form, _ in rows if "real" in scores[key]}
    columns["better"] = {key: better for key, _, _, better in rows}
    columns = {name: cells for name, cells in columns.items() if cells}
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for key, label, _, _ in rows:
        lines.append(f"| {label} | {' | '.join(cells.get(key, '') for cells in columns.values())} |")
    return lines


def _spread(score: Score | None, form: str) -> str:
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


def draw(result: Evaluation, model: Model, dataset: str, folder: Path) -> dict[str, str]:
    """Every picture, and what each shows."""
    tokenizer = model if isinstance(model, NCVQVAEModel) else model.tokenizer
    names, size, codes = result.label_names, tokenizer.config.codebook_size, {"test": result.test_codes}

    def spectrogram(values: Tensor) -> Tensor:
        return tokenizer.time_frequency(tokenizer.scale(values.to(tokenizer.device))).cpu()

    drawings: list[tuple[str, str, Callable, tuple]] = []
    if result.generated is not None:
        codes["generated"] = result.generated_codes
        sets = {"test": result.test, "generated": result.generated}
        distances = {name: nearest_distances(values, result.train[0]) for name, (values, _) in sets.items()}
        caption = "real training series and generated ones, by class"
        drawings.append(("samples.png", caption, plot_samples, (*result.train, *result.generated, names)))
        caption = "mean spectrogram of the test series and of the generated ones"
        drawings.append(("spectrograms.png", caption, plot_spectrograms, (sets, spectrogram, names)))
        caption = "features of the evaluation network"
        drawings.append(("features.png", caption, plot_features, (result.features,)))
        caption = "how near generated series come to training series, against how near test series come"
        drawings.append(("nearest.png", caption, plot_nearest, (result.generated[0], result.train[0], distances)))
    drawings.append(("codes.png", "how often each code occurs", plot_codes, (codes, size)))
    caption = "test series and their reconstructions, from the best to the worst"
    pair = result.test[0], result.reconstruction
    drawings.append(("reconstructions.png", caption, plot_reconstructions, pair))
    for file, caption, plot, arguments in tqdm(drawings, desc="drawing", leave=False, disable=None):
        plot(*arguments, f"{dataset}: {caption}", folder / file)
    return {file: caption[0].upper() + caption[1:] for file, caption, _, _ in drawings}


def _write(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(file)
