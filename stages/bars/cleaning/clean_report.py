"""What clean did, counted: metrics/clean.json, the lines of its log, and what must stop it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from stages.bars.cleaning.adjust import MOVE
from stages.common.errors import DataError, few
from stages.common.sections import of_symbol
from stages.common.tables import ENDED_DAYS, STALE_DAYS, Kind, clock
from stages.common.text import plural

if TYPE_CHECKING:
    from stages.bars.cleaning.clean_bars import Cleaned

_SUMS = (
    "read",
    "kept",
    "out_of_order",
    "missing_sessions",
    "filled_sessions",
    "actions",
)

_NAMED = 5
"""Symbols that the log names for each kind of trouble."""

_DAYS_NAMED = 50

_EXTENDED_HOURS = 0.6
"""Up to this share of hours outside the session, the time zone may be right: in New York, 9 of 16
hourly bars are of the market before and after the session."""

_REMEDIES = {
    "zero_volume": "keep bars without a trade by clean.zero_volume: keep",
    "not_a_session": "set data.calendar to the exchange of these bars",
    "outside_session": "check data.calendar and the time zone of the source",
}

Record = dict[str, Any]


class CleanReport:
    """Counts group after group of symbols.

    Args:
        calendar: the name of the calendar of the sessions.
        max_rejected: `clean.max_rejected`.
        symbol_levels: `data.symbol_levels`.
    """

    def __init__(
        self, calendar: str, max_rejected: float, symbol_levels: Sequence[str] = ()
    ) -> None:
        self._calendar = calendar
        self._max_rejected = max_rejected
        self._symbol_levels = symbol_levels
        self._newest: dict[Kind, dict[str, date]] = defaultdict(dict)
        self._records: list[Record] = []
        self._moves = [pl.DataFrame(schema=dict(MOVE))]
        self._troubles: dict[str, list[str]] = defaultdict(list)
        self._spans: list[tuple[date, date]] = []
        self._closed: Counter[date] = Counter()

    def add(self, kind: Kind, cleaned: "Cleaned") -> None:
        """Take note of a group of symbols."""
        reasons, moves = _reasons(cleaned.rejected), _moves(cleaned.moves)
        for row in cleaned.counts.iter_rows(named=True):
            symbol = row["symbol"]
            self._records.append(
                {
                    "kind": kind,
                    "symbol": symbol,
                    **{name: row[name] for name in _SUMS},
                    "rejected": reasons.get(symbol, {}),
                    "large_moves": moves.get(symbol, []),
                }
            )
            if row["newest"] is not None:
                self._newest[kind][symbol] = row["newest"]
            if row["out_of_order"]:
                self._troubles["order"].append(_order_line(kind, symbol, row["out_of_order"]))
        self._moves.append(cleaned.moves)
        self._troubles["conflict"] += _conflict_lines(kind, cleaned.rejected)
        self._troubles["newest"] += _newest_lines(kind, cleaned)
        if kind == "daily":
            self._spans += cleaned.counts.select("first", "last").iter_rows()
            closed = cleaned.rejected.filter(pl.col("reason") == "not_a_session")
            self._closed.update(closed.unique(["symbol", "date"])["date"].to_list())

    def warnings(self) -> Iterator[str]:
        """What a user should know though it stops nothing, one line each."""
        for lines in self._troubles.values():
            yield from lines[:_NAMED]
            if len(lines) > _NAMED:
                yield f"and {len(lines) - _NAMED} more such lines; metrics/clean.json counts them"
        days = sorted(day for day, bars in self._closed.items() if self._is_common(day, bars))
        if days:
            # In quotes, without which DVC cannot read a date in params.yaml.
            quoted = few((f"'{day}'" for day in days), _DAYS_NAMED)
            yield (
                f"data.calendar: {self._calendar} has no session on {quoted}, yet "
                "at least half of the symbols have a bar: if the exchange was open, add "
                f"{'this date' if len(days) == 1 else 'these dates'} to data.extra_sessions"
            )

        yield from self._ended()

    def _ended(self) -> Iterator[str]:
        newest = max(self._newest["daily"].values(), default=date.min)
        ended = {
            symbol: last
            for symbol, last in sorted(self._newest["daily"].items())
            if (newest - last).days > ENDED_DAYS
        }
        if ended:
            named = few(f"{symbol} on {last}" for symbol, last in ended.items())
            yield (
                f"bars end more than {ENDED_DAYS} days before the newest, {newest}: {named}; their "
                "forecasts are stale: bring newer bars, or take them out of data.symbols"
            )

    def _is_common(self, day: date, bars: int) -> bool:
        return 2 * bars >= sum(first <= day <= last for first, last in self._spans)

    def check(self) -> None:
        """Stop where too little is left for a forecast.

        Raises:
            DataError: a symbol has no bar left, or an unusual share of its rows was rejected; or a
                market series ends so early that it says nothing of the newest session.
        """
        empty = [record for record in self._records if not record["kept"]]
        if empty:
            named = few((_empty_clause(record) for record in empty), 3)
            raise DataError(
                f"no bar is left of {named}; mend them at the source, relax clean: in params.yaml, "
                "or take the symbol out of data.symbols or data.market"
            )
        self._check_shares()
        self._check_market()

    def _check_shares(self) -> None:
        poor = [record for record in self._records if _lost(record) > self._max_rejected]
        if not poor:
            return
        reasons = sorted({reason for record in poor for reason in record["rejected"]})
        remedies = [_REMEDIES[reason] for reason in reasons if reason in _REMEDIES]
        named = few((f"{_lost(record):.1%} of {_empty_clause(record)}" for record in poor), 3)
        raise DataError(
            f"more than clean.max_rejected ({self._max_rejected:g}) is rejected: {named}; "
            f"{''.join(f'{remedy}, or ' for remedy in remedies)}mend the bars at the source, or "
            "raise clean.max_rejected"
        )

    def _check_market(self) -> None:
        newest = max(self._newest["daily"].values(), default=date.min)
        # A level of one symbol may end when its bars do.
        ends = {
            of_symbol(level, symbol): last
            for level in self._symbol_levels
            for symbol, last in self._newest["daily"].items()
        }
        early = {
            name: last
            for name, last in sorted(self._newest["market"].items())
            if (ends.get(name, newest) - last).days > STALE_DAYS
        }
        if early:
            named = few((f"{name} on {last}" for name, last in early.items()), 3)
            raise DataError(
                f"data.market: a series ends before the newest bar of the symbols, {newest}: "
                f"{named}; its features would be unknown {STALE_DAYS} days later, and the newest "
                "forecasts with them: bring its newer bars, or take it out of "
                f"data.{'symbol_levels' if {*early} <= {*ends} else 'market'}"
            )

    def unexplained(self) -> pl.DataFrame:
        """The jumps that nothing explains, in the columns of `adjust.MOVE`."""
        moves = pl.concat(self._moves)
        return moves.filter(pl.col("explained").is_null()).sort("symbol", "date")

    def totals(self) -> Record:
        """Counts over all symbols of each kind."""
        return {
            kind: _totals([record for record in self._records if record["kind"] == kind])
            for kind in dict.fromkeys(record["kind"] for record in self._records)
        }

    def report(self) -> str:
        """The content of metrics/clean.json: `totals`, and `symbols` with one line each.

        `symbols` is a list, which `dvc metrics` passes over: a table of thousands of symbols
        would hide the totals.
        """
        lines = ",\n".join(
            f"  {json.dumps(record, ensure_ascii=False)}" for record in self._records
        )
        totals = json.dumps(self.totals(), indent=1, ensure_ascii=False).replace("\n", "\n ")
        return f'{{\n "totals": {totals},\n "symbols": [\n{lines}\n ]\n}}\n'

    def summary(self) -> str:
        """What was read and done, in one line."""
        kinds = self.totals()
        whole = _totals(self._records)
        read = ", ".join(f"{counts['read']:,} {kind}" for kind, counts in kinds.items())
        moves = sum(whole["large_moves"].values())
        parts = [
            f"{read} bars of {whole['symbols']:,} series read",
            _with_parts(f"{sum(whole['rejected'].values()):,} rejected", whole["rejected"]),
            f"{plural(whole['missing_sessions'], 'session')} missing",
            f"{whole['filled_sessions']:,} filled",
            f"{plural(whole['actions'], 'action')} applied",
            _with_parts(plural(moves, "large move"), whole["large_moves"]),
        ]
        return ", ".join(parts)


def _reasons(rejected: pl.DataFrame) -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = defaultdict(dict)
    grouped = rejected.group_by("symbol", "reason").len().sort("symbol", "reason")
    for symbol, reason, rows in grouped.iter_rows():
        counted[symbol][reason] = rows
    return counted


def _moves(moves: pl.DataFrame) -> dict[str, list[Record]]:
    by_symbol: dict[str, list[Record]] = defaultdict(list)
    for move in moves.sort("symbol", "date").iter_rows(named=True):
        by_symbol[move["symbol"]].append(
            {
                "date": str(move["date"]),
                "gap": round(move["open"] / move["previous_close"] - 1, 4),
                "step": round(move["step"], 6),
                "explained": move["explained"],
            }
        )
    return by_symbol


def _order_line(kind: Kind, symbol: str, rows: int) -> str:
    verb = "was" if rows == 1 else "were"
    return f"{_name(kind, symbol)}: {plural(rows, 'row')} out of date order {verb} sorted"


def _conflict_lines(kind: Kind, rejected: pl.DataFrame) -> Iterator[str]:
    conflicts = rejected.filter(pl.col("reason") == "conflict")
    grouped = conflicts.group_by("symbol").agg(rows=pl.len(), times=_time_of(kind).unique().sort())
    for symbol, rows, times in grouped.sort("symbol").iter_rows():
        named = few((_time(time) for time in times), 3)
        yield (
            f"{_name(kind, symbol)}: {rows:,} rows of {named} disagree and were rejected (conflict)"
        )


def _newest_lines(kind: Kind, cleaned: "Cleaned") -> Iterator[str]:
    time = _time_of(kind)
    lost = (
        cleaned.rejected.sort("symbol", time, "reason")
        .group_by("symbol")
        .agg(time=time.last(), reason=pl.col("reason").last())
        .join(cleaned.counts.select("symbol", "newest"), on="symbol")
        .filter(pl.col("time") > pl.col("newest"))
        .sort("symbol")
    )
    for symbol, last, reason, newest in lost.iter_rows():
        yield (
            f"{_name(kind, symbol)}: its newest bar, {_time(last)}, was rejected ({reason}); "
            f"the newest is now {_time(newest)}"
        )


def _time_of(kind: Kind) -> pl.Expr:
    return pl.col(clock(kind))


def _name(kind: Kind, symbol: str) -> str:
    return f"{symbol} (hourly)" if kind == "hourly" else symbol


def _time(time: date | datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if isinstance(time, datetime) else str(time)


def _empty_clause(record: Record) -> str:
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in record["rejected"].items())
    return f"{record['symbol']} ({plural(record['read'], record['kind'] + ' row')}: {reasons})"


def _lost(record: Record) -> float:
    """The share of a symbol's rows that was rejected and should not have been there.

    Of equal rows one is kept: nothing is lost. A single rejected row counts as none, however few
    rows there are.
    """
    rejected: dict[str, int] = dict(record["rejected"])
    rejected.pop("duplicate", None)
    if rejected.get("outside_session", 0) <= _EXTENDED_HOURS * record["read"]:
        rejected.pop("outside_session", None)
    rows: int = record["read"]
    lost = sum(rejected.values())
    return lost / rows if lost > 1 else 0.0


def _totals(records: list[Record]) -> Record:
    rejected: Counter[str] = Counter()
    moves: Counter[str] = Counter()
    for record in records:
        rejected.update(record["rejected"])
        moves.update(str(move["explained"]) for move in record["large_moves"])
    return {
        "symbols": len(records),
        **{name: sum(record[name] for record in records) for name in _SUMS},
        "rejected": dict(sorted(rejected.items())),
        "large_moves": dict(sorted(moves.items())),
    }


def _with_parts(text: str, parts: Mapping[str, int]) -> str:
    named = ", ".join(f"{name} {count:,}" for name, count in parts.items())
    return f"{text} ({named})" if named else text
