"""How sure a forecast may be: residuals of the folds, scaled by recent volatility."""

import math

import numpy as np

from stages.forecast.contract import Vector
from stages.forecast.training.graphs import SMALLEST_SCALE, Spread

GRID = 201
"""Points of the residual distribution from which the probability is read, half a percent apart."""


def spread(target: Vector, forecast: Vector, scale: Vector, level: float) -> Spread:
    """Residual quantiles for split-conformal intervals (Lei et al., 2018).

    Args:
        target, forecast: out-of-fold outcomes and forecasts, (rows,).
        scale: volatility of one session as known at the forecast, (rows,).
        level: share of outcomes that the interval is to hold.

    Returns:
        Quantiles of the residuals divided by scale. The ranks of the bounds carry the
        finite-sample correction: of n residuals, the ceil((n + 1) q)-th from below and, for
        the lower bound, from above.
    """
    scaled = np.sort((target - forecast) / np.maximum(scale, SMALLEST_SCALE))
    count = len(scaled)
    # A level such as 0.9 is not exact: a whole rank must not become the next one.
    rank = min(math.ceil((count + 1) * (1 + level) / 2 - 1e-9), count)
    return Spread(
        grid=np.quantile(scaled, np.linspace(0, 1, GRID)),
        lower=float(scaled[count - rank]),
        upper=float(scaled[rank - 1]),
    )
