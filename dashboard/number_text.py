"""Numbers as every page writes them: with sign, unit and a fixed number of digits."""

NOTHING = "-"
"""Where a number is not known."""


def percent(value: float | None, digits: int = 2) -> str:
    """A return in percent, with its sign: `+1.25 %`."""
    return NOTHING if value is None else f"{100 * value:+.{digits}f} %"


def share(value: float | None, digits: int = 1) -> str:
    """A part of a whole in percent: `80.0 %`."""
    return NOTHING if value is None else f"{100 * value:.{digits}f} %"


def price(value: float | None) -> str:
    """A close with two decimals: `1,234.50`."""
    return NOTHING if value is None else f"{value:,.2f}"


def interval(lower: str, upper: str) -> str:
    """Two bounds: `-1.20 % to +1.40 %`."""
    return f"{lower} to {upper}"
