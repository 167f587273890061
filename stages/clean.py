"""Clean: the bars that meet every rule, adjusted, and a record of those that do not.

Reads data/raw/ and data/actions.csv; writes data/clean/ (`tables.CLEAN_DAILY`, `CLEAN_HOURLY`,
`REJECTED`) and metrics/clean.json, group of symbols by group of symbols.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import polars as pl

from stages.bars import calendars
from stages.bars.calendars import Sessions
from stages.bars.cleaning import actions, raw_files
from stages.bars.cleaning.clean_bars import FACTOR, Cleaned, clean, clean_hourly
from stages.bars.cleaning.clean_params import CleanParams
from stages.bars.cleaning.clean_report import CleanReport
from stages.bars.cleaning.raw_files import RawFile
from stages.common import tables
from stages.common.errors import InputError, few
from stages.common.paths import ACTIONS, CLEAN, METRICS, RAW, REJECTED
from stages.common.running import log, progress, run
from stages.common.sections import DataParams, Sections, load
from stages.common.tables import RAW_BARS, Kind

REPORT = METRICS / "clean.json"

SUGGESTIONS = Path("var/actions.suggested.csv")


class Settings(Sections):
    """What clean obeys."""

    data: DataParams
    clean: CleanParams


def clean_folder(
    settings: Settings, raw: Path, out: Path, ledger: Path, suggestions: Path
) -> CleanReport:
    """Clean a folder of raw bars into another, which stays as it was if anything is wrong.

    Args:
        settings: what to obey.
        raw: the folder that ingest made.
        out: the folder to make.
        ledger: the hand-kept actions.
        suggestions: where lines for the ledger go if jumps are unexplained.

    Raises:
        InputError: there are no bars, or a file cannot be read.
        DataError: a symbol has no good bar or too many bad ones, a market series ends early, a
            jump has no explanation, or the calendar does not cover the bars.
    """
    files = {kind: raw_files.catalogue(raw / kind, tables.clock(kind)) for kind in RAW_BARS}
    if not files["daily"] and not files["hourly"]:
        raise InputError(f"{raw}: holds no bars; run `dvc repro ingest`")
    hand = actions.read_hand_kept(ledger)
    of_source = raw / "actions.parquet"
    source = tables.conform(tables.read(of_source), tables.ACTIONS, str(of_source))
    ex_dates = actions.combine(source, hand)
    sessions = _sessions(settings.data, files)
    data, share = settings.data, settings.clean.max_rejected
    report = CleanReport(data.calendar, share, data.symbol_levels)
    with tables.replacing(out) as folder, tables.Writer(folder / REJECTED.name) as rejected:
        for kind, cleaned in _cleaned(files, ex_dates, sessions, settings, folder):
            report.add(kind, cleaned)
            if cleaned.rejected.height:
                rejected.append(cleaned.rejected)
        if not rejected.rows:
            rejected.append(tables.empty(tables.REJECTED))
        idle = _idle_lines(hand, files, settings.data, ledger)
        for line in (*report.warnings(), *idle):
            log.warning(line)
        report.check()
        _check_moves(report.unexplained(), ledger, suggestions, settings.data.market)
    return report


def _cleaned(
    files: Mapping[Kind, Sequence[RawFile]],
    ex_dates: pl.DataFrame,
    sessions: Sessions,
    settings: Settings,
    folder: Path,
) -> Iterator[tuple[Kind, Cleaned]]:
    """Clean and write group after group, daily bars first: hourly ones take their factors."""
    params, factors = settings.clean, tables.empty(FACTOR)
    for kind, contract in RAW_BARS.items():
        if not files[kind] and kind != "daily":
            continue
        with tables.Writer(folder / f"{kind}.parquet") as writer:
            groups = _groups(files[kind], settings.data)
            for level, group in progress(groups, f"clean {kind}"):
                bars = raw_files.read(group, contract)
                if kind == "hourly":
                    cleaned = clean_hourly(bars, ex_dates, factors, sessions, params)
                else:
                    cleaned = clean(bars, ex_dates, sessions, params, kind, level=level)
                if kind == "daily":
                    factors.extend(cleaned.factors)
                writer.append(cleaned.bars)
                yield kind, cleaned
            if not files[kind]:
                writer.append(tables.empty(tables.CLEAN_DAILY))


def _groups(files: Sequence[RawFile], data: DataParams) -> list[tuple[bool, list[RawFile]]]:
    """Groups of neighbours, each of levels or of prices alone, and whether they are levels."""
    return [
        (level, group)
        for level, neighbours in groupby(files, lambda file: data.is_level(file.symbol))
        for group in raw_files.groups(list(neighbours))
    ]


def _sessions(data: DataParams, files: Mapping[Kind, Sequence[RawFile]]) -> Sessions:
    # An hour belongs to a session that may have begun the day before in UTC.
    opened = [file.first - timedelta(days=1) for file in files["hourly"]]
    if opened and (begin := calendars.begin(data.calendar)) is not None:
        opened = [max(day, begin) for day in opened]
    first = min([*opened, *(file.first for file in files["daily"])])
    last = max([data.as_of, *(file.last for file in files["daily"])])
    return calendars.sessions(data.calendar, first, last, data.extra_sessions)


def _idle_lines(
    hand: pl.DataFrame,
    files: Mapping[Kind, Sequence[RawFile]],
    data: DataParams,
    ledger: Path,
) -> Iterator[str]:
    known = {file.symbol for kind in files for file in files[kind]}
    named = set(hand["symbol"])
    if unknown := sorted(named - known):
        yield f"{ledger}: no bars of {few(unknown)}; what it says of them has no effect"
    if settled := sorted(name for name in named & known if data.is_level(name)):
        yield f"{ledger}: data.levels names {few(settled)}; what it says of them has no effect"


def _check_moves(
    moves: pl.DataFrame, ledger: Path, suggestions: Path, market: Sequence[str]
) -> None:
    if moves.is_empty():
        suggestions.unlink(missing_ok=True)
        return
    doubted = moves.filter(pl.col("doubt").is_not_null())
    if doubted.height:
        raise actions.doubtful(doubted, ledger)
    with tables.replacing(suggestions) as partial:
        partial.write_text(actions.suggested(moves, market), encoding="utf-8")
    raise actions.unexplained(moves, ledger, suggestions, market)


def main() -> None:
    """Clean every symbol in data/raw/."""
    report = clean_folder(load(Settings), RAW, CLEAN, ACTIONS, SUGGESTIONS)
    with tables.replacing(REPORT) as partial:
        partial.write_text(report.report(), encoding="utf-8")
    log.info("clean: %s -> %s", report.summary(), CLEAN)


if __name__ == "__main__":
    run(main)
