"""The simple forecast by which a live model is measured."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from monitor.performance import yardstick
from monitor.performance.yardstick import Span
from monitor.settings import MonitorError
from tests.monitor import live


def test_target_and_scale_are_those_of_the_bars() -> None:
    bars = live.bars(("AAA",), sessions=40)
    rows = yardstick.prepared(bars, 5)
    close = bars["adj_close"].to_numpy()
    assert rows["date"].to_list() == bars["date"].to_list()[1:]
    assert rows["target"].to_list()[:-5] == pytest.approx((close[6:] / close[1:-5] - 1).tolist())
    assert rows["target"].to_list()[-5:] == [None] * 5
    # The weights of RiskMetrics, over the bars that are known.
    squared = (close[1:11] / close[:10] - 1) ** 2
    weights = 0.94 ** np.arange(9, -1, -1)
    wanted = np.sqrt(5 * (weights * squared).sum() / weights.sum())
    assert rows["scale"][9] == pytest.approx(wanted)


def test_no_later_price_moves_a_scale() -> None:
    bars = live.bars(sessions=100)
    cut = bars["date"].unique().sort()[60]
    whole, before = (
        yardstick.prepared(frame, 1).filter(pl.col("date") <= cut).select("symbol", "date", "scale")
        for frame in (bars, bars.filter(pl.col("date") <= cut))
    )
    assert whole.equals(before)


def test_its_intervals_hold_what_they_promise_of_later_bars() -> None:
    bars = live.bars(sessions=2_000)
    rows = yardstick.prepared(bars, 1)
    days = rows["date"].unique().sort()
    means, distribution = yardstick.fitted(rows, Span(live.SYMBOLS, days[0], days[999]), 0.9)
    later = rows.drop_nulls("target").filter(pl.col("date") > days[1000])
    forecasts = yardstick.forecasts(later, means, distribution, 0.9)
    inside = (forecasts["target"] >= forecasts["lower"]) & (
        forecasts["target"] <= forecasts["upper"]
    )
    assert inside.to_numpy().mean() == pytest.approx(0.9, abs=0.02)
    assert forecasts["probability"].is_between(0.3, 0.7).all()
    assert forecasts["crps"].to_numpy().mean() == pytest.approx(0.02 * 0.5642, rel=0.05)


def test_means_are_pooled_or_of_each_symbol() -> None:
    rows = yardstick.prepared(live.bars(sessions=200), 1)
    span = (live.SYMBOLS, rows["date"].min(), rows["date"].max())
    pooled, _ = yardstick.fitted(rows, Span(*span), 0.9)  # type: ignore[arg-type]
    own, _ = yardstick.fitted(rows, Span(*span, per_symbol=True), 0.9)  # type: ignore[arg-type]
    assert pooled["mean"].n_unique() == 1
    wanted = rows.group_by("symbol").agg(pl.col("target").mean()).sort("symbol")["target"]
    assert own["mean"].to_list() == pytest.approx(wanted.to_list())


def test_too_few_bars_of_the_training_are_named() -> None:
    rows = yardstick.prepared(live.bars(sessions=60), 1)
    span = Span(live.SYMBOLS, live.START - timedelta(days=400), live.START)
    with pytest.raises(MonitorError, match="0 of the rows from 2018-11-27 to 2020-01-01"):
        yardstick.fitted(rows, span, 0.9)
