"""Scores that are too good to be true: a leak until proven otherwise."""

from collections.abc import Mapping

LIMITS = {"oos_r2": ("out-of-sample R2", 0.02), "rank_ic": ("rank IC", 0.1)}
"""By score, its title and what honest forecasts of one session do not exceed."""


def fired(scores: Mapping[str, float | None], horizon: int) -> list[str]:
    """What is too good in the scores of a horizon, one clause each; none beyond one session.

    Args:
        scores: on the hold-out, all symbols together.
        horizon: in sessions. Over longer ones the targets overlap, and chance alone exceeds the
            limits.
    """
    return [
        f"{title} {value:.4f} of one session is above {limit}"
        for name, (title, limit) in LIMITS.items()
        if horizon == 1 and (value := scores.get(name)) is not None and value > limit
    ]
