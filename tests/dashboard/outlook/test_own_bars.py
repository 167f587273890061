"""Edited bars: what is sent to the server."""

import polars as pl

from dashboard.outlook.own_bars import changed, request, with_edits

BARS = pl.DataFrame(
    {
        "date": ["2012-12-27", "2012-12-28", "2012-12-31"],
        "open": [10.0, 10.0, 10.0],
        "high": [11.0, 11.0, 11.0],
        "low": [9.0, 9.0, 9.0],
        "close": [10.0, 10.5, 10.0],
        "adj_close": [5.0, 5.25, 5.0],
        "volume": [100.0, 200.0, 300.0],
    }
)
SHOWN = BARS.tail(2).drop("adj_close")


def test_adjusted_closes_move_with_closes_and_ranges_hold_them() -> None:
    edits = SHOWN.with_columns(close=pl.Series([10.5, 12.0]), open=pl.Series([10.0, 8.0]))
    bars = with_edits(BARS, edits)
    assert bars.columns == BARS.columns
    assert bars.head(2).equals(BARS.head(2))
    last = bars.row(-1, named=True)
    assert (last["low"], last["high"]) == (8.0, 12.0)
    assert last["adj_close"] == 6.0
    assert with_edits(BARS, SHOWN).equals(BARS)


def test_an_edit_is_noticed() -> None:
    assert not changed(SHOWN, SHOWN)
    assert changed(SHOWN, SHOWN.with_columns(volume=pl.Series([200.0, 1.0])))
    assert changed(SHOWN, SHOWN.with_columns(open=pl.Series([None, 10.0])))


def test_a_request_has_every_column_of_each_bar() -> None:
    body = request("IBM", "short", BARS)
    assert body["bars"] == BARS.rows(named=True)
    assert (body["symbol"], body["horizon"]) == ("IBM", "short")
