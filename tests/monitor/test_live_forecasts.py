"""The forecasts of the log as tables."""

import sqlalchemy as sa

from monitor import live_forecasts
from monitor.live_forecasts import SCHEMA, Window
from tests.monitor import live


def test_what_is_logged_is_read(engine: sa.Engine) -> None:
    made = live.forecasts(live.bars(sessions=20), sessions=5, horizon="week", predicted=0.01)
    live.add(engine, made, labelled=1.0)
    read = live_forecasts.read(engine, Window("week"))
    assert read.schema == dict(SCHEMA)
    wanted = made.sort("as_of", "symbol", "id")
    shared = [name for name in SCHEMA if name in wanted.columns]
    assert read.select(shared).equals(wanted.select(shared).cast(read.select(shared).schema))
    assert read["actual_return"].equals(wanted["target"].alias("actual_return"), null_equal=True)
    assert read["actual_return"].null_count() == 5 * 3
