"""What the scores of a horizon say: which are the best, and what can be claimed of a forecast."""

from collections.abc import Mapping
from math import inf

from stages.forecast.trading import tripwires
from versions.results.formats import COLUMNS, number

SERVED = "stack"
"""The row of scores.csv that is the served forecast."""

BASELINES = ("zero", "mean", "mean_constant", "mean_ewma")
"""The rows of scores.csv that a forecast, or its distribution, must beat."""

SIGNIFICANT = 0.05
"""A p-value below this is more than chance, by the usual, arbitrary level."""

Scores = Mapping[str, Mapping[str, float | None]]
"""Per model, in the order of the table, its scores over all symbols."""


def marked(scores: Scores) -> set[tuple[str, str]]:
    """The (model, column) pairs that get a mark.

    The best of a column gets one if it is better than every baseline, and if its model has less
    squared error than the historical mean, by more than chance.
    """
    skilled = [
        name
        for name, row in scores.items()
        if name not in BASELINES and (row["oos_r2"] or 0) > 0 and _significant(row["p_value"])
    ]
    marks = set()
    for column in COLUMNS:
        if not column.better:
            continue
        sign = 1 if column.better == "high" else -1
        values = {
            name: sign * value
            for name, row in scores.items()
            if (value := row[column.name]) is not None
        }
        best = max(values.values(), default=-inf)
        if best > max((values[name] for name in BASELINES if name in values), default=-inf):
            marks |= {(name, column.name) for name in skilled if values.get(name) == best}
    return marks


def _significant(p_value: float | None) -> bool:
    return p_value is not None and p_value < SIGNIFICANT


def of_forecast(row: Mapping[str, float | None], sessions: int) -> str:
    """Whether the served forecast beats the historical mean, in one line."""
    skill, p_value = row["oos_r2"], row["p_value"]
    if skill is None:
        return "The held-out targets do not vary: nothing can be said of the forecast."
    if p_value is None and skill == 0:
        return "The served forecast is the historical mean: no candidate earned a weight."
    if skill <= 0:
        claim = "does not beat the historical mean"
    elif p_value is None:
        claim = "cannot be tested on so few sessions"
    elif not _significant(p_value):
        claim = "beats the historical mean by no more than chance"
    elif tripwires.fired(row, sessions):
        claim = "is too good to be true: look for a leak"
    else:
        claim = "beats the historical mean"
    numbers = f"out-of-sample R2 {skill:+.4f}, p {number(p_value, '.3f')}"
    return f"The served forecast {claim} ({numbers})."


def of_distribution(row: Mapping[str, float | None]) -> str:
    """Whether the distribution beats the better of its two baselines, in one line."""
    skill, p_value = row["crps_skill"], row["crps_p_value"]
    if skill is None or p_value is None:
        return "Its distribution cannot be tested on so few sessions."
    if skill <= 0:
        claim = "does not beat the better baseline"
    elif not _significant(p_value):
        claim = "beats the better baseline by no more than chance"
    else:
        claim = "beats the better baseline"
    return f"Its distribution {claim} (CRPS {-100 * skill:+.2f} %, p {number(p_value, '.3f')})."


def of_trading(portfolios: Scores) -> str:
    """Whether trading the forecast beats holding, in one line.

    The strategy with the smallest p-value speaks for all, so that p-value is multiplied by their
    number (Bonferroni).
    """
    tested = {
        name: p_value
        for name, row in portfolios.items()
        if (p_value := row.get("p_value")) is not None
    }
    if not tested:
        return "Trading on it cannot be compared with holding: too few sessions, or no position."
    best = min(tested, key=lambda name: tested[name])
    p_value = min(1.0, tested[best] * len(tested))
    beaten = _significant(p_value)
    claim = "beats holding" if beaten else "does not beat holding by more than chance"
    sharpe, gain = portfolios[best]["sharpe"] or 0.0, portfolios[best]["sharpe_gain"] or 0.0
    numbers = f"Sharpe {sharpe:+.2f}, holding {sharpe - gain:+.2f}, p {number(p_value, '.3f')}"
    return f"Trading on it {claim} ({best}: {numbers})."
