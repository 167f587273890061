"""The stage on made-up bars: what it reads and writes, and what makes its tripwires fire."""

import json
import logging
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stages import backtest
from stages.common import tables
from stages.common.errors import DataError, InputError
from stages.common.paths import CLEAN_DAILY, METRICS, MODELS
from stages.forecast.trading import tripwires
from stages.forecast.trading.strategies import HOLDING
from tests import datasets
from tests.markets import market
from tests.messages import facts

SPLIT = date(2003, 6, 1)
NAMES = ("backtest.json", "cross_section.json", "drawdown.csv", "equity.csv", "ic.csv")

ON_ONE_CORE = """
import os, sys
if hasattr(os, "sched_setaffinity"):  # Linux
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from stages import backtest
backtest.main()
"""


def write_inputs(
    folder: Path, symbols: int = 6, horizon: int = 1, score: float | None = 0.01, **changes: Any
) -> None:
    """What the stage reads, as evaluate and clean leave it."""
    datasets.write_params(folder, horizons={"short": horizon}, **changes)
    forecasts, bars = market(1, symbols=symbols, horizon=horizon)
    newest = forecasts.group_by("symbol", maintain_order=True).last()
    newest = newest.with_columns(target=pl.lit(None, pl.Float64), forecast=pl.lit(9, pl.Float32))
    tables.write(pl.concat([forecasts, newest]), folder / MODELS / "short" / "forecasts.parquet")
    scores = {"all": {"oos_r2": score, "rank_ic": None}}
    (folder / MODELS / "short" / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    tables.write(bars, folder / CLEAN_DAILY)


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / METRICS / "short" / name).read_bytes() for name in NAMES}


def content(folder: Path, name: str = "backtest") -> dict[str, Any]:
    path = folder / METRICS / "short" / f"{name}.json"
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


# --- what it writes


def test_every_portfolio_is_there_with_its_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="stages")
    write_inputs(tmp_path)
    datasets.stage(tmp_path, "backtest", "short")
    portfolios = content(tmp_path)
    # Of 119 forecasts with a known target, that of the last session is not traded any more.
    assert portfolios.pop("sessions") == 118
    assert list(portfolios) == ["sign", "rank", "mean_variance", *HOLDING]
    common = ["return", "volatility", "sharpe", "max_drawdown", "turnover", "hit_rate"]
    bounds = ["sharpe_lower", "sharpe_upper"]
    for name, scores in portfolios.items():
        more = [] if name in HOLDING else ["sharpe_gain", "p_value"]
        assert list(scores) == [*common, *bounds, *more]
        assert scores["sharpe_lower"] < scores["sharpe"] < scores["sharpe_upper"]
        assert None not in scores.values()
    equity = pl.read_csv(tmp_path / METRICS / "short" / "equity.csv")
    ended = equity.group_by("portfolio", maintain_order=True).last()
    for portfolio, worth in ended.select("portfolio", "equity").iter_rows():
        yearly = worth ** (252 / 118) - 1
        assert portfolios[portfolio]["return"] == pytest.approx(yearly, abs=1e-5)
    assert content(tmp_path, "cross_section")["dates"] == 0
    (line,) = caplog.messages
    assert facts(line) >= facts("backtest short: 118 sessions -> metrics/short/backtest.json")
    assert f"sign {portfolios['sign']['sharpe']:+.2f}" in line


def test_few_symbols_are_not_ranked_and_many_are_scored_date_by_date(tmp_path: Path) -> None:
    write_inputs(tmp_path, symbols=4)
    datasets.stage(tmp_path, "backtest", "short")
    assert "rank" not in content(tmp_path)
    write_inputs(tmp_path, symbols=20)
    datasets.stage(tmp_path, "backtest", "short")
    assert "rank" in content(tmp_path)
    across = content(tmp_path, "cross_section")
    assert across["dates"] == 119
    assert abs(across["ic"]) < 0.1
    years = pl.read_csv(tmp_path / METRICS / "short" / "ic.csv")
    assert dict(zip(years["year"].cast(pl.String), years["ic"], strict=True)) == pytest.approx(
        across["ic_by_year"], rel=1e-5
    )


def test_costs_are_those_of_the_params(tmp_path: Path) -> None:
    write_inputs(tmp_path, backtest={"cost": 0, "slippage": 0})
    datasets.stage(tmp_path, "backtest", "short")
    free = content(tmp_path)
    both = {}
    for cost, slippage in ((20, 0), (5, 15)):
        write_inputs(tmp_path, backtest={"cost": cost, "slippage": slippage})
        datasets.stage(tmp_path, "backtest", "short")
        both[cost] = content(tmp_path)
    assert both[20] == both[5]
    for name in ("sign", "rank", "mean_variance", *HOLDING):
        turnover = free[name]["turnover"]
        paid = np.log1p(free[name]["return"]) - np.log1p(both[5][name]["return"])
        assert both[5][name]["turnover"] == turnover
        assert paid == pytest.approx(0.002 * turnover, rel=0.02)


def test_one_core_makes_the_same_bytes(tmp_path: Path) -> None:
    write_inputs(tmp_path, symbols=20, horizon=5)
    datasets.stage(tmp_path, "backtest", "short")
    before = outputs(tmp_path)
    shutil.rmtree(tmp_path / METRICS)
    ran = datasets.python(tmp_path, ON_ONE_CORE, "short")
    assert ran.returncode == 0, ran.stderr
    assert outputs(tmp_path) == before


# --- what stops it


def test_a_delay_beyond_the_bars_is_named(tmp_path: Path) -> None:
    write_inputs(tmp_path, backtest={"delay": 120})
    with pytest.raises(DataError) as caught:
        datasets.stage(tmp_path, "backtest", "short")
    assert {"backtest.delay", "120", "2010-10-08", "dataset.test_share"} <= set(
        facts(str(caught.value))
    )


@pytest.mark.parametrize("name", ["forecasts.parquet", "scores.json"])
def test_what_evaluate_has_not_written_is_named(tmp_path: Path, name: str) -> None:
    write_inputs(tmp_path)
    (tmp_path / MODELS / "short" / name).unlink()
    with pytest.raises(InputError) as caught:
        datasets.stage(tmp_path, "backtest", "short")
    assert facts(str(caught.value)) == facts(
        f"models/short/{name}: no such file; run `dvc repro` or `dvc pull`"
    )


# --- tripwires


def test_only_scores_of_one_session_can_be_too_good() -> None:
    assert tripwires.fired({"oos_r2": 0.02, "rank_ic": 0.1}, 1) == []
    assert tripwires.fired({"oos_r2": None, "rank_ic": None}, 1) == []
    assert tripwires.fired({"oos_r2": 0.03, "rank_ic": 0.2}, 63) == []
    both = tripwires.fired({"oos_r2": 0.021, "rank_ic": 0.101}, 1)
    assert [clause.split(" of ")[0] for clause in both] == [
        "out-of-sample R2 0.0210",
        "rank IC 0.1010",
    ]


def run(folder: Path, target: Callable[..., Any], **changes: Any) -> None:
    """Train, evaluate and backtest on made-up rows, whose targets are what the bars do."""
    datasets.write_params(
        folder, horizons={"short": 1}, models={"ridge": {"alpha": 1.0}}, **changes
    )
    rows = datasets.made_up(["A", "B", "C", "D"], 1000, target)
    datasets.write_dataset(folder, "short", rows, SPLIT)
    datasets.write_sessions(folder, date(2003, 9, 26))
    growth = (1 + pl.col("target").clip(-0.3, 0.3)).cum_prod().over("symbol")
    later = rows.select("symbol", date=pl.col("target_date"), adj_close=100 * growth)
    first = rows.group_by("symbol").first().select("symbol", "date", adj_close=pl.lit(100.0))
    tables.write(pl.concat([first, later]).sort("symbol", "date"), folder / CLEAN_DAILY)
    datasets.stage(folder, "train", "short", "ridge")
    datasets.stage(folder, "evaluate", "short")
    datasets.stage(folder, "backtest", "short")


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.message for entry in caplog.records if entry.levelno == logging.WARNING]


def test_a_planted_leak_fires_both_tripwires_and_pays_only_without_a_delay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A feature that holds the return of the next session."""

    def leak(x: Any, rng: np.random.Generator) -> Any:
        return 0.02 * x[:, 0] + rng.normal(0, 0.002, len(x))

    run(tmp_path, leak, backtest={"delay": 0})
    r2, ic = warned(caplog)
    assert r2.startswith("backtest short: out-of-sample R2 0.7")
    assert ic.startswith("backtest short: rank IC 0.9")
    assert all(line.endswith(": look for a leak") for line in (r2, ic))
    portfolios = content(tmp_path)
    assert portfolios["sign"]["sharpe"] > 10
    assert portfolios["sign"]["p_value"] < 1e-4
    # Evaluate leaves what backtest wrote.
    before = outputs(tmp_path)
    datasets.stage(tmp_path, "evaluate", "short")
    assert outputs(tmp_path) == before

    datasets.write_params(tmp_path, horizons={"short": 1}, models={"ridge": {"alpha": 1.0}})
    datasets.stage(tmp_path, "backtest", "short")
    late = content(tmp_path)
    assert late["sign"]["sharpe"] < 2
    assert late["sign"]["p_value"] > 0.05


def test_noise_fires_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, lambda x, rng: rng.normal(0, 0.02, len(x)))
    assert warned(caplog) == []
    portfolios = content(tmp_path)
    assert min(portfolios[name]["p_value"] for name in ("sign", "mean_variance")) > 0.05


def test_the_level_is_that_of_the_intervals() -> None:
    """Twice the deviation, a quarter of mean over variance, where nothing is capped."""
    forecasts, bars = market(3)
    params = {"delay": 1, "cost": 0, "slippage": 0, "cap": 1e9, "volatility": 0.15, "seed": 0}
    ratios = []
    # Intervals of 1 and of 2 standard deviations.
    for level in (0.6826894921, 0.9544997361):
        settings = {"horizons": {"short": 1}, "evaluate": {"level": level}, "backtest": params}
        done = backtest.backtest(forecasts, bars, 1, backtest.Settings.model_validate(settings))
        ratios.append(done.portfolios["mean_variance"]["volatility"])
    assert ratios[1] == pytest.approx(4 * (ratios[0] or 0))
