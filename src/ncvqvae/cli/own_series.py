"""The options that name a user's own series and say how to read them: the same for every command."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from datasets import DatasetDict

KINDS = (
    "a .csv, .tsv, .parquet, .npy, .npz, .ts or .arff file, a folder of save_to_disk, or ORG/NAME or "
    "ORG/NAME:CONFIG on the Hub"
)
# The arguments of `load_series` that are options of a command, by name.
READING = (
    *("label_column", "id_column", "time_column", "value_columns", "channel_column", "channels_last", "day_first"),
    *("missing_value", "window", "stride", "drop_rare_classes"),
)


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
    column = {"metavar": "NAME", "default": None}
    add("--label-column", help="column of the classes (default: label, if there is one)", **column)
    add("--id-column", help="column that says which series a row belongs to (default: id, series, ...)", **column)
    add("--time-column", help="column of the times of the rows (default: time, timestamp, ...)", **column)
    add("--value-columns", metavar="NAMES", help="columns of the values, with commas (default: all other columns)")
    add("--channel-column", help="column that says which channel a row's value belongs to", **column)
    add("--channels-last", action="store_true", default=None, help="arrays are (series, length, channels)")
    add(
        "--day-first",
        action=argparse.BooleanOptionalAction,
        help="dates such as 10/01/2020 name the day first, or with --no-day-first the month",
    )
    add("--missing-value", type=float, metavar="X", help="a number that stands for a missing value, such as -9999")
    add("--window", type=int, metavar="N", help="cut series into windows of N samples (default: whole series)")
    add("--stride", type=int, metavar="N", help="samples from one window's start to the next (default: --window)")
    add("--drop-rare-classes", action="store_true", default=None, help="leave out classes with one training series")


def reading(options: argparse.Namespace) -> dict[str, Any]:
    """What was given of `add_reading_options`, as arguments of `load_series`."""
    given = {name: getattr(options, name) for name in READING if getattr(options, name) is not None}
    if "value_columns" in given:
        given["value_columns"] = [name.strip() for name in given["value_columns"].split(",")]
    return given


def refuse_without_data(options: argparse.Namespace, *others: str) -> None:
    """Raises `ValueError` where `--data` is not given, but options of it are: those of reading, or the `others`."""
    given = [*reading(options), *(name for name in others if getattr(options, name) is not None)]
    if options.data is None and given:
        raise ValueError(f"--{given[0].replace('_', '-')} is for series of your own; name them with --data")


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
    from ..data.readers import ENDINGS
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
    return (path.stem if path.suffix in ENDINGS else path.name).replace(":", "-"), data
