"""The messages to send, in a file that outlives restarts and a database that is away."""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from monitor.alerts.episodes import Episode
from stages.common import tables
from stages.common.running import log

FILE = "alerts.json"
"""Within `var/monitor/`."""

LATE = timedelta(days=1)
"""An episode that ended longer ago is not news: it is recorded, but no longer sent."""

Kind = Literal["begin", "end", "whole"]


class Message(BaseModel):
    """A message to people.

    Attributes:
        id: of the episode, the kind and the severity, so that nothing is sent twice.
        episode: its id.
        kind: that it began, that it ended, or both at once.
        severity: of the episode.
        created_at: in UTC.
        waiting: keys of the channels that have not taken it.
        taken_at: when the first channel took it.
    """

    id: str
    episode: str
    rule: str
    kind: Kind
    severity: str
    title: str
    body: str
    created_at: datetime
    waiting: list[str]
    taken_at: datetime | None = None


class Channel(BaseModel):
    """The circuit breaker of a channel that failed.

    Attributes:
        failures: rounds in a row in which it took nothing.
        until: when it is tried again.
        problem: what it said, without secrets.
    """

    failures: int
    until: datetime
    problem: str


class Outbox(BaseModel):
    """The file.

    Attributes:
        episodes: those that run, and those whose end was not sent yet: a copy of the table, and
            the only record while the table is away.
        messages: the oldest first.
        channels: those that failed, by key.
    """

    episodes: list[Episode] = []
    messages: list[Message] = []
    channels: dict[str, Channel] = {}


def key_of(url: str) -> str:
    """How the file names a channel: it must not contain the URL, which is a secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def read(folder: Path) -> Outbox:
    """The outbox; an empty one where there is none, or none that can be read."""
    path = folder / FILE
    try:
        return Outbox.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Outbox()
    except (OSError, ValidationError):
        log.warning("%s: cannot be read; the messages that waited in it are sent again", path)
        return Outbox()


def write(folder: Path, outbox: Outbox) -> None:
    """Keep the outbox; only this user may read it."""
    with tables.replacing(folder / FILE) as partial:
        partial.touch(0o600)
        partial.write_text(outbox.model_dump_json(indent=1) + "\n", encoding="utf-8")


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether nobody else is at work on the outbox."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{FILE}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def queue(
    outbox: Outbox, episodes: Sequence[Episode], channels: Sequence[str], now: datetime
) -> None:
    """Add messages about episodes that nobody has heard of yet, and drop those that are old.

    Args:
        outbox: is changed.
        episodes: those that run or ended recently, without silenced ones.
        channels: keys of all channels.
        now: in UTC.
    """
    untold = {episode.id: episode for episode in episodes if _kind(episode) is not None}
    wanted = [_message(episode, channels, now) for episode in untold.values()]
    ids = {message.id for message in wanted}
    pending = []
    for message in outbox.messages:
        message.waiting = [key for key in message.waiting if key in channels]
        is_news = message.id in ids if message.taken_at is None else now - message.created_at < LATE
        if message.waiting and is_news:
            pending.append(message)
    present = {message.id for message in pending}
    new = [message for message in wanted if message.id not in present and message.waiting]
    outbox.messages = [*pending, *new]


def mark_taken(outbox: Outbox, message: Message, channel: str, now: datetime) -> None:
    """Note that a channel took a message; the first that does counts for its episode."""
    message.waiting = [key for key in message.waiting if key != channel]
    message.taken_at = message.taken_at or now
    outbox.messages = [each for each in outbox.messages if each.waiting]
    outbox.episodes = [
        _with_sent_times(each, message, now) if each.id == message.episode else each
        for each in outbox.episodes
    ]


def _with_sent_times(episode: Episode, message: Message, now: datetime) -> Episode:
    changes = {}
    if message.kind != "end" and message.severity == episode.severity:
        changes["sent_at"] = episode.sent_at or now
    if message.kind != "begin":
        changes["end_sent_at"] = episode.end_sent_at or now
    return episode.model_copy(update=changes)


def _kind(episode: Episode) -> Kind | None:
    if episode.ended_at is None:
        return "begin" if episode.sent_at is None else None
    if episode.sent_at is None:
        return "whole"
    return "end" if episode.end_sent_at is None else None


def _message(episode: Episode, channels: Sequence[str], now: datetime) -> Message:
    kind = _kind(episode) or "begin"
    about = f"{episode.rule} {episode.about}".rstrip()
    since = f"{episode.started_at:%Y-%m-%d %H:%M}"
    # An event of one moment has no end to report.
    is_event = kind == "whole" and episode.ended_at == episode.started_at
    has_ended = episode.ended_at is not None and not is_event
    times = f"from {since} to {episode.ended_at:%Y-%m-%d %H:%M}" if has_ended else f"since {since}"
    return Message(
        id=f"{episode.id}:{kind}:{episode.severity}",
        episode=episode.id,
        rule=episode.rule,
        kind=kind,
        severity=episode.severity,
        title=f"{'ended: ' if has_ended else ''}{episode.severity} {about}",
        body=f"{episode.message}\n{times} UTC",
        created_at=now,
        waiting=list(channels),
    )
