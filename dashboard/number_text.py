"""Numbers as every page writes them: with sign, unit and a fixed number of digits."""

NOTHING = "-"
"""Where a number is not known."""


def percent(share: float | None, *, signed: bool = True, digits: int = 2) -> str:
    """A fraction in percent: `+1.25 %`."""
    if share is None:
        return NOTHING
    return f"{100 * share:+.{digits}f} %" if signed else f"{100 * share:.{digits}f} %"


def price(value: float | None) -> str:
    """A close with two decimals: `1,234.50`."""
    return NOTHING if value is None else f"{value:,.2f}"


def interval(lower: str, upper: str) -> str:
    """Two bounds: `-1.20 % to +1.40 %`."""
    return f"{lower} to {upper}"
