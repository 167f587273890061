"""Episodes: from the first check that fires until several checks in a row are quiet."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from uuid_utils import uuid7

from monitor.alerts.firing import ORDER, Firing, Key, Severity


class Episode(BaseModel):
    """A row of `monitoring_alerts`.

    Attributes:
        tags: as JSON with sorted keys.
        severity: the greatest so far.
        message: the newest.
        started_at, seen_at: the first and the last check that fired.
        ended_at: the check that ended it.
        sent_at: when people were first told of its severity.
        end_sent_at: when people were told of its end.
        quiet: checks since the last that fired; not a column.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    rule: str
    tags: str
    severity: Severity
    message: str
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None = None
    sent_at: datetime | None = None
    end_sent_at: datetime | None = None
    quiet: int = 0

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.rule, self.tags

    @property
    def about(self) -> str:
        """The tags as text."""
        return " ".join(f"{name}={value}" for name, value in json.loads(self.tags).items())


def follow(
    running: Sequence[Episode],
    firing: Sequence[Firing],
    unjudged: Collection[Key],
    now: datetime,
    quiet_checks: int,
) -> list[Episode]:
    """The episodes after one check: some go on, are quiet or end, and others begin.

    Args:
        running: those that have not ended, the oldest first.
        firing: what is not well now.
        unjudged: what could not be judged now.
        now: in UTC.
        quiet_checks: quiet checks in a row that end an episode; a rule that flickers is one.
    """
    by_key = {each.key: each for each in firing}
    followed: dict[Key, Episode] = {}
    ended: list[Episode] = []
    for episode in running:
        # Two of one kind can only come from a restored table.
        if episode.key in followed:
            ended.append(_ended(episode, now))
        elif episode.key in by_key:
            followed[episode.key] = _fired_again(episode, by_key[episode.key], now)
        elif episode.key in unjudged:
            followed[episode.key] = episode
        elif episode.quiet + 1 < quiet_checks:
            followed[episode.key] = episode.model_copy(update={"quiet": episode.quiet + 1})
        else:
            ended.append(_ended(episode, now))
    begun = [
        Episode(
            id=str(uuid7()),
            rule=each.rule,
            tags=key[1],
            severity=each.severity,
            message=each.message,
            started_at=now,
            seen_at=now,
        )
        for key, each in by_key.items()
        if key not in followed
    ]
    return [*followed.values(), *ended, *begun]


def _fired_again(episode: Episode, firing: Firing, now: datetime) -> Episode:
    changes: dict[str, object] = {
        "message": firing.message,
        "seen_at": max(now, episode.seen_at),
        "quiet": 0,
    }
    if ORDER.index(firing.severity) > ORDER.index(episode.severity):
        # People have not been told of this one.
        changes |= {"severity": firing.severity, "sent_at": None}
    return episode.model_copy(update=changes)


def _ended(episode: Episode, now: datetime) -> Episode:
    # If the clock was set back, an episode must not end before it began.
    return episode.model_copy(update={"ended_at": max(now, episode.seen_at)})
