"""Finds series of a class that was held out of training, and classifies series, by their score: two tables.

    python training/uses/score.py --data-dir UCRArchive_2018

For each dataset a prior is trained from ncvqvae-base without the rarest class, and scores test series of all classes.
AUROC says how often a series of the class left out is odder than another. Rivals: the distance to the nearest training
series, and the reconstruction error, which is the score's residual alone. Shipped checkpoints classify by the class
under which a series is likeliest; the rival is the nearest training series. A finished dataset is never run again.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from cells import once
from ncvqvae import MaskGITForTimeSeriesGeneration, load_recipe, load_ucr, train
from ncvqvae.cli.__main__ import run
from ncvqvae.data.series import series_dataset, to_tensors
from ncvqvae.inference import load_model


CARDS = Path(__file__).parents[2] / "model_cards"
SHORT = ("prior_training.scaled_steps=12", "choose_sampling=false", "report_to=null")
DETECTORS = ("score", "of codes", "reconstruction error", "nearest distance")


def class_scores(model: MaskGITForTimeSeriesGeneration, values: Tensor, orders: int, scale: float | None) -> Tensor:
    """The score of the codes under each class, `(series, classes)`, of the same orders."""
    classes = range(model.config.num_labels)
    each = [model.score(values, torch.full((len(values),), one), orders, scale).codes for one in classes]
    return torch.stack(each, 1).cpu()


def detection(name: str, data: dict, out: Path, orders: int) -> dict[str, float]:
    """AUROC of each detector of the rarest class, which training did not see."""
    (values, labels), (test, truth) = to_tensors(data["train"]), data["chosen"]
    rare = int(labels.bincount().argmin())
    values, kept = values[labels != rare], labels[labels != rare]
    names = kept.unique(return_inverse=True)[1].numpy()
    model, _ = train(series_dataset(values.numpy(), names), load_recipe("from_base", SHORT), out / "ncvqvae" / name)
    scale = float(model.score(values, "null", 1).residual_std)
    codes = class_scores(model, test, orders, scale)
    shares = torch.tensor(model.config.label_shares).log()
    of_codes = (codes + shares).logsumexp(1)
    residual = model.score(test, "null", 1, scale).residual.cpu()
    nearest = torch.cdist(test.flatten(1), values.flatten(1)).amin(1)
    oddness = dict(zip(DETECTORS, (-of_codes - residual, -of_codes, -residual, nearest), strict=True))
    return {key: float(roc_auc_score(truth == rare, one)) for key, one in oddness.items()}


def classification(name: str, data: dict, orders: int) -> dict[str, float]:
    """Test accuracy by the shipped checkpoint's score, and by the nearest training series."""
    (values, labels), (test, truth) = to_tensors(data["train"]), data["chosen"]
    model = load_model(MaskGITForTimeSeriesGeneration, CARDS / f"ncvqvae-{name[0].lower()}{name[1:]}")
    guess = class_scores(model, test, orders, None).argmax(1)
    nearest = labels[torch.cdist(test.flatten(1), values.flatten(1)).argmin(1)]
    return {"score": float((guess == truth).float().mean()), "1-NN": float((nearest == truth).float().mean())}


def measure(name: str, options: argparse.Namespace) -> dict:
    data, began = dict(load_ucr(name, options.data_dir)), time.process_time()
    test, truth = to_tensors(data["test"])
    chosen = np.random.default_rng(0).permutation(len(test))[: options.series]
    data["chosen"] = test[chosen], truth[chosen]
    found = {"accuracy": classification(name, data, options.orders)}
    found["auroc"] = detection(name, data, Path(options.out), options.orders)
    return found | {"series": len(chosen), "seconds": time.process_time() - began}


def table(results: dict[str, dict]) -> str:
    head = [f"AUROC, {one}" for one in DETECTORS] + ["accuracy by score", "by 1-NN"]
    lines = [f"| dataset | {' | '.join(head)} |", "|---" * 7 + "|"]
    rows = {name: [*one["auroc"].values(), *one["accuracy"].values()] for name, one in results.items()}
    rows["mean"] = list(np.mean(list(rows.values()), axis=0))
    lines += [f"| {name} | {' | '.join(f'{value:.3f}' for value in row)} |" for name, row in rows.items()]
    return "\n".join([*lines, ""])


def main(options: argparse.Namespace) -> None:
    out, results = Path(options.out), {}
    for name in options.datasets.split(","):
        results[name] = once(out / f"{name}.json", partial(measure, name, options))
        (out / "results.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder of the archive; GunPoint and ItalyPowerDemand may come from aeon")
    default = "GunPoint,ECG200,ItalyPowerDemand,SonyAIBORobotSurface1,SyntheticControl"
    parser.add_argument("--datasets", default=default, help="sets with a shipped checkpoint (default: five)")
    parser.add_argument("--series", type=int, default=100, help="test series of each set (default: 100)")
    parser.add_argument("--orders", type=int, default=8, help="random orders of the codes (default: 8)")
    parser.add_argument("--out", default="uses/score", help="folder of results (default: uses/score)")
    raise SystemExit(run(main, parser.parse_args(), "score.py"))
