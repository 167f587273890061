"""How often a window without drift looks as different as a live one: thresholds by resampling.

Tests for independent rows call almost every window of bars drifted: in the few weeks of a window,
volatility, momentum and market hardly leave one level. So a live window is compared with windows of
the same shape that were drawn from the reference: stretches of consecutive sessions.

1. The p-value of each statistic (the distance of each feature, and of its residual) is its rank
   among the drawn windows. In their greatest tenth, where ranks run out, it comes from an
   exponential tail (Knijnenburg et al., 2009).
2. The features are tested together by Benjamini and Hochberg (1995). That finds one at a level q
   exactly if Simes' p-value, the least of p(k) m / k, is at most q.
3. The level q itself is calibrated: q is the quantile of Simes' p-value among the drawn windows
   such that at most the stated share of windows without drift raises an alarm. Each is compared
   with a reference without its own years, and ranked among the windows of other years, so that it
   is as new as a live window: beside its neighbours it would seem far more usual. The drawn windows
   overlap, so they count only as many as fit side by side into the reference. With n of those, a
   further window is the most extreme of all with a chance of 1 / (n + 1), which is taken off the
   share (as in conformal prediction, Vovk et al., 2005).
"""

from dataclasses import dataclass

import numpy as np

from monitor.drift.ks_distance import Floats, Rows

TAIL = 0.1
"""Share of the drawn windows through which the tail goes."""


def draw(rows: int, length: int, size: int, windows: int, seed: int) -> Rows:
    """Windows of a reference that is sorted by session.

    Args:
        rows: of the reference.
        length: consecutive rows that a window spans.
        size: how many of these it has, at most `length`: a live window may have gaps.
        windows: how many.
        seed: of the generator.

    Returns:
        Row numbers, of shape (windows, size).
    """
    random = np.random.default_rng(seed)
    begins = random.integers(0, rows - length + 1, windows)
    if size == length:
        within = np.broadcast_to(np.arange(length), (windows, length))
    else:
        within = np.stack(
            [np.sort(random.choice(length, size, replace=False)) for _ in range(windows)]
        )
    result: Rows = begins[:, None] + within
    return result


def p_values(values: Floats, drawn: Floats) -> Floats:
    """The chance that a window without drift has a statistic of at least some values.

    Args:
        values: of shape (k,); NaN where the statistic is unknown.
        drawn: that of the drawn windows, ascending, of shape (windows,).

    Returns:
        Of shape (k,); 1 where the statistic is unknown.
    """
    count = len(drawn)
    ranks = (1 + count - np.searchsorted(drawn, values, "left")) / (count + 1)
    begin = drawn[-1 - int(TAIL * count)]
    beyond = drawn[drawn > begin] - begin
    if len(beyond):
        share = len(beyond) / count
        tail = share * np.exp(-(values - begin) / beyond.mean())
        ranks = np.where(values > begin, np.minimum(share, tail), ranks)
    elif drawn[0] == drawn[-1]:
        # No window ever differed, as for a feature that is constant in the reference.
        ranks = np.where(values > begin, 0.0, ranks)
    return np.where(np.isnan(values), 1.0, ranks)


def adjusted(p: Floats) -> Floats:
    """p-values adjusted by Benjamini and Hochberg, along the last axis; the least is Simes'."""
    order = np.argsort(p, axis=-1)
    count = p.shape[-1]
    scaled = np.take_along_axis(p, order, -1) * count / np.arange(1, count + 1)
    least = np.minimum.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1]
    result = np.empty_like(p)
    np.put_along_axis(result, order, np.minimum(least, 1), -1)
    return result


@dataclass(frozen=True)
class Calibration:
    """What windows without drift look like.

    Attributes:
        distances: of shape (windows, statistics), each column ascending.
        simes: Simes' p-value of each window, ascending.
        independent: how many windows fit side by side into the reference.
        level: a feature whose adjusted p-value is at most this has drifted.
    """

    distances: Floats
    simes: Floats
    independent: float
    level: float

    def p_values(self, distances: Floats) -> Floats:
        """The p-value of each statistic of one window, of shape (statistics,)."""
        columns = zip(distances, self.distances.T, strict=True)
        return np.array([p_values(np.array([own]), drawn)[0] for own, drawn in columns])

    def share_as_different(self, simes: float) -> float:
        """An upper bound of the share of windows without drift that differ as much as one."""
        share = float(np.searchsorted(self.simes, simes, "right")) / len(self.simes)
        if share:
            return (1 + self.independent * share) / (self.independent + 1)
        return simes / float(self.simes[0]) / (self.independent + 1)


def calibrate(
    distances: Floats, held_out: Floats, folds: Rows, independent: float, false_alarms: float
) -> Calibration:
    """Set the level so that windows without drift raise an alarm as often as stated.

    Args:
        distances: of drawn windows from the rest of the reference, of shape (windows, statistics).
        held_out: the same from the reference without the fold of each window.
        folds: the number of the fold of each window, of shape (windows,).
        independent: how many windows fit side by side into the reference.
        false_alarms: share of windows that may raise an alarm.
    """
    p = np.empty_like(distances)
    for fold in np.unique(folds):
        own = folds == fold
        others = np.sort(distances[~own], axis=0)
        for column, drawn in enumerate(others.T):
            p[own, column] = p_values(held_out[own, column], drawn)
    simes = np.sort(adjusted(p).min(axis=1))
    allowed = false_alarms * (independent + 1)
    level = (
        float(np.quantile(simes, (allowed - 1) / independent))
        if allowed >= 1
        # Fewer windows than the share asks for: a part of the most extreme one's p-value.
        else float(simes[0]) * allowed
    )
    return Calibration(np.sort(distances, axis=0), simes, independent, level)
