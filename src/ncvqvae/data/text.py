"""Text files of fields: CSV with commas, semicolons or tabs, as spreadsheets, loggers and programs write them."""

import csv
import gzip
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from ..runtime import one_line
from .layout import Layout
from .names import ROW_NUMBERS, role_of


DECIMAL_SIGNS = {",": "commas", ".": "points"}
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
PROBED = 50  # rows that are looked at to find the separator
# In a text whose fields are separated by "," the decimal comma needs quotes.
DECIMALS = [rf'(?:^|[;\t|])[ "]*[-+]?\d*{mark}\d+(?:[eE][-+]?\d+)?[ "]*(?=$|[;\t|])' for mark in (",", r"\.")]
QUOTED_DECIMAL = r'(?:^|,)"[-+]?\d+,\d+"(?=$|,)'
POINT = r'(?:^|,)[ "]*[-+]?\d*\.\d+(?:[eE][-+]?\d+)?[ "]*(?=$|,)'  # between commas
THOUSANDS = r',?"[-+]?[1-9]\d{0,2},\d{3}"'
COMMA_IN_TIME = r"^([-+]?\d+),(\d+)$"
NUMBER = r"^\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*$"
# What stands for a missing value, beside what Arrow takes for one.
MISSING = [*arrow_csv.ConvertOptions().null_values, "None", "none", "<NA>", "?", "-", "--", " "]


def read_text(path: Path, layout: Layout) -> tuple[pa.Table, list[str]]:
    """The table in a text file, and what was found out about the file, in words.

    The first line that is neither empty nor a comment (`#`) names the columns; a comment just before the first series
    may do so, too. Columns of classes, ids, times and channels stay text.

    Args:
        layout: the columns that the caller names.

    Raises:
        ValueError: for a file that is no text, a first line that is a series, or a row with more or fewer fields than
            the first line has; the message is one line.
    """
    text, told = _decode(path)
    lines, comments, separator = _lines(path, text)
    separator = separator or _separator(lines)
    header, comment = (
        [" ".join(one.split()) for one in _fields(line, separator)] for line in (lines[0], comments[0][1:])
    )
    layout = layout.spelled([*header, *comment])
    named = [*layout.named, *(layout.values or [])]
    if _is_series(header, named) and len(comment) == len(header) and not _is_series(comment, named):
        header, lines, comments = comment, ["", *lines], comments[1:]
    _check_header(path, header, named)
    _check_rows(path, header, lines, comments)
    body = "\n".join(lines[1:])
    decimal = _decimal(path, body, separator)
    texts = {name for name in header if role_of(name)} - set(layout.values or []) | set(layout.named)
    table = _parse(path, body, header, separator, decimal, texts)
    read = layout.values or [name for name in header if not ROW_NUMBERS.fullmatch(name)]
    _check_cells(path, table, [name for name in read if name in table.column_names and name not in texts])
    said = f"separated by {SEPARATORS.get(separator, repr(separator))}"
    said += f", with decimal {DECIMAL_SIGNS[decimal]}" if decimal else ""
    left = len(comments) - (comments == [""])
    told += [f"without {left} line{'s' * (left > 1)} that begin{'s' * (left == 1)} with #"] * bool(left)
    return _as_written(_without_empty_end(path, table), texts, decimal), [said, *told]


def _lines(path: Path, text: str) -> tuple[list[str], list[str], str | None]:
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
    whole = ""
    for line in re.split(r"\r\n|\r|\n", text):
        whole += line
        if whole.count('"') % 2 == 0:
            yield whole
            whole = ""
        else:
            whole += "\n"
    yield from whole.split("\n") if whole else []  # a mark that nothing closes


def _decode(path: Path) -> tuple[str, list[str]]:
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


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader(line.splitlines(keepends=True), delimiter=separator), [])


def _separator(lines: list[str]) -> str:
    """The one that splits the first line, and the next rows into as many fields; else the one that splits it most."""
    counts = {mark: [len(_fields(line, mark)) for line in lines[:PROBED]] for mark in SEPARATORS}
    splits = {mark: count for mark, count in counts.items() if count[0] > 1}
    even = [mark for mark, count in splits.items() if len(set(count)) == 1]
    return max(even or splits or [","], key=lambda mark: counts[mark][0])


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _is_series(header: list[str], named: Collection[str]) -> bool:
    """Whether a first line is a series, whether or not a class stands beside it."""
    numbers = [name for name in header if _is_number(name)]
    if header[:1] == [""] and numbers == header[1:] == list(map(str, range(len(numbers)))):
        return False  # pandas' row numbers, and its names of columns without a name
    others = [name for name in header if name and name not in numbers]
    return bool(numbers) and not any(name in named or role_of(name) or ROW_NUMBERS.fullmatch(name) for name in others)


def _check_header(path: Path, header: list[str], named: Collection[str]) -> None:
    if _is_series(header, named):
        found = f"it begins with {', '.join(header[:3])}"
        raise ValueError(
            f"the first line of {path} is a series, not the names of the columns ({found}): add a line of names such "
            "as label,t0,t1,t2"
        )
    if repeated := [name for name in header if name and header.count(name) > 1]:
        raise ValueError(f"{path} has several columns of the name {repeated[0]!r}")


def _check_rows(path: Path, header: list[str], lines: list[str], comments: list[str]) -> None:
    if len(lines) == 1:
        found = f"{path} has a line of names, {', '.join(header[:3])}, and no row below it"
        raise ValueError(found + "; lines that begin with # are comments" * (comments != [""]))
    if len(header) == 1 and 1 < len(header[0].split()) == len(lines[1].split()):
        raise ValueError(f"the fields of {path} are separated by none of {', '.join(SEPARATORS.values())}")


def _decimal(path: Path, body: str, separator: str) -> str:
    """The decimal sign, or nothing where no number has one."""
    if separator == ",":
        quoted, point = (re.search(pattern, body, re.MULTILINE) for pattern in (QUOTED_DECIMAL, POINT))
        if quoted and point:
            _raise_of_both(path, quoted[0].strip(' ,"'), point[0].strip(' ,"'))
        if quoted and all(re.fullmatch(THOUSANDS, one[0]) for one in re.finditer(QUOTED_DECIMAL, body, re.MULTILINE)):
            found = quoted[0].strip(',"')
            raise ValueError(
                f"{path} holds {found!r}, which may be {found.replace(',', '')} or {found.replace(',', '.')}: write "
                "numbers without marks of thousands, and with a decimal point"
            )
        return "," if quoted else "." if point else ""
    comma, point = (re.search(pattern, body, re.MULTILINE) for pattern in DECIMALS)
    if comma and point:
        _raise_of_both(path, comma[0].strip(' ;|\t"'), point[0].strip(' ;|\t"'))
    return "," if comma else "." if point else ""


def _raise_of_both(path: Path, comma: str, point: str) -> None:
    found = f"{comma!r} and {point!r}"
    raise ValueError(f"{path} has decimal commas and decimal points, {found}: write all numbers alike")


def _parse(path: Path, body: str, header: list[str], separator: str, decimal: str, texts: Collection[str]) -> pa.Table:
    wrong: list = []

    def keep(row: arrow_csv.InvalidRow) -> str:
        wrong.append(row)
        return "error"

    names = [name or f"unnamed: {index}" for index, name in enumerate(header)]
    kinds = {name: pa.string() for name in names if name in texts}
    raw = body.encode()
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(raw),
            # One block, so that each column has the one kind that all its rows have.
            read_options=arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(raw) + 2),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, invalid_row_handler=keep),
            convert_options=arrow_csv.ConvertOptions(
                column_types=kinds, decimal_point=decimal or ".", null_values=MISSING
            ),
        )
    except pa.ArrowInvalid as error:
        if wrong:
            row = wrong[0]
            found = f"{row.actual_columns} fields, the line of names {row.expected_columns}"
            found += f"; it begins with {row.text[:40].strip()!r}"
            if row.expected_columns == 1:
                found += "; lines before the names begin with #"
            raise ValueError(f"row {row.number} of {path} has {found}") from None
        raise ValueError(f"{path} does not hold series ({one_line(error)[:200]})") from None


def _check_cells(path: Path, table: pa.Table, names: Collection[str]) -> None:
    """Refuses a word in a column of numbers, by its row."""
    for name in names:
        if pa.types.is_string(table[name].type):
            numbers = pc.match_substring_regex(table[name], NUMBER)
            wrong = pc.invert(pc.or_(numbers, pc.is_in(pc.utf8_trim_whitespace(table[name]), pa.array(MISSING))))
            if pc.any(numbers).as_py() and pc.any(wrong).as_py():
                row = pc.index(wrong, True).as_py()
                raise ValueError(
                    f"row {row + 1} of {path} holds {table[name][row].as_py()!r} in the column {name!r}; expected a "
                    "number, or if it holds the classes, --label-column"
                )


def _as_written(table: pa.Table, texts: Collection[str], decimal: str) -> pa.Table:
    """Columns of text without spaces around, and without the quotation mark that `write_series` puts before names that
    a spreadsheet would run as formulas; times as numbers with a decimal point.
    """
    for name in set(table.column_names) & set(texts):
        plain = pc.replace_substring_regex(pc.utf8_trim_whitespace(table[name]), r"^'([=+@\t\r-])", r"\1")
        if decimal == ",":
            plain = pc.replace_substring_regex(plain, COMMA_IN_TIME, r"\1.\2")
        table = table.set_column(table.column_names.index(name), name, plain)
    return table


def _without_empty_end(path: Path, table: pa.Table) -> pa.Table:
    """Without the columns that have neither a name nor a value, which a separator at the end of each line makes.

    Raises:
        ValueError: for another column without a name; only the first one may number the rows.
    """
    unnamed = [name for name in table.column_names if name.startswith("unnamed: ")]
    empty = [name for name in unnamed if table[name].null_count == len(table)]
    if full := [name for name in unnamed if name not in (*empty, "unnamed: 0")]:
        place = table.column_names.index(full[0])
        raise ValueError(f"column {place + 1} of {path} has no name, but holds {table[full[0]].drop_null()[0]}")
    return table.drop_columns(empty) if empty else table
