"""The lines of a text file, and the fields of a line."""

import csv
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from ..runtime import one_line


SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
PROBED = 50  # rows that are looked at to find the separator


def lines_of(path: Path, text: str) -> tuple[list[str], list[str], str | None]:
    """The lines without empty ones, the comments (the last before all lines first), and the separator of Excel."""
    lines: list[str] = []
    comments = [""]
    for line in _records(text):
        if line.startswith("#"):
            comments = [line, *comments] if not lines else [*comments, line]
        elif line.strip():
            lines.append(line)
    comments = [line for line in comments if line] or [""]
    while len(lines) > 1 and not lines[-1].strip(' ,;|\t"'):
        lines.pop()
    said = re.fullmatch(r'"?sep=(.)"?\W*', lines[0], re.IGNORECASE) if lines else None
    lines = lines[1:] if said else lines
    if not lines:
        raise ValueError(f"{path} is empty")
    return lines, comments, said[1] if said else None


def _records(text: str) -> Iterator[str]:
    """The lines of a text; a field between quotation marks may hold line ends."""
    parts = re.split(r"(\r\n|\r|\n)", text)
    opened: list[str] = []
    for line, end in zip(parts[::2], [*parts[1::2], ""], strict=True):
        if bool(opened) != bool(line.count('"') % 2):
            opened += [line, end]
        else:
            yield "".join([*opened, line])
            opened = []
    yield from opened[::2]  # a mark that nothing closes


def decoded(path: Path) -> tuple[str, list[str]]:
    """The text of a file, which may be packed, and its encoding in words, if it is an old one.

    Raises:
        ValueError: for a file that is damaged or no text.
    """
    raw = path.read_bytes()
    try:
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is a damaged .gz file ({one_line(error)})") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace"), []
    if b"\x00" in raw:
        raise ValueError(f"{path} does not hold series: it is no text")
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace"), ["in the encoding cp1252"]


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of a line."""
    return next(csv.reader(line.splitlines(keepends=True), delimiter=separator), [])


def separator_of(lines: list[str]) -> str:
    """The one that splits the first line, and the next rows into as many fields; else the one that splits it most."""
    counts = {mark: [len(fields_of(line, mark)) for line in lines[:PROBED]] for mark in SEPARATORS}
    splits = {mark: count for mark, count in counts.items() if count[0] > 1}
    even = [mark for mark, count in splits.items() if len(set(count)) == 1]
    return max(even or splits or [","], key=lambda mark: counts[mark][0])
