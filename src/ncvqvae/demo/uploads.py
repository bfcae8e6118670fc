"""What a visitor uploads is looked at before it is read: its head says how much memory it would take."""

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..data.sources import ending


MOST_NUMBERS = 2**19  # series x samples, and whatever else a file holds
MOST_COLUMNS = 2**13  # of a table
MOST_BYTES = 32 * MOST_NUMBERS  # once unpacked
SEPARATORS = b",;\t|:"
ARCHIVES = (".ts", ".arff")  # a series in a line


def check_upload(file: str | Path) -> None:
    """Raises `ValueError` for a file that holds more than the app reads, however small it is packed.

    Nothing of its content is kept in memory, and no more of it is unpacked than may be read.
    """
    path = Path(file)
    kind = ending(path)
    try:
        if kind == ".npz":
            _check_npz(path)
        elif kind == ".npy":
            with open(path, "rb") as head:
                _check_array(head)
        elif kind == ".parquet":
            _check_parquet(path)
        else:
            _check_text(path, kind)
    except (OSError, EOFError, BadZipFile, RuntimeError, NotImplementedError, zlib.error, pa.ArrowException) as error:
        raise ValueError(f"{path.name} is damaged or of another kind ({str(error)[:100]})") from None


def _refuse(found: str) -> None:
    raise ValueError(f"the app reads up to {MOST_NUMBERS:,} numbers of a file, found {found}; send fewer series")


def _check_array(head: IO[bytes]) -> int:
    """The bytes that an array of NumPy takes, by its head."""
    version = np.lib.format.read_magic(head)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError("an array of another version of NumPy; write it again")
    shape, _, dtype = read(head)
    if math.prod(shape) > MOST_NUMBERS or math.prod(shape) * dtype.itemsize > MOST_BYTES:
        _refuse(f"an array of shape {shape}")
    return math.prod(shape) * dtype.itemsize


def _check_npz(path: Path) -> None:
    with ZipFile(path) as packed:
        if len(packed.infolist()) > 100:
            _refuse(f"{len(packed.infolist())} arrays")
        total = 0
        for entry in packed.infolist():
            with packed.open(entry) as head:
                total += _check_array(head)
        if total > MOST_BYTES:
            _refuse(f"arrays of {total:,} bytes")


def _check_parquet(path: Path) -> None:
    file = pq.ParquetFile(path)
    about = file.metadata
    if about.num_columns > MOST_COLUMNS:
        _refuse(f"a table of {about.num_columns:,} columns")
    chunks = [
        about.row_group(group).column(column)
        for group in range(about.num_row_groups)
        for column in range(about.num_columns)
    ]
    numbers = max(about.num_rows, sum(chunk.num_values for chunk in chunks))
    if numbers > MOST_NUMBERS or sum(chunk.total_uncompressed_size for chunk in chunks) > MOST_BYTES:
        _refuse(f"a table of {numbers:,}")
    # A long text may stand once in a file, and a million times in the table that is read.
    texts = [chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"]
    for name in dict.fromkeys(texts):
        column = pq.ParquetFile(path, read_dictionary=[name]).read([name]).column(0)
        for part in column.chunks:
            if not pa.types.is_dictionary(part.type):
                _refuse(f"nested texts in the column {name[:40]!r}")
            lengths = pc.binary_length(part.dictionary).take(part.indices)
            if (pc.sum(lengths).as_py() or 0) > MOST_BYTES:
                _refuse(f"texts of {pc.sum(lengths).as_py():,} bytes")


def _check_text(path: Path, kind: str) -> None:
    """Counts fields: all of them, and in a table those of a line too."""
    fields = 0
    for line in _lines(path):
        here = 1 + max(line.count(mark) for mark in SEPARATORS)
        if kind not in ARCHIVES and here > MOST_COLUMNS:
            _refuse(f"a line of {here:,} columns")
        fields += here
        if fields > 2 * MOST_NUMBERS:  # beside each value may stand its time
            _refuse("more")


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a text, which may be packed; each is counted whole, and in pieces where it is endless."""
    with open(path, "rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    total, rest = 0, b""
    with gzip.open(path) if packed else open(path, "rb") as file:
        while piece := file.read(2**20):
            total += len(piece)
            if total > MOST_BYTES:
                _refuse(f"more than {MOST_BYTES:,} bytes of text")
            *whole, rest = re.split(rb"[\r\n]+", rest + piece)
            yield from whole
    yield rest
