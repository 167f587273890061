"""What a forecast is worth: every score of the tables, on rows that no model has seen.

scikit-learn defines the common scores; here stand those of return forecasting: skill against
the historical mean with its p-value, and the rank information coefficient.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import norm

Array = npt.NDArray[np.float64]

COLUMNS = (
    "rows",
    "mae",
    "rmse",
    "r2",
    "oos_r2",
    "p_value",
    "direction",
    "auc",
    "f1",
    "precision",
    "recall",
    "brier",
    "coverage",
    "width",
    "rank_ic",
)
"""The scores of every table, in order; a score that is not defined is null.

mae, rmse, width: in units of return. r2: against the mean of the rows scored. oos_r2: share of
squared error saved against the historical mean of the training rows (Campbell and Thompson, 2008),
p_value: of its being zero, one-sided (Clark and West, 2007). direction: share of rows whose sign
was right, a forecast of zero counting as down. auc, f1, precision, recall, brier: of the event
that the return is above zero, by its probability, with 0.5 as the threshold. coverage: share of
outcomes in the interval. rank_ic: mean over dates of Spearman's rank correlation across symbols.
"""


def scores(rows: pl.DataFrame, horizon: int) -> dict[str, float | None]:
    """Score one forecast.

    Args:
        rows: `symbol, date, target, forecast, lower, upper, probability, mean`, one row per
            forecast; `mean` is the historical mean that was known.
        horizon: in sessions; overlapping targets are autocorrelated up to `horizon - 1`.

    Returns:
        The scores of `COLUMNS`.
    """
    from sklearn import metrics

    actual, forecast, mean = (rows[name].to_numpy() for name in ("target", "forecast", "mean"))
    probability = rows["probability"].to_numpy()
    rose, said = actual > 0, probability > 0.5  # noqa: PLR2004  # more likely than not
    both = 0 < rose.sum() < len(rose)
    error = actual - forecast
    base = float(((actual - mean) ** 2).sum())
    spread = float(((actual - actual.mean()) ** 2).sum())
    squared = float((error**2).sum())
    inside = (rows["lower"] <= rows["target"]) & (rows["target"] <= rows["upper"])
    return {
        "rows": rows.height,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": 1 - squared / spread if spread > 0 else None,
        "oos_r2": 1 - squared / base if base > 0 else None,
        "p_value": clark_west(rows, horizon),
        "direction": float(((forecast > 0) == rose).mean()),
        "auc": float(metrics.roc_auc_score(rose, probability)) if both else None,
        "f1": float(metrics.f1_score(rose, said, zero_division=0)),
        "precision": float(metrics.precision_score(rose, said)) if said.any() else None,
        "recall": float(metrics.recall_score(rose, said)) if rose.any() else None,
        "brier": float(((probability - rose) ** 2).mean()),
        "coverage": float(inside.mean()),  # type: ignore[arg-type]
        "width": float((rows["upper"] - rows["lower"]).mean()),  # type: ignore[arg-type]
        "rank_ic": rank_ic(rows),
    }


def clark_west(rows: pl.DataFrame, horizon: int) -> float | None:
    """One-sided p-value that a forecast has no skill beyond the historical mean.

    Clark and West (2007) for nested models: the squared error of the mean, less that of the
    forecast, plus the squared difference of the two. Symbols of one date move together, so their
    adjusted differences are averaged per date first; the t statistic of the dates allows for
    autocorrelation over the overlap of the targets (Newey and West, 1987, `horizon - 1` lags).

    Returns:
        The p-value, or None where the forecast is the mean or there are too few dates.
    """
    adjusted = (
        (pl.col("target") - pl.col("mean")) ** 2
        - (pl.col("target") - pl.col("forecast")) ** 2
        + (pl.col("mean") - pl.col("forecast")) ** 2
    )
    daily = rows.group_by("date").agg(adjusted.mean().alias("gain")).sort("date")["gain"].to_numpy()
    if len(daily) <= horizon or rows["forecast"].equals(rows["mean"]):
        return None
    variance = long_run_variance(daily, horizon - 1)
    if variance <= 0:
        return None
    return float(norm.sf(daily.mean() / np.sqrt(variance / len(daily))))


def long_run_variance(values: Array, lags: int) -> float:
    """Variance of a mean's summands with Bartlett weights (Newey and West, 1987)."""
    centred = values - values.mean()
    count = len(centred)
    total = float(centred @ centred) / count
    for lag in range(1, min(lags, count - 1) + 1):
        weight = 1 - lag / (lags + 1)
        total += 2 * weight * float(centred[lag:] @ centred[:-lag]) / count
    return total


def rank_ic(rows: pl.DataFrame) -> float | None:
    """Mean over dates of the rank correlation of forecast and outcome across symbols.

    Dates with fewer than three symbols, or with equal forecasts, do not count.
    """
    ranked = (
        rows.group_by("date")
        .agg(
            pl.corr(pl.col("forecast").rank(), pl.col("target").rank()).alias("ic"),
            pl.len().alias("symbols"),
        )
        .filter((pl.col("symbols") > 2) & pl.col("ic").is_finite())  # noqa: PLR2004  # two always agree or not
        .sort("date")
    )
    mean = ranked["ic"].mean()
    return float(mean) if isinstance(mean, float) else None


def table(
    forecasts: dict[str, pl.DataFrame],
    horizon: int,
) -> pl.DataFrame:
    """Score every forecast, pooled (`symbol` is "all") and per symbol.

    Args:
        forecasts: per model, the rows that `scores` takes, the same rows in each.
        horizon: in sessions.

    Returns:
        `symbol, model` and `COLUMNS`, pooled rows first, models in the order given.
    """
    symbols = next(iter(forecasts.values()))["symbol"].unique().sort().to_list()
    found = [
        {"symbol": symbol, "model": model}
        | scores(rows if symbol == "all" else rows.filter(pl.col("symbol") == symbol), horizon)
        for symbol in ["all", *symbols]
        for model, rows in forecasts.items()
    ]
    schema = {"symbol": pl.String, "model": pl.String, "rows": pl.Int64} | dict.fromkeys(
        COLUMNS[1:], pl.Float64
    )
    return pl.DataFrame(found, schema=schema)
