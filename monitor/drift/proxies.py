"""What the forecasts themselves look like, before any label: signs, not proof.

They are shown and kept, but raise no alarm: a hold-out has room for few windows, and a forecast
should change with the market.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from monitor.drift import calibration
from monitor.drift.ks_distance import Floats

NAMES = (
    "prediction_share_up",
    "prediction_probability_mean",
    "prediction_probability_std",
    "prediction_entropy",
    "prediction_width",
)
"""Share of forecasts above zero; mean and standard deviation of the probability of a rise; mean
entropy of that probability in bits; mean width of the interval, in units of return."""


@dataclass(frozen=True)
class Proxy:
    """One number of a window of forecasts.

    Attributes:
        value: of the window.
        usual: the median of the windows of the hold-out; None if that is too short for two.
        p: the two-sided chance of such a value among them; None as above.
    """

    name: str
    value: float
    usual: float | None
    p: float | None


def of(forecasts: Floats) -> Floats:
    """The numbers of windows of forecasts, in the order of `NAMES`.

    Args:
        forecasts: of shape (..., rows, 4): forecast, lower, upper, probability.

    Returns:
        Of shape (..., 5).
    """
    forecast, lower, upper, probability = np.moveaxis(forecasts, -1, 0)
    within = np.clip(probability, 1e-12, 1 - 1e-12)
    entropy = -(within * np.log2(within) + (1 - within) * np.log2(1 - within))
    return np.stack(
        [
            (forecast > 0).mean(axis=-1),
            probability.mean(axis=-1),
            probability.std(axis=-1),
            entropy.mean(axis=-1),
            (upper - lower).mean(axis=-1),
        ],
        axis=-1,
    )


def compare(
    live: pl.DataFrame, held_out: pl.DataFrame, resamples: int, seed: int
) -> tuple[Proxy, ...]:
    """The numbers of a window beside those of windows of the hold-out.

    Args:
        live: `predicted_return, lower, upper, probability`.
        held_out: `forecast, lower, upper, probability` of the revision, sorted by date.
        resamples: how many windows are drawn.
        seed: of the draw.
    """
    own = of(live.select("predicted_return", "lower", "upper", "probability").to_numpy())
    rows = live.height
    if held_out.height < 2 * rows:
        return tuple(
            Proxy(name, float(value), None, None) for name, value in zip(NAMES, own, strict=True)
        )
    forecasts = held_out.select("forecast", "lower", "upper", "probability").to_numpy()
    windows = calibration.draw(held_out.height, rows, rows, resamples, seed)
    drawn = of(forecasts[windows])
    independent = held_out.height / rows
    proxies = []
    for name, value, others in zip(NAMES, own, drawn.T, strict=True):
        # Values that differ only by rounding count as equal.
        close = 1e-9 + 1e-9 * np.abs(others)
        as_great = (others >= value - close).mean()
        as_small = (others <= value + close).mean()
        p = (1 + independent * 2 * min(as_great, as_small)) / (independent + 1)
        proxies.append(Proxy(name, float(value), float(np.median(others)), min(1.0, float(p))))
    return tuple(proxies)
