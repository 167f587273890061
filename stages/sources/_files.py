"""Bars in files of the user's own: which files there are, whose bars they hold, and reading them.

`data.path` is one file, or a folder of files. In a folder, the sub-folders `daily/`, `hourly/` and
`market/`, where there are any, say what their files hold. Files beside them hold daily bars, or
hourly ones where only a `timestamp` is mapped. A symbol's file bears its name, written as ingest
writes names (`EUR%2FUSD.csv`), unless a column names the symbol: then a file may hold many
symbols, and a symbol may lie in many files.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import polars as pl

from stages.common.errors import InputError
from stages.common.tables import Kind
from stages.sources import Request, Series
from stages.sources._bars import ROW, Rules, actual, bars
from stages.sources._names import check

GROUP_ROWS = 1_000_000
"""Rows of a file of many symbols that are held in memory at a time."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: as a message calls it.
        suffixes: of file names, in lower case.
        scan: lazily, every row with its number in the column `ROW`.
        remedy: for a file that cannot be read.
    """

    name: str
    suffixes: tuple[str, ...]
    scan: Callable[[Path], pl.LazyFrame]
    remedy: str

    def suffix(self, file: Path) -> str | None:
        """The suffix by which a file is of this format, or None."""
        name = file.name.lower()
        return next((suffix for suffix in self.suffixes if name.endswith(suffix)), None)


def fetch(request: Request, form: Format, rules: Rules) -> Iterator[Series]:
    """Read the bars asked for, symbol by symbol.

    Raises:
        InputError: a file is missing or cannot be read as bars.
        SourceError: a symbol is not there.
    """
    daily, hourly, market = _shelves(request.path, form, rules)
    known = sorted({*daily.names, *hourly.names} - set(request.market))
    check(request.symbols, known, str(request.path), "data.symbols")
    series = sorted({*daily.names, *market.names})
    check(request.market, series, str(request.path), "data.market")
    symbols = sorted(request.symbols or known)
    if not symbols:
        what = "market series only" if series else "no bars"
        raise InputError(f"{request.path}: holds {what}; add the bars of each symbol")

    beside = [name for name in sorted(request.market) if name not in market.names]
    for name, frame in daily.read([name for name in symbols if name in daily.names] + beside):
        yield Series("market" if name in beside else "daily", name, frame)
    for name, frame in hourly.read([name for name in symbols if name in hourly.names]):
        yield Series("hourly", name, frame)
    for name, frame in market.read([name for name in request.market if name in market.names]):
        yield Series("market", name, frame)


def _shelves(path: Path, form: Format, rules: Rules) -> tuple["_Shelf", "_Shelf", "_Shelf"]:
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; set data.path to the one that holds your bars"
        )
    files: dict[Kind, list[Path]] = {
        kind: _listed(path / kind, form) if (path / kind).is_dir() else []
        for kind in get_args(Kind)
    }
    beside = _listed(path, form) if path.is_dir() else [path]
    files["daily" if rules.columns.date else "hourly"] += beside
    if not any(files.values()):
        example = f"TCS{form.suffixes[0]}"
        raise InputError(
            f"{path}: holds no {form.suffixes[0]} file; put one file per symbol there, such as "
            f"{example}, or set data.path to the folder or file that holds your bars"
        )
    for kind, there in files.items():
        column = "timestamp" if kind == "hourly" else "date"
        if there and not getattr(rules.columns, column):
            raise InputError(
                f"{there[0]}: is a {kind} file, and {rules.option('columns')}.{column} "
                "names no column"
            )
    return (
        _Shelf(files["daily"], form, rules, hourly=False),
        _Shelf(files["hourly"], form, rules, hourly=True),
        _Shelf(files["market"], form, rules, hourly=False),
    )


def _listed(folder: Path, form: Format) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if form.suffix(file) and not file.name.startswith(".") and file.is_file()
    )


class _Shelf:
    """Files of one kind of bars."""

    def __init__(self, files: list[Path], form: Format, rules: Rules, *, hourly: bool) -> None:
        self._files = files
        self._form = form
        self._rules = rules
        self._hourly = hourly

    @cached_property
    def names(self) -> frozenset[str]:
        """The symbols in these files."""
        return frozenset(self._rows if self._rules.columns.symbol else self._by_name)

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
        """The bars of each symbol, in the file's order."""
        if self._rules.columns.symbol:
            yield from self._from_columns(names)
        else:
            for name in names:
                yield name, self._bars(self._by_name[name], name)

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for file in self._files:
            stem = file.name.removesuffix(file.name[-len(self._form.suffix(file) or "") :])
            other = files.setdefault(unquote(stem), file)
            if other != file:
                raise InputError(f"{other}, {file}: both hold {unquote(stem)}; keep one of them")
        return files

    @cached_property
    def _rows(self) -> Counter[str]:
        """The number of rows of each symbol, by the column that names it."""
        counts: Counter[str] = Counter()
        for file in self._files:
            with _opened(file, self._form):
                scan = self._form.scan(file)
                columns = self._columns(scan, file)
                by_name = scan.group_by(_name(columns["symbol"]).alias("symbol"))
                table = by_name.agg(pl.len(), pl.col(ROW).min()).collect()
            for name, rows, first in table.sort("symbol").iter_rows():
                if not name:
                    raise InputError(
                        f"{file}: column {columns['symbol'].strip()}, row {first:,}: is empty; "
                        "a bar needs its symbol"
                    )
                counts[name] += rows
        return counts

    def _columns(self, scan: pl.LazyFrame, file: Path) -> dict[str, str]:
        header = [name for name in scan.collect_schema() if name != ROW]
        return actual(header, file, self._rules, hourly=self._hourly)

    def _from_columns(self, names: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
        for group in _groups(names, self._rows):
            parts = [self._bars(file, group) for file in self._files]
            by_symbol = pl.concat(parts, how="diagonal").partition_by("symbol", as_dict=True)
            for name in group:
                yield name, by_symbol[name,]

    def _bars(self, file: Path, wanted: str | list[str]) -> pl.DataFrame:
        """The bars in one file: of the symbol that it is named after, or of some of its symbols."""
        with _opened(file, self._form):
            scan = self._form.scan(file)
            columns = self._columns(scan, file)
            scan = scan.select(ROW, *dict.fromkeys(columns.values()))
            if isinstance(wanted, list):
                scan = scan.filter(_name(columns["symbol"]).is_in(wanted))
            raw = scan.collect()
        if isinstance(wanted, list):
            return bars(raw, columns, file, self._rules, symbol=None)
        if raw.is_empty():
            raise InputError(f"{file}: holds no bars; export it again or remove it")
        return bars(raw, columns, file, self._rules, symbol=wanted)


def _name(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars()


def _groups(names: Sequence[str], rows: Counter[str]) -> Iterator[list[str]]:
    """Cut the names into groups of about `GROUP_ROWS` rows."""
    group: list[str] = []
    waiting = 0
    for name in names:
        if group and waiting + rows[name] > GROUP_ROWS:
            yield group
            group, waiting = [], 0
        group.append(name)
        waiting += rows[name]
    if group:
        yield group


@contextmanager
def _opened(file: Path, form: Format) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{file}: cannot be read as {form.name} ({reason}); {form.remedy}"
        ) from None
