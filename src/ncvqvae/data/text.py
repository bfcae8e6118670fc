"""Text files of fields: CSV with commas, semicolons or tabs, as spreadsheets, loggers and programs write them."""

import re
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from ..runtime import one_line
from .layout import Layout
from .lines import SEPARATORS, decoded, fields_of, lines_of, separator_of
from .names import ROW_NUMBERS, role_of
from .times import look_like_dates


DECIMAL_SIGNS = {",": "commas", ".": "points"}
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
    text, told = decoded(path)
    lines, comments, separator = lines_of(path, text)
    separator = separator or separator_of(lines)
    header, comment = (
        [" ".join(one.split()) for one in fields_of(line, separator)] for line in (lines[0], comments[0][1:])
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
    a spreadsheet would run as formulas, or that begin as comments; times as numbers with a decimal point.
    """
    for name in set(table.column_names) & set(texts):
        plain = pc.replace_substring_regex(pc.utf8_trim_whitespace(table[name]), r"^'('*[=+@\t\r#-])", r"\1")
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
    if "unnamed: 0" in unnamed and pa.types.is_string(table["unnamed: 0"].type):
        first = table["unnamed: 0"].drop_null()[:1].to_pylist()
        if look_like_dates(first):
            raise ValueError(f"the first column of {path} has no name, but holds {first[0]!r}: call it time")
    return table.drop_columns(empty) if empty else table
