"""The audit trail, without which no row of the monitor is written."""

from monitor.health.verdicts import Check
from monitor.settings import MonitorError

NAME = "audit_trail"


def damaged(error: MonitorError) -> Check:
    """The check of a trail that took no row, from its error."""
    remedy = "until it is mended, the monitor measures, decides and records nothing"
    return Check(NAME, "critical", None, None, str(error), remedy)
