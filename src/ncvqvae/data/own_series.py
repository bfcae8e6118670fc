"""A user's own series as datasets to train on, whole or cut into windows, and a description of them."""

from collections.abc import Sequence

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Value

from ..runtime import bars_for_terminals
from .columns import arrays, converted, reader
from .labels import label_name, sort_labels
from .readers import Source, open_source
from .series import read_labels, series_features, survey
from .streaming import StreamedValues, column_array


@bars_for_terminals()
def load_series(
    source: Source,
    labels: Sequence | None = None,
    label_column: str | None = None,
    window: int | None = None,
    stride: int | None = None,
    test: Source | None = None,
) -> Dataset | DatasetDict:
    """Your own series as a dataset to train on.

    Datasets and parquet files that are larger than memory stay on disk. Gaps are NaN or empty. `fill_gaps` says how
    gaps are filled and unequal lengths are made equal; it sees all splits together.

    Args:
        source: one of

            - an array or tensor, `(series, length)` or `(series, channels, length)`, or a list of `(channels, length)`
              of unequal lengths;
            - a DataFrame or the path of a `.csv` or `.parquet`. Wide: a series in a row, a sample in a column, in
              their order; several channels in columns `c0_0, c0_1, ..., c1_0, ...`. Long: a value in a row, with
              the columns `series` (or `id`, `unique_id`, `item_id`), `time` (`timestamp`, `ds`), `value` (`y`,
              `target`) and perhaps `channel`; samples are in the order of time, and its steps count as equal;
            - the path of a `.npy`, or of a `.npz` with `values` and perhaps `labels`;
            - a `datasets.Dataset` or `DatasetDict`, a folder that `save_to_disk` wrote, or `org/name` or
              `org/name:config` on the Hub: a column `values` of `(channels, length)` or `(length,)`, or a table.
        labels (*optional*): the class of each series of an array.
        label_column (*optional*, defaults to `label` if there is one): names the column of the classes, of any type.
        window (*optional*, in samples): cuts each series into windows of this length that start at the multiples of
            `stride`; the last one ends at the series' last sample, and may overlap the one before. A window has the
            label of its series. The column `series` has that series' number, so that training holds out whole series.
        stride (*optional*, in samples, defaults to `window`): from one window's start to the next.
        test (*optional*): another source, which becomes the split `test` beside `train`.

    Returns:
        A dataset with the columns of `series_features`, or one for each split; `describe` says what was found.

    Raises:
        ValueError: for a source that cannot be read, holds no series or more than numbers, has no such label column,
            or for a window that is longer than a series.
    """
    if not all(one is None or one >= 1 for one in (window, stride)) or (stride and not window):
        raise ValueError(f"window and stride are 1 sample or more, stride needs window; found {window} and {stride}")
    found = open_source(source, labels, label_column)
    if test is not None:
        other = open_source(test, None, label_column)
        found = DatasetDict(train=_split(found, "train"), test=_split(other, "test"))
    if isinstance(found, Dataset):
        return _prepare({"all": found}, label_column, window, stride)["all"]
    return DatasetDict(_prepare(dict(found), label_column, window, stride))


def describe(dataset: Dataset) -> str:
    """What a dataset of `load_series` holds, in a line: how many series, samples, channels and series of each class,
    and how many values were missing.
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
        said.append(f"{len(names)} classes ({', '.join(shares)}{', ...' if len(names) > 10 else ''})")
    return ", ".join(said + [dataset.info.description] * bool(dataset.info.description))


def _split(found: Dataset | DatasetDict, name: str) -> Dataset:
    if isinstance(found, Dataset):
        return found
    if name not in found and len(found) > 1:
        raise ValueError(f"there is no split {name!r}, only {', '.join(found)}")
    return found[name] if name in found else next(iter(found.values()))


def _prepare(
    splits: dict[str, Dataset], label_column: str | None, window: int | None, stride: int | None
) -> dict[str, Dataset]:
    label = _find_label(splits, label_column)
    names, ids = _classes(splits, label) if label else (None, {})
    readers = {name: reader(part, label) for name, part in splits.items()}
    surveys = {name: survey(arrays(part, readers[name])) for name, part in splits.items()}
    channels = sorted({one.channels for one in surveys.values()})
    if len(channels) > 1:
        raise ValueError(f"the splits differ in their channels: {channels}")
    padded = all(one.padded for one in surveys.values())
    longest = max(max(one.ends if padded else one.sizes) for one in surveys.values())
    prepared = {}
    for name, part in splits.items():
        sizes = surveys[name].ends if padded else surveys[name].sizes
        if window and min(sizes) < window:
            shortest = int(np.argmin(sizes))
            raise ValueError(f"the window of {window} samples is longer than series {shortest}, of {min(sizes)}")
        features = series_features(channels[0], window or longest, names)
        cut_before = "values" in part.features and part.features.get("series") == Value("int64")
        if window or cut_before:
            features["series"] = Value("int64")
        prepared[name] = converted(
            part,
            features,
            label,
            whole=not window and not surveys[name].num_missing,
            read=readers[name],
            ids=ids,
            padded=padded,
            length=None if window else longest,
            window=window,
            stride=stride or window,
            sources="series" if cut_before else None,
        )
        stretched = 0 if window else sum(size != longest for size in sizes)
        prepared[name].info.description = _gaps(0 if padded else surveys[name].num_missing, stretched)
        prepared[name].info.config_name = None  # a name would be that of a dataset of the archive
    return prepared


def _gaps(missing: int, stretched: int) -> str:
    filled = f"{missing} missing value{'' if missing == 1 else 's'} interpolated" if missing else "no missing values"
    return filled + (f", {stretched} series stretched to the longest" if stretched else "")


def _find_label(splits: dict[str, Dataset], label_column: str | None) -> str | None:
    label = label_column or "label"
    lacking = [part for part in splits.values() if label not in part.column_names]
    if not lacking:
        return label
    if label_column is None and len(lacking) == len(splits):
        return None
    columns = lacking[0].column_names
    more = f" and {len(columns) - 10} more" if len(columns) > 10 else ""
    raise ValueError(f"there is no label column {label!r}; the columns are {', '.join(columns[:10])}{more}")


def _classes(splits: dict[str, Dataset], label: str) -> tuple[list[str], dict[object, int]]:
    """The names of the classes, and the class index of each value in the label column."""
    kinds = [part.features[label] for part in splits.values()]
    if all(isinstance(kind, ClassLabel) and kind.names == kinds[0].names for kind in kinds):
        found = {one for part in splits.values() for one in part.select_columns(label).unique(label)}
        if found & {None, -1}:
            raise ValueError("a series has no label; label all series or none")
        return kinds[0].names, {index: index for index in range(len(kinds[0].names))}
    if any(isinstance(kind, ClassLabel) for kind in kinds):
        raise ValueError(f"the splits differ in their classes, in the column {label!r}")
    named = {one: label_name(one) for part in splits.values() for one in part.select_columns(label).unique(label)}
    names = sort_labels(list(named.values()))
    return names, {one: names.index(name) for one, name in named.items()}
