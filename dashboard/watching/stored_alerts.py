"""Episodes of alerts over a span of time, and who was told."""

from datetime import datetime
from typing import Final

import polars as pl
from sqlalchemy import Connection

from dashboard.charts import time_bars
from dashboard.watching import time_spans
from monitor.alerts import delivery, episode_store
from monitor.alerts.episodes import Episode
from monitor.alerts.outbox import Outbox
from monitor.settings import Settings

MOST: Final = 500
"""Episodes that are listed, the newest."""

SEVERITIES: Final = ("CRITICAL", "WARNING", "INFO")


def episodes(connection: Connection, settings: Settings, span: str) -> list[Episode]:
    """Episodes of a span that ends now, the newest first."""
    since = time_spans.begin(span, settings.clock)
    return episode_store.listed(connection, every=True, since=since, most=MOST)


def spans(episodes: list[Episode], begin: datetime, now: datetime) -> pl.DataFrame:
    """Episodes as `time_bars.SPANS`; what goes on ends now."""
    rows = [
        (
            f"{each.rule} {each.about}".strip(),
            max(each.started_at, begin),
            each.ended_at or now,
            each.severity,
            each.message,
        )
        for each in episodes
    ]
    return pl.DataFrame(rows, schema=time_bars.SPANS, orient="row").sort("row", "begin")


def delivery_state(episode: Episode, box: Outbox, names: dict[str, str]) -> str:
    """Who was told of an episode, in words.

    Args:
        episode: the episode.
        box: the monitor's file of messages.
        names: of the channels, by key.
    """
    waiting = [
        names.get(key, "a former channel")
        for message in box.messages
        if message.episode == episode.id
        for key in message.waiting
    ]
    parts = [f"waits for channel {', '.join(dict.fromkeys(waiting))}"] if waiting else []
    if episode.sent_at is not None:
        parts.insert(0, f"told {episode.sent_at:%Y-%m-%d %H:%M} UTC")
    if episode.end_sent_at is not None:
        parts.append(f"end told {episode.end_sent_at:%Y-%m-%d %H:%M} UTC")
    return "; ".join(parts) or "nobody was told"


def channels(settings: Settings) -> dict[str, str]:
    """The names of the channels by key: place and kind, never the URL, which is a secret."""
    urls = delivery.channels(settings)
    return dict(zip(urls, delivery.names(list(urls.values())), strict=True))


def states(settings: Settings, box: Outbox) -> list[str]:
    """Each channel and whether it takes messages, in words."""
    lines = []
    for key, name in channels(settings).items():
        fault = box.channels.get(key)
        waiting = sum(key in message.waiting for message in box.messages)
        state = f"failed: {fault.problem}" if fault else "no failure known"
        lines.append(f"{name}: {state}; {waiting} messages wait for it")
    return lines
