"""What a tokenizer for all series is worth on many sets, without training on them: the figures of `ncvqvae-base`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from ..data.labels import sort_labels
from ..data.mixture import EMBEDDED
from ..data.series import fill_gaps
from ..data.ucr import read_split
from ..inference import in_batches
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..runtime import whole_file
from .classification import accuracy, minirocket_features
from .fcn import load_fcn
from .metrics import codebook_usage, frechet_distance


SEEN = "pretraining.json"  # beside the weights: the sets that they have seen
RIDGE_PENALTIES = np.logspace(-3, 3, 10)
MINIROCKET_FEATURES = 5040


@dataclass
class ZeroShot:
    """The figures of one set. FID is against the test split; `floor` is that of the training split.

    `ridge` and `logistic` are test accuracies of classifiers on `embed`, `minirocket` of a ridge classifier on
    MiniROCKET features of the series themselves.
    """

    name: str
    seen: bool
    length: int
    num_codes: int
    reconstruction_error: float
    reconstruction_fid: float | None
    floor: float | None
    usage: float
    ridge: float
    logistic: float
    minirocket: float


def sets_at_hand(folder: Path | None) -> list[str]:
    """Names of the sets with both splits in a folder of the archive, and of those inside aeon."""
    splits = (
        [{path.parent.name for path in folder.glob(f"*/*_{split}.tsv")} for split in ("TRAIN", "TEST")]
        if folder
        else []
    )
    return sorted(set.intersection(*splits) | set(EMBEDDED)) if splits else sorted(EMBEDDED)


def seen_sets(checkpoint: Path) -> list[str]:
    """Names of the sets that a checkpoint was pre-trained on.

    Raises:
        ValueError: for a checkpoint that does not say so.
    """
    try:
        return list(json.loads((checkpoint / SEEN).read_text())["sets"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"{checkpoint} has no {SEEN} that says what it was pre-trained on; pre-train it again"
        ) from None


def zero_shot(
    tokenizer: NCVQVAEModel, folder: Path | None, fcn_folder: Path | None, names: Iterable[str], seen: Iterable[str]
) -> Iterator[ZeroShot]:
    """Measures sets of an archive one by one.

    Args:
        tokenizer: takes series of every length.
        folder (*optional*): of the archive; sets that it lacks are asked of aeon.
        fcn_folder: of `<name>.safetensors`, evaluation networks; a set without one has no FID.
        names: of the sets.
        seen: names of the sets that the tokenizer was trained on.
    """
    known = set(seen)
    for name in names:
        source = folder / name if folder and (folder / name).is_dir() else None
        (train, train_names), (test, test_names) = (read_split(source, name, split) for split in ("train", "test"))
        values = torch.from_numpy(fill_gaps([*train, *test])).float()
        classes = sort_labels([*train_names, *test_names])
        labels = torch.tensor([classes.index(label) for label in (*train_names, *test_names)])
        parts = values.split([len(train), len(test)]), labels.split([len(train), len(test)])
        yield _measure(tokenizer, name, name in known, *parts, fcn_folder)


def _measure(
    tokenizer: NCVQVAEModel,
    name: str,
    seen: bool,
    values: tuple[Tensor, ...],
    labels: tuple[Tensor, ...],
    fcn_folder: Path | None,
) -> ZeroShot:
    train, test = values
    scale = train.mean((0, 2)), train.std((0, 2))
    codes = in_batches(lambda batch: tokenizer.encode(batch, *scale).codes, test, tokenizer.device)
    again = in_batches(lambda batch: tokenizer.reconstruct(batch, *scale), test, tokenizer.device)
    fid = floor = None
    file = fcn_folder / f"{name}.safetensors" if fcn_folder else None
    if file is not None and file.is_file():
        network = load_fcn(file, train, len(labels[0].unique()))
        features = [in_batches(network.features, part) for part in (test, again, train)]
        fid, floor = (frechet_distance(features[0], other) for other in features[1:])
    embedded = [in_batches(lambda batch: tokenizer.embed(batch, *scale), part, tokenizer.device) for part in values]
    rocket = minirocket_features(train, MINIROCKET_FEATURES)
    return ZeroShot(
        name=name,
        seen=seen,
        length=train.shape[2],
        num_codes=codes.shape[1],
        reconstruction_error=((again - test) / scale[1][:, None]).square().mean().item(),
        reconstruction_fid=fid,
        floor=floor,
        usage=codebook_usage(codes, tokenizer.config.codebook_size)["usage"],
        ridge=_probe("ridge", embedded, labels),
        logistic=_probe("logistic", embedded, labels),
        minirocket=_probe("ridge", [rocket(part) for part in values], labels),
    )


def _probe(kind: str, features: list[Tensor], labels: tuple[Tensor, ...]) -> float:
    """Test accuracy of a linear classifier on standardised features."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = RidgeClassifierCV(RIDGE_PENALTIES) if kind == "ridge" else LogisticRegression(C=0.01, max_iter=300)
    probe = make_pipeline(StandardScaler(), classifier).fit(features[0].numpy(), labels[0].numpy())
    return accuracy(torch.from_numpy(probe.predict(features[1].numpy())), labels[1])


COLUMNS = {
    "reconstruction_error": ("error", ".4f"),
    "reconstruction_fid": ("reconstruction FID", ".2f"),
    "floor": ("FID of the training split", ".2f"),
    "usage": ("codes in use", ".0%"),
    "ridge": ("embed, ridge", ".3f"),
    "logistic": ("embed, logistic", ".3f"),
    "minirocket": ("MiniROCKET", ".3f"),
}


LEGEND = """The tokenizer was not trained on these sets one by one. Errors and FID are those of test series and their
reconstructions: error is the mean squared error of series scaled by the training split, FID is in the features of the
reference evaluation network, beside the FID of the real training split. Codes are those of one series with all its
channels. The last three columns are test accuracies of linear classifiers: on the frozen features of `embed`, and on
MiniROCKET's features of the series themselves."""


def zero_shot_table(rows: list[ZeroShot]) -> str:
    """A Markdown table: sets that pre-training saw, then those that it did not, with mean and median of each, and the
    mean ranks of the three classifiers.
    """
    heads = " | ".join(head for head, _ in COLUMNS.values())
    lines = [f"| set | samples | codes | {heads} |", "|---" * (len(COLUMNS) + 3) + "|"]
    for seen in (True, False):
        part = [asdict(row) for row in rows if row.seen == seen]
        if not part:
            continue
        lines.append(f"| **{'seen' if seen else 'left out'} in pre-training** |" + " |" * (len(COLUMNS) + 2))
        lines += [f"| {row['name']} | {row['length']} | {row['num_codes']} | {_cells(row)} |" for row in part]
        for name, average in (("mean", mean), ("median", median)):
            figures = {
                key: average(known) if (known := [row[key] for row in part if row[key] is not None]) else None
                for key in COLUMNS
            }
            lines.append(f"| *{name} of {len(part)}* | | | {_cells(figures)} |")
    ranks = np.mean([rankdata([-row.ridge, -row.logistic, -row.minirocket]) for row in rows], 0)
    named = zip(("ridge on embed", "logistic on embed", "MiniROCKET"), ranks, strict=True)
    return "\n".join(
        [*lines, "", "Mean ranks by accuracy: " + ", ".join(f"{n} {rank:.2f}" for n, rank in named) + "."]
    )


def _cells(row: dict) -> str:
    return " | ".join("" if row[key] is None else format(row[key], form) for key, (_, form) in COLUMNS.items())


def write_zero_shot(rows: list[ZeroShot], facts: dict, folder: Path) -> None:
    """Writes `metrics.json` and `report.md`; `facts` say which checkpoint was measured, and how."""
    folder.mkdir(parents=True, exist_ok=True)
    metrics = facts | {"zero_shot": [asdict(row) for row in rows]}
    texts = {"metrics.json": json.dumps(metrics, indent=1) + "\n", "report.md": render_zero_shot(metrics)}
    for name, text in texts.items():
        with whole_file(folder / name) as partial:
            partial.write_text(text)


def render_zero_shot(metrics: dict) -> str:
    """The report of the figures in `metrics.json`."""
    rows = [ZeroShot(**row) for row in metrics["zero_shot"]]
    head = f"# {metrics['checkpoint']} on {len(rows)} sets, zero-shot\n\n{LEGEND}\n\n"
    return f"{head}{zero_shot_table(rows)}\n\nMeasured on {metrics['created']}.\n"
