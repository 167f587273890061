"""Types of command-line arguments; argparse shows the errors that these raise."""

import argparse
import re
from datetime import date, timedelta

UNITS = {"s": 1, "m": 60, "h": 3600}

MOST_DAYS = 36_500


def day(text: str) -> date:
    """A day, such as 2012-12-31."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2012-12-31") from None


def days(text: str) -> float:
    """A number of days, which may have a fraction."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MOST_DAYS:,}")
    return number


def interval(text: str) -> timedelta:
    """A length of time, such as 30s, 5m or 1h."""
    match = re.fullmatch(r"([1-9]\d{0,4})([smh])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 30s, 5m or 1h")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])
