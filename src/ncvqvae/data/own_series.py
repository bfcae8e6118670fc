"""A user's own series as datasets to train on, whole or cut into windows, and a description of them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Value
from torch import Tensor

from ..runtime import bars_for_terminals
from .classes import drop_rare, find_classes
from .columns import arrays, converted, reader
from .from_arrays import Opened
from .layout import Layout
from .names import some
from .readers import Source, open_source
from .series import read_labels, series_features, survey, to_tensors
from .streaming import StreamedValues, column_array


@bars_for_terminals()
def load_series(
    source: Source,
    labels: Sequence | None = None,
    label_column: str | None = None,
    window: int | None = None,
    stride: int | None = None,
    test: Source | None = None,
    *,
    id_column: str | None = None,
    time_column: str | None = None,
    value_columns: Sequence[str] | None = None,
    channel_column: str | None = None,
    channels_last: bool | None = None,
    day_first: bool | None = None,
    missing_value: float | None = None,
    drop_rare_classes: bool = False,
) -> Dataset | DatasetDict:
    """Your own series as a dataset to train on.

    Datasets and parquet files that are larger than memory stay on disk. Gaps are NaN or empty. `fill_gaps` says how
    gaps are filled and unequal lengths are made equal; the length is that of the longest training series.

    Args:
        source: one of

            - an array or tensor, `(series, length)` or `(series, channels, length)`, or a list of `(channels, length)`
              of unequal lengths;
            - a table: a DataFrame, whose index may hold times, or series and times; a polars or pyarrow table; the
              path of a `.csv`, `.tsv` or `.txt`, also `.gz`, or of a `.parquet`. A row is a series, its samples in
              the columns `t0, t1, ...`, or for several channels `acc_x_0, acc_x_1, ..., acc_y_0, ...`; or a row is a
              time, of the series that the column `id` names or of one recording, with a channel in each column; or a
              row is one value, and the column `channel` says of which channel;
            - the path of a `.npy`, of a `.npz` with `values` and perhaps `labels`, of a `.ts` or an `.arff`;
            - a list of DataFrames, a recording each, with a time in each row;
            - a `datasets.Dataset` or `DatasetDict`, a folder that `save_to_disk` wrote, or `org/name` or
              `org/name:config` on the Hub: a column `values` of `(channels, length)` or `(length,)`, a column of
              lists for each channel, or a table.
        labels (*optional*): the class of each series of an array.
        label_column (*optional*, defaults to `label` or `class` in any case): the column of the classes.
        window (*optional*, in samples): cuts each series into windows of this length that start at the multiples of
            `stride`; the last one ends at the series' last sample, and may overlap the one before. A window has the
            label of its series. The column `series` has that series' number, so that training holds out whole series.
        stride (*optional*, in samples, defaults to `window`): from one window's start to the next.
        test (*optional*): another source, which becomes the split `test` beside `train`.
        id_column (*optional*, defaults to `id`, `series`, `unique_id`, ...): the column that says which series a row
            belongs to. Series are in the order of their ids, numbers as numbers.
        time_column (*optional*, defaults to `time`, `timestamp`, `date`, `ds`, ...): numbers, dates or durations;
            see `read_times`. Steps count as equal.
        value_columns (*optional*, defaults to all other columns of numbers): the columns to read, in this order.
            Without it, channels are in the order of their names, wherever they stand.
        channel_column (*optional*, defaults to `channel`, `sensor`, `variable`, ...): of a table with one value a row.
        channels_last: whether arrays are `(series, length, channels)`.
        day_first (*optional*): whether a date such as 10/01/2020 names the day first; dates that may be read both ways
            are refused without it.
        missing_value (*optional*): a number that stands for a missing value, such as -9999.
        drop_rare_classes: whether series of a class with fewer than two training series are left out.

    Returns:
        A dataset with the columns of `series_features`, or one for each split; `describe` says what was found.

    Raises:
        ValueError: for a source that cannot be read, can be read in several ways, holds no series or more than
            numbers, or for a window that is longer than a series. The message names the option that helps.
    """
    if not all(one is None or one >= 1 for one in (window, stride)) or (stride and not window):
        raise ValueError(f"window and stride are 1 sample or more, stride needs window; found {window} and {stride}")
    value_columns = [value_columns] if isinstance(value_columns, str) else value_columns
    columns = (label_column, id_column, time_column, value_columns, channel_column)
    layout = Layout(*columns, channels_last, day_first, window)
    found = open_source(source, labels, layout)
    if test is not None:
        found = {"train": _split(found, "train"), "test": _split(open_source(test, None, layout), "test")}
    if drop_rare_classes:
        drop_rare(found)
    _check_channels(found)
    prepared = _prepare(found, layout, missing_value, stride, drop_rare_classes)
    return prepared["all"] if list(prepared) == ["all"] else DatasetDict(prepared)


def describe(dataset: Dataset) -> str:
    """What a dataset of `load_series` holds and how it was read, in a line.

    That is: how many series, samples, channels and series of each class there are, how many values were missing, the
    layout of the source, its separator, first and last time, and the columns that were left out.
    """
    count, channels, length = StreamedValues(dataset).shape
    kind = "series"
    if "series" in dataset.column_names:
        kind = f"windows, cut from {len(column_array(dataset, 'series').unique())} series,"
    said = [f"{count} {kind} of {length} samples", f"{channels} channel{'s' if channels > 1 else ''}"]
    labels = read_labels(dataset)
    if labels is None:
        said.append("no classes")
    else:
        names = dataset.features["label"].names
        shares = [f"{name}: {int((labels == index).sum())}" for index, name in enumerate(names[:10])]
        classes = "1 class" if len(names) == 1 else f"{len(names)} classes"
        said.append(f"{classes} ({', '.join(shares)}{', ...' if len(names) > 10 else ''})")
    said += [dataset.info.description] * bool(dataset.info.description)
    return re.sub(r"\s*[\r\n]+\s*", " ", ", ".join(said))  # the name of a class may have several lines


def read_series(source: Source, **how: Any) -> tuple[Tensor, list[str] | None, str]:
    """The series `(series, channels, length)` of one source, the names of their classes, and what `describe` says.

    Args:
        how: arguments of `load_series`.

    Raises:
        ValueError: see `load_series`; also for a source of several splits.
    """
    found = load_series(source, **how)
    if isinstance(found, DatasetDict):
        if len(found) > 1:
            raise ValueError(f"{source} has the splits {', '.join(found)}; name a file or a folder of one")
        found = next(iter(found.values()))
    values, labels = to_tensors(found)
    names = None if labels is None else [found.features["label"].names[label] for label in labels.tolist()]
    return values, names, describe(found)


def _split(found: dict[str, Opened], name: str) -> Opened:
    if name not in found and len(found) > 1:
        raise ValueError(f"there is no split {name!r}, only {', '.join(found)}")
    return found[name] if name in found else next(iter(found.values()))


def _check_channels(splits: dict[str, Opened]) -> None:
    """Refuses splits whose channels have different names."""
    found = {name: part.channels for name, part in splits.items() if part.channels is not None}
    first = next(iter(found), None)
    for name, channels in found.items():
        if channels != found[first]:
            raise ValueError(
                f"the splits differ in their channels: {first!r} has {some(found[first])}, {name!r} has "
                f"{some(channels)}; name those to read with --value-columns"
            )


def _prepare(
    splits: dict[str, Opened],
    layout: Layout,
    missing_value: float | None,
    stride: int | None,
    drop_rare_classes: bool,
) -> dict[str, Dataset]:
    names, ids = find_classes(splits, drop_rare_classes)
    window = layout.window
    readers = {name: reader(part.columns, missing_value) for name, part in splits.items()}
    surveys = {name: survey(arrays(part.dataset, readers[name])) for name, part in splits.items()}
    channels = sorted({one.channels for one in surveys.values()})
    if len(channels) > 1:
        raise ValueError(f"the splits differ in their channels: {channels}")
    padded = all(one.padded for one in surveys.values())
    for one in surveys.values():
        one.padded = padded
        one.spread.check()
    sizes = {name: one.lengths for name, one in surveys.items()}
    # A longer test series does not stretch those that are trained on.
    length = window or max(sizes["train"] if "train" in sizes else [size for part in sizes.values() for size in part])
    double = any(one.spread.needs_double for one in surveys.values())
    prepared = {}
    for name, part in splits.items():
        if window and min(sizes[name]) < window:
            shortest = int(np.argmin(sizes[name]))
            raise ValueError(f"the window of {window} samples is longer than series {shortest}, of {min(sizes[name])}")
        features = series_features(channels[0], length, names, double)
        dataset, numbered = part.dataset, part.dataset.features.get("series") == Value("int64")
        cut_before = "values" in dataset.features and numbered
        if window or cut_before:
            features["series"] = Value("int64")
        prepared[name] = converted(
            dataset,
            features,
            part.columns.label,
            whole=not (window or surveys[name].num_missing or missing_value is not None or part.columns.channels_last),
            read=readers[name],
            ids=ids,
            end=None if padded else max(sizes[name]),
            length=None if window else length,
            window=window,
            stride=stride or window,
            sources="series" if cut_before else None,
            double=double,
        )
        gaps = _gaps(0 if padded else surveys[name].num_missing, [] if window else sizes[name], length)
        prepared[name].info.description = ", ".join([gaps, *_about(part)])
        prepared[name].info.config_name = None  # a name would be that of a dataset of the archive
    return prepared


def _gaps(missing: int, sizes: Sequence[int], length: int) -> str:
    filled = f"{missing} missing value{'' if missing == 1 else 's'} interpolated" if missing else "no missing values"
    short, long = sum(size < length for size in sizes), sum(size > length for size in sizes)
    filled += f", {short} series stretched to the longest" if short else ""
    return filled + (f", {long} series shrunk to the longest training series" if long else "")


def _about(part: Opened) -> list[str]:
    """How a source was read, in words."""
    columns, said = part.columns, []
    if columns.rows == "series":
        names = [name for channel in columns.values for name in (channel[0], channel[-1])]
        said.append(f"read from a table with a series in each row ({names[0]} ... {names[-1]})")
    said += part.told
    for why in dict.fromkeys(columns.left_out.values()):
        names = [name for name, reason in columns.left_out.items() if reason == why]
        alone = names if len(names) < 4 else []
        said += [f"without {name}: {why}" for name in alone]
        said += [f"without {some(names)}: {why.replace('it ', 'each ', 1)}"] * (not alone)
    return said
