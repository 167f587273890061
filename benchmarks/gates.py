"""Error and power of the gates that promote, in simulated markets of four symbols.

Volatility clusters (its logarithm is autoregressive), symbols share a third of their variance, and
returns of more sessions overlap. The champion forecasts the mean and one width; a challenger is as
good with errors of its own, knows a little of the coming return, or knows today's volatility. A
hold-out of 500 dates is looked at first, then live dates, one by one.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.report import Report
from monitor import evidence as evidences
from monitor.retraining import gates, head_to_head, paired_rows, paired_scores
from monitor.retraining.head_to_head import Horizon, Measured
from monitor.retraining.paired_rows import Side
from monitor.settings import thresholds
from stages.common import tables
from stages.monitor_params import GateParams

SYMBOLS, HELD_OUT, DATES = 4, 500, 2_500
TRIALS, WHOLE_TRIALS = 200, 60
NOMINAL = 0.05

FIRST = date(2000, 1, 3)

Array = npt.NDArray[np.float64]
Challenger = Callable[[np.random.Generator, Array, Array], tuple[Array, Array]]
"""From standardised outcomes and volatilities, a forecast and a width, both in units of a usual
return."""


def equal(generator: np.random.Generator, outcome: Array, _: Array) -> tuple[Array, Array]:
    """As good as the champion, with errors of its own."""
    return 0.05 * generator.normal(size=outcome.shape), np.ones_like(outcome)


def knows(correlation: float) -> Challenger:
    """A forecast with this correlation with the outcome, and as wide as its share of variance."""

    def forecast(generator: np.random.Generator, outcome: Array, _: Array) -> tuple[Array, Array]:
        noise = generator.normal(size=outcome.shape)
        signal = correlation * outcome + (1 - correlation**2) ** 0.5 * noise * outcome.std()
        return correlation * signal, np.ones_like(outcome)

    return forecast


def knows_volatility(share: float) -> Challenger:
    """The mean, and a width that follows the volatility by so much."""

    def forecast(_: np.random.Generator, outcome: Array, volatility: Array) -> tuple[Array, Array]:
        return np.zeros_like(outcome), volatility**share

    return forecast


def market(generator: np.random.Generator, dates: int, sessions: int) -> tuple[Array, Array]:
    """Outcomes in units of a usual return, and the volatility that is known, (dates, symbols)."""
    shocks = 0.12 * generator.normal(size=dates + sessions)
    log = np.zeros(dates + sessions)
    for place in range(1, len(log)):
        log[place] = 0.95 * log[place - 1] + shocks[place]
    own = generator.normal(size=(len(log), SYMBOLS))
    daily = (np.sqrt(1 / 3) * generator.normal(size=(len(log), 1)) + np.sqrt(2 / 3) * own) * np.exp(
        log
    )[:, None]
    summed = np.cumsum(np.vstack([np.zeros((1, SYMBOLS)), daily]), axis=0)
    outcome = (summed[sessions:] - summed[:-sessions])[:dates] / sessions**0.5
    return outcome, np.repeat(np.exp(log[:dates])[:, None], SYMBOLS, axis=1)


def side(forecast: Array, width: Array, outcome: Array) -> Side:
    """Forecasts as the evaluation leaves them, with normal errors."""
    quantiles = np.quantile(
        np.random.default_rng(0).normal(size=100_000), np.linspace(0.01, 0.99, 21)
    )
    days = [FIRST + timedelta(number) for number in range(len(outcome))]
    reach = 1.645 * width
    frame = pl.DataFrame(
        {
            "symbol": [str(number) for _ in days for number in range(SYMBOLS)],
            "date": [day for day in days for _ in range(SYMBOLS)],
            "target": 0.01 * outcome.ravel(),
            "forecast": 0.01 * forecast.ravel(),
            "lower": 0.01 * (forecast - reach).ravel(),
            "upper": 0.01 * (forecast + reach).ravel(),
            "probability": np.clip(0.5 + 0.4 * forecast / width, 0, 1).ravel(),
            "scale": 0.01 * width.ravel(),
        }
    )
    fit = {
        "residual_quantiles": quantiles.tolist(),
        "training": {"last_target": str(FIRST)},
    }
    return Side(frame, {**fit, "evaluated": fit})


def pair(seed: int, challenger: Challenger, dates: int, sessions: int) -> tuple[Side, Side]:
    """Champion and challenger of one market."""
    generator = np.random.default_rng(seed)
    outcome, volatility = market(generator, dates, sessions)
    champion = equal(generator, outcome, volatility)
    return side(*champion, outcome), side(*challenger(generator, outcome, volatility), outcome)


def until_superior(seed: int, challenger: Challenger, sessions: int) -> int | None:
    """Dates until the gate of superiority passes, tried on every date; None if it does not."""
    rows, _ = paired_rows.held_out(*pair(seed, challenger, DATES, sessions))
    gains = paired_scores.gains(rows)

    def passes(dates: int) -> bool:
        return evidences.evidence(gains.head(dates), sessions).convinces(NOMINAL)

    # The first look is at the whole hold-out; what was convincing once stays so.
    if passes(HELD_OUT):
        return HELD_OUT
    if not passes(DATES):
        return None
    low, high = HELD_OUT, DATES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def answers(seed: int, challenger: Challenger, params: GateParams, *, superior: bool) -> str:
    """The answer of all gates on the hold-out."""
    champion, other = pair(seed, challenger, HELD_OUT, 1)
    comparison = head_to_head.compare(
        Horizon("short", 1, 0.9),
        {"champion": champion, "challenger": other},
        tables.empty(paired_rows.LIVE),
        Measured(400, 400, 0.0, 100.0, 0.1, 1.0),
        params,
    )
    return gates.verdict(gates.judge(comparison, params, superior=superior))


CHALLENGERS: Sequence[tuple[str, Challenger, int]] = (
    ("equal, 1 session", equal, 1),
    ("equal, 21 sessions", equal, 21),
    ("correlation 0.05", knows(0.05), 1),
    ("correlation 0.10", knows(0.10), 1),
    ("correlation 0.15", knows(0.15), 1),
    ("half of the volatility", knows_volatility(0.5), 1),
)


def measure(trials: int = TRIALS, whole: int = WHOLE_TRIALS) -> Report:
    """How often, and how soon, an equal or better challenger passes."""
    params = thresholds().gates
    rows, findings = [], []
    for name, challenger, sessions in CHALLENGERS:
        count = trials if challenger is equal else max(1, trials // 4)
        dates = [until_superior(seed, challenger, sessions) for seed in range(count)]
        passed = sorted(each for each in dates if each is not None)
        share = len(passed) / count
        middle = passed[count // 2] if len(passed) > count // 2 else None
        rows.append(
            (
                name,
                f"{count:,}",
                f"{sum(each == HELD_OUT for each in passed) / count:.1%}",
                f"{share:.1%}",
                "-" if middle is None else f"{SYMBOLS * middle:,}",
            )
        )
        if challenger is equal:
            met = "met" if share <= NOMINAL else "MISSED"
            findings.append(
                f"{name}: false promotions {share:.1%}, required at most {NOMINAL:.0%}: {met}."
            )
    for lane, superior in (("refit", False), ("change", True)):
        verdicts = [answers(seed, equal, params, superior=superior) for seed in range(whole)]
        shares = ", ".join(
            f"{answer} {verdicts.count(answer) / whole:.0%}"
            for answer in ("pass", "inconclusive", "fail")
        )
        findings.append(
            f"All gates of the lane {lane}, an equal challenger, {whole} hold-outs: {shares}."
        )
    header = (
        "challenger",
        "markets",
        f"superior on the hold-out ({SYMBOLS * HELD_OUT:,} labels)",
        f"superior ever, within {SYMBOLS * DATES:,} labels",
        "labels, median",
    )
    return Report(header, rows, findings, ("numpy", "polars", "scipy"))
