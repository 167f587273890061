import math
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from stages.forecast.scoring import scores
from stages.forecast.scoring.distribution import LOSSES
from tests import datasets, panels

FIRST = date(2010, 1, 1)


def forecasts(
    seed: int,
    dates: int = 60,
    symbols: int = 4,
    *,
    skill: float = 0.3,
    digits: int | None = None,
    missing: float = 0.0,
) -> pl.DataFrame:
    """Rows that `scores` takes; rounded where ties are wanted, with rows missing at random."""
    rng = np.random.default_rng(seed)
    rows = dates * symbols
    target = rng.standard_t(4, rows) * 0.02
    point = 0.001 + skill * target + rng.normal(0, 0.01, rows)
    reach = rng.uniform(0.005, 0.05, rows)
    chance = 1 / (1 + np.exp(-100 * (point + rng.normal(0, 0.005, rows))))
    frame = pl.DataFrame(
        {
            "symbol": np.repeat([f"S{i}" for i in range(symbols)], dates),
            "date": [FIRST + timedelta(days=i % dates) for i in range(rows)],
            "target": target,
            "forecast": point.astype(np.float32),
            "lower": (point - reach).astype(np.float32),
            "upper": (point + reach).astype(np.float32),
            "probability": chance.astype(np.float32),
            "mean": np.repeat(rng.normal(0.0005, 0.001, symbols), dates).astype(np.float32),
            **{
                name: np.random.default_rng(seed + place).exponential(0.01, rows)
                for place, name in enumerate(("base_crps", *LOSSES))
            },
        }
    )
    if digits is not None:
        frame = frame.with_columns(
            pl.col("forecast").round(digits), pl.col("probability").round(digits - 1)
        )
    return frame.filter(pl.Series(rng.random(rows) >= missing))


def daily(gains: npt.NDArray[np.float64]) -> pl.DataFrame:
    """One symbol whose adjusted differences are these: the forecast is 1 beyond a mean of 0."""
    count = len(gains)
    # 2 (target - mean) (forecast - mean) is what the adjusted difference comes to.
    target, sign = gains / 2, np.where(np.arange(count) % 2, 1.0, -1.0)
    return pl.DataFrame(
        {
            "symbol": ["A"] * count,
            "date": [FIRST + timedelta(days=i) for i in range(count)],
            "target": target * sign,
            "forecast": sign,
            "mean": np.zeros(count),
        }
    )


# --- against the libraries that define them


@given(
    st.integers(0, 2**32),
    st.integers(2, 60),
    st.integers(1, 5),
    st.sampled_from([None, 2, 3]),
    st.sampled_from([0.0, 0.4]),
)
@panels.examples(80)
def test_scores_are_those_of_scikit_learn(
    seed: int, dates: int, symbols: int, digits: int | None, missing: float
) -> None:
    rows = forecasts(seed, dates, symbols, digits=digits, missing=missing)
    if rows.height < 2:
        return
    table = scores.scores(rows, 1)
    actual = rows["target"].to_numpy()
    point = rows["forecast"].to_numpy().astype(np.float64)
    chance = rows["probability"].to_numpy().astype(np.float64)
    mean = rows["mean"].to_numpy().astype(np.float64)
    rose, likely = actual > 0, chance > 0.5
    assert tuple(table) == scores.COLUMNS
    assert table["rows"] == rows.height
    assert table["mae"] == pytest.approx(metrics.mean_absolute_error(actual, point))
    assert table["rmse"] == pytest.approx(metrics.root_mean_squared_error(actual, point))
    assert table["r2"] == pytest.approx(metrics.r2_score(actual, point))
    ratio = metrics.mean_squared_error(actual, point) / metrics.mean_squared_error(actual, mean)
    assert table["oos_r2"] == pytest.approx(1 - ratio)
    assert table["direction"] == pytest.approx(metrics.accuracy_score(rose, point > 0))
    assert table["brier"] == pytest.approx(metrics.brier_score_loss(rose, chance, labels=[0, 1]))
    both = rose.any() and not rose.all()
    assert table["auc"] == (pytest.approx(metrics.roc_auc_score(rose, chance)) if both else None)
    for name, score, defined in (
        ("precision", metrics.precision_score, likely.any()),
        ("recall", metrics.recall_score, rose.any()),
        ("f1", metrics.f1_score, likely.any() or rose.any()),
    ):
        expected = pytest.approx(score(rose, likely, zero_division=0)) if defined else None
        assert table[name] == expected, name
    inside = (rows["lower"].to_numpy() <= actual) & (actual <= rows["upper"].to_numpy())
    assert table["coverage"] == pytest.approx(inside.mean())
    wide = rows["upper"].cast(pl.Float64) - rows["lower"].cast(pl.Float64)
    assert table["width"] == pytest.approx(wide.to_numpy().mean())


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 6), st.sampled_from([None, 2, 3]))
@panels.examples(60)
def test_the_rank_correlation_is_that_of_scipy_date_by_date(
    seed: int, dates: int, symbols: int, digits: int | None
) -> None:
    rows = forecasts(seed, dates, symbols, digits=digits, missing=0.2)
    if digits is not None:
        rows = rows.with_columns(pl.col("target").round(digits))
    correlations = []
    for _, day in rows.group_by("date"):
        varied = day["forecast"].n_unique() > 1 and day["target"].n_unique() > 1
        if day.height > 2 and varied:
            correlations.append(stats.spearmanr(day["forecast"], day["target"]).statistic)
    assert scores.rank_ic(rows) == (
        pytest.approx(np.mean(correlations), abs=1e-9) if correlations else None
    )


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.5]), st.booleans()), min_size=1, max_size=30
    )
)
def test_the_auc_counts_pairs(rows: list[tuple[float, bool]]) -> None:
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high, event in rows
        if event
        for low, other in rows
        if not other
    ]
    area = scores.auc(
        pl.Series([score for score, _ in rows]), np.array([event for _, event in rows])
    )
    assert area == (pytest.approx(np.mean(wins)) if wins else None)


def test_scoring_does_not_load_scikit_learn() -> None:
    code = "import sys; from stages import evaluate; print('sklearn' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=datasets.ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"


# --- the test of skill


def test_the_p_value_by_hand() -> None:
    """Clark and West's differences and the cosines, each written out."""
    rows = forecasts(0, dates=100, symbols=3, missing=0.1)
    gains = []
    for _, day in rows.sort("date").group_by("date", maintain_order=True):
        actual, mean, point = (day[name].to_list() for name in ("target", "mean", "forecast"))
        adjusted = [
            (y - m) ** 2 - (y - f) ** 2 + (m - f) ** 2
            for y, m, f in zip(actual, mean, point, strict=True)
        ]
        gains.append(sum(adjusted) / len(adjusted))
    for horizon in (1, 5, 20):
        count = len(gains)
        # 0.41 T^(2/3) cosines, at most one per horizon.
        cosines = min(int(0.41 * count ** (2 / 3)), count // horizon)
        assert cosines == {1: 8, 5: 8, 20: 4}[horizon]
        sums = [
            math.sqrt(2 / count)
            * sum(g * math.cos(math.pi * k * (t - 0.5) / count) for t, g in enumerate(gains, 1))
            for k in range(1, cosines + 1)
        ]
        variance = sum(value**2 for value in sums) / cosines
        statistic = np.mean(gains) / math.sqrt(variance / count)
        expected = stats.t.sf(statistic, cosines)
        assert scores.clark_west(rows, horizon) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("horizon", [1, 20])
@pytest.mark.parametrize("persistence", [0.0, 0.95])
def test_without_skill_a_small_p_value_is_as_rare_as_it_says(
    horizon: int, persistence: float
) -> None:
    """Outcomes that overlap, and a forecast that is persistent and knows nothing."""
    rng = np.random.default_rng(0)
    count, repeats = 400, 300
    p_values = []
    for _ in range(repeats):
        shocks = rng.normal(0, 0.01, count + horizon)
        sums = np.concatenate([[0.0], np.cumsum(shocks)])
        target = sums[horizon : horizon + count] - sums[:count]
        noise = rng.normal(0, 1, count)
        signal = np.empty(count)
        signal[0] = noise[0]
        for day in range(1, count):
            signal[day] = persistence * signal[day - 1] + noise[day]
        rows = daily(np.zeros(count)).with_columns(
            target=pl.Series(target), forecast=pl.Series(0.001 * signal)
        )
        p_values.append(scores.clark_west(rows, horizon))
    small = np.array(p_values)
    for level in (0.05, 0.1, 0.5):
        # Four standard deviations of the share of so many repeats, and a little for the persistent.
        margin = 4 * math.sqrt(level * (1 - level) / repeats)
        assert (small < level).mean() < level + margin
        assert (small < level).mean() > level - margin - 0.03


@pytest.mark.parametrize("horizon", [1, 5])
def test_skill_shows_in_the_p_value(horizon: int) -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.002, 1000)
    target = signal + rng.normal(0, 0.01, 1000)
    rows = daily(np.zeros(1000)).with_columns(
        target=pl.Series(target), forecast=pl.Series(0.5 * signal)
    )
    right = scores.clark_west(rows, horizon)
    wrong = scores.clark_west(rows.with_columns(-pl.col("forecast")), horizon)
    assert right is not None
    assert wrong is not None
    assert right < 1e-4
    assert wrong > 1 - 1e-4


def test_the_symbols_of_a_date_count_once() -> None:
    rows = forecasts(0, dates=80, symbols=1)
    copies = pl.concat([rows.with_columns(symbol=pl.lit(name)) for name in "ABCDE"])
    assert scores.clark_west(copies, 1) == pytest.approx(scores.clark_west(rows, 1))


def test_overlap_makes_the_test_more_careful() -> None:
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.normal(0.3, 1, 20), 20)
    by_day, by_horizon = (scores.clark_west(daily(slow), horizon) for horizon in (1, 20))
    assert by_day is not None
    assert by_horizon is not None
    assert by_day < by_horizon


def test_where_there_is_no_test_there_is_no_p_value() -> None:
    rows = forecasts(0, dates=30, symbols=2)
    assert scores.clark_west(rows, 1) is not None
    # The mean itself, and a forecast that never varies.
    assert scores.clark_west(rows.with_columns(forecast=pl.col("mean")), 1) is None
    assert scores.clark_west(rows.with_columns(forecast=pl.lit(0.0)), 1) is None
    # No more dates than one outcome lasts.
    assert scores.clark_west(rows, 29) is not None
    assert scores.clark_west(rows, 30) is None
    assert scores.clark_west(rows.head(1), 1) is None
    # No variation in the gain.
    assert scores.clark_west(daily(np.full(50, 0.01)), 1) is None


def test_the_long_run_variance_of_independent_values_is_their_variance() -> None:
    values = np.random.default_rng(0).normal(5, 2, 100_000)
    variance, freedom = scores.long_run_variance(values, 1)
    assert freedom == int(0.41 * 100_000 ** (2 / 3))
    assert variance == pytest.approx(4, rel=0.2)
    # Their level does not count.
    assert scores.long_run_variance(values - 5, 1)[0] == pytest.approx(variance)


def test_the_long_run_variance_of_sums_that_overlap_is_that_of_the_sums() -> None:
    shocks = np.random.default_rng(0).normal(0, 1, 50_020)
    sums = np.convolve(shocks, np.ones(20), "valid")
    variance, _ = scores.long_run_variance(sums, 20)
    assert variance == pytest.approx(400, rel=0.2)


# --- the edges


def test_a_perfect_forecast() -> None:
    rows = forecasts(0).with_columns(
        forecast="target",
        lower=pl.col("target") - 0.01,
        upper=pl.col("target") + 0.01,
        probability=(pl.col("target") > 0).cast(pl.Float64),
    )
    table = scores.scores(rows, 1)
    exact = {"mae": 0, "rmse": 0, "brier": 0}
    exact |= dict.fromkeys(("r2", "oos_r2", "direction", "auc", "f1", "precision", "recall"), 1)
    exact |= {"coverage": 1, "rank_ic": 1}
    assert {name: table[name] for name in exact} == pytest.approx(exact)
    assert table["width"] == pytest.approx(0.02)
    assert table["p_value"] is not None
    assert table["p_value"] < 1e-3


def test_a_forecast_that_never_varies() -> None:
    rows = forecasts(0).with_columns(forecast=pl.lit(0.0), probability=pl.lit(0.5))
    table = scores.scores(rows, 1)
    assert table["auc"] == 0.5
    assert table["p_value"] is None
    assert table["rank_ic"] is None
    # Half is not more likely than not: nothing is said to rise.
    assert table["precision"] is None
    assert (table["recall"], table["f1"]) == (0, 0)
    assert table["direction"] == pytest.approx((rows["target"] <= 0).mean())


def test_outcomes_that_never_vary() -> None:
    rows = forecasts(0).with_columns(target=pl.lit(0.0), mean=pl.lit(0.0))
    table = scores.scores(rows, 1)
    for name in ("r2", "oos_r2", "auc", "recall", "rank_ic"):
        assert table[name] is None, name


def test_nothing_rises_and_nothing_is_said_to() -> None:
    rows = forecasts(0).with_columns(target=-pl.col("target").abs(), probability=pl.lit(0.1))
    table = scores.scores(rows, 1)
    assert [table[name] for name in ("auc", "f1", "precision", "recall")] == [None] * 4
    assert table["brier"] == pytest.approx(0.01)


def test_losses_of_the_distribution_are_averaged() -> None:
    rows = forecasts(0)
    table = scores.scores(rows, 1)
    for name in LOSSES:
        assert table[name] == pytest.approx(rows[name].to_numpy().mean())
    saved = 1 - rows["crps"].to_numpy().sum() / rows["base_crps"].to_numpy().sum()
    assert table["crps_skill"] == pytest.approx(saved)


def test_diebold_and_mariano_is_a_t_test_of_daily_differences() -> None:
    rows = forecasts(3, dates=400, symbols=3)
    p_value = scores.diebold_mariano(rows, 1)
    daily_gain = (pl.col("base_crps") - pl.col("crps")).mean().alias("gain")
    gain = rows.group_by("date").agg(daily_gain).sort("date")["gain"].to_numpy()
    # The gains are independent: the usual test says nearly the same.
    usual = stats.ttest_1samp(gain, 0, alternative="greater").pvalue
    assert p_value == pytest.approx(usual, abs=0.1)
    worse = scores.diebold_mariano(rows.with_columns(pl.col("crps") + 0.01), 1)
    better = scores.diebold_mariano(rows.with_columns(pl.col("crps") - 0.01), 1)
    assert worse is not None
    assert better is not None
    assert better < 1e-4
    assert worse > 1 - 1e-4
    # A forecast against itself.
    assert scores.diebold_mariano(rows.with_columns(crps=pl.col("base_crps")), 1) is None


def test_one_row_has_the_scores_that_one_row_can_have() -> None:
    rows = forecasts(0).head(1)
    table = scores.scores(rows, 1)
    undefined = {name for name, value in table.items() if value is None}
    assert {"r2", "p_value", "auc", "rank_ic"} <= undefined
    assert table["mae"] == pytest.approx(abs(rows["target"][0] - rows["forecast"][0]))


def test_the_table_has_every_model_pooled_and_per_symbol() -> None:
    one = forecasts(0, symbols=3)
    # A symbol may be called as the pooled rows are.
    one = one.with_columns(pl.col("symbol").replace("S1", "all"))
    other = one.with_columns(forecast=pl.col("mean"))
    table = scores.table({"b": one, "a": other}, 5)
    assert table.columns == ["symbol", "model", *scores.COLUMNS]
    assert table.select("symbol", "model").rows() == [
        (symbol, model) for symbol in ("all", "S0", "S2", "all") for model in ("b", "a")
    ]
    assert table.row(0, named=True) == {"symbol": "all", "model": "b"} | scores.scores(one, 5)
    alone = scores.scores(one.filter(symbol="S2"), 5)
    assert table.row(4, named=True) == {"symbol": "S2", "model": "b"} | alone
    assert table["rows"].to_list() == [180, 180] + [60] * 6
