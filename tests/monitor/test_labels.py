"""Labels from the bars."""

from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from monitor import labels
from monitor.settings import Settings
from predictions.schema import label_store
from stages import dataset
from tests.monitor import live

CLEAN = Path("data/clean/daily.parquet")


@pytest.fixture
def bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Forty sessions of three symbols, in the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    made = live.bars(sessions=40)
    live.write_bars(tmp_path, made)
    return made


def stored(engine: sa.Engine) -> dict[str, sa.RowMapping]:
    """The labels of a log, by id of their prediction."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(label_store)).mappings().all()
    return {row["prediction_id"]: row for row in rows}


@pytest.mark.parametrize("sessions", [1, 5])
def test_what_came_of_a_forecast_is_the_target_of_training(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, sessions: int
) -> None:
    made = live.forecasts(bars, sessions)
    live.add(engine, made)
    (counts,) = labels.store(engine, settings)
    wanted = dataset.with_target(bars, sessions).drop_nulls("target")
    found = stored(engine)
    joined = made.join(wanted.rename({"date": "as_of"}), ["symbol", "as_of"], suffix="_of_training")
    assert len(found) == joined.height == 3 * (40 - sessions)
    for identifier, target in joined.select("id", "target_of_training").iter_rows():
        assert found[identifier]["actual_return"] == pytest.approx(target, rel=1e-12)
        assert found[identifier]["client"] == "monitor"
        assert found[identifier]["created_at"] == settings.clock
    assert (counts.due, counts.labelled, counts.stored) == (len(found),) * 3
    assert counts.coverage == counts.coverage_all == 1
