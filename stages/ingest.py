"""Bring the bars that `data:` names to `data/raw/`, one Parquet file per symbol.

`daily/` and `market/` hold `tables.RAW_DAILY`, `hourly/` holds `tables.RAW_HOURLY`, and
`actions.parquet` holds `tables.ACTIONS`: rows as the source has them, from `data.start` (or from
the first day that the calendar knows) up to `data.as_of`. Clean judges the bars; only what cannot
be read as bars stops here. `source.json` names the source, so that bars of another source are never
continued. With `--all` it asks the source for the whole history again.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, cast

import polars as pl
from pydantic_core import to_jsonable_python

from stages import sources
from stages.bars import calendars, hours
from stages.bars.ingestion import dating, publication, revisions
from stages.bars.ingestion.last_bars import last_bars
from stages.bars.ingestion.raw_folder import RawFolder, file_name
from stages.common import tables
from stages.common.errors import DataError, SourceError, few
from stages.common.paths import RAW, REVISIONS
from stages.common.running import Parser, log, progress, run
from stages.common.sections import Sections, load, of_symbol
from stages.common.tables import RAW_BARS, Kind, clock
from stages.common.text import plural
from stages.sources import INSTANT, PUBLISHED, WRITTEN, Request, Series, SourceParams

_HOW_TO_ASK = ("retries", "backoff")
"""Options of a source that do not change its bars."""


class Settings(Sections):
    """What ingest obeys."""

    data: SourceParams


Span = tuple[Any, Any]
"""The first and the last day of a symbol's bars; None where there is none."""


@dataclass
class Ingested:
    """What came in: symbols and bars per kind, actions, and the newest session of a symbol.

    `early` counts the bars of each symbol that come before the first session wanted, and
    `shorter` names the symbols whose hourly bars are shorter than an hour, with their length.
    """

    symbols: dict[Kind, list[str]] = field(default_factory=lambda: {kind: [] for kind in RAW_BARS})
    bars: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(RAW_BARS, 0))
    early: dict[str, int] = field(default_factory=dict)
    shorter: list[tuple[str, int]] = field(default_factory=list)
    actions: int = 0
    newest: date = date.min

    def count(self, kind: Kind, symbol: str, days: pl.Series) -> None:
        """Take note of a series by the days of its bars."""
        self.symbols[kind].append(symbol)
        self.bars[kind] += days.len()
        if kind != "market":
            self.newest = max(self.newest, cast("date", days.max()))


def ingest(
    data: SourceParams,
    raw: Path,
    tell: Callable[[pl.DataFrame], None] | None = None,
    *,
    whole: bool = False,
) -> Ingested:
    """Build a new folder beside `raw`, then swap them; on any error `raw` stays as it was.

    Args:
        data: what to bring.
        raw: the folder.
        tell: called before the swap with what differs from the former bars, in the columns of
            `revisions.REVISION`; no row if those came from another source.
        whole: fetch the whole history again, even from a source that can send only newer bars.

    Raises:
        InputError: a file of the user cannot be read as bars.
        SourceError: the source lacks what was requested, or cannot be reached.
        DataError: the source breaks the contract of its bars.
    """
    origin = _origin(data)
    with tables.replacing(raw) as partial, last_bars(raw) as former:
        source = former / "source.json"
        comparable = source.is_file() and source.read_text(encoding="utf-8") == origin
        done = _fill(partial, data, RawFolder(former) if comparable and not whole else None)
        (partial / "source.json").write_text(origin, encoding="utf-8")
        if tell is not None:
            tell(_revised(data, former if comparable else partial, partial))
    return done


def _revised(data: SourceParams, former: Path, new: Path) -> pl.DataFrame:
    def is_requested(kind: Kind, symbol: str) -> bool:
        if kind == "market":
            return symbol in data.market or data.is_of_symbol(symbol)
        return not data.symbols or symbol in data.symbols

    def sessions_of(bars: pl.DataFrame, kind: Kind) -> pl.Series:
        return sessions(bars, kind, data.calendar)

    return revisions.between(former, new, data.as_of, sessions_of, is_requested)


def _fill(folder: Path, data: SourceParams, former: RawFolder | None) -> Ingested:
    """Write every bar and action that `data` asks for into a new folder."""
    request = Request(
        symbols=tuple(data.symbols),
        market=tuple(data.market),
        as_of=data.as_of,
        path=data.path,
        symbol_levels=tuple(data.symbol_levels),
        known={} if former is None else former,
    )
    done = Ingested()
    actions = [tables.empty(tables.ACTIONS)]
    spans: dict[str, Span] = {}
    first = _first(data) or date.min
    each = 1 + len(data.symbol_levels)
    total = each * len(data.symbols) + len(data.market) if data.symbols else None
    fetched = sources.load(data.source)(request, **data.source_options)
    for series in progress(fetched, "ingest", total):
        kind, symbol = series.kind, series.symbol
        if symbol in done.symbols[kind]:
            raise SourceError(f"{data.source}: {symbol}: came twice as {kind}")
        bars, known_actions = _whole(series, former, data)
        days = sessions(bars, kind, data.calendar)
        if kind == "daily":
            with _named(series, data):
                dating.check(days, data.calendar, data.extra_sessions)
        if kind == "hourly":
            with _named(series, data):
                length = hours.check(bars["timestamp"])
            if length < calendars.BAR:
                done.shorter.append((symbol, length))
        early = days < first
        if early.any():
            done.early[symbol] = done.early.get(symbol, 0) + int(early.sum())
        known = (days <= data.as_of) & ~early
        if not known.any():
            spans.setdefault(symbol, (days.min(), days.max()))
            continue
        tables.write(bars.filter(known), folder / kind / file_name(symbol))
        actions.append(known_actions)
        done.count(kind, symbol, days.filter(known))
    _check_complete(data, done, spans)
    table = pl.concat(actions).filter(pl.col("date").is_between(first, data.as_of)).unique()
    tables.write(table.sort(*tables.ACTIONS), folder / "actions.parquet")
    done.actions = table.height
    return done


def _whole(
    series: Series, former: RawFolder | None, data: SourceParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The bars and actions of a series, checked; a partial series continues the former bars."""
    kind, symbol, column, source = series.kind, series.symbol, clock(series.kind), data.source
    bars = tables.conform(_dated(series, data), RAW_BARS[kind], f"{source}: {symbol}")
    if bars[column].null_count():
        raise DataError(f"{source}: {symbol}: {bars[column].null_count():,} bars have no {column}")
    actions = tables.empty(tables.ACTIONS)
    if series.actions is not None:
        actions = tables.conform(series.actions, tables.ACTIONS, f"{source}: {symbol}: actions")
    if not series.partial or former is None:
        return bars, actions
    first = bars[column].min()
    if kind != "hourly":
        actions = continued(former.actions(symbol), actions, "date", first)
    return continued(former.bars(kind, symbol), bars, column, first), actions


def _dated(series: Series, data: SourceParams) -> pl.DataFrame:
    """The bars of a series, each daily one on the date of its session."""
    bars = series.bars
    if PUBLISHED in bars.columns:
        with _named(series, data):
            dates = publication.dated(
                *(bars["date"], bars[PUBLISHED], data.calendar, data.as_of, data.extra_sessions)
            )
        return bars.with_columns(dates)
    if INSTANT not in bars.columns:
        return bars
    stamped = bars[WRITTEN].is_not_null()
    written, instants = (bars[name].filter(stamped) for name in (WRITTEN, INSTANT))
    with _named(series, data):
        dates = dating.dated(written, instants, data.calendar, data.extra_sessions)
    return bars.with_columns(bars["date"].scatter(stamped.arg_true(), dates))


@contextmanager
def _named(series: Series, data: SourceParams) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{data.source}: {series.symbol}: {error}") from None


def continued(former: pl.DataFrame, new: pl.DataFrame, column: str, first: Any) -> pl.DataFrame:
    """The former rows before `first`, where the new bars begin, then the new rows.

    New bars may overlap former ones: a bar that was fetched while its session was still open is
    replaced. Where no new bar came, `first` is None and the former rows stay.
    """
    return former if first is None else pl.concat([former.filter(pl.col(column) < first), new])


def sessions(bars: pl.DataFrame, kind: Kind, calendar: str) -> pl.Series:
    """The day of each bar, for hourly ones on the clocks of the exchange.

    Raises:
        ParamsError: exchange_calendars does not know the calendar.
    """
    times = bars[clock(kind)]
    if kind == "hourly" and not times.is_empty():
        times = times.dt.convert_time_zone(calendars.zone(calendar))
    return times.dt.date()


def _check_complete(data: SourceParams, done: Ingested, spans: Mapping[str, Span]) -> None:
    for level in data.symbol_levels:
        needed = [of_symbol(level, symbol) for symbol in sorted(done.symbols["daily"])]
        if without := [name for name in needed if name not in done.symbols["market"]]:
            raise SourceError(
                f"{data.source}: gave no values of {few(without)} up to {data.as_of}; bring them, "
                f"or take {level} out of data.symbol_levels"
            )
    here = {name for names in done.symbols.values() for name in names}
    first = _first(data) or date.min
    old = {name for name, (_, newest) in spans.items() if newest is not None and newest < first}
    requested = dict.fromkeys([*data.symbols, *data.market])
    # Of all symbols that a source has, some may have ended before the first session.
    wanted = dict.fromkeys([*requested, *(name for name in sorted(spans) if name not in old)])
    missing = [name for name in wanted if name not in here]
    if ended := [name for name in missing if name in old]:
        raise SourceError(
            f"the bars of {few(f'{name} (to {spans[name][1]})' for name in ended)} end before "
            f"{first}, {_why(data)}; move data.start back, or take "
            f"{'it' if len(ended) == 1 else 'them'} out of data.symbols and data.market"
        )
    young = {name: day for name in missing if (day := spans.get(name, (None, None))[0]) is not None}
    if young:
        named = few(f"{name} ({day})" for name, day in sorted(young.items()))
        raise SourceError(
            f"data.as_of {data.as_of} is before the first bar of {named}; move data.as_of to "
            f"{max(young.values())} or later, or take "
            f"{'it' if len(young) == 1 else 'them'} out of data.symbols and data.market"
        )
    if missing or not (done.symbols["daily"] or done.symbols["hourly"]):
        raise SourceError(
            f"{data.source}: gave no bars of {few(missing) or 'any symbol'}; "
            "correct data.symbols and data.market"
        )


def _first(data: SourceParams) -> date | None:
    """The first session that is wanted, and that the calendar knows; None where there is none."""
    days = [day for day in (data.start, calendars.begin(data.calendar)) if day is not None]
    return max(days, default=None)


def _why(data: SourceParams) -> str:
    if _first(data) == data.start:
        return "data.start"
    return f"from which exchange_calendars knows the sessions of {data.calendar}"


def _origin(data: SourceParams) -> str:
    options = {k: v for k, v in data.source_options.items() if k not in _HOW_TO_ASK}
    origin = {"options": to_jsonable_python(options), "source": data.source}
    # Former bars that begin later cannot be continued.
    if (first := _first(data)) is not None:
        origin["start"] = str(first)
    return json.dumps(origin, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def remarks(data: SourceParams, done: Ingested) -> Iterator[str]:
    """What a user should know of the bars, one line each."""
    if done.early:
        named = few(f"{symbol} {count:,}" for symbol, count in sorted(done.early.items()))
        yield (
            f"{sum(done.early.values()):,} bars before {_first(data)}, {_why(data)}, are set "
            f"aside: {named}"
        )
    if done.shorter:
        yield hours.line(done.shorter)
    if not done.symbols["daily"]:
        yield (
            "hourly bars alone: features and models are made of daily bars, so bring these too "
            "(columns.date of the source, and the hourly files in the folder hourly/)"
        )


def summary(data: SourceParams, done: Ingested) -> str:
    """One line of what came in."""
    symbols = len({*done.symbols["daily"], *done.symbols["hourly"]})
    bars = " and ".join(
        f"{count:,} {kind}" for kind in ("daily", "hourly") if (count := done.bars[kind])
    )
    parts = [f"{plural(symbols, 'symbol')}, {bars} bars to {done.newest}"]
    if done.symbols["market"]:
        parts.append(f"{len(done.symbols['market'])} market series")
    if done.actions:
        parts.append(plural(done.actions, "corporate action"))
    return f"ingest: {data.source}: {', '.join(parts)} -> {RAW}"


def warn(source: str, revised: pl.DataFrame) -> None:
    """Log which bars have changed since the last run, and write the whole list."""
    revisions.write(revised, REVISIONS)
    older, newest = revised.filter(~pl.col("newest")), revised.filter("newest")
    if older.height:
        log.warning(
            "ingest: %s: bars of earlier sessions have changed: %s; the new numbers are used. "
            "All changes: %s; the former bars, if committed: dvc get . %s --rev HEAD -o var/former",
            *(source, revisions.summary(older), REVISIONS, RAW),
        )
    if newest.height:
        log.info(
            "ingest: %s: %s, the newest session of the last run, was not final: %s",
            *(source, newest["date"][0], revisions.summary(newest)),
        )


def main() -> None:
    """Read `data:`, fetch, write `data/raw/`, say what came in."""
    parser = Parser(prog="python -m stages.ingest")
    parser.add_argument("--all", action="store_true", dest="whole")
    whole = parser.parse_args().whole
    data = load(Settings).data
    done = ingest(data, RAW, lambda revised: warn(data.source, revised), whole=whole)
    for line in remarks(data, done):
        log.info("ingest: %s: %s", data.source, line)
    log.info(summary(data, done))


if __name__ == "__main__":
    run(main)
