"""Where the table of a CSV file begins: its encoding, its header, and what stands above it."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from stages.common.errors import InputError, few
from stages.common.tables import PRICES

_HEAD = 65_536
_LINES = 60
"""Lines in which the header is looked for."""

_SEP = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)
"""The line that tells Excel the delimiter."""

_MARKS = ",;\t|"
_NUMBER = re.compile(r"^[+-]?[\d.,:/ -]*\d[\d.,:/ -]*$")

_ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
"""What exporters of bars write beside Unicode: Windows by language, and East Asia."""


def _known_encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"unknown encoding {name!r}; write it like 'cp1252'") from None


Encoding = Annotated[str, AfterValidator(_known_encoding)]


@dataclass(frozen=True)
class Layout:
    """How to read a CSV file.

    Attributes:
        names: of its columns, each once; later ones of the same name get a mark.
        above: how many lines stand above the first row of the table, the header included.
        delimiter: the mark between columns.
        extra: how many fields rows may have beyond the names, if these are empty.
    """

    names: list[str]
    above: int
    delimiter: str
    extra: int = 1


def content(file: Path, encoding: str) -> tuple[Path | io.BytesIO, str]:
    """What polars is to read as UTF-8, and the beginning of it as text.

    Raises:
        OSError: the file is empty, or an archive is truncated.
        InputError: it is not text in this encoding.
    """
    head = _bytes(file, _HEAD)
    if not head:
        raise OSError("empty CSV")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif encoding == "utf-8" and b"\0" in head:
        encoding = "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    text = head.decode("utf-8-sig", errors="replace")
    returns_only = "\r" in text and "\n" not in text
    if encoding == "utf-8" and not returns_only:
        return file, text
    try:
        text = _bytes(file).decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file}: is not text in {encoding} ({error.reason} at byte {error.start:,}); set "
            "data.sources.csv.encoding to its own"
        ) from None
    # Old Macs end a line by a return alone.
    text = text.removeprefix("\ufeff").replace("\r", "\n") if returns_only else text
    return io.BytesIO(text.encode()), text[:_HEAD]


def find(file: Path, text: str, wanted: Sequence[str], delimiter: str, *, header: bool) -> Layout:
    """Find the header: the first line that holds every column that is wanted.

    The two rows that yfinance writes below it are skipped, and `sep=;` sets the delimiter.

    Args:
        file: for the messages.
        text: the beginning of the file.
        wanted: the names of the columns that the table must have.
        delimiter: the mark between columns.
        header: whether there is a header; else columns are named by their positions from 1.

    Raises:
        InputError: there is no header, or it holds a wanted name twice.
    """
    lines = _lines(text)
    first = 0
    if lines and (sep := _SEP.match(lines[0])):
        delimiter, first = sep[1], 1
    rows = [_fields(line, delimiter) for line in lines]
    if not header:
        longest = max((len(row) for row in rows[first:]), default=0)
        return Layout([str(number + 1) for number in range(longest)], first, delimiter)
    names = set(wanted)
    for at in range(first, len(rows)):
        below = _below(rows, at)
        # pandas writes the name of the index into a row of its own.
        for title in (rows[at][0], rows[at + below][0]):
            row = _named([title, *rows[at][1:]])
            if names <= set(row):
                beside = (*rows[max(first, at - 1) : at], *rows[at + 1 : at + 1 + below])
                _check_header(file, at, row, wanted, beside)
                above = at + 1 + below
                longest = max((len(cells) for cells in rows[above:]), default=0)
                return Layout(_distinct(row), above, delimiter, max(1, longest - len(row)))
    # The line that is most like the header: an error then names what it lacks.
    at = max(
        range(first, len(rows)), key=lambda at: (len(names & set(rows[at])), len(rows[at]), -at)
    )
    nearest = Layout(_distinct(_named(rows[at])), at + 1, delimiter)
    _explain(file, text, nearest, wanted)
    return nearest


def _lines(text: str) -> list[str]:
    """The first lines, cut where polars cuts them."""
    return [line.rstrip("\r") for line in text.split("\n")[:_LINES]]


def _fields(line: str, delimiter: str) -> list[str]:
    fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [field.strip() for field in fields] or [""]


def _named(names: Sequence[str]) -> list[str]:
    """The names of a header; a column without one is called by its position, from 1."""
    return [name or str(at) for at, name in enumerate(names, 1)]


def _below(rows: Sequence[Sequence[str]], at: int) -> int:
    """How many rows below a header name the ticker, or the index, as pandas writes them."""
    count = 0
    for row in rows[at + 1 : at + 3]:
        index = row[0] in ("Date", "Datetime") and not any(row[1:])
        if not index and not (row[0] == "Ticker" and count == 0 and len(row) > 1):
            break
        count += 1
        if index:
            break
    return count


def _check_header(
    file: Path,
    at: int,
    row: Sequence[str],
    wanted: Sequence[str],
    beside: Sequence[Sequence[str]],
) -> None:
    for line in beside:
        tickers = dict.fromkeys(filter(None, line[1:])) if line[0] == "Ticker" else {}
        if len(tickers) > 1:
            raise InputError(
                f"{file}: holds {few(tickers)} side by side; write a file for each, such as "
                "yfinance.Ticker(name).history() gives"
            )
    refuse_twins(file, row, wanted)
    if _is_bar(wanted):
        raise InputError(_no_header(file, at, row))


def refuse_twins(file: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a header that holds a wanted name more than once.

    Raises:
        InputError: naming the columns by their positions.
    """
    for name in wanted:
        places = [str(at) for at, other in enumerate(names, 1) if other.strip() == name]
        if len(places) > 1:
            raise InputError(
                f"{file}: columns {' and '.join(places)} are both called {name!r}; remove or "
                "rename the one that is not wanted"
            )


def _explain(file: Path, text: str, layout: Layout, wanted: Sequence[str]) -> None:
    """Say why no line holds the names, where the names themselves are not the cause.

    Raises:
        InputError: with the cause.
    """
    if "\ufffd" in text and (problem := encoding_problem(file, wanted)):
        raise InputError(problem)
    at, names, known = layout.above - 1, set(wanted), set(layout.names)
    for mark in _MARKS:
        other = set(_fields(_lines(text)[at], mark))
        if len(names & other) > len(names & known):
            raise InputError(
                f"{file}: its columns are separated by {mark!r}, not {layout.delimiter!r}; set "
                f"data.sources.csv.delimiter to {mark!r}"
            )
    if not names & known and _is_bar(layout.names):
        raise InputError(_no_header(file, at, layout.names))


def _is_bar(row: Sequence[str]) -> bool:
    return sum(bool(_NUMBER.match(field)) for field in row) >= len(PRICES)


def _no_header(file: Path, at: int, row: Sequence[str]) -> str:
    return (
        f"{file}: has no header row: row {at + 1} is a bar ({few(row, 3)}); set "
        "data.sources.csv.header to false, and in data.sources.csv.columns the position of each "
        "column, from 1"
    )


def _distinct(names: Sequence[str]) -> list[str]:
    counts: Counter[str] = Counter()
    distinct = []
    for name in names:
        counts[name] += 1
        distinct.append(name if counts[name] == 1 else f"{name}\0{counts[name]}")
    return distinct


def encoding_problem(file: Path, wanted: Sequence[str]) -> str | None:
    """Where a file is not UTF-8, and the encoding in which it reads; None if it is UTF-8."""
    data = _bytes(file)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        line = data.split(b"\n")[row - 1]
        name = _fitting(data, wanted)
        return (
            f"{file}: row {row:,} is not UTF-8; in {name} it reads "
            f"{line.decode(name, errors='replace').strip()!r}: if that is right, set "
            f"data.sources.csv.encoding to {name}"
        )
    return None


def _fitting(data: bytes, wanted: Sequence[str]) -> str:
    """The encoding in which text holds the names that are wanted, or else the likeliest one."""
    from charset_normalizer import from_bytes

    head = data[:_HEAD]
    for name in _ENCODINGS:
        text = head.decode(name, errors="replace")
        if not text.isascii() and any(not one.isascii() and one in text for one in wanted):
            return name
    best = from_bytes(data, cp_isolation=list(_ENCODINGS)).best()
    return best.encoding if best is not None else _ENCODINGS[0]


def length_problem(file: Path, layout: Layout) -> str | None:
    """The first row with more fields than columns; None if there is none."""
    width = len(layout.names)
    lines = io.TextIOWrapper(io.BytesIO(_bytes(file)), encoding="utf-8-sig", newline="")
    rows = csv.reader(lines, delimiter=layout.delimiter)
    for number, row in enumerate(rows, 1):
        if number > layout.above and any(row[width:]):
            return too_long(file, number, width)
    return None


def too_long(file: Path, row: int, columns: int) -> str:
    """The message for a row with more fields than columns."""
    return (
        f"{file}: row {row:,} has more fields than the {columns} columns; put quotes around a "
        "number or text that holds the delimiter, or take away the fields without a name"
    )


def _bytes(file: Path, count: int = -1) -> bytes:
    try:
        with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as opened:
            return opened.read(count)
    except (EOFError, zlib.error):
        raise OSError("unexpected end of file") from None
