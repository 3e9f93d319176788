"""Reads numbers out of a CSV file; what is no number is told with its line and column.

Letters in shapes: L rows, D columns.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genlab.errors import UserError

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "?"}


class Table(NamedTuple):
    """The chosen columns of a file.

    Attributes:
        names: D of them.
        values: `[L, D]` float64, finite.
    """

    names: list[str]
    values: np.ndarray


class _Line(NamedTuple):
    number: int
    fields: list[str]


def read_table(
    path: str,
    *,
    columns: Sequence[str | int] | None = None,
    header: bool | None = None,
    separator: str | None = None,
) -> Table:
    """Reads the chosen columns of a file; blank lines are skipped.

    Args:
        path: the file, UTF-8.
        columns: names or numbers, counted from 1, in the order wanted; None takes all.
        header: whether the first line holds names; None: it does where some field of it is a word and the
            one below a number, or where it is the only line and all of words.
        separator: comma, semicolon, tab, bar, or the character itself; None: the one of these four that the
            first line has most of.

    Raises:
        UserError: no such file, no text, no such column, a value that is missing or no number, or a line
            with more or fewer fields than the first.
    """
    lines = _read_lines(path, separator)
    named = _has_header(lines) if header is None else header
    body = lines[1:] if named else lines
    if not body:
        raise UserError(f"data.path {path} holds no rows of numbers")
    names = _names(lines[0].fields, named)
    chosen = _choose(columns, names, path)
    values = np.empty((len(body), len(chosen)))
    for row, line in enumerate(body):
        if len(line.fields) != len(names):
            raise UserError(
                f"{path} line {line.number} has {len(line.fields)} fields, the first line {len(names)}; mend it, or"
                " give data.separator"
            )
        for k, column in enumerate(chosen):
            values[row, k] = _number(line, column, names, path)
    return Table([names[column] for column in chosen], values)


def _read_lines(path: str, separator: str | None) -> list[_Line]:
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"data.path {path} is no UTF-8 text ({error.reason} at byte {error.start})"
        ) from error
    except OSError as error:
        raise UserError(f"data.path {path} cannot be read ({error.strerror or error})") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(separator, first))
    try:
        lines = [_Line(reader.line_num, [field.strip() for field in fields]) for fields in reader]
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num} cannot be read as CSV ({error})") from error
    lines = [line for line in lines if len(line.fields) > 1 or any(line.fields)]  # ",," misses values
    if not lines:
        raise UserError(f"data.path {path} is empty")
    return lines


def _separator(asked: str | None, line: str) -> str:
    if asked is None:
        return max(SEPARATORS.values(), key=line.count)
    separator = SEPARATORS.get(asked, asked)
    if len(separator) != 1:
        raise UserError(
            f"data.separator must be {', '.join(SEPARATORS)}, one character, or null to find out, got {asked!r}"
        )
    return separator


def _has_header(lines: list[_Line]) -> bool:
    words = [bool(field) and not _is_number(field) for field in lines[0].fields]
    if not lines[1:]:
        return all(words)
    return any(word and _is_number(below) for word, below in zip(words, lines[1].fields, strict=False))


def _is_number(field: str) -> bool:
    """Whether it is one, also with a decimal comma, which is refused in the line where it stands."""
    try:
        float(field.replace(",", ".", 1))
    except ValueError:
        return False
    return True


def _names(first: list[str], named: bool) -> list[str]:
    """The header's names; what has none is called after its place."""
    return [(name if named else "") or f"column_{k}" for k, name in enumerate(first, 1)]


def _choose(columns: Sequence[str | int] | None, names: list[str], path: str) -> list[int]:
    """Places of the chosen columns, counted from 0."""
    wanted = names if columns is None else columns
    if not wanted:
        raise UserError("data.columns lists none; name some, or give null for all")
    places = []
    for column in wanted:
        if isinstance(column, int):
            if not 1 <= column <= len(names):
                raise UserError(
                    f"data.columns: {path} has columns 1 to {len(names)}, counted from 1, got {column}"
                )
            places.append(column - 1)
            continue
        if column not in names:
            raise UserError(f"data.columns: {path} has no column {column}; it has {_few(names)}")
        if names.count(column) > 1:
            raise UserError(f"data.columns: {path} has several columns {column}; choose by number, from 1")
        places.append(names.index(column))
    if len(set(places)) < len(places):
        raise UserError(f"data.columns lists a column twice: {_few([names[place] for place in places])}")
    return places


def _few(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _number(line: _Line, column: int, names: list[str], path: str) -> float:
    field = line.fields[column]
    where = f"{path} line {line.number}, column {names[column]}"
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    if field.lower() in MISSING:
        raise UserError(
            f"{where}: the value is missing{f' ({field})' if field else ''}; fill it or remove the line, or leave"
            " the column out by data.columns=[...]"
        )
    mend = "write decimals with a point" if "," in field and _is_number(field) else "mend it"
    raise UserError(
        f"{where}: {field!r} is no finite number; {mend}, or leave the column out by data.columns=[...]"
    )
