"""Labels from the bars."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from monitor import due_labels
from monitor.label_counts import LabelCounts
from monitor.settings import Settings
from monitor.store import records
from predictions import labels
from predictions.schema import Row, former_labels, label_store, monitoring_metrics, prediction_logs
from stages import dataset
from stages.common.paths import CLEAN_DAILY
from tests.monitor import live
from tests.monitor.conftest import Monitor

NAN = float("nan")


@pytest.fixture
def bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Forty sessions of three symbols, in the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    frame = live.bars(sessions=40)
    live.write_bars(tmp_path, frame)
    return frame


def stored(engine: sa.Engine, table: sa.Table = label_store) -> dict[str, Row]:
    """Labels, by id of their prediction."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(table)).mappings().all()
    return {row["prediction_id"]: dict(row) for row in rows}


def store(engine: sa.Engine, settings: Settings, today: date | None = None) -> LabelCounts:
    (counts,) = due_labels.store(engine, settings, today)
    return counts


def day(bars: pl.DataFrame, number: int) -> date:
    """The date of a session of the bars."""
    session: date = bars["date"].unique().sort()[number]
    return session


# What came of a forecast


@pytest.mark.parametrize("sessions", [1, 5])
def test_a_label_is_the_target_of_training(
    engine_of_both: sa.Engine, settings_of_both: Settings, bars: pl.DataFrame, sessions: int
) -> None:
    forecasts = live.forecasts(bars, sessions)
    live.add(engine_of_both, forecasts)
    counts = store(engine_of_both, settings_of_both)
    wanted = dataset.with_target(bars, sessions).drop_nulls("target").rename({"date": "as_of"})
    rows = forecasts.select("id", "symbol", "as_of").join(wanted, ["symbol", "as_of"])
    by_id = stored(engine_of_both)
    assert len(by_id) == rows.height == 3 * (40 - sessions)
    for identifier, target in rows.select("id", "target").iter_rows():
        assert by_id[identifier]["actual_return"] == pytest.approx(target, rel=1e-12)
        assert by_id[identifier]["client"] == "monitor"
        assert by_id[identifier]["created_at"] == settings_of_both.clock
    assert (counts.due, counts.labelled, counts.due_all, counts.stored) == (len(by_id),) * 4
    assert counts.coverage == counts.coverage_all == 1


def test_dividends_and_splits_count_and_the_close_is_as_traded() -> None:
    bars = pl.DataFrame(
        {
            "symbol": ["AAA"] * 3,
            "date": live.weekdays(3),
            # A split of two for one, and a dividend of 1.
            "close": [100.0, 50.0, 49.0],
            "adj_close": [100.0, 100.0, 100.0],
        }
    )
    first, _, last = live.weekdays(3)
    forecasts = pl.DataFrame({"symbol": ["AAA"], "as_of": [first], "target_date": [last]})
    (row,) = due_labels.realised(forecasts, bars).iter_rows(named=True)
    assert (row["realised"], row["realised_close"], row["missing"]) == (0, 49, None)


@pytest.mark.parametrize("price", [0.0, NAN, None])
def test_a_price_that_is_none_gives_no_label(price: float | None) -> None:
    days = live.weekdays(2)
    bars = pl.DataFrame(
        {"symbol": ["AAA"] * 2, "date": days, "close": [1.0, 1.0], "adj_close": [price, 1.0]}
    )
    forecasts = pl.DataFrame({"symbol": ["AAA"], "as_of": days[:1], "target_date": days[1:]})
    assert due_labels.realised(forecasts, bars)["realised"].to_list() == [None]


def test_no_forecast_is_judged_before_its_target_session(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame
) -> None:
    forecasts = live.forecasts(bars, 5)
    live.add(engine, forecasts)
    today = day(bars, 20)
    counts = store(engine, settings, today)
    due = forecasts.filter(pl.col("target_date") <= today)
    assert set(stored(engine)) == set(due["id"])
    assert counts.due == due.height == 3 * 16
    # The rest when they fall due, and the clock of the sessions may also go back.
    assert store(engine, settings).stored == 3 * (40 - 5 - 16)
    back = store(engine, settings, today)
    assert (back.due, back.labelled, back.stored) == (48, 48, 0)


def test_every_role_and_copy_is_labelled_and_each_forecast_counts_once(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame
) -> None:
    live.add(engine, live.forecasts(bars))
    live.add(engine, live.forecasts(bars))
    live.add(engine, live.forecasts(bars, source="bars"))
    live.add(engine, live.forecasts(bars, role="shadow", model_md5=live.CHALLENGER_MD5))
    counts = store(engine, settings)
    assert len(stored(engine)) == counts.stored == counts.due_all == 4 * 3 * 39
    assert counts.due == counts.labelled == 2 * 3 * 39


def test_a_forecast_without_a_bar_or_of_another_symbol_is_left_alone(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame
) -> None:
    live.add(engine, live.forecasts(bars, as_of=None, target_date=None, source="rows"))
    assert due_labels.store(engine, settings) == []
    live.add(engine, live.forecasts(bars.filter(symbol="AAA"), symbol="ZZZ", source="bars"))
    counts = store(engine, settings)
    assert (counts.due, counts.due_all, counts.lacking) == (0, 39, 39)
    assert counts.coverage is None
    assert stored(engine) == {}


def test_horizons_are_counted_apart(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame
) -> None:
    live.add(engine, live.forecasts(bars))
    live.add(engine, live.forecasts(bars, 5, "week"))
    short, week = due_labels.store(engine, settings)
    assert (short.horizon, short.due, week.horizon, week.due) == ("short", 117, "week", 105)


# Bars that are missing or restated


def test_a_session_without_a_bar_is_counted_and_named(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, tmp_path: Path, monitor: Monitor
) -> None:
    live.add(engine, live.forecasts(bars))
    gap = day(bars, 10)
    ended = pl.col("date") <= day(bars, 35)
    live.write_bars(
        tmp_path,
        bars.filter(
            ((pl.col("symbol") != "AAA") | (pl.col("date") != gap))
            & ((pl.col("symbol") != "BBB") | ended)
        ),
    )
    counts = store(engine, settings)
    # The first bar that is missing is named: of two forecasts those of the gap and of session 36.
    lacking = {("AAA", gap): 2, ("BBB", day(bars, 36)): 2}
    lacking |= {("BBB", day(bars, number)): 1 for number in (37, 38)}
    assert counts.without_bar == lacking
    assert counts.labelled == counts.due - 6
    out = monitor("labels")[1]
    assert f"6 due forecasts have no label, since data/clean has no bar of AAA {gap}" in out
    # A bar that comes late is taken.
    live.write_bars(tmp_path, bars)
    assert store(engine, settings).stored == 6
    assert store(engine, settings).coverage == 1


def restated(bars: pl.DataFrame, number: int, factor: float) -> pl.DataFrame:
    """The bars with another close of AAA in one session."""
    at = (pl.col("symbol") == "AAA") & (pl.col("date") == day(bars, number))
    return bars.with_columns(
        pl.when(at).then(pl.col(name) * factor).otherwise(name).alias(name)
        for name in ("close", "adj_close")
    )


def test_a_label_of_restated_bars_is_corrected_and_the_former_kept(
    engine_of_both: sa.Engine, settings_of_both: Settings, bars: pl.DataFrame, tmp_path: Path
) -> None:
    engine, settings = engine_of_both, settings_of_both
    live.add(engine, live.forecasts(bars))
    store(engine, settings)
    before = stored(engine)
    live.write_bars(tmp_path, restated(bars, 10, 1.01))
    later = settings.model_copy(update={"now": settings.clock + timedelta(days=1)})
    counts = store(engine, later)
    assert (counts.stored, counts.corrected) == (0, 2)
    former = stored(engine, former_labels)
    changed = {i: row for i, row in stored(engine).items() if row != before[i]}
    assert set(former) == set(changed)
    for identifier, row in former.items():
        assert row.pop("replaced_at") == changed[identifier]["created_at"] == later.clock
        assert row == before[identifier]
    assert sorted(
        (1 + row["actual_return"]) / (1 + before[i]["actual_return"]) for i, row in changed.items()
    ) == pytest.approx([1 / 1.01, 1.01])
    assert store(engine, later).corrected == 0


def test_a_correction_is_younger_by_any_clock(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, tmp_path: Path
) -> None:
    live.add(engine, live.forecasts(bars))
    store(engine, settings)
    earlier = settings.model_copy(update={"now": settings.clock - timedelta(days=30)})
    for factor in (1.01, 1.02, 1.03):
        live.write_bars(tmp_path, restated(bars, 10, factor))
        assert store(engine, earlier).corrected == 2
    with engine.connect() as connection:
        query = sa.select(former_labels).order_by(former_labels.c.created_at)
        rows = connection.execute(query).mappings().all()
    assert len(rows) == 6
    assert all(row["created_at"] < row["replaced_at"] for row in rows)


def test_rounding_is_no_restatement(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, tmp_path: Path
) -> None:
    live.add(engine, live.forecasts(bars))
    store(engine, settings)
    live.write_bars(tmp_path, restated(bars, 10, 1 + 1e-6))
    assert store(engine, settings).corrected == 0


def test_a_label_by_a_person_stays(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, tmp_path: Path, monitor: Monitor
) -> None:
    forecasts = live.forecasts(bars)
    live.add(engine, forecasts)
    with engine.begin() as connection:
        for identifier, client in zip(forecasts["id"][:2], ("research", None), strict=True):
            label: Row = {
                "prediction_id": identifier,
                "actual_return": 0.5,
                "actual_close": None,
                "observed_at": None,
                "created_at": settings.clock,
                "client": client,
            }
            labels.add(connection, label)
    by_people = stored(engine)
    counts = store(engine, settings)
    assert (counts.stored, counts.disagreeing) == (115, 2)
    assert store(engine, settings).disagreeing is None
    live.write_bars(tmp_path, restated(bars, 30, 1.01))
    assert "2 labels by others differ from data/clean; they stay" in monitor("labels")[1]
    assert {identifier: stored(engine)[identifier] for identifier in by_people} == by_people


# At once, again, in bulk


def test_what_is_stored_again_changes_nothing(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_labels, "BATCH", 10)
    monkeypatch.setattr(due_labels, "GROUP", 25)
    live.add(engine, live.forecasts(bars))
    assert store(engine, settings).stored == 117
    first = stored(engine)
    assert store(engine, settings).stored == 0
    assert stored(engine) == first
    assert live.count_of(engine, former_labels) == 0


def test_two_runs_at_once_store_each_label_once(
    engine_of_both: sa.Engine, settings_of_both: Settings, bars: pl.DataFrame, tmp_path: Path
) -> None:
    live.add(engine_of_both, live.forecasts(bars))

    def at_once() -> list[LabelCounts]:
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(lambda _: store(engine_of_both, settings_of_both), range(2)))

    assert sum(one.stored for one in at_once()) == live.count_of(engine_of_both, label_store) == 117
    live.write_bars(tmp_path, restated(bars, 10, 1.01))
    assert sum(one.corrected for one in at_once()) == 2
    assert live.count_of(engine_of_both, former_labels) == 2


def label_row(identifier: str, settings: Settings, value: float = 0.1) -> Row:
    return {
        "prediction_id": identifier,
        "actual_return": value,
        "actual_close": 1.0,
        "observed_at": None,
        "created_at": settings.clock,
        "client": "monitor",
    }


def test_many_labels_pass_over_what_is_gone_or_labelled(
    engine_of_both: sa.Engine, settings_of_both: Settings
) -> None:
    forecasts = live.forecasts(live.bars(["AAA"], 5))
    live.add(engine_of_both, forecasts)
    one, two, three, *_ = forecasts["id"]
    live.label(engine_of_both, {two: 0.2})
    with engine_of_both.begin() as connection:
        connection.execute(sa.delete(prediction_logs).where(prediction_logs.c.id == three))
        many = [label_row(each, settings_of_both) for each in (one, two, three, "unknown")]
        assert labels.add_many(connection, many) == [one]
        assert labels.add_many(connection, many) == []
        # That of two is by another client, and three has none.
        assert labels.correct_many(connection, many) == []
        other = [{**label, "actual_return": 0.3} for label in many]
        assert labels.correct_many(connection, other) == [one]
    by_id = stored(engine_of_both)
    assert {i: row["actual_return"] for i, row in by_id.items()} == {one: 0.3, two: 0.2}


# Counts


def test_counts_are_kept_as_metrics(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame
) -> None:
    forecasts = live.forecasts(bars, 5, "week")
    live.add(engine, forecasts)
    due = forecasts.drop_nulls("target").sort("target_date")
    # Half a day after the close, and three days after it.
    for number, row in enumerate(due.iter_rows(named=True)):
        late = timedelta(days=3 if number % 3 else 0)
        at = datetime.fromisoformat(f"{row['target_date']}T22:00:00+00:00") + late
        live.label(engine, {row["id"]: row["target"]}, at)
    store(engine, settings)
    with engine.connect() as connection:
        query = sa.select(monitoring_metrics.c.name, monitoring_metrics.c.value).where(
            monitoring_metrics.c.tags == records.tags_text({"horizon": "week"})
        )
        values = dict(connection.execute(query).all())
    assert values == {
        "label_coverage": 1.0,
        "label_coverage_all": 1.0,
        "labels_due": 105,
        "labels_stored": 105,
        "labels_new": 0,
        "labels_corrected": 0,
        "labels_without_bar": 0,
        "labels_disagreeing": 0,
        "label_lateness": 3,
    }


def test_a_share_of_labels_is_the_coverage(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, tmp_path: Path
) -> None:
    live.add(engine, live.forecasts(bars), labelled=0.4)
    live.write_bars(
        tmp_path, bars.filter(pl.col("symbol") == "none").vstack(bars.filter(date=day(bars, 39)))
    )
    counts = store(engine, settings)
    assert counts.coverage == pytest.approx(0.4, abs=0.01)
    assert counts.lacking == counts.due - counts.labelled


# The command


def test_the_command_shows_the_counts(
    engine: sa.Engine, bars: pl.DataFrame, monitor: Monitor
) -> None:
    live.add(engine, live.forecasts(bars))
    status, out, error = monitor("labels")
    assert (status, error) == (0, "")
    header, _, row = out.splitlines()
    assert header.split() == [
        *("horizon", "due", "labelled", "coverage", "of", "all"),
        *("new", "corrected", "no", "bar", "days", "late"),
    ]
    assert row.split()[:7] == ["short", "117", "117", "100.0%", "100.0%", "117", "0"]


@pytest.mark.usefixtures("engine", "bars")
def test_an_empty_log_is_said(monitor: Monitor) -> None:
    assert monitor("labels")[:2] == (
        0,
        "no forecast of the log is due by the newest session of data/clean\n",
    )


@pytest.mark.parametrize("content", [None, b"", b"PAR1"])
def test_bars_that_cannot_be_read_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    monitor: Monitor,
    content: bytes | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        CLEAN_DAILY.parent.mkdir(parents=True)
        CLEAN_DAILY.write_bytes(content)
    status, out, error = monitor("labels")
    assert (status, out) == (1, "")
    assert error.startswith(f"error: {CLEAN_DAILY}: ")
    assert error.count("\n") == 1


def test_bars_without_a_row_or_column_are_one_line(
    tmp_path: Path, bars: pl.DataFrame, monitor: Monitor
) -> None:
    live.write_bars(tmp_path, bars.clear())
    assert monitor("labels")[2].startswith(f"error: {CLEAN_DAILY}: has no bar")
    live.write_bars(tmp_path, bars.drop("adj_close"))
    status, _, error = monitor("labels")
    assert status == 1
    assert error.startswith(f"error: {CLEAN_DAILY}: ")
    assert error.count("\n") == 1


@pytest.mark.usefixtures("bars")
def test_a_log_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch, monitor: Monitor) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    status, out, error = monitor("labels")
    assert (status, out) == (1, "")
    assert "127.0.0.1:1/none: connection" in error
    assert "secret" not in error
    assert error.count("\n") == 1
