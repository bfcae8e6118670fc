"""Series that are too many for memory: they stay in the files of their dataset until a batch asks for them."""

import math
from collections.abc import Iterator

import numpy as np
import psutil
import pyarrow as pa
import torch
from datasets import Dataset
from torch import Tensor

from ..models.distributed import num_processes
from .spread import Spread


MEMORY_SHARE = 0.25  # share of the free memory, of machine and device; series that need more are streamed
CHUNK_VALUES = 2**22  # values that a pass over all series holds at a time


class StreamedValues:
    """`values` `(series, channels, length)` of a dataset, read from Arrow by each access.

    They are float32, or float64 where the dataset's are and float32 would have too few digits. It has what training
    needs of a tensor: `shape`, `device`, `len`, rows by index, `split`.

    Args:
        dataset: with a column `values` of `(channels, length)`, or of `(length,)` for one channel.
        device (*optional*, defaults to the CPU): the device of the tensors that are read.

    Raises:
        ValueError: for a dataset that is empty or without such a column; rows of another shape than the first are
            refused when they are read.
    """

    def __init__(self, dataset: Dataset, device: torch.device | str = "cpu"):
        if "values" not in dataset.column_names:
            raise ValueError(f"the dataset needs a column 'values', found {', '.join(dataset.column_names)}")
        if not len(dataset):
            raise ValueError("there are no series: the split is empty")
        self.dataset, self.device = dataset.select_columns("values").with_format("arrow"), torch.device(device)
        first = np.asarray(self.dataset[:1]["values"][0].as_py(), dtype=np.float64)
        if first.ndim > 2:
            raise ValueError(f"all values must be (channels, length), found the shape {first.shape}")
        self.shape = torch.Size((len(dataset), *np.atleast_2d(first).shape))
        self.dtype = np.float64 if self._needs_double(first) else np.float32

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: Tensor | slice) -> Tensor:
        rows = self.dataset[indices if isinstance(indices, slice) else indices.tolist()]["values"]
        flat = rows.combine_chunks()
        while hasattr(flat, "flatten") and flat.type.num_fields:
            flat = flat.flatten()
        values = torch.from_numpy(flat.to_numpy(zero_copy_only=False).astype(self.dtype))
        shape = (len(rows), *self.shape[1:])
        if values.numel() != math.prod(shape):
            raise ValueError(
                "all values must be (channels, length) of one shape; `series_dataset` stretches unequal ones"
            )
        return values.view(shape).to(self.device)

    def _needs_double(self, first: np.ndarray) -> bool:
        if leaf_of(self.dataset.data.schema.field("values").type) != pa.float64():
            return False
        spread = Spread()
        spread.add(0, np.atleast_2d(first))
        return spread.needs_double

    def select(self, indices: Tensor) -> "StreamedValues":
        """The series at `indices`, streamed as well."""
        return StreamedValues(self.dataset.select(indices.tolist()), self.device)

    def split(self, size: int) -> Iterator[Tensor]:
        """All series, `size` at a time."""
        return (self[slice(start, start + size)] for start in range(0, len(self), size))


Values = Tensor | StreamedValues


def leaf_of(kind: pa.DataType) -> pa.DataType:
    """The type of the values in lists, and lists of lists, of this type."""
    while isinstance(kind, pa.ExtensionType) or hasattr(kind, "value_type"):
        kind = kind.storage_type if isinstance(kind, pa.ExtensionType) else kind.value_type
    return kind


def open_values(dataset: Dataset, device: torch.device) -> Values:
    """`values` of a dataset, as a tensor on `device` if that takes no more than `MEMORY_SHARE` of the free memory.

    Raises:
        ValueError: see `StreamedValues`.
    """
    values = StreamedValues(dataset, device)
    free = psutil.virtual_memory().available / num_processes()
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0])
    return values if 4 * math.prod(values.shape) > MEMORY_SHARE * free else values[:]


def chunks(values: Values) -> Iterator[Tensor]:
    """All series in their order, in parts of up to `CHUNK_VALUES` values, but at least one series."""
    return iter(values.split(max(CHUNK_VALUES // math.prod(values.shape[1:]), 1)))


def column_array(dataset: Dataset, name: str) -> pa.Array:
    """One column of a dataset, in memory."""
    return dataset.select_columns(name).with_format("arrow")[:][name].combine_chunks()
