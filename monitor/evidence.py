"""How strongly live forecasts speak against "no better": evidence that holds whenever one looks.

A gain is a loss saved, averaged over the symbols of a date: the champion's squared error less the
challenger's, or a model's loss less what it may cost. The null hypothesis is that gains are not
above zero on average. An e-process (Ramdas, Grünwald, Vovk and Shafer, 2023) is the wealth of
someone who bets against it: under the null, wealth 1 reaches 20 with a chance of 1 in 20 at most,
however often one looks and whenever one stops (Ville's inequality).

- Scale. Each gain is divided by the mean absolute gain that was known when its forecast was made,
  the newest weighing most, so that a turbulent month does not decide alone. So every date counts
  alike: a challenger that wins in calm times what it loses in wild ones, in units of the loss, is
  the better one on most dates, and counts as better. A margin guards against that.
- Bound. Squared errors have no bound, and without one no such test exists. The scaled gain counts
  within plus and minus `bound(sessions)` alone. What is tested is therefore exactly: the
  conditional means of the bounded, scaled gains, summed up to any date, are not above zero. This
  holds wherever mean gains are not above zero and losses beyond the bound are no larger than gains
  beyond it, as with two models of equal worth. It need not hold if the challenger wins a little
  nearly always and loses beyond the bound, so prefer losses without such a tail: squared error or
  CRPS, not the interval score.
- Bets. A fixed share of the wealth is bet on each gain; the wealths of four shares are averaged.
  Since shares do not change, the means may change from date to date, as they do in markets: only
  their sum counts (Choe and Ramdas, 2023, "weak null").
- Overlap. A target of h sessions is known h sessions later. Each of h interleaved streams (every
  h-th date) bets only with what was known (Arnold, Henzi and Ziegel, 2023). A mean over streams is
  an e-value at a date fixed in advance. When one looks every day it is not an e-process, because
  half-known targets tell when to stop; so each stream's greatest wealth gives a p-value, and e
  times their geometric mean is one, whatever their dependence (Vovk and Wang, 2020).

docs/self-healing.md has the error rates and the dates until conviction in simulation.
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import logsumexp

from monitor.settings import MonitorError

SHARES = (1.0, 0.5, 0.25, 0.125)
"""What is bet, in shares of 0.9 of the bet that one gain at the bound could lose whole."""

HALF_LIFE = 21
"""Dates after which a gain weighs half in the scale, or the sessions of a target if these are more.
"""

KNOWN = 5
"""Gains that must be known before the first bet."""

ROUNDING = 1e-12
"""Mean absolute gains below this are rounding, of two models that are the same."""


@dataclass(frozen=True)
class Evidence:
    """Evidence that gains are above zero on average.

    Attributes:
        e_value: wealth now, the mean of all streams: evidence at a date fixed in advance.
        greatest: one over the p-value that is valid at every date: what decides.
        dates: gains that were seen.
        mean: their mean, in units of the loss; null without any.
    """

    e_value: float
    greatest: float
    dates: int
    mean: float | None

    def convinces(self, error: float) -> bool:
        """Whether the null is rejected.

        The chance that a true null is ever rejected is at most `error`.
        """
        return self.greatest >= 1 / error


def bound(sessions: int) -> float:
    """Scaled gains beyond this count as this: returns of more sessions have thinner tails."""
    return max(2.0, 10 / math.sqrt(sessions))


def evidence(gains: pl.DataFrame, sessions: int, restart: int | None = None) -> Evidence:
    """Evidence that the mean gain is above zero.

    Args:
        gains: `date, gain`, one row a date on which forecasts were made, in any order: all dates
            since a first one that stays the same from look to look, as far as labels are known.
        sessions: of the horizon, by which the targets overlap.
        restart: dates after which a new bettor begins with a part of the wealth (the j-th with
            1 / (j (j + 1))), so that what was good for years and turns bad is found sooner; the
            null then speaks of the sums since each beginning.

    Raises:
        MonitorError: a date appears twice, or a gain is not a finite number.
    """
    gains = gains.select("date", pl.col("gain").cast(pl.Float64)).sort("date")
    _check(gains)
    if gains.is_empty():
        return Evidence(1.0, 1.0, 0, None)
    logs = _log_wealth(_scaled(gains["gain"], sessions), sessions, restart)
    mean = float(gains["gain"].to_numpy().mean())
    now = [stream[-1] if len(stream) else 0.0 for stream in logs]
    best = float(np.mean([stream.max(initial=0.0) for stream in logs]))
    return Evidence(
        e_value=_exp(float(logsumexp(now)) - math.log(sessions)),
        greatest=max(1.0, _exp(best - math.log(min(sessions, math.e)))),
        dates=gains.height,
        mean=mean,
    )


def _exp(power: float) -> float:
    return math.exp(power) if power < math.log(sys.float_info.max) else math.inf


def _check(gains: pl.DataFrame) -> None:
    twice = gains["date"].filter(gains["date"].is_duplicated())
    if len(twice):
        raise MonitorError(f"gains of {twice[0]} appear twice: average the symbols of a date first")
    wrong = gains.filter(pl.col("gain").is_null() | ~pl.col("gain").is_finite())
    if wrong.height:
        date, gain = wrong.row(0)
        raise MonitorError(f"the gain of {date} is {gain}: leave out forecasts without a label")


def _scaled(gain: pl.Series, sessions: int) -> npt.NDArray[np.float64]:
    """Gains in units of the mean absolute gain that was known, 0 where too few were known."""
    scale = (
        gain.abs()
        .ewm_mean(half_life=max(HALF_LIFE, sessions), adjust=True, min_samples=KNOWN)
        .shift(sessions)
        .fill_null(0.0)
        .to_numpy()
    )
    scaled: npt.NDArray[np.float64] = np.divide(
        gain.to_numpy(), scale, out=np.zeros(len(gain)), where=scale > ROUNDING
    )
    limit = bound(sessions)
    return scaled.clip(-limit, limit)


def _log_wealth(
    scaled: npt.NDArray[np.float64], sessions: int, restart: int | None
) -> list[npt.NDArray[np.float64]]:
    """Logarithm of the wealth of each stream after each of its gains."""
    bets = 0.9 / bound(sessions) * np.array(SHARES)
    growth = np.log1p(bets[:, None] * scaled)
    streams = []
    for first in range(sessions):
        places = np.arange(first, len(scaled), sessions)
        wealth = np.full(len(places), -math.inf)
        for start, part in _parts(len(scaled), restart):
            later = np.where(places >= start, growth[:, places], 0.0)
            wealths = np.cumsum(later, axis=1) + math.log(part / len(bets))
            wealth = np.logaddexp(wealth, np.logaddexp.reduce(wealths))
        streams.append(wealth)
    return streams


def _parts(dates: int, restart: int | None) -> list[tuple[int, float]]:
    """Where each bettor begins, and with what part of the wealth; the last keeps what is left."""
    if restart is None:
        return [(0, 1.0)]
    starts = range(0, dates, restart)
    parts = [(start, 1 / ((j + 1) * (j + 2))) for j, start in enumerate(starts)]
    return [*parts, (dates, 1 / (len(starts) + 1))]
