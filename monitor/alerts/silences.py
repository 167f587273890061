"""Silences for planned work: alerts are recorded meanwhile, but not sent."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from uuid_utils import uuid7

from monitor.settings import MonitorError
from stages.common import tables

FILE = "silences.json"
"""Within `var/monitor/`: a silence must also hold while the database is away."""

KEPT = timedelta(days=30)
"""How long a silence that is over is still listed."""

LONGEST = timedelta(days=36_500)

_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?")


class Silence(BaseModel):
    """A span of time in which rules are not sent.

    Attributes:
        id: short enough to type.
        rule: a name, or a pattern such as `drift*`.
        reason: why.
        by: who asked for it.
        since, until: in UTC.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    rule: str
    reason: str
    by: str
    since: datetime
    until: datetime

    def covers(self, rule: str, at: datetime) -> bool:
        """Whether a rule was silent at a moment."""
        return self.since <= at < self.until and fnmatchcase(rule, self.rule)


_LIST = TypeAdapter(list[Silence])


def span(text: str) -> timedelta:
    """A length of time, such as `2h`, `30m`, `1d12h`.

    Raises:
        MonitorError: it is not one.
    """
    match = _SPAN.fullmatch(text)
    days, hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    if not (days or hours or minutes):
        raise MonitorError(f"--for {text}: not a length of time; such as 2h, 30m or 1d12h")
    try:
        length = timedelta(days=days, hours=hours, minutes=minutes)
    except OverflowError:
        length = timedelta.max
    if length > LONGEST:
        raise MonitorError(f"--for {text}: longer than {LONGEST.days:,} days; name a shorter time")
    return length


def read(folder: Path) -> list[Silence]:
    """All silences, the oldest first.

    Raises:
        MonitorError: their file is damaged.
    """
    path = folder / FILE
    try:
        return _LIST.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError):
        raise MonitorError(f"{path}: cannot be read; remove it, and silence again") from None


def add(folder: Path, new: Silence, now: datetime) -> None:
    """Keep a silence."""
    _write(folder, [*(each for each in read(folder) if each.until > now - KEPT), new])


def remove(folder: Path, identifier: str, now: datetime) -> Silence:
    """End a silence now; returns it.

    Raises:
        MonitorError: there is none of this id that has not ended.
    """
    silences = read(folder)
    chosen = [each for each in silences if each.id == identifier and each.until > now]
    if not chosen:
        raise MonitorError(f"no silence {identifier}; `python -m monitor silence` lists them")
    ended = chosen[0].model_copy(update={"until": max(now, chosen[0].since)})
    _write(folder, [ended if each is chosen[0] else each for each in silences])
    return ended


def new_id() -> str:
    """An id of a silence."""
    return str(uuid7())[-6:]


def is_silent(silences: Sequence[Silence], rule: str, at: datetime) -> bool:
    """Whether a rule was silent at a moment."""
    return any(each.covers(rule, at) for each in silences)


def _write(folder: Path, silences: list[Silence]) -> None:
    with tables.replacing(folder / FILE) as partial:
        partial.write_bytes(_LIST.dump_json(silences, indent=1) + b"\n")
