"""What must hold before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from monitor import live_forecasts
from monitor.live_forecasts import Window
from monitor.retraining.decisions import Decision
from stages.monitor_params import MonitorParams


@dataclass(frozen=True)
class Labels:
    """Live forecasts of the champion that are due, and those of them with a label."""

    due: int
    labelled: int


def labels(engine: Engine, horizon: str, today: date) -> Labels:
    """Count them for a horizon, whichever model was the champion then."""
    rows = live_forecasts.read(engine, Window(horizon, due=today))
    return Labels(rows.height, rows.height - rows["actual_return"].null_count())


def missing(
    params: MonitorParams, counts: Sequence[Labels], decisions: Sequence[Decision], now: datetime
) -> list[str]:
    """Each condition that does not hold, with its number.

    Args:
        params: the conditions.
        counts: of each horizon.
        decisions: all former ones.
        now: the time.
    """
    wanted = params.retraining
    return [
        *_cooling(
            "a challenger was trained",
            [
                each
                for each in decisions
                if each.challenger is not None and each.reason != "rollback"
            ],
            wanted.cooldown_days,
            now,
        ),
        *_cooling(
            "a promotion was rolled back",
            [each for each in decisions if each.outcome == "rolled back"],
            params.rollback.cooldown_days,
            now,
        ),
        *_few(sum(each.labelled for each in counts), wanted.min_labels),
        *_uncovered(counts, wanted.min_coverage),
    ]


def _cooling(what: str, former: Sequence[Decision], days: int, now: datetime) -> list[str]:
    if not former:
        return []
    last = max(each.created_at for each in former)
    # A clock that was set back does not stop retraining until it has caught up.
    if not timedelta(0) <= now - last < timedelta(days=days):
        return []
    return [f"{what} {(now - last) / timedelta(days=1):.1f} days ago, {days} days must pass"]


def _few(labelled: int, least: int) -> list[str]:
    if labelled >= least:
        return []
    return [f"{labelled:,} live forecasts have a label, {least:,} are needed"]


def _uncovered(counts: Sequence[Labels], least: float) -> list[str]:
    due, labelled = sum(each.due for each in counts), sum(each.labelled for each in counts)
    share = labelled / due if due else 0.0
    if share >= least:
        return []
    return [f"{share:.0%} of {due:,} due live forecasts have a label, {least:.0%} are needed"]
