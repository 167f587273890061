"""The bars say what the frame says."""

import polars as pl
import pytest

from dashboard.charts.interval_bars import LABEL, interval_bars

FRAME = pl.DataFrame(
    {
        "symbol": ["A", "<b>B</b>"],
        "predicted_return": [0.01, -0.02],
        "lower_return": [-0.03, -0.05],
        "upper_return": [0.05, 0.04],
        "stale": [False, True],
    }
)


def test_points_and_bars_have_the_numbers_in_percent() -> None:
    (points,) = interval_bars(FRAME).data
    assert list(points.x) == pytest.approx([1.0, -2.0])
    assert list(points.error_x.array) == pytest.approx([4.0, 6.0])
    assert list(points.error_x.arrayminus) == pytest.approx([4.0, 3.0])


def test_a_stale_symbol_is_told_apart_without_colours_and_is_no_html() -> None:
    figure = interval_bars(FRAME)
    (points,) = figure.data
    assert list(points.y) == list(figure.layout.yaxis.tickvals) == ["A", "&lt;b&gt;B&lt;/b&gt;"]
    assert list(figure.layout.yaxis.ticktext) == ["A", "&lt;b&gt;B&lt;/b&gt; (stale)"]
    assert list(points.marker.symbol) == ["circle", "circle-open"]


def test_long_names_leave_room_for_the_bars_and_stay_apart() -> None:
    long = FRAME.with_columns(symbol=pl.Series(["X" * 64, "X" * 63 + "Y"]))
    figure = interval_bars(long)
    assert list(figure.data[0].y) == long["symbol"].to_list()
    assert list(map(len, figure.layout.yaxis.ticktext)) == [LABEL, LABEL + len(" (stale)")]


def test_a_symbol_has_the_same_room_in_long_and_short_charts() -> None:
    heights = [interval_bars(FRAME.head(rows)).layout.height for rows in (1, 2)]
    assert heights[1] - heights[0] > 20
