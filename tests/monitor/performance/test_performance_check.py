"""The check of a horizon: scores, verdict, files and metrics, from the log to the terminal."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from monitor import settings as monitor_settings
from monitor.__main__ import command_line
from monitor.live_forecasts import Window, read
from monitor.performance import performance_check
from monitor.performance.live_scores import SHOWN
from monitor.performance.performance_check import Performance
from monitor.settings import Settings
from monitor.store import metric_history
from predictions.schema import monitoring_metrics
from stages.common.errors import ParamsError
from tests.monitor import live, served_model
from tests.monitor.served_model import HORIZON, TRAINED

SESSIONS = 900

Check = Callable[..., Performance]


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return live.bars(sessions=SESSIONS)


@pytest.fixture
def md5(tmp_path: Path, bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the model of a project in the working folder."""
    monkeypatch.chdir(tmp_path)
    return served_model.project(tmp_path, bars)


@pytest.fixture
def check(engine: sa.Engine, settings: Settings, bars: pl.DataFrame, md5: str) -> Check:
    """Log live forecasts of the model, with labels, and check them."""

    def checked(count: int = SESSIONS * 3, **values: Any) -> Performance:
        days = bars["date"].unique().sort()
        own = live.forecasts(bars, **{"model_md5": md5, **values})
        own = own.filter(pl.col("as_of") >= days[TRAINED], pl.col("as_of") < days[-1])
        live.add(engine, own.head(count), labelled=1.0)
        return performance_check.check(
            engine, settings, monitor_settings.thresholds(), HORIZON, days[-1]
        )

    return checked


def test_a_model_that_is_as_good_as_on_its_hold_out_is_not_called_degraded(
    check: Check, engine: sa.Engine, settings: Settings, md5: str
) -> None:
    performance = check()
    assert (performance.model_md5, performance.rows, performance.dates) == (md5, 252 * 3, 252)
    assert not performance.degraded
    assert performance.judged == SESSIONS - TRAINED - 1
    assert performance.problem is None
    assert md5[:8] in performance.verdict
    # Of a normal distribution that is right: one over the root of pi, in deviations.
    crps = performance.scores["crps"]
    assert crps.live is not None
    assert crps.yardstick is not None
    assert crps.live == pytest.approx(served_model.SCALE * 0.5642, rel=0.1)
    assert crps.interval is not None
    assert crps.interval[0] < crps.live < crps.interval[1]
    assert crps.held_out == pytest.approx(crps.live, rel=0.1)
    # The yardstick has to guess the scale.
    assert crps.live < crps.yardstick
    assert performance.scores["coverage"].live == pytest.approx(0.9, abs=0.05)
    rows = read(engine, Window(HORIZON)).drop_nulls("actual_return")
    newest = rows.filter(pl.col("as_of").rank("dense", descending=True) <= 252)
    error = newest["actual_return"] - newest["predicted_return"]
    assert performance.scores["mae"].live == pytest.approx(error.abs().mean())
    written = json.loads((settings.folder / "performance" / "short.json").read_bytes())
    assert written == json.loads(json.dumps(performance.as_json()))
    with engine.connect() as connection:
        metrics = {
            name: (value, tags)
            for _, name, value, tags in metric_history.since(connection, settings.clock)
        }
    assert metrics["degraded"] == (0.0, {"horizon": HORIZON, "model": md5[:8]})
    assert metrics["performance_crps"][0] == crps.live
    assert {f"performance_{name}" for name in SHOWN} < set(metrics)
    tracked = json.loads((settings.folder / "intervals.json").read_bytes())[HORIZON]
    assert metrics["tracked_coverage"][0] == tracked["coverage_after"]
    assert metrics["tracked_factor_upper"][0] == tracked["factor_upper"]


@pytest.mark.parametrize(
    "values",
    [
        {"scale": 0.06},
        {"scale": 0.006},
        {"predicted": np.random.default_rng(1).normal(0, 0.02, SESSIONS * 3)},
    ],
    ids=["intervals far too wide", "far too narrow", "forecasts of noise"],
)
def test_a_model_that_got_worse_is_called_degraded(check: Check, values: dict[str, Any]) -> None:
    performance = check(**values)
    assert performance.degraded
    assert performance.evidence >= performance.needed == 20
    assert "is degraded" in performance.verdict


def test_a_turbulent_market_is_no_degradation(
    engine: sa.Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices move three times as far from one day on; the model's scale follows."""
    monkeypatch.chdir(tmp_path)
    calm, wild = live.bars(sessions=700), live.bars(sessions=300, spread=0.06, seed=1)
    last = calm.group_by("symbol", maintain_order=True).agg(pl.col("adj_close").last())
    days = live.weekdays(1000)
    moved = wild.join(last, on="symbol", maintain_order="left").with_columns(
        adj_close=pl.col("adj_close") * pl.col("adj_close_right") / 100,
        date=pl.col("date").replace_strict(dict(zip(days[:300], days[700:], strict=True))),
    )
    bars = pl.concat([calm, moved.select(calm.columns)]).sort("symbol", "date")
    md5 = served_model.project(tmp_path, bars)
    scale = np.where(bars["date"] >= days[699], 0.06, 0.02)
    own = live.forecasts(bars, scale=scale, model_md5=md5).filter(pl.col("as_of") >= days[TRAINED])
    live.add(engine, own, labelled=1.0)
    performance = performance_check.check(
        engine, settings, monitor_settings.thresholds(), HORIZON, days[-1]
    )
    held_out, crps = performance.scores["crps"].held_out, performance.scores["crps"].live
    assert held_out is not None
    assert crps is not None
    assert crps > 2 * held_out
    assert not performance.degraded


def test_without_forecasts_or_labels_the_remedy_is_named(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, md5: str
) -> None:
    thresholds = monitor_settings.thresholds()
    none = performance_check.check(engine, settings, thresholds, HORIZON, date(2030, 1, 1))
    assert "no forecast is due by 2030-01-01" in none.verdict
    live.add(engine, live.forecasts(bars.head(20), model_md5=md5))
    unlabelled = performance_check.check(engine, settings, thresholds, HORIZON, date(2030, 1, 1))
    assert unlabelled.problem is not None
    assert "none of the 20 forecasts" in unlabelled.problem
    assert "python -m monitor labels" in unlabelled.problem
    assert not unlabelled.degraded
    assert live.count_of(engine, monitoring_metrics) == 0


def test_a_forecast_whose_target_session_is_to_come_is_not_judged(
    check: Check, engine: sa.Engine, settings: Settings
) -> None:
    check()
    today = live.weekdays(SESSIONS)[TRAINED + 50]
    performance = performance_check.check(
        engine, settings, monitor_settings.thresholds(), HORIZON, today
    )
    assert (performance.dates, performance.judged) == (50, 50)
    assert performance.last == live.weekdays(SESSIONS)[TRAINED + 49]


def test_of_one_forecast_no_score_says_anything(check: Check) -> None:
    performance = check(count=1)
    assert performance.rows == 1
    assert performance.first == performance.last == live.weekdays(SESSIONS)[TRAINED]
    assert all(score.interval is None for score in performance.scores.values())
    assert performance.scores["auc"].live is None
    assert performance.remarks == ("one forecast has a label: no score says anything yet",)
    assert not performance.degraded


def test_outcomes_of_one_class_have_no_auc(
    engine: sa.Engine, settings: Settings, bars: pl.DataFrame, md5: str
) -> None:
    days = bars["date"].unique().sort()
    rising = live.forecasts(bars, model_md5=md5).filter(
        pl.col("as_of") >= days[TRAINED], pl.col("target") > 0
    )
    live.add(engine, rising, labelled=1.0)
    performance = performance_check.check(
        engine, settings, monitor_settings.thresholds(), HORIZON, days[-1]
    )
    assert performance.scores["auc"].live is None
    assert performance.scores["recall"].live is not None
    assert any("every outcome rose" in remark for remark in performance.remarks)


def test_forecasts_of_an_unknown_model_are_scored_without_their_distribution(check: Check) -> None:
    performance = check(model_md5="e" * 32, revision="unknown")
    assert performance.scores["crps"].live is None
    assert performance.scores["oos_r2"].live is None
    assert performance.scores["mae"].live is not None
    assert performance.scores["interval_score"].live is not None
    assert performance.problem is not None
    assert "model eeeeeeee of revision unknown" in performance.problem
    assert not performance.degraded


def test_without_bars_nothing_is_judged_and_the_scores_of_the_log_stand(
    check: Check, tmp_path: Path
) -> None:
    (tmp_path / "data" / "clean" / "daily.parquet").unlink()
    performance = check()
    assert performance.problem is not None
    assert "data/clean/daily.parquet" in performance.problem
    assert performance.scores["mae"].live is not None


def test_the_same_log_gives_the_same_bytes(
    check: Check, engine: sa.Engine, settings: Settings
) -> None:
    performance = check()
    assert performance.last is not None
    paths = [settings.folder / "performance" / "short.json", settings.folder / "intervals.json"]
    before = [path.read_bytes() for path in paths]
    performance_check.check(
        engine, settings, monitor_settings.thresholds(), HORIZON, live.weekdays(SESSIONS)[-1]
    )
    assert [path.read_bytes() for path in paths] == before


def test_the_command_shows_a_table_and_exits_with_1_if_degraded(
    check: Check, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    check(scale=0.06)
    arguments = command_line().parse_args(["performance", "--horizon", HORIZON])
    with pytest.raises(SystemExit, match="1"):
        arguments.run(settings, arguments)
    output = capsys.readouterr().out
    assert re.search(r"^coverage +[01.]+ ", output, re.MULTILINE)
    assert "is degraded" in output.splitlines()[-2]
    arguments = command_line().parse_args(["performance", "--horizon", HORIZON, "--json"])
    with pytest.raises(SystemExit):
        arguments.run(settings, arguments)
    assert json.loads(capsys.readouterr().out)[HORIZON]["degraded"] is True


def test_the_command_names_the_horizons_that_there_are(settings: Settings, md5: str) -> None:
    del md5
    arguments = command_line().parse_args(["performance", "--horizon", "shrt"])
    with pytest.raises(ParamsError, match="short"):
        arguments.run(settings, arguments)
