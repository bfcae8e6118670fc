"""Series with their gaps, for who fills them otherwise than with straight lines."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..runtime import bars_for_terminals
from .classes import find_classes
from .columns import arrays, reader
from .layout import Layout
from .readers import Source, open_source


@bars_for_terminals()
def read_with_gaps(source: Source, **how: Any) -> tuple[Tensor, list[str] | None, str]:
    """The series `(series, channels, length)` of one source, NaN where values are missing, their classes, and a line
    that says what was read.

    Args:
        source, how: as in `load_series`, without windows and rare classes.

    Raises:
        ValueError: see `load_series`; also for series of unequal lengths, and for a source of several splits.
    """
    if unfit := [name for name in ("window", "stride", "drop_rare_classes") if how.get(name)]:
        raise ValueError(f"{unfit[0]} is for training; gaps are filled in whole series")
    missing = how.pop("missing_value", None)
    columns = [how.get(f"{name}_column") for name in ("label", "id", "time")]
    layout = Layout(*columns, *(how.get(name) for name in ("value_columns", "channel_column", "channels_last")))
    found = open_source(source, None, replace(layout, day_first=how.get("day_first")))
    if len(found) > 1:
        raise ValueError(f"{source} has the splits {', '.join(found)}; name a file or a folder of one")
    part = next(iter(found.values()))
    series = list(arrays(part.dataset, reader(part.columns, missing)))
    if len(shapes := {one.shape for one in series}) != 1:
        shown = " and ".join(" x ".join(map(str, shape)) for shape in sorted(shapes)[:2]) or "none"
        raise ValueError(f"series must have equally many channels and samples, write gaps as NaN; found {shown}")
    classes, ids = find_classes(found, False)
    labels = None
    if classes is not None:
        labels = [classes[ids[one]] for one in part.dataset[part.columns.label]]
    values = np.stack(series)
    single = bool((np.float32(values) == values)[~np.isnan(values)].all()) or np.nanmax(np.abs(values)) < 1e6
    count, channels, length = values.shape
    said = [f"{count} series of {length} samples", f"{channels} channel{'s' if channels > 1 else ''}", *part.told]
    said.insert(2, f"{int(np.isnan(values).sum())} missing values")
    return torch.from_numpy(values.astype(np.float32 if single else np.float64)), labels, ", ".join(said)
