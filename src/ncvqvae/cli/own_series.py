"""The options that name a user's own series and say how to read them: the same for every command."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from datasets import DatasetDict

KINDS = (
    "a .csv, .tsv, .txt, .parquet, .npy, .npz, .ts or .arff file, a folder of save_to_disk, or ORG/NAME or "
    "ORG/NAME:CONFIG on the Hub"
)
# What argparse needs to know of each kind of option.
KINDS_OF_OPTIONS: dict[str, dict[str, Any]] = {
    "column": {"metavar": "NAME"},
    "columns": {"metavar": "NAMES"},
    "count": {"metavar": "N", "type": int},
    "number": {"metavar": "X", "type": float},
    "choice": {"action": argparse.BooleanOptionalAction},
    "switch": {"action": "store_true", "default": None},
}


def add_data_options(add: Callable) -> None:
    """Options that name a dataset of the archive or the user's own series, to train on."""
    add("dataset", nargs="?", help="name of a UCR or UEA dataset, for example GunPoint (or use --data)")
    add(
        "--data-dir",
        metavar="DIR",
        help="folder of the archive, which holds DATASET/DATASET_TRAIN.tsv (default: the package aeon provides it)",
    )
    add("--data", metavar="SOURCE", help=f"your own series: {KINDS}")
    add("--test", metavar="SOURCE", help="your own test series, of the same kinds (default: the split test of --data)")
    add_reading_options(add)


def add_reading_options(add: Callable) -> None:
    """Options that say how the user's own series are read."""
    from ..data.sources import OPTIONS, spelled

    for name, option in OPTIONS.items():
        add(spelled(name), help=option.help, **KINDS_OF_OPTIONS[option.kind])


def reading(options: argparse.Namespace) -> dict[str, Any]:
    """What was given of `add_reading_options`, as arguments of `load_series`."""
    from ..data.sources import arguments

    return arguments(vars(options))


def refuse_without_data(options: argparse.Namespace, *others: str) -> None:
    """Raises `ValueError` where `--data` is not given, but options of it are: those of reading, or the `others`."""
    from ..data.sources import spelled

    given = [*reading(options), *(name for name in others if getattr(options, name) is not None)]
    if options.data is None and given:
        raise ValueError(f"{spelled(given[0])} is for series of your own; name them with --data")


def load_splits(options: argparse.Namespace) -> "tuple[str, DatasetDict]":
    """The name and the splits, `train` and perhaps `test`, of the series that the options name.

    Prints a description of the user's own series.
    """
    from ..data.ucr import load_ucr

    if (options.dataset is None) == (options.data is None):
        raise ValueError("name either a dataset of the archive or, with --data, series of your own")
    refuse_without_data(options, "test")
    if options.data is None:
        return options.dataset, load_ucr(options.dataset, options.data_dir)
    return load_own(options)


def load_own(options: argparse.Namespace) -> "tuple[str, DatasetDict]":
    """The name and the splits of `--data` and `--test`, which it describes on standard output."""
    from datasets import Dataset, DatasetDict

    from ..data.own_series import describe, load_series
    from ..data.sources import ENDINGS, ending
    from ..runtime import process_state

    data = load_series(options.data, test=options.test, **reading(options))
    data = DatasetDict(train=data) if isinstance(data, Dataset) else data
    if "train" not in data:
        raise ValueError(f"{options.data} has no split 'train', only {', '.join(data)}")
    data = DatasetDict({name: data[name] for name in ("train", "test") if name in data})
    if process_state().is_main_process:
        for name, part in data.items():
            print(f"{name}: {describe(part)}")
    path = Path(options.data).absolute()
    name = path.name[: -len(ending(path))] if ending(path) in ENDINGS else path.name
    return name.replace(":", "-"), data
