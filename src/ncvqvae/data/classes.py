"""The classes of all splits together, and those that are too rare to train on."""

from collections import Counter
from collections.abc import Mapping

from datasets import ClassLabel

from .from_arrays import Opened
from .labels import label_name, label_names, sort_labels
from .names import some


def find_classes(splits: Mapping[str, Opened], only_found: bool) -> tuple[list[str] | None, dict[object, int]]:
    """The names of the classes, and the class index of each value in the label column.

    `only_found` leaves out those classes of a `ClassLabel` that no series has.
    """
    labels = {name: part.columns.label for name, part in splits.items()}
    if all(label is None for label in labels.values()):
        return None, {}
    if lacking := [name for name, label in labels.items() if label is None]:
        columns = some(splits[lacking[0]].dataset.column_names)
        raise ValueError(f"the split {lacking[0]!r} has no label column, unlike the others; its columns are {columns}")
    kinds = [part.dataset.features[part.columns.label] for part in splits.values()]
    if all(isinstance(kind, ClassLabel) and kind.names == kinds[0].names for kind in kinds):
        found = {one for part in splits.values() for one in _unique_labels(part)}
        if found & {None, -1}:
            raise ValueError("a series has no label; label all series or none")
        kept = [index for index in range(len(kinds[0].names)) if index in found or not only_found]
        return [kinds[0].names[index] for index in kept], {index: new for new, index in enumerate(kept)}
    if any(isinstance(kind, ClassLabel) for kind in kinds):
        raise ValueError(f"the splits differ in their classes, in the column {next(iter(labels.values()))!r}")
    named = {one: label_name(one) for part in splits.values() for one in _unique_labels(part)}
    names = sort_labels(list(named.values()))
    return names, {one: names.index(name) for one, name in named.items()}


def _labels(part: Opened) -> list[str]:
    """The class of each series, by its name."""
    kind, labels = part.dataset.features[part.columns.label], list(part.dataset[part.columns.label])
    return kind.int2str(labels) if isinstance(kind, ClassLabel) else label_names(labels)


def _unique_labels(part: Opened) -> list:
    return part.dataset.select_columns(part.columns.label).unique(part.columns.label)


def drop_rare(splits: dict[str, Opened]) -> None:
    """Leaves out the series of classes with fewer than two training series."""
    first = "train" if "train" in splits else next(iter(splits))
    if splits[first].columns.label is None:
        return
    named = {name: _labels(part) for name, part in splits.items()}
    counts = Counter(named[first])
    if not any(counts[one] > 1 for name in splits for one in named[name]):
        raise ValueError(f"no class has two training series; found the classes {some(sort_labels(counts))}")
    for name, part in splits.items():
        kept = [index for index, one in enumerate(named[name]) if counts[one] > 1]
        if rare := sort_labels(one for one in named[name] if counts[one] < 2):
            if not kept:
                raise ValueError(f"no series of the split {name!r} is of a class with two training series")
            part.dataset = part.dataset.select(kept)
            part.told.append(f"without the classes {some(rare)}: they have fewer than two training series")
