"""Labels that come late, and not for all forecasts."""

from pathlib import Path

import polars as pl
import pytest

from monitor import live_forecasts
from monitor.live_forecasts import Window
from monitor.settings import thresholds
from monitor.simulation import loop
from tests.monitor import live
from tests.projects import ROOT


def test_four_in_ten_are_labelled_and_two_weeks_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    params = thresholds()
    monkeypatch.chdir(tmp_path)
    bars = live.bars(sessions=300)
    live.write_bars(tmp_path, bars)
    settings = live.settings(tmp_path)
    engine = live.log(settings)
    live.add(engine, live.forecasts(bars))
    days = bars["date"].unique().sort()

    loop.late_labels(engine, settings, params, days[-1], seed=0)
    rows = live_forecasts.read(engine, Window("short")).drop_nulls("actual_return")
    assert rows["target_date"].max() == days[-1 - loop.LATE]
    due = 3 * (300 - 1 - loop.LATE)
    assert 0.35 < rows.height / due < 0.45

    # Which forecasts have labels stays the same as bars come in.
    live.write_bars(tmp_path, bars.filter(pl.col("date") <= days[-1 - loop.LATE]))
    loop.late_labels(engine, settings, params, days[-1], seed=0)
    again = live_forecasts.read(engine, Window("short")).drop_nulls("actual_return")
    assert again["id"].to_list() == rows["id"].to_list()
    engine.dispose()
