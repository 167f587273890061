"""Metrics over time, read from either database."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from monitor.settings import Settings
from monitor.store import metric_history, records

NOW = datetime(2020, 4, 1, 22, tzinfo=UTC)
DAY = timedelta(days=1)


def test_history_is_a_reading_a_span_in_either_database(
    engine_of_both: sa.Engine, settings_of_both: Settings
) -> None:
    for minutes, value in ((0, 2.0), (5, 0.0), (15, None), (70, 1.0)):
        at = NOW + timedelta(minutes=minutes)
        with records.writing(engine_of_both, settings_of_both, at) as writer:
            writer.metric("health", value, {"check": "disk"})
            writer.metric("other", value, {})
    with engine_of_both.connect() as connection:
        hours, parts = (
            metric_history.spans(connection, ("health",), NOW, NOW + DAY, grain)
            for grain in ("hour", "ten minutes")
        )
        assert not metric_history.spans(connection, ("health",), NOW - DAY, NOW - DAY / 2)
    assert [(each.value, each.greatest) for each in hours] == [(None, 2.0), (1.0, 1.0)]
    assert [(each.value, each.greatest) for each in parts] == [
        (0.0, 2.0),
        (None, None),
        (1.0, 1.0),
    ]
    assert hours[0].at == NOW + timedelta(minutes=15)
    assert hours[0].tags == {"check": "disk"}
