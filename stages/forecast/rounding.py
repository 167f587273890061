"""How many digits of a number go to git."""

import math

DIGITS = 6
"""Significant digits of a number that goes to git: below them CPUs may differ."""


def rounded(value: float | None) -> float | None:
    """A number with `DIGITS` significant digits; None for infinity and for no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
