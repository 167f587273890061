from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr, ttest_1samp

from stages.forecast.scoring import scores
from stages.forecast.trading import cross_section

FIRST = date(2010, 12, 1)


def panel(seed: int, dates: int, symbols: int, skill: float = 0.0) -> pl.DataFrame:
    """Forecasts with some share of the outcome in them."""
    rng = np.random.default_rng(seed)
    target = rng.normal(0, 0.02, (dates, symbols))
    forecast = skill * target + rng.normal(0, 0.02, (dates, symbols)).round(3)
    return pl.DataFrame(
        {
            "symbol": [f"S{i:02}" for i in range(symbols)] * dates,
            "date": [FIRST + timedelta(days=i) for i in range(dates) for _ in range(symbols)],
            "forecast": forecast.ravel().astype(np.float32),
            "target": target.ravel(),
        }
    )


def test_each_date_has_the_rank_correlation_and_the_spread_of_its_symbols() -> None:
    rows = panel(1, dates=40, symbols=23, skill=0.3)
    by_date = cross_section.by_date(rows.sample(fraction=1, shuffle=True, seed=2))
    assert by_date.height == 40
    assert by_date["date"].is_sorted()
    for (day,), own in rows.group_by("date", maintain_order=True):
        row = by_date.row(by_predicate=pl.col("date") == day, named=True)
        assert row["ic"] == pytest.approx(spearmanr(own["forecast"], own["target"]).statistic)
        ordered = own.sort("forecast", "symbol")["target"].to_numpy()
        assert row["spread"] == pytest.approx(ordered[-4:].mean() - ordered[:4].mean())
    # The mean is that of the tables.
    summary = cross_section.summary(by_date, 1)
    assert summary["ic"] == pytest.approx(scores.rank_ic(rows))


def test_dates_of_few_symbols_and_of_equal_forecasts_do_not_count() -> None:
    rows = panel(2, dates=10, symbols=20)
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    fewer = (pl.col("date") != second) | (pl.col("symbol") != "S03")
    equal = pl.when(pl.col("date") == third).then(0.0).otherwise(pl.col("forecast"))
    by_date = cross_section.by_date(rows.filter(fewer).with_columns(forecast=equal))
    assert by_date.height == 8
    assert not {second, third} & set(by_date["date"])


def test_the_t_value_is_that_of_independent_dates_at_one_session() -> None:
    dates = cross_section.by_date(panel(3, dates=800, symbols=25, skill=0.05))
    summary = cross_section.summary(dates, 1)
    for name in ("ic", "spread"):
        plain = ttest_1samp(dates[name].to_numpy(), 0, alternative="greater")
        assert summary[name] == pytest.approx(dates[name].mean())
        assert summary[f"{name}_t"] == pytest.approx(plain.statistic, rel=0.25)
        assert summary[f"{name}_t"] > 2
        assert summary[f"{name}_p"] < 0.03


def test_overlapping_outcomes_make_a_smaller_t_value() -> None:
    """Each date twenty times: the same facts."""
    once = cross_section.by_date(panel(4, dates=50, symbols=25, skill=0.1))
    often = pl.concat([once] * 20).sort("date")
    allowed = cross_section.summary(often, 20)
    independent = cross_section.summary(once, 1)
    assert allowed["ic_t"] == pytest.approx(independent["ic_t"], rel=0.35)
    assert ttest_1samp(often["ic"].to_numpy(), 0).statistic > 3 * allowed["ic_t"]


def test_the_years_are_apart() -> None:
    dates = cross_section.by_date(panel(5, dates=60, symbols=20))
    years = cross_section.by_year(dates)
    assert years["year"].to_list() == [2010, 2011]
    assert years["dates"].to_list() == [31, 29]
    assert years["ic"][0] == pytest.approx(dates["ic"][:31].mean())
    summary = cross_section.summary(dates, 1)
    assert summary["ic_by_year"] == dict(zip(("2010", "2011"), years["ic"], strict=True))


def test_without_many_symbols_there_is_nothing_to_say() -> None:
    dates = cross_section.by_date(panel(6, dates=30, symbols=19))
    summary = cross_section.summary(dates, 1)
    assert summary == {"dates": 0, "ic_by_year": {}} | dict.fromkeys(
        ("ic", "ic_t", "ic_p", "spread", "spread_t", "spread_p")
    )
    assert cross_section.by_year(dates).is_empty()
