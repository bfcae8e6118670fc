"""Classifies test series by a linear model on `TimeSeriesFeatures` of ncvqvae-base, and by MiniROCKET: a table.

    python training/uses/embed.py --data-dir UCRArchive_2018

Both classifiers are ridge regressions whose penalty is chosen by leaving out one training series at a time. The base
is not trained on a set, though it has seen the training series of each without their classes. Of larger sets a part of
the training series, drawn at random, is learned from. A finished set is never run again.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cells import once
from ncvqvae import TimeSeriesFeatures
from ncvqvae.cli.__main__ import run
from ncvqvae.data.series import fill_gaps
from ncvqvae.data.ucr import read_split
from ncvqvae.evaluation.zero_shot import sets_at_hand


PENALTIES = np.logspace(-1, 4, 6)
AT_A_TIME = 1000  # test series: their features are many


def minirocket() -> object:
    from aeon.classification.convolution_based import MiniRocketClassifier

    return MiniRocketClassifier(random_state=0)


def measure(name: str, options: argparse.Namespace) -> dict:
    began = time.process_time()
    source = Path(options.data_dir or "", name)
    splits = [read_split(source if source.is_dir() else None, name, split) for split in ("train", "test")]
    (train, labels), (test, truth) = splits
    values = fill_gaps([*train, *test]).astype(np.float32)
    train, test = values[: len(train)], values[len(train) :]
    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[: options.series])
    train, labels, truth = train[chosen], np.array(labels)[chosen], np.array(truth)
    ridge = make_pipeline(TimeSeriesFeatures(), StandardScaler(), RidgeClassifierCV(PENALTIES)).fit(train, labels)
    starts = range(0, len(test), AT_A_TIME)
    guesses = {"embed": np.concatenate([ridge.predict(test[start : start + AT_A_TIME]) for start in starts])}
    guesses["MiniROCKET"] = minirocket().fit(train, labels).predict(test)
    found = {key: float((guess == truth).mean()) for key, guess in guesses.items()}
    return found | {"series": [len(train), len(test)], "seconds": time.process_time() - began}


def table(results: dict[str, dict]) -> str:
    lines = ["| dataset | training series | test series | embed | MiniROCKET |", "|---" * 5 + "|"]
    for name, one in results.items():
        lines.append(
            f"| {name} | {one['series'][0]} | {one['series'][1]} | {one['embed']:.3f} | {one['MiniROCKET']:.3f} |"
        )
    means = [np.mean([one[key] for one in results.values()]) for key in ("embed", "MiniROCKET")]
    return "\n".join([*lines, f"| mean of {len(results)} | | | {means[0]:.3f} | {means[1]:.3f} |", ""])


def main(options: argparse.Namespace) -> None:
    import numba

    numba.config.THREADING_LAYER = "workqueue"  # its OpenMP would take torch's threads
    out, results = Path(options.out), {}
    names = options.datasets.split(",") if options.datasets else sets_at_hand(options.data_dir)
    for name in names:
        results[name] = once(out / f"{name}.json", partial(measure, name, options))
        (out / "results.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder of the archive; six sets may come from aeon")
    parser.add_argument("--datasets", help="names of sets (default: all at hand)")
    parser.add_argument("--series", type=int, default=2000, help="training series, at most (default: 2000)")
    parser.add_argument("--out", default="uses/embed", help="folder of results (default: uses/embed)")
    raise SystemExit(run(main, parser.parse_args(), "embed.py"))
