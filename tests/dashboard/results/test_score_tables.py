"""Scores and portfolios as tables of numbers."""

import pytest

from dashboard.results import horizon_metrics, score_tables
from dashboard.results.horizon_metrics import HorizonMetrics
from tests.projects import ROOT

SHORT = horizon_metrics.read("", "short", ROOT)


def test_the_served_forecast_is_first_and_baselines_last() -> None:
    table, formats = score_tables.scores(SHORT.table("scores"), "all")
    models = table["model"].to_list()
    assert models[0] == "stack"
    assert models[-4:] == ["zero", "mean", "mean_constant", "mean_ewma"]
    assert table.columns[1:5] == ["OOS R2", "p", "CRPS skill %", "p of CRPS"]
    assert set(formats) == set(table.columns[1:])
    # Percent where the title says so.
    assert table["MAE %"][0] == pytest.approx(100 * (SHORT.summary["mae"] or 0))
    # A small p-value is not shown as zero.
    assert formats["p of CRPS"] == "%.3g"


def test_symbols_come_after_all_of_them() -> None:
    assert score_tables.symbols(SHORT.table("scores")) == ["all", "AAPL", "GOOG", "IBM", "MSFT"]
    table, _ = score_tables.scores(SHORT.table("scores"), "IBM")
    assert table.height == 9


def test_what_params_say() -> None:
    assert score_tables.sessions(SHORT.params, "long") == 63
    assert score_tables.level(SHORT.params) == 0.9
    assert (score_tables.sessions({}, "long"), score_tables.level({})) == (0, None)
    assert score_tables.served(SHORT.table("scores").clear()) is None


def test_portfolios_have_the_p_values_of_strategies() -> None:
    portfolios = score_tables.portfolios(SHORT.documents["backtest"])
    assert "sessions" not in portfolios
    table, _ = score_tables.performance(portfolios)
    assert table["portfolio"].to_list() == list(portfolios)
    p_values = dict(zip(table["portfolio"], table["p"], strict=True))
    assert p_values["sign"] == 1
    assert p_values["buy_and_hold"] is None


def test_the_rank_ic_has_its_uncertainty_beside_it() -> None:
    assert score_tables.rank_ic_line(SHORT) == ""
    rank_ic = {"dates": 312, "ic": 0.0087, "ic_t": 0.52, "ic_p": 0.301}
    line = score_tables.rank_ic_line(HorizonMetrics({}, {}, {"cross_section": rank_ic}, {}))
    assert all(text in line for text in ("312 dates", "+0.0087", "t +0.52", "p 0.301"))
