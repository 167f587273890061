"""Whether alerts reach people."""

from monitor.alerts import delivery, outbox
from monitor.health.verdicts import Check, nothing_yet
from monitor.settings import Settings

NAME = "alert_channels"


def check(settings: Settings) -> Check:
    """How many channels of `MONITOR_ALERT_URLS` failed when they were last tried."""
    urls = delivery.channels(settings)
    if not urls:
        return nothing_yet(NAME, "MONITOR_ALERT_URLS names none: alerts are recorded, not sent")
    failed = outbox.read(settings.folder).channels
    named = zip(urls, delivery.names(list(urls.values())), strict=True)
    problems = [f"{name}: {failed[key].problem}" for key, name in named if key in failed]
    count = float(len(problems))
    if problems:
        remedy = "see `python -m monitor alerts --test`, and MONITOR_ALERT_URLS"
        return Check(NAME, "warning", count, 0, "; ".join(problems), remedy)
    return Check(NAME, "ok", count, 0, f"{len(urls)} channels, none of which failed")
