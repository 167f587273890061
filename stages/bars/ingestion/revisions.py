"""Revisions: where a source now gives other numbers for bars that it gave before.

The former folder and the new one, both as ingest writes them, are compared over the span that both
cover: up to the newest former session, and at most `data.as_of`. The order of rows does not count;
a session that occurs twice is compared twice.
"""

import filecmp
from collections.abc import Callable, Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import unquote

import polars as pl

from stages.common import tables
from stages.common.errors import StageError
from stages.common.tables import RAW_BARS, Kind, clock

REVISION: tables.Contract = {
    "kind": pl.String,
    "symbol": pl.String,
    "date": pl.Date,
    "timestamp": tables.UTC,
    "change": pl.String,
    "column": pl.String,
    "held": pl.Float64,
    "given": pl.Float64,
    "newest": pl.Boolean,
}
"""One value that differs from the former one (`changed`), or one bar of the past that has gone
(`vanished`) or come (`appeared`); these two have no column and no numbers. `kind` is that of a
series, or `actions`; `date` is the session, `timestamp` is null if daily; `held` is the former
number, `given` the new one, null where it is missing. `newest` marks the newest former session: a
bar of it may have been fetched before the session closed, so a change of it is not a revision."""

SessionsOf = Callable[[pl.DataFrame, Kind], pl.Series]
"""Gives the session of each bar of a series."""

LEDGER = "actions.parquet"

_CHANGE = {name: REVISION[name] for name in ("change", "column", "held", "given")}
_BAR = ("kind", "symbol", "date", "timestamp")

_DERIVED = "adj_close"
"""Every later dividend changes it, though no bar was wrong."""

_NAMED = 5


def compare(former: pl.DataFrame, new: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """What differs between two tables of the same columns.

    Args:
        former: the former rows.
        new: the new ones.
        key: the columns that say which bar a row is; every other column is a number.

    Returns:
        The key, then `change, column, held, given` as in `REVISION`, sorted by the key.
    """
    if former.equals(new):
        return former.clear().select(key).with_columns(_nothing(*_CHANGE))
    if _doubled(former, key) or _doubled(new, key):
        # Equal rows are removed first, so that of two rows of a session the changed one is named.
        former, new = _without(former, new), _without(new, former)
    pairs = _numbered(former, key).join(
        _numbered(new, key),
        on=[*key, "nth"],
        how="full",
        suffix=" given",
        coalesce=True,
        nulls_equal=True,
    )
    left, right = pl.col("there").is_null(), pl.col("there given").is_null()
    alone = pairs.filter(left | right).with_columns(
        pl.when(left).then(pl.lit("appeared")).otherwise(pl.lit("vanished")).alias("change"),
        *_nothing("column", "held", "given"),
    )
    both = pairs.filter(~left & ~right)
    changed = [
        both.filter(pl.col(column).ne_missing(pl.col(f"{column} given"))).with_columns(
            pl.lit("changed").alias("change"),
            pl.lit(column).alias("column"),
            pl.col(column).alias("held"),
            pl.col(f"{column} given").alias("given"),
        )
        for column in former.columns
        if column not in key
    ]
    # The sort is stable: within a bar the columns keep their order.
    changes = pl.concat([part.select(*key, "nth", *_CHANGE) for part in (alone, *changed)])
    return changes.sort(*key, "nth", maintain_order=True).drop("nth")


def _doubled(frame: pl.DataFrame, key: Sequence[str]) -> bool:
    return frame.select(key).is_duplicated().any()


def _nothing(*columns: str) -> list[pl.Expr]:
    return [pl.lit(None, dtype=_CHANGE[name]).alias(name) for name in columns]


def _without(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """The rows of `left` that `right` lacks; of equal rows, as many as it lacks."""
    columns = left.columns
    return (
        _numbered(left, columns)
        .join(_numbered(right, columns), on=[*columns, "nth"], how="anti", nulls_equal=True)
        .select(columns)
    )


def _numbered(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Number the rows that are equal in some columns, and mark each row as present."""
    nth = pl.lit(0, dtype=pl.Int64)
    if _doubled(frame, by):
        frame = frame.sort(frame.columns)
        nth = pl.int_range(pl.len()).over(by)
    return frame.with_columns(nth.alias("nth"), pl.lit(value=True).alias("there"))


def between(
    former: Path,
    new: Path,
    as_of: date,
    sessions_of: SessionsOf,
    is_requested: Callable[[Kind, str], bool],
) -> pl.DataFrame:
    """What differs between two folders as ingest leaves them, in the columns of `REVISION`.

    Files of the same bytes are not opened. A former file that cannot be read is skipped: the new
    one replaces it.

    Args:
        former: the former `data/raw/`.
        new: the one that is to replace it.
        as_of: the newest session that the new one knows.
        sessions_of: gives the session of each bar.
        is_requested: whether a series is still requested; others do not count as vanished.
    """
    series = [
        (kind, file)
        for kind in get_args(Kind)
        for file in sorted((former / kind).glob("*.parquet"))
        if is_requested(kind, unquote(file.stem))
    ]
    different = [(kind, file) for kind, file in series if not _same(file, new / kind / file.name)]
    if not different and _same(former / LEDGER, new / LEDGER):
        return tables.empty(REVISION)
    newest = _newest(former, sessions_of)
    until = min(as_of, newest)
    changes = [
        _series(kind, file, new / kind / file.name, until, sessions_of) for kind, file in different
    ]
    symbols = {unquote(file.stem) for _, file in series}
    changes.append(_actions(former / LEDGER, new / LEDGER, symbols, until))
    return pl.concat(changes).with_columns((pl.col("date") == newest).alias("newest"))


def _same(former: Path, new: Path) -> bool:
    return new.exists() and filecmp.cmp(former, new, shallow=False)


def _newest(raw: Path, sessions_of: SessionsOf) -> date:
    last = date.min
    for kind in get_args(Kind):
        for file in (raw / kind).glob("*.parquet"):
            column = clock(kind)
            times = _read(file, {column: RAW_BARS[kind][column]})
            if times is not None and times.height:
                last = max(last, cast("date", sessions_of(times, kind).max()))
    return last


def _series(
    kind: Kind, former: Path, new: Path, until: date, sessions_of: SessionsOf
) -> pl.DataFrame:
    former_bars = _read(former, RAW_BARS[kind])
    if former_bars is None:
        return tables.empty(REVISION).drop("newest")
    new_bars = tables.read(new) if new.exists() else former_bars.clear()
    former_bars, new_bars = (
        bars.with_columns(sessions_of(bars, kind).alias("session")).filter(
            pl.col("session") <= until
        )
        for bars in (former_bars, new_bars)
    )
    changes = compare(former_bars, new_bars, ["symbol", "session", clock(kind)])
    time = pl.col("timestamp") if kind == "hourly" else pl.lit(None, dtype=tables.UTC)
    return changes.select(
        pl.lit(kind).alias("kind"),
        "symbol",
        pl.col("session").alias("date"),
        time.alias("timestamp"),
        *_CHANGE,
    )


def _actions(former: Path, new: Path, symbols: Collection[str], until: date) -> pl.DataFrame:
    former_actions = _read(former, tables.ACTIONS)
    if former_actions is None:
        return tables.empty(REVISION).drop("newest")
    former_actions, new_actions = (
        table.filter(pl.col("symbol").is_in(symbols), pl.col("date") <= until)
        for table in (former_actions, tables.read(new))
    )
    changes = compare(former_actions, new_actions, ["symbol", "date"])
    time = pl.lit(None, dtype=tables.UTC).alias("timestamp")
    return changes.select(pl.lit("actions").alias("kind"), "symbol", "date", time, *_CHANGE)


def _read(file: Path, contract: tables.Contract) -> pl.DataFrame | None:
    try:
        return tables.conform(tables.read(file, list(contract)), contract, file.name)
    except StageError:
        return None


def summary(table: pl.DataFrame) -> str:
    """How many bars changed, vanished and appeared, in which columns, and the first few of them.

    What follows from dividends alone is named last.
    """
    bars = table.group_by("change").agg(pl.struct(_BAR).n_unique())
    counts: dict[str, int] = dict(bars.iter_rows())
    values = table["column"].drop_nulls().value_counts(sort=True)
    columns = ", ".join(f"{name} {count:,}" for name, count in values.iter_rows())
    parts = [
        f"{counts[change]:,} {change}" + (f" ({columns})" if change == "changed" else "")
        for change in ("changed", "vanished", "appeared")
        if change in counts
    ]
    order = table.sort(pl.col("column").eq_missing(_DERIVED), maintain_order=True)
    named = ", ".join(map(_name, order.head(_NAMED).iter_rows(named=True)))
    rest = f" and {table.height - _NAMED:,} more" if table.height > _NAMED else ""
    return f"{', '.join(parts)}: {named}{rest}"


def _name(row: dict[str, Any]) -> str:
    when = row["date"] if row["timestamp"] is None else f"{row['timestamp']:%Y-%m-%d %H:%M} UTC"
    what = "action of " if row["kind"] == "actions" else ""
    bar = f"{row['symbol']} {what}{when}"
    if row["change"] != "changed":
        return f"{bar} {row['change']}"
    old, new = ("none" if row[name] is None else f"{row[name]:.12g}" for name in ("held", "given"))
    return f"{bar} {row['column']} {old} -> {new}"


def write(table: pl.DataFrame, path: Path) -> None:
    """Write the list as CSV, and its summary as `.txt` beside it; no files if it is empty."""
    summary_path = path.with_suffix(".txt")
    if table.is_empty():
        path.unlink(missing_ok=True)
        summary_path.unlink(missing_ok=True)
        return
    with tables.replacing(path) as partial:
        table.write_csv(partial)
    with tables.replacing(summary_path) as partial:
        partial.write_text(f"{summary(table)}\n", encoding="utf-8")
