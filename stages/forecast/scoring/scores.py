"""What a forecast is worth: every score of the tables, on rows that no model has seen.

The common scores are as scikit-learn defines them, which is not imported: it takes longer to
load than a sample takes to score. Beside them stand those of return forecasting: skill against
the historical mean with its p-value, and the rank information coefficient.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.fft import dct
from scipy.special import stdtr

from stages.forecast.scoring.distribution import LOSSES, PINBALL

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
    *("interval_score", "crps", "crps_skill", "crps_p_value"),
    *PINBALL,
)
"""The scores of every table, in order; a score that is not defined is null.

mae, rmse, width: in units of return. r2: against the mean of the rows scored. oos_r2: share of
squared error saved against the historical mean of the training rows (Campbell and Thompson, 2008),
p_value: of its being zero, one-sided (Clark and West, 2007). direction: share of rows whose sign
was right, zero counting as down. auc, f1, precision, recall, brier: of the event
that the return is above zero, by its probability, with 0.5 as the threshold. coverage: share of
outcomes in the interval. rank_ic: mean over dates of Spearman's rank correlation across symbols.
interval_score, crps, pinball_05 to pinball_95: losses of the distribution in units of return
(`distribution.py`). crps_skill: share of CRPS saved against the better baseline of the
distribution, crps_p_value: of its being zero, one-sided (Diebold and Mariano, 1995).
"""


def scores(rows: pl.DataFrame, horizon: int) -> dict[str, float | None]:
    """Score one forecast.

    Args:
        rows: `symbol, date, target, forecast, lower, upper, probability, mean, base_crps` and
            `distribution.LOSSES`, one row per forecast; `mean` is the historical mean that was
            known, `base_crps` the loss of the better baseline of the distribution.
        horizon: in sessions; overlapping targets are autocorrelated up to `horizon - 1`.

    Returns:
        The scores of `COLUMNS`.
    """
    rows = rows.with_columns(pl.col(pl.Float32).cast(pl.Float64))
    actual, forecast, mean = (rows[name].to_numpy() for name in ("target", "forecast", "mean"))
    probability = rows["probability"].to_numpy()
    rose, likely = actual > 0, probability > 0.5  # noqa: PLR2004  # more likely than not
    hits, risen, positives = int((rose & likely).sum()), int(rose.sum()), int(likely.sum())
    error = actual - forecast
    base = float(((actual - mean) ** 2).sum())
    spread = float(((actual - actual.mean()) ** 2).sum())
    squared, base_crps = float((error**2).sum()), float(rows["base_crps"].sum())
    inside = (rows["lower"] <= rows["target"]) & (rows["target"] <= rows["upper"])
    values = {
        "rows": rows.height,
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": 1 - squared / spread if spread > 0 else None,
        "oos_r2": 1 - squared / base if base > 0 else None,
        "p_value": clark_west(rows, horizon),
        "direction": float(((forecast > 0) == rose).mean()),
        "auc": auc(rows["probability"], rose),
        "f1": 2 * hits / (risen + positives) if risen + positives else None,
        "precision": hits / positives if positives else None,
        "recall": hits / risen if risen else None,
        "brier": float(((probability - rose) ** 2).mean()),
        "coverage": float(inside.mean()),  # type: ignore[arg-type]
        "width": float((rows["upper"] - rows["lower"]).mean()),  # type: ignore[arg-type]
        "rank_ic": rank_ic(rows),
        **{name: float(rows[name].mean()) for name in LOSSES},  # type: ignore[arg-type]
        "crps_skill": 1 - float(rows["crps"].sum()) / base_crps if base_crps > 0 else None,
        "crps_p_value": diebold_mariano(rows, horizon),
    }
    return {name: values[name] for name in COLUMNS}


def auc(score: pl.Series, event: npt.NDArray[np.bool_]) -> float | None:
    """Chance that a row with the event scores higher than one without (Mann and Whitney, 1947)."""
    count, events = len(event), int(event.sum())
    if not 0 < events < count:
        return None
    ranks = score.rank("average").to_numpy()[event].sum()
    return float((ranks - events * (events + 1) / 2) / (events * (count - events)))


def clark_west(rows: pl.DataFrame, horizon: int) -> float | None:
    """One-sided p-value that a forecast has no skill beyond the historical mean.

    Clark and West (2007) for nested models: the squared error of the mean, less that of the
    forecast, plus the squared difference of the two. Symbols of one date move together, so their
    adjusted differences are averaged per date first; the t test of the dates allows for the
    autocorrelation that overlapping targets give (`long_run_variance`).

    Returns:
        The p-value, or None where the forecast never varies (it has no model that could nest the
        mean), is the mean itself, or there are too few dates.
    """
    adjusted = (
        (pl.col("target") - pl.col("mean")) ** 2
        - (pl.col("target") - pl.col("forecast")) ** 2
        + (pl.col("mean") - pl.col("forecast")) ** 2
    )
    constant = rows["forecast"].n_unique() == 1
    if constant or rows["forecast"].equals(rows["mean"]):
        return None
    return _above_zero(rows, adjusted, horizon)


def diebold_mariano(rows: pl.DataFrame, horizon: int) -> float | None:
    """One-sided p-value that the CRPS is not below that of the better baseline.

    Diebold and Mariano (1995), averaged per date and tested as in `clark_west`.

    Returns:
        The p-value, or None where it is that baseline's own, or there are too few dates.
    """
    return _above_zero(rows, pl.col("base_crps") - pl.col("crps"), horizon)


def _above_zero(rows: pl.DataFrame, gain: pl.Expr, horizon: int) -> float | None:
    """One-sided p-value that a gain, averaged per date, is not above zero on average."""
    daily = rows.group_by("date").agg(gain.mean().alias("gain")).sort("date")["gain"].to_numpy()
    if len(daily) <= horizon:
        return None
    variance, freedom = long_run_variance(daily, horizon)
    if variance <= 1e-20 * float(np.square(daily).max()):  # nothing but rounding
        return None
    return float(stdtr(freedom, -daily.mean() / np.sqrt(variance / len(daily))))


def long_run_variance(values: Array, horizon: int) -> tuple[float, int]:
    """Variance of a mean's summands that are autocorrelated, and its degrees of freedom.

    The equal-weighted cosine estimator with the number of cosines that its authors recommend
    (Lazarus, Lewis, Stock and Watson, HAR Inference, 2018), but at most one per `horizon` values.
    With a few dozen values per overlap, Newey and West's estimator rejects a true null up to
    twice as often as it says; the t test with this one does not.
    """
    count = len(values)
    cosines = max(1, min(int(0.41 * count ** (2 / 3)), count // horizon))
    sums = dct(values, type=2)[1 : cosines + 1] / 2
    return 2 / count * float(np.square(sums).mean()), cosines


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
    parts = {
        model: rows.partition_by("symbol", as_dict=True, maintain_order=True)
        for model, rows in forecasts.items()
    }
    symbols = sorted(next(iter(parts.values())))
    scored = [
        {"symbol": "all", "model": model} | scores(rows, horizon)
        for model, rows in forecasts.items()
    ] + [
        {"symbol": symbol, "model": model} | scores(groups[symbol,], horizon)
        for (symbol,) in symbols
        for model, groups in parts.items()
    ]
    schema = {"symbol": pl.String, "model": pl.String, "rows": pl.Int64} | dict.fromkeys(
        COLUMNS[1:], pl.Float64
    )
    return pl.DataFrame(scored, schema=schema)
