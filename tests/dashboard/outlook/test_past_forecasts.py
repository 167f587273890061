"""Rolling coverage is a count of outcomes within the interval."""

import polars as pl

from dashboard.outlook.past_forecasts import judged, of_hold_out
from dashboard.outlook.symbol_chart import SCHEMA, SymbolChart


def test_bounds_belong_to_the_interval_and_shares_need_a_whole_window() -> None:
    outcomes = [0.0, 0.01, -0.01, 0.011, -0.2]
    history = pl.DataFrame(
        {"actual_return": outcomes, "lower_return": [-0.01] * 5, "upper_return": [0.01] * 5}
    )
    table = judged(history, 2)
    assert table["within"].to_list() == [True, True, True, False, False]
    assert table["coverage"].to_list() == [None, 1.0, 1.0, 0.5, 0.0]
    assert judged(history, 6)["coverage"].null_count() == 5


def test_the_hold_out_ends_where_outcomes_are_not_known() -> None:
    days = ["2012-01-03", "2012-01-04", "2012-01-05"]
    table = pl.DataFrame(
        {
            **{name: [None] * 3 for name in SCHEMA},
            "date": days,
            "predicted_return": [None, 0.1, 0.2],
            "actual_return": [None, 0.3, None],
        },
        schema=SCHEMA,
    )
    history = of_hold_out(SymbolChart(table, 0.9))
    assert history["target_date"].to_list() == ["2012-01-04"]
    assert history["actual_return"].to_list() == [0.3]
