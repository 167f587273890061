"""Clean: the bars that hold every rule, adjusted, and a record of those that do not.

Reads data/raw/ and data/actions.csv; writes data/clean/ (`tables.CLEAN_DAILY`, `CLEAN_HOURLY`,
`REJECTED`) and metrics/clean.json, group of symbols by group of symbols.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from stages import params
from stages.bars import actions, calendars, raw_files
from stages.bars.adjust import Mode, adjust
from stages.bars.calendars import Sessions
from stages.bars.clean_report import Census
from stages.bars.raw_files import RawFile
from stages.bars.rules import AdjClose, Judged, Kind, Rules, judge
from stages.common import tables
from stages.common.errors import InputError, few
from stages.common.paths import ACTIONS, CLEAN, METRICS, RAW, REJECTED
from stages.common.running import log, progress, run
from stages.params import CleanParams, DataParams, Params

REPORT = METRICS / "clean.json"

SUGGESTIONS = Path("var/actions.suggested.csv")

FACTOR: tables.Contract = {"symbol": pl.String, "date": pl.Date, "factor": pl.Float64}
"""What closes are multiplied by from a date on; a row where it changes, sorted."""

_CONTRACTS: Mapping[Kind, tables.Contract] = {
    "daily": tables.RAW_DAILY,
    "hourly": tables.RAW_HOURLY,
    "market": tables.RAW_DAILY,
}

_NEED: Mapping[Mode, AdjClose] = {
    "auto": "once_begun",
    "adj_close": "always",
    "actions": "ignored",
    "none": "ignored",
}


@dataclass(frozen=True)
class Cleaned:
    """A group of symbols, cleaned.

    Attributes:
        bars: columns of `tables.CLEAN_DAILY` or `tables.CLEAN_HOURLY`.
        rejected: columns of `tables.REJECTED`.
        moves: columns of `adjust.MOVE`.
        factors: columns of `FACTOR`; none for hourly bars.
        counts: one row per symbol, sorted: `symbol`; the `first` and `last` day it has a bar of;
            `newest`, the time of its newest bar that is kept, null if none is; how many rows
            were `read`, `kept` and `out_of_order`; how many sessions are missing between its
            first and last bar and were `filled`; how many `actions` took effect.
    """

    bars: pl.DataFrame
    rejected: pl.DataFrame
    moves: pl.DataFrame
    factors: pl.DataFrame
    counts: pl.DataFrame


def clean(
    bars: pl.DataFrame,
    ex_dates: pl.DataFrame,
    sessions: Sessions,
    params: CleanParams,
    kind: Kind = "daily",
) -> Cleaned:
    """Clean the daily bars of whole symbols.

    A market series may trade on another exchange: its days are not held against the calendar,
    and none is filled, since it is joined by date as-of.

    Args:
        bars: columns of `tables.RAW_DAILY`, in any order.
        ex_dates: columns of `actions.ACTION`, of these symbols or more.
        sessions: when the exchange is open, from the first bar to the last.
        params: `clean:`.
        kind: `daily` or `market`.

    Raises:
        DataError: a dividend is not below the price.
    """
    judged = judge(bars, Rules(kind, sessions, params.zero_volume, _NEED[params.adjustment]))
    kept = judged.kept
    adjusted = adjust(kept, ex_dates, params.adjustment, params.max_gap)
    factor = pl.Series("factor", adjusted.factor)
    priced = kept.with_columns(
        pl.col("close").mul(factor).alias("adj_close"), filled=pl.lit(value=False)
    )
    whole = filled(priced, sessions, params.fill_limit) if kind == "daily" else priced
    return Cleaned(
        bars=whole.select(list(tables.CLEAN_DAILY)),
        rejected=_record(judged, kind),
        moves=adjusted.moves,
        factors=_turns(kept.select("symbol", "date", factor)),
        counts=_counts(
            bars, judged, pl.Series(adjusted.applied), "date", whole.filter("filled")["symbol"]
        ),
    )


def clean_hourly(
    bars: pl.DataFrame,
    ex_dates: pl.DataFrame,
    factors: pl.DataFrame,
    sessions: Sessions,
    params: CleanParams,
) -> Cleaned:
    """Clean the hourly bars of whole symbols.

    A symbol with daily bars takes their factor of each session, so that both stand in the same
    units and what is settled there is settled here; any other is adjusted by corporate actions.
    Hours are never filled.

    Args:
        bars: columns of `tables.RAW_HOURLY`, in any order.
        ex_dates: columns of `actions.ACTION`.
        factors: columns of `FACTOR`, of the daily bars.
        sessions: when the exchange is open, from the first bar to the last.
        params: `clean:`.

    Raises:
        DataError: a dividend is not below the price.
    """
    judged = judge(bars, Rules("hourly", sessions, params.zero_volume, "ignored"))
    kept = judged.kept
    daily = kept["symbol"].is_in(factors["symbol"].unique().implode())
    alone = kept.filter(~daily)
    adjusted = adjust(
        alone, ex_dates, "none" if params.adjustment == "none" else "actions", params.max_gap
    )
    parts = [
        alone.with_columns(factor=pl.Series(adjusted.factor), applied=pl.Series(adjusted.applied))
    ]
    if daily.any():
        joined = kept.filter(daily).join_asof(
            factors, on="date", by="symbol", strategy="backward", check_sortedness=False
        )
        parts.append(joined.with_columns(pl.col("factor").fill_null(1), applied=pl.lit(0)))
    priced = pl.concat(parts, how="diagonal_relaxed").sort("symbol", "timestamp")
    whole = priced.with_columns(pl.col("close").mul(pl.col("factor")).alias("adj_close"))
    return Cleaned(
        bars=whole.select(list(tables.CLEAN_HOURLY)),
        rejected=_record(judged, "hourly"),
        moves=adjusted.moves,
        factors=tables.empty(FACTOR),
        counts=_counts(bars, judged, whole["applied"], "timestamp"),
    )


def filled(bars: pl.DataFrame, sessions: Sessions, limit: int) -> pl.DataFrame:
    """Fill missing sessions with the last close and no volume, in runs of up to `limit`.

    Args:
        bars: columns of `tables.CLEAN_DAILY` and `session`, sorted by (symbol, date).
        sessions: those that `session` numbers.
        limit: longest run of missing sessions between two bars of a symbol that is filled; a
            longer one stays missing altogether.
    """
    number = bars["session"].to_numpy()
    same = bars.select(pl.col("symbol") == pl.col("symbol").shift(1)).to_series()
    run_length = np.diff(number, prepend=number[:1]) - 1
    run_length[~same.fill_null(value=False).to_numpy()] = 0
    after = np.flatnonzero((run_length > 0) & (run_length <= limit))
    if not after.size:
        return bars
    lengths = run_length[after]
    row = np.repeat(after - 1, lengths)
    # 1, 2, ... within each run
    step = np.arange(row.size) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1
    session = number[row] + step
    close = pl.col("close")
    made = bars[row].with_columns(
        pl.Series("session", session.astype(np.int32)),
        pl.Series("date", sessions.days[session]).cast(pl.Date),
        **dict.fromkeys(tables.PRICES, close),
        volume=pl.lit(0.0),
        filled=pl.lit(value=True),
    )
    return pl.concat([bars, made]).sort("symbol", "date")


def _record(judged: Judged, kind: Kind) -> pl.DataFrame:
    rejected = judged.rejected.with_columns(kind=pl.lit(kind))
    if "timestamp" not in rejected.columns:
        rejected = rejected.with_columns(timestamp=pl.lit(None, dtype=tables.UTC))
    return tables.conform(rejected, tables.REJECTED, "rejected")


def _turns(factors: pl.DataFrame) -> pl.DataFrame:
    """The first row of each symbol, and those at which its factor changes."""
    symbol, factor = pl.col("symbol"), pl.col("factor")
    same = (symbol == symbol.shift(1)) & (factor == factor.shift(1))
    return factors.filter(~same.fill_null(value=False))


def _counts(
    bars: pl.DataFrame,
    judged: Judged,
    applied: pl.Series,
    clock: str,
    filled_symbols: pl.Series | None = None,
) -> pl.DataFrame:
    session = pl.col("session").filter(pl.col("session") >= 0)
    kept = judged.kept.with_columns(applied=applied)
    of_kept = kept.group_by("symbol").agg(
        kept=pl.len(),
        newest=pl.col(clock).max(),
        missing_sessions=(session.max() - session.min() + 1 - session.n_unique()).fill_null(0),
        actions=pl.col("applied").sum(),
    )
    day = pl.col(clock).dt.date()
    of_read = bars.group_by("symbol").agg(read=pl.len(), first=day.min(), last=day.max())
    symbols = pl.Series("symbol", [], pl.String) if filled_symbols is None else filled_symbols
    counts = (
        of_read.join(of_kept, on="symbol", how="left")
        .join(judged.disordered.rename({"rows": "out_of_order"}), on="symbol", how="left")
        .join(symbols.value_counts(name="filled_sessions"), on="symbol", how="left")
        .sort("symbol")
    )
    numbers = pl.col(
        "read", "kept", "out_of_order", "missing_sessions", "filled_sessions", "actions"
    )
    return counts.with_columns(numbers.fill_null(0).cast(pl.Int64))


def clean_folder(settings: Params, raw: Path, out: Path, ledger: Path, suggestions: Path) -> Census:
    """Clean a folder of raw bars into another, which stays as it was if anything is wrong.

    Args:
        settings: `params.yaml`.
        raw: the folder that ingest made.
        out: the folder to make.
        ledger: the hand-kept actions.
        suggestions: where lines for the ledger go if jumps are unexplained.

    Raises:
        InputError: there are no bars, or a file cannot be read.
        DataError: a symbol has no good bar, a jump has no explanation, or the calendar does not
            reach over the bars.
    """
    files = {
        kind: raw_files.catalogue(raw / kind, "timestamp" if kind == "hourly" else "date")
        for kind in _CONTRACTS
    }
    if not files["daily"] and not files["hourly"]:
        raise InputError(f"{raw}: holds no bars; run `dvc repro ingest`")
    hand = actions.read_hand_kept(ledger)
    ex_dates = actions.combine(_source_actions(raw / "actions.parquet"), hand)
    sessions = _sessions(settings.data, files)
    census = Census(settings.data.calendar)
    with tables.replacing(out) as folder, tables.Writer(folder / REJECTED.name) as rejected:
        for kind, cleaned in _cleaned(files, ex_dates, sessions, settings.clean, folder):
            census.add(kind, cleaned)
            if cleaned.rejected.height:
                rejected.append(cleaned.rejected)
        if not rejected.rows:
            rejected.append(tables.empty(tables.REJECTED))
        for line in (*census.warnings(), *_idle_lines(hand, files, ledger)):
            log.warning(line)
        census.check()
        _check_moves(census.unexplained(), ledger, suggestions)
    return census


def _cleaned(
    files: Mapping[Kind, Sequence[RawFile]],
    ex_dates: pl.DataFrame,
    sessions: Sessions,
    params: CleanParams,
    folder: Path,
) -> Iterator[tuple[Kind, Cleaned]]:
    """Clean group after group and write its bars; daily ones first, hourly take their factors."""
    factors = tables.empty(FACTOR)
    for kind, contract in _CONTRACTS.items():
        if not files[kind] and kind != "daily":
            continue
        with tables.Writer(folder / f"{kind}.parquet") as writer:
            for group in progress(raw_files.groups(files[kind]), f"clean {kind}"):
                bars = raw_files.read(group, contract)
                if kind == "hourly":
                    cleaned = clean_hourly(bars, ex_dates, factors, sessions, params)
                else:
                    cleaned = clean(bars, ex_dates, sessions, params, kind)
                if kind == "daily":
                    factors.extend(cleaned.factors)
                writer.append(cleaned.bars)
                yield kind, cleaned
            if not files[kind]:
                writer.append(tables.empty(tables.CLEAN_DAILY))


def _source_actions(path: Path) -> pl.DataFrame:
    return tables.conform(tables.read(path), tables.ACTIONS, str(path))


def _sessions(data: DataParams, files: Mapping[Kind, Sequence[RawFile]]) -> Sessions:
    # An hour belongs to a session that may have begun the day before in UTC.
    opened = [file.first - timedelta(days=1) for file in files["hourly"]]
    first = min([*opened, *(file.first for file in files["daily"])])
    last = max([data.as_of, *(file.last for file in files["daily"])])
    return calendars.sessions(data.calendar, first, last, data.extra_sessions)


def _idle_lines(
    hand: pl.DataFrame, files: Mapping[Kind, Sequence[RawFile]], ledger: Path
) -> list[str]:
    known = {file.symbol for kind in files for file in files[kind]}
    unknown = sorted(set(hand["symbol"]) - known)
    if not unknown:
        return []
    return [f"{ledger}: no bars of {few(unknown)}; what it says of them has no effect"]


def _check_moves(moves: pl.DataFrame, ledger: Path, suggestions: Path) -> None:
    if moves.is_empty():
        suggestions.unlink(missing_ok=True)
        return
    with tables.replacing(suggestions) as partial:
        partial.write_text(actions.suggested(moves), encoding="utf-8")
    raise actions.unexplained(moves, ledger, suggestions)


def main() -> None:
    """Clean every symbol in data/raw/."""
    census = clean_folder(params.load(), RAW, CLEAN, ACTIONS, SUGGESTIONS)
    with tables.replacing(REPORT) as partial:
        partial.write_text(census.report(), encoding="utf-8")
    log.info("clean: %s -> %s", census.summary(), CLEAN)


if __name__ == "__main__":
    run(main)
