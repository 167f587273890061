"""Revisions: what differs between two tables is found exactly, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stages.bars.ingestion import revisions
from stages.bars.ingestion.raw_folder import file_name
from stages.bars.ingestion.revisions import between, compare, summary
from stages.common import tables
from stages.common.tables import Kind

KEY = ["symbol", "date"]
DAYS = [date(2020, 1, 1) + timedelta(days=n) for n in range(10)]

numbers = st.one_of(st.none(), st.just(float("nan")), st.sampled_from([0.0, -0.0, 1.0, 2.5]))
rows = st.lists(
    st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(DAYS[:4]), numbers, numbers), max_size=12
)


def table(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "date": pl.Date, "close": pl.Float64, "volume": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def changes(former: Sequence[tuple[Any, ...]], new: Sequence[tuple[Any, ...]]) -> list[Any]:
    return compare(table(former), table(new), KEY).rows()


# Laws


@given(rows, st.randoms(use_true_random=False))
def test_a_table_does_not_differ_from_itself_in_any_order(rows: list[Any], random: Any) -> None:
    mixed = random.sample(rows, len(rows))
    assert changes(rows, rows) == []
    assert changes(rows, mixed) == []


@given(rows, rows)
def test_both_ways_tell_the_same(former: list[Any], new: list[Any]) -> None:
    there = compare(table(former), table(new), KEY)
    back = compare(table(new), table(former), KEY)
    turned = pl.col("change").replace({"appeared": "vanished", "vanished": "appeared"})
    mirrored = back.with_columns(
        turned, pl.col("given").alias("held"), pl.col("held").alias("given")
    )
    assert_frame_equal(there, mirrored, check_row_order=False)


@given(
    st.lists(st.sampled_from(DAYS), unique=True, min_size=1),
    st.data(),
)
def test_edits_are_found_exactly(days: list[date], data: st.DataObject) -> None:
    former = [("A", day, float(at), 5.0) for at, day in enumerate(sorted(days))]
    new: list[tuple[Any, ...]] = []
    expected: list[tuple[Any, ...]] = []
    for symbol, day, close, volume in former:
        edit = data.draw(st.sampled_from(["keep", "vanish", "close", "both"]))
        if edit == "vanish":
            expected.append((symbol, day, "vanished", None, None, None))
            continue
        if edit in {"close", "both"}:
            expected.append((symbol, day, "changed", "close", close, None))
        if edit == "both":
            expected.append((symbol, day, "changed", "volume", volume, 6.0))
        changed = edit in {"close", "both"}
        new.append((symbol, day, None if changed else close, 6.0 if edit == "both" else volume))
    for day in data.draw(st.sets(st.sampled_from(DAYS))) - set(days):
        new.append(("A", day, 1.0, 1.0))
        expected.append(("A", day, "appeared", None, None, None))
    assert changes(former, new) == sorted(expected, key=lambda row: row[1])


def test_of_two_rows_of_a_session_the_one_that_moved_is_named() -> None:
    former = [("A", DAYS[0], 10.0, 1.0), ("A", DAYS[0], 20.0, 1.0)]
    moved = [("A", DAYS[0], 21.0, 1.0), ("A", DAYS[0], 10.0, 1.0)]
    assert changes(former, moved) == [("A", DAYS[0], "changed", "close", 20.0, 21.0)]
    assert changes(former, former[:1]) == [("A", DAYS[0], "vanished", None, None, None)]
    assert changes(former, [*former, former[0]]) == [("A", DAYS[0], "appeared", None, None, None)]


# Folders


def bars(symbol: str, closes: dict[date, float], **columns: float | None) -> pl.DataFrame:
    plain: dict[str, Any] = {"adj_close": None, "volume": 5.0, **columns}
    return pl.DataFrame(
        {
            "symbol": symbol,
            "date": list(closes),
            **{name: list(closes.values()) for name in tables.PRICES},
            **plain,
        },
        schema=dict(tables.RAW_DAILY),
    )


def raw(
    folder: Path,
    daily: Sequence[pl.DataFrame],
    market: Sequence[pl.DataFrame] = (),
    hourly: Sequence[pl.DataFrame] = (),
    actions: Sequence[tuple[Any, ...]] = (),
) -> Path:
    for kind, frames in (("daily", daily), ("market", market), ("hourly", hourly)):
        for frame in frames:
            tables.write(frame, folder / kind / file_name(frame["symbol"][0]))
    ledger = pl.DataFrame(list(actions), schema=dict(tables.ACTIONS), orient="row")
    tables.write(ledger, folder / "actions.parquet")
    return folder


def sessions_of(bars: pl.DataFrame, kind: Kind) -> pl.Series:
    return bars["timestamp"].dt.date() if kind == "hourly" else bars["date"]


def differs(
    former: Path, new: Path, as_of: date = DAYS[-1], wanted: Sequence[str] = ("A", "B/C", "I")
) -> pl.DataFrame:
    return between(former, new, as_of, sessions_of, lambda _, symbol: symbol in wanted)


FIVE = {day: 10.0 + at for at, day in enumerate(DAYS[:5])}


def test_moving_as_of_is_no_revision(tmp_path: Path) -> None:
    longer = {**FIVE, DAYS[5]: 15.0, DAYS[6]: 16.0}
    short = raw(tmp_path / "short", [bars("A", FIVE)], actions=[("A", DAYS[1], 2.0, 0.0)])
    long = raw(
        tmp_path / "long",
        [bars("A", longer)],
        actions=[("A", DAYS[1], 2.0, 0.0), ("A", DAYS[6], 1.0, 0.5)],
    )
    assert differs(short, long, DAYS[6]).is_empty()
    assert differs(long, short, DAYS[4]).is_empty()


def test_a_changed_past_bar_is_found_also_when_as_of_moves(tmp_path: Path) -> None:
    former = raw(tmp_path / "former", [bars("A", FIVE), bars("B/C", FIVE)])
    edited = {**FIVE, DAYS[2]: 99.0, DAYS[5]: 15.0}
    new = raw(tmp_path / "new", [bars("A", {**FIVE, DAYS[5]: 15.0}), bars("B/C", edited)])
    revised = differs(former, new, DAYS[5])
    assert revised.rows() == [
        ("daily", "B/C", DAYS[2], None, "changed", column, 12.0, 99.0, False)
        for column in tables.PRICES
    ]
    assert summary(revised) == (
        "1 changed (open 1, high 1, low 1, close 1): B/C 2020-01-03 open 12 -> 99, "
        "B/C 2020-01-03 high 12 -> 99, B/C 2020-01-03 low 12 -> 99, B/C 2020-01-03 close 12 -> 99"
    )


def test_bars_that_went_and_came_within_the_past(tmp_path: Path) -> None:
    former = raw(tmp_path / "former", [bars("A", FIVE), bars("B/C", {DAYS[0]: 1.0, DAYS[2]: 3.0})])
    new = raw(
        tmp_path / "new",
        [
            bars("A", {day: close for day, close in FIVE.items() if day != DAYS[1]}),
            # After its own last bar, and still before the newest session held.
            bars("B/C", {DAYS[0]: 1.0, DAYS[1]: 2.0, DAYS[2]: 3.0, DAYS[3]: 4.0, DAYS[6]: 7.0}),
        ],
    )
    revised = differs(former, new)
    assert revised.select("symbol", "date", "change").rows() == [
        ("A", DAYS[1], "vanished"),
        ("B/C", DAYS[1], "appeared"),
        ("B/C", DAYS[3], "appeared"),
    ]
    assert summary(revised) == (
        "1 vanished, 2 appeared: A 2020-01-02 vanished, B/C 2020-01-02 appeared, "
        "B/C 2020-01-04 appeared"
    )


def test_a_bar_of_the_newest_session_held_is_told_apart(tmp_path: Path) -> None:
    former = raw(tmp_path / "former", [bars("A", FIVE), bars("B/C", {DAYS[0]: 1.0})])
    new = raw(
        tmp_path / "new",
        [bars("A", {**FIVE, DAYS[4]: 99.0}), bars("B/C", {DAYS[0]: 1.0, DAYS[4]: 5.0})],
    )
    assert set(differs(former, new).select("symbol", "date", "change", "newest").rows()) == {
        ("A", DAYS[4], "changed", True),
        ("B/C", DAYS[4], "appeared", True),
    }
    # The newest session of the folder, not of the series: this one had long closed.
    early = raw(tmp_path / "early", [bars("A", FIVE), bars("B/C", {DAYS[0]: 2.0})])
    assert set(differs(former, early).select("symbol", "newest").rows()) == {("B/C", False)}


def test_a_series_that_is_no_longer_asked_for_has_not_vanished(tmp_path: Path) -> None:
    former = raw(
        tmp_path / "former",
        [bars("A", FIVE), bars("B/C", FIVE)],
        actions=[("A", DAYS[1], 2.0, 0.0), ("B/C", DAYS[1], 2.0, 0.0)],
    )
    new = raw(tmp_path / "new", [bars("A", FIVE)], actions=[("A", DAYS[1], 2.0, 0.0)])
    assert differs(former, new, wanted=["A"]).is_empty()
    gone = differs(former, new)
    assert summary(gone.filter(~pl.col("newest"))) == (
        "5 vanished: B/C 2020-01-01 vanished, B/C 2020-01-02 vanished, B/C 2020-01-03 vanished, "
        "B/C 2020-01-04 vanished, B/C action of 2020-01-02 vanished"
    )
    # A new one has not appeared in the past.
    assert differs(new, former).is_empty()


def test_actions_are_compared_too(tmp_path: Path) -> None:
    former = raw(tmp_path / "former", [bars("A", FIVE)], actions=[("A", DAYS[1], 2.0, 0.0)])
    new = raw(
        tmp_path / "new",
        [bars("A", FIVE)],
        actions=[("A", DAYS[1], 3.0, 0.0), ("A", DAYS[2], 1.0, 0.25)],
    )
    assert summary(differs(former, new)) == (
        "1 changed (ratio 1), 1 appeared: A action of 2020-01-02 ratio 2 -> 3, "
        "A action of 2020-01-03 appeared"
    )


def test_hours_and_market_series(tmp_path: Path) -> None:
    def hours(close: float) -> pl.DataFrame:
        times = [datetime(2020, 1, day, hour, tzinfo=UTC) for day in (1, 2) for hour in (10, 11)]
        closes = [10.0, close, 10.0, 10.0]
        return pl.DataFrame(
            {
                "symbol": "A",
                "timestamp": times,
                **dict.fromkeys(tables.PRICES[:3], 10.0),
                "close": closes,
                "adj_close": None,
                "volume": None,
            },
            schema=dict(tables.RAW_HOURLY),
        )

    former = raw(tmp_path / "former", [], [bars("I", FIVE)], [hours(10.0)])
    new = raw(tmp_path / "new", [], [bars("I", {**FIVE, DAYS[0]: 3.0})], [hours(11.0)])
    revised = differs(former, new)
    assert revised.filter(kind="hourly").rows() == [
        (
            *("hourly", "A", DAYS[0], datetime(2020, 1, 1, 11, tzinfo=UTC)),
            *("changed", "close", 10.0, 11.0, False),
        )
    ]
    assert "A 2020-01-01 11:00 UTC close 10 -> 11" in summary(revised)
    assert revised.filter(kind="market").height == len(tables.PRICES)


def test_what_follows_from_dividends_is_named_last() -> None:
    former = bars("A", FIVE, adj_close=1.0)
    moved = former.with_columns(
        pl.lit(0.9).alias("adj_close"),
        pl.when(pl.col("date") == DAYS[4]).then(7.0).otherwise("volume").alias("volume"),
    )
    revised = compare(former, moved, ["symbol", "date"]).with_columns(
        pl.lit("daily").alias("kind"), pl.lit(None, dtype=tables.UTC).alias("timestamp")
    )
    assert summary(revised).startswith(
        "5 changed (adj_close 5, volume 1): A 2020-01-05 volume 5 -> 7, "
        "A 2020-01-01 adj_close 1 -> 0.9, "
    )
    assert summary(revised).endswith(" and 1 more")


def test_a_former_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    former = raw(tmp_path / "former", [bars("A", FIVE), bars("B/C", FIVE)])
    new = raw(tmp_path / "new", [bars("A", FIVE), bars("B/C", {**FIVE, DAYS[0]: 9.0})])
    (former / "daily" / "A.parquet").write_bytes(b"torn")
    (former / "actions.parquet").write_bytes(b"torn")
    other = tables.read(former / "daily" / "B%2FC.parquet").drop("volume")
    tables.write(other, former / "market" / "I.parquet")
    assert differs(former, new)["symbol"].unique().to_list() == ["B/C"]


def test_files_of_the_same_bytes_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former, new = (raw(tmp_path / name, [bars("A", FIVE)]) for name in ("former", "new"))
    monkeypatch.delattr(tables, "read")
    assert differs(former, new).is_empty()


def test_the_list_is_left_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "var" / "revisions.csv"
    former = raw(tmp_path / "former", [bars("A", FIVE)])
    new = raw(tmp_path / "new", [bars("A", {day: FIVE[day] for day in DAYS[1:5]})])
    revisions.write(differs(former, new), path)
    assert path.read_text() == (
        "kind,symbol,date,timestamp,change,column,held,given,newest\n"
        "daily,A,2020-01-01,,vanished,,,,false\n"
    )
    summary = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert summary == f"{revisions.summary(differs(former, new))}\n"
    revisions.write(differs(former, former), path)
    assert list(path.parent.iterdir()) == []
