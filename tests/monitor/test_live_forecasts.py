"""The forecasts of the log as tables."""

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from monitor import live_forecasts
from monitor.live_forecasts import SCHEMA, Window
from monitor.settings import Settings
from predictions import engine as engines
from predictions.database import Database
from tests.monitor import live
from tests.predictions.rows import row

BARS = live.bars(sessions=20)
DAYS = live.weekdays(20)


def test_what_is_logged_is_read(engine_of_both: sa.Engine) -> None:
    forecasts = live.forecasts(BARS, sessions=5, horizon="week", predicted=0.01)
    live.add(engine_of_both, forecasts, labelled=1.0)
    read = live_forecasts.read(engine_of_both, Window("week"))
    assert read.schema == dict(SCHEMA)
    wanted = forecasts.sort("as_of", "symbol", "id")
    shared = [name for name in SCHEMA if name in wanted.columns]
    assert read.select(shared).equals(wanted.select(shared).cast(read.select(shared).schema))
    assert read["actual_return"].equals(wanted["target"].alias("actual_return"), null_equal=True)
    assert read["actual_return"].null_count() == 5 * 3
    assert (read["labelled_at"].dt.date() == read["target_date"]).sum() == 15 * 3


def test_what_was_asked_for_many_times_counts_once(engine_of_both: sa.Engine) -> None:
    copies = [live.forecasts(BARS) for _ in range(3)]
    for copy in copies:
        live.add(engine_of_both, copy)
    read = live_forecasts.read(engine_of_both, Window("short"))
    assert set(read["id"]) == set(copies[-1]["id"])
    # A label of any copy is one of the forecast.
    live.label(engine_of_both, {copies[0]["id"][7]: 0.5})
    read = live_forecasts.read(engine_of_both, Window("short"))
    assert read.height == 60
    assert read.drop_nulls("actual_return")["id"].to_list() == [copies[0]["id"][7]]


@pytest.mark.parametrize(
    ("window", "rows"),
    [
        (Window("short"), 60),
        (Window("long"), 0),
        (Window("short", role="shadow"), 60),
        (Window("short", role=None), 120),
        (Window("short", role=None, models=[live.CHALLENGER_MD5]), 60),
        (Window("short", models=[live.CHALLENGER_MD5]), 0),
        (Window("short", models=[]), 0),
        (Window("short", sources=["bars"]), 0),
        (Window("short", since=DAYS[5]), 45),
        (Window("short", until=DAYS[4]), 15),
        (Window("short", since=DAYS[5], until=DAYS[4]), 0),
        (Window("short", due=DAYS[4]), 12),
        (Window("short", newest=7), 7),
        (Window("short", newest=1), 1),
        (Window("short", newest=1000), 60),
        (Window("short", role=None, newest=7), 7),
        (Window("short", due=DAYS[4], newest=4), 4),
    ],
)
def test_a_window_has_its_forecasts_alone(engine: sa.Engine, window: Window, rows: int) -> None:
    live.add(engine, live.forecasts(BARS))
    live.add(engine, live.forecasts(BARS, role="shadow", model_md5=live.CHALLENGER_MD5))
    read = live_forecasts.read(engine, window)
    assert read.height == rows
    assert read.schema == dict(SCHEMA)
    if window.due:
        assert rows == 0 or read["target_date"].max() == window.due


def test_the_newest_are_those_of_the_newest_bars(engine_of_both: sa.Engine) -> None:
    # The oldest bars were asked for last, and some twice.
    for days in (DAYS[10:], DAYS[:10], DAYS[15:]):
        live.add(engine_of_both, live.forecasts(BARS.filter(pl.col("date").is_in(days))))
    read = live_forecasts.read(engine_of_both, Window("short", newest=7))
    assert read["as_of"].to_list() == [DAYS[17], *[DAYS[18]] * 3, *[DAYS[19]] * 3]


def test_rows_without_a_bar_are_distinct_each(engine_of_both: sa.Engine) -> None:
    live.add(engine_of_both, live.forecasts(BARS, source="rows", as_of=None, target_date=None))
    live.add(engine_of_both, live.forecasts(BARS))
    window = Window("short", sources=["rows", "latest"])
    assert live_forecasts.read(engine_of_both, window).height == 120
    newest = live_forecasts.read(engine_of_both, Window("short", sources=["rows"], newest=5))
    assert newest.height == 5
    both = Window("short", sources=["rows", "latest"], newest=5)
    assert live_forecasts.read(engine_of_both, both)["as_of"].null_count() == 0


def test_inputs_come_row_by_row(engine_of_both: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_forecasts, "GROUP", 7)
    values = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    inputs = pl.DataFrame(values, schema=["vol_14", "rsi_14"])
    live.add(engine_of_both, live.forecasts(BARS, inputs=inputs, predicted=values[:, 0]))
    rows, features = live_forecasts.read_inputs(
        engine_of_both, Window("short"), ["rsi_14", "vol_14", "new"]
    )
    assert rows.schema == dict(SCHEMA)
    assert features.schema == dict.fromkeys(("rsi_14", "vol_14", "new"), pl.Float32)
    wanted = pl.concat([BARS.select("symbol", as_of="date"), inputs], how="horizontal")
    wanted = wanted.sort("as_of", "symbol")
    assert features.select("vol_14", "rsi_14").equals(wanted.select("vol_14", "rsi_14"))
    assert features["new"].null_count() == 60
    assert (
        rows["predicted_return"].cast(pl.Float32).equals(wanted["vol_14"].alias("predicted_return"))
    )


@pytest.mark.parametrize("inputs", ["{}", '{"vol_14":null}'])
def test_a_feature_that_is_not_there_is_null(engine: sa.Engine, inputs: str) -> None:
    Database(engine).write([[row(inputs=inputs)]])
    _, features = live_forecasts.read_inputs(engine, Window("short"), ["vol_14"])
    assert features["vol_14"].to_list() == [None]


def test_no_forecasts_have_no_inputs(engine: sa.Engine) -> None:
    rows, features = live_forecasts.read_inputs(engine, Window("short"), ["vol_14"])
    assert rows.schema == dict(SCHEMA)
    assert features.schema == {"vol_14": pl.Float32}
    assert rows.is_empty()


def test_a_server_writes_while_a_window_is_read(engine: sa.Engine, settings: Settings) -> None:
    live.add(engine, live.forecasts(BARS))
    window = Window("short")
    server = engines.connect(settings.log_url, timeout=0.2)
    with engines.reading(engine) as connection:
        result = connection.execution_options(yield_per=1).execute(window.query())
        next(iter(result))
        assert Database(server).write([[row()]]) == [None]
    server.dispose()


def test_the_newest_are_found_by_the_index(engine_of_both: sa.Engine) -> None:
    live.add(engine_of_both, live.forecasts(BARS))
    with engines.reading(engine_of_both) as connection:
        narrowed = Window("short", newest=4).narrowed(connection)
    assert narrowed.since == DAYS[18]
    if engine_of_both.dialect.name == "sqlite":
        statement = narrowed.query().compile(engine_of_both, compile_kwargs={"literal_binds": True})
        with engine_of_both.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
        assert "prediction_logs_of_a_bar (horizon=? AND as_of>?)" in str(plan)
