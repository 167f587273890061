"""Forecasts and their outcomes: the figures have the values of their frame, in percent."""

import numpy as np
import polars as pl
import pytest

from dashboard.charts.outcome_chart import coverage_chart, outcome_chart

HISTORY = pl.DataFrame(
    {
        "target_date": ["2012-01-03", "2012-01-04", "2012-01-05"],
        "predicted_return": [0.001, 0.002, 0.0],
        "lower_return": [-0.01, -0.02, -0.03],
        "upper_return": [0.01, 0.02, 0.03],
        "actual_return": [0.005, 0.05, -0.03],
        "within": [True, False, True],
        "coverage": [None, 0.5, 0.5],
    }
)


def test_outcomes_are_marked_by_whether_the_interval_held_them() -> None:
    traces = {trace.name: trace for trace in outcome_chart(HISTORY, 0.9).data}
    assert traces["forecast"].y == pytest.approx((0.1, 0.2, 0.0))
    assert traces["90 % interval"].y == pytest.approx((-1, -2, -3))
    assert traces["upper"].y == pytest.approx((1, 2, 3))
    within, outside = traces["outcome within"], traces["outcome outside"]
    assert tuple(within.x) == ("2012-01-03", "2012-01-05")
    assert within.y == pytest.approx((0.5, -3))
    assert (tuple(outside.x), outside.y) == (("2012-01-04",), pytest.approx((5,)))
    assert within.marker.symbol != outside.marker.symbol


def test_coverage_stands_beside_its_nominal_level_on_the_axis_of_the_outcomes() -> None:
    figure = coverage_chart(HISTORY, 0.9, 2)
    share, nominal = figure.data
    assert tuple(share.x) == tuple(nominal.x) == tuple(HISTORY["target_date"])
    assert share.y == pytest.approx((np.nan, 50, 50), nan_ok=True)
    assert tuple(nominal.y) == (90, 90, 90)
    assert figure.layout.xaxis.range == outcome_chart(HISTORY, 0.9).layout.xaxis.range
