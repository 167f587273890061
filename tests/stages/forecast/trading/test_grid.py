from datetime import date

import numpy as np
import polars as pl
import pytest

from stages.forecast.trading import grid as module
from stages.forecast.trading.grid import grid

DAYS = [date(2010, 1, day) for day in (4, 5, 6, 7, 8)]


def bars() -> pl.DataFrame:
    """B has no bar on the third day; C has no forecast."""
    rows = [
        *(("A", day, price) for day, price in zip(DAYS, (10, 11, 11, 12, 12), strict=True)),
        *(("B", DAYS[i], price) for i, price in ((0, 20), (1, 22), (3, 33), (4, 33))),
        *(("C", day, 1) for day in DAYS),
    ]
    schema = {"symbol": pl.String, "date": pl.Date, "adj_close": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def forecasts(*rows: tuple[str, date, float, float, float]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "date": pl.Date, "forecast": pl.Float32}
    bounds = {"lower": pl.Float32, "upper": pl.Float32}
    return pl.DataFrame(rows, schema={**schema, **bounds}, orient="row")


def test_each_number_is_in_the_row_of_its_session_and_the_column_of_its_symbol() -> None:
    rows = forecasts(
        ("A", DAYS[1], 0.01, -0.5, 0.5), ("B", DAYS[1], 0.02, -1, 1), ("A", DAYS[3], 0.03, 0, 0)
    )
    panel = grid(rows, bars(), 0.9)
    assert panel.dates.to_list() == DAYS
    assert (panel.first, panel.last) == (1, 3)
    nothing = np.nan
    assert panel.forecast == pytest.approx(
        np.array([[nothing] * 2, [0.01, 0.02], [nothing] * 2, [0.03, nothing], [nothing] * 2]),
        nan_ok=True,
    )
    # The bounds of 90 percent are 1.645 standard deviations away.
    assert panel.deviation[1] == pytest.approx([0.5 / 1.644854, 1 / 1.644854])
    assert panel.deviation[3, 0] == 0
    # The move over a session without a bar is that of the next bar.
    moves = [[nothing, nothing], [0.1, 0.1], [0, nothing], [1 / 11, 0.5], [0, 0]]
    assert panel.returns == pytest.approx(np.array(moves), nan_ok=True)


def test_positions_are_held_from_the_session_after_the_trade() -> None:
    one = grid(forecasts(("A", DAYS[1], 0.01, -0.5, 0.5)), bars(), 0.9)
    assert [one.dates[one.traded(delay)].to_list() for delay in range(4)] == [
        [DAYS[2]],
        [DAYS[3]],
        [DAYS[4]],
        [],
    ]


def test_bars_long_before_the_first_forecast_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WARM_UP", 1)
    panel = grid(forecasts(("B", DAYS[3], 0.01, -0.5, 0.5)), bars(), 0.9)
    # The days of B alone.
    assert panel.dates.to_list() == [DAYS[1], DAYS[3], DAYS[4]]
    assert panel.returns[:, 0] == pytest.approx([0.1, 0.5, 0])
