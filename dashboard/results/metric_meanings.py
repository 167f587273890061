"""What each score means, in one line; docs/forecasting.md has the sources."""

from typing import Final

from versions.results.formats import COLUMNS, FOLDS, Column

SKILL: Final = Column("crps_skill", "CRPS skill %", "%+.2f", "high")
SKILL_P: Final = Column("crps_p_value", "p of CRPS", ".3f")

SHOWN: Final = (*COLUMNS, SKILL, SKILL_P)
"""The scores of every candidate."""

SUMMARY: Final = (FOLDS._replace(title="fold R2"), *SHOWN)
"""The scores of the served forecast."""

MEANING: Final = {
    "fold_oos_r2": "squared error saved against the historical mean, on folds of the training rows",
    "mae": "mean absolute error",
    "squared_error": "mean squared error",
    "rmse": "root of the mean squared error",
    "oos_r2": "squared error saved against the historical mean; above 0.02 a day, look for a leak",
    "p_value": "chance of such an OOS R2 without skill (Clark and West); small is more than chance",
    "direction": "share of outcomes whose sign was right",
    "auc": "how well the probability tells rises from falls; 0.5 is a guess",
    "brier": "mean squared error of the probability of a rise; 0.25 is a guess",
    "coverage": "share of outcomes in the interval; best at the level of evaluate.level",
    "width": "mean width of the interval; narrow is good only where coverage holds",
    "interval_score": "width of the interval, plus what outcomes outside it cost",
    "crps": "distance of the whole distribution from the outcome",
    "rank_ic": "rank correlation of forecast and outcome across symbols",
    "crps_skill": "CRPS saved against the better baseline of the distribution",
    "crps_p_value": "chance of such a CRPS skill without skill (Diebold and Mariano)",
}

BETTER: Final = {"high": "higher is better", "low": "lower is better", "": "neither is better"}


def meaning(column: Column) -> str:
    """One line: what it is, and which direction is better."""
    better = f" {BETTER[column.better].capitalize()}." if column.better else ""
    return f"{column.title}: {MEANING[column.name]}.{better}"
