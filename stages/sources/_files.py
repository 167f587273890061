"""Bars in files of the user's own: which files there are, whose bars they hold, and reading them.

`data.path` is one file, or a folder of files. In a folder, the sub-folders `daily/`, `hourly/` and
`market/`, where there are any, say what their files hold; `levels/` has a file of numbers for each
series. Files beside them hold daily bars, or hourly ones where only a `timestamp` is mapped. A
symbol's file bears its name, written as ingest writes names (`EUR%2FUSD.csv`), unless a column
names the symbol: then a file may hold many symbols, and a symbol may lie in many files. Folders
such as `symbol=TCS/` are columns of their files.
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
from stages.common.sections import of_symbol
from stages.common.tables import Kind
from stages.common.text import first_line
from stages.sources import Request, Series
from stages.sources._bars import bars
from stages.sources._cells import ROW
from stages.sources._columns import Rules, actual, mapped
from stages.sources._layout import too_long
from stages.sources._levels import VALUE, numbers
from stages.sources._names import check
from stages.sources._summary_rows import without_summary

EXTRA = "__extra"
"""What the names of fields beyond the last column begin with."""

GROUP_ROWS = 1_000_000
"""Rows of a file of many symbols that are held in memory at a time."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: as a message calls it.
        suffixes: of file names, in lower case.
        scan: lazily, the table with these columns: every row with its number in the column `ROW`,
            and what stands beyond the last column in `EXTRA...`, if the format allows that.
        explain: why a file cannot be read as a table with these columns, if that is known.
        remedy: for a file that cannot be read for another reason.
    """

    name: str
    suffixes: tuple[str, ...]
    scan: Callable[[Path, Sequence[str]], pl.LazyFrame]
    remedy: str
    explain: Callable[[Path, Sequence[str]], str | None] = lambda *_: None

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
    levels = _Levels(request.path / "levels", form, rules)
    known = sorted({*daily.names, *hourly.names} - set(request.market))
    check(request.symbols, known, str(request.path), "data.symbols")
    series = sorted({*daily.names, *market.names, *levels.names})
    check(request.market, series, str(request.path), "data.market")
    symbols = sorted(request.symbols or known)
    check(request.symbol_levels, sorted(levels.names), str(levels.root), "data.symbol_levels")
    if not symbols:
        what = "market series only" if series else "no bars"
        raise InputError(f"{request.path}: holds {what}; add the bars of each symbol")

    apart = {*market.names, *levels.names}
    beside = [name for name in sorted(request.market) if name not in apart]
    for name, frame in daily.read([name for name in symbols if name in daily.names] + beside):
        yield Series("market" if name in beside else "daily", name, frame)
    for name, frame in hourly.read([name for name in symbols if name in hourly.names]):
        yield Series("hourly", name, frame)
    for name, frame in market.read([name for name in request.market if name in market.names]):
        yield Series("market", name, frame)
    for name in request.market:
        if name in levels.names and name not in market.names:
            yield Series("market", name, levels.numbers(name, by_symbol=False))
    for name in request.symbol_levels:
        values = levels.numbers(name, by_symbol=True).partition_by("symbol", as_dict=True)
        for symbol in symbols:
            if (own := values.get((symbol,))) is not None:
                series_name = of_symbol(name, symbol)
                yield Series("market", series_name, own.with_columns(symbol=pl.lit(series_name)))


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
    files["hourly" if rules.columns.hourly else "daily"] += beside
    if not any(files.values()):
        example = f"TCS{form.suffixes[0]}"
        raise InputError(
            f"{path}: holds no {form.suffixes[0]} file; put one file per symbol there, such as "
            f"{example}, or set data.path to the folder or file that holds your bars; a clone, and "
            f"an experiment in a folder of its own, have only files that git or DVC knows: "
            f"`git add {path}`, or `dvc add` each"
        )
    for kind, there in files.items():
        column = "timestamp" if kind == "hourly" and not rules.columns.time else "date"
        if there and not getattr(rules.columns, column):
            raise InputError(
                f"{there[0]}: is a {kind} file, and {rules.option('columns')}.{column} "
                "names no column"
            )
    return (
        _Shelf(path, files["daily"], form, rules, hourly=False),
        _Shelf(path, files["hourly"], form, rules, hourly=True),
        _Shelf(path, files["market"], form, rules, hourly=False),
    )


def _listed(folder: Path, form: Format) -> list[Path]:
    partitions = (entry for entry in folder.iterdir() if "=" in entry.name and entry.is_dir())
    files = [file for entry in partitions for file in entry.rglob("*")]
    return sorted(
        file
        for file in (*folder.iterdir(), *files)
        if form.suffix(file) and not file.name.startswith(".") and file.is_file()
    )


def _partition(file: Path, root: Path) -> dict[str, str]:
    """What the folders of a file say of its rows, as Hive and Spark name them: `symbol=TCS`."""
    folders = file.parent.relative_to(root).parts if root in file.parents else ()
    pairs = (name.split("=", 1) for name in folders if "=" in name)
    return {key: unquote(value) for key, value in pairs}


class _Shelf:
    """Files of one kind of bars."""

    def __init__(
        self, root: Path, files: list[Path], form: Format, rules: Rules, *, hourly: bool
    ) -> None:
        self._root = root
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
            partition = _partition(file, self._root)
            if partition:
                key = next(iter(partition))
                raise InputError(
                    f"{file}: lies in a folder that says {key}={partition[key]}; name the column, "
                    f"or the key of the folders, that holds the symbol, such as {key!r}, in "
                    f"{self._rules.option('columns')}.symbol"
                )
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
            with self._opened(file):
                scan, columns = self._scan(file)
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

    @cached_property
    def _wanted(self) -> list[str]:
        return [name.strip() for name in mapped(self._rules.columns, hourly=self._hourly).values()]

    def _scan(self, file: Path) -> tuple[pl.LazyFrame, dict[str, str]]:
        """A file as a table, and our names to its own."""
        partition = _partition(file, self._root)
        scan = self._form.scan(file, [name for name in self._wanted if name not in partition])
        stored = scan.collect_schema()
        scan = scan.with_columns(
            pl.lit(value).alias(key) for key, value in partition.items() if key not in stored
        )
        header = [
            name for name in scan.collect_schema() if name != ROW and not name.startswith(EXTRA)
        ]
        return scan, actual(header, file, self._rules, hourly=self._hourly)

    def _from_columns(self, names: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
        for group in _groups(names, self._rows):
            parts = [self._bars(file, group) for file in self._files]
            by_symbol = pl.concat(parts, how="diagonal").partition_by("symbol", as_dict=True)
            for name in group:
                yield name, by_symbol[name,]

    def _bars(self, file: Path, wanted: str | list[str]) -> pl.DataFrame:
        """The bars in one file: of the symbol that it is named after, or of some of its symbols."""
        with self._opened(file):
            scan, columns = self._scan(file)
            names = scan.collect_schema().names()
            extra = [name for name in names if name.startswith(EXTRA)]
            scan = scan.select(ROW, *extra, *dict.fromkeys(columns.values()))
            if isinstance(wanted, list):
                scan = scan.filter(_name(columns["symbol"]).is_in(wanted))
            raw = scan.collect()
        _refuse_longer(raw, file, len(names) - len(extra) - 1)
        if isinstance(wanted, list):
            return bars(raw, columns, file, self._rules, symbol=None)
        if raw.is_empty():
            raise InputError(f"{file}: holds no bars; export it again or remove it")
        raw = without_summary(raw, columns, file)
        return bars(raw, columns, file, self._rules, symbol=wanted)

    @contextmanager
    def _opened(self, file: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise InputError(f"{file}: no such file") from None
        except (pl.exceptions.PolarsError, OSError) as error:
            try:
                known = self._form.explain(file, self._wanted)
            except OSError:
                known = None
            raise InputError(
                known
                or f"{file}: cannot be read as {self._form.name} ({first_line(error)}); "
                f"{self._form.remedy}"
            ) from None


class _Levels(_Shelf):
    """Files of numbers, one for each series, in a folder that need not be there."""

    def __init__(self, root: Path, form: Format, rules: Rules) -> None:
        files = _listed(root, form) if root.is_dir() else []
        super().__init__(root, files, form, rules, hourly=False)
        self.root = root

    @cached_property
    def names(self) -> frozenset[str]:
        """The series in these files."""
        return frozenset(self._by_name)

    @cached_property
    def _wanted(self) -> list[str]:
        return [VALUE]

    def numbers(self, name: str, *, by_symbol: bool) -> pl.DataFrame:
        """The numbers of a series; see `_levels.numbers`."""
        file = self._by_name[name]
        with self._opened(file):
            raw = self._form.scan(file, self._wanted).collect()
        own = [column for column in raw.columns if not column.startswith(EXTRA)]
        _refuse_longer(raw, file, len(own) - 1)
        return numbers(raw.select(own), file, self._rules, name, by_symbol=by_symbol)


def _refuse_longer(raw: pl.DataFrame, file: Path, width: int) -> None:
    extra = [pl.col(name).is_not_null() for name in raw.columns if name.startswith(EXTRA)]
    if extra and (beyond := raw.filter(pl.any_horizontal(extra))).height:
        raise InputError(too_long(file, beyond[ROW][0], width))


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
