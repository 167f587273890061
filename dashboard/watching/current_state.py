"""What is wrong now: open episodes of alerts, and checks that are not well."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from dashboard.watching import documents, store_reading
from monitor.alerts import episode_store, firing, outbox, silences
from monitor.alerts.episodes import Episode
from monitor.alerts.silences import Silence
from monitor.health import health_check
from monitor.settings import MonitorError, Settings
from monitor.store.records import tags_text


@dataclass(frozen=True)
class Finding:
    """A check of the health document.

    Attributes:
        check: its name, which is also the rule of its alert.
        of: what it is about; empty where there is only one such thing.
        tags: the same as the tables keep it.
        status: `ok`, `warning`, `critical`.
        sentence: what was found.
        remedy: what to do; empty if it is well.
    """

    check: str
    of: str
    tags: str
    status: str
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Current:
    """The state of everything.

    Attributes:
        episodes: alerts that go on, the worst first, then the newest.
        silent: silences that hold, or are to come.
        findings: every check.
        checked_at: when they were made; None if never.
        away: why the database could not be asked; None if it was.
    """

    episodes: tuple[Episode, ...]
    silent: tuple[Silence, ...]
    findings: tuple[Finding, ...]
    checked_at: datetime | None
    away: str | None

    @property
    def beside(self) -> tuple[Finding, ...]:
        """Checks that are not well and have no episode (yet)."""
        keys = {each.key for each in self.episodes}
        return tuple(
            each
            for each in self.findings
            if each.status != "ok" and (each.check, each.tags) not in keys
        )


def current(settings: Settings) -> Current:
    """Read all of it; while the database is away, episodes are those of the monitor's file.

    Raises:
        MonitorError: the health document cannot be read.
    """
    away = store_reading.problem(settings)
    going_on = _worst_first(store_reading.read(_open, settings)) if away is None else None
    health = documents.document(settings.folder / health_check.REPORT)
    return Current(
        tuple(of_file(settings) if going_on is None else going_on),
        tuple(silences_now(settings)),
        findings(health) if health else (),
        documents.written_at(health) if health else None,
        away,
    )


def of_file(settings: Settings) -> list[Episode]:
    """The alerts that go on by the monitor's file, which is there without a database."""
    episodes = outbox.read(settings.folder).episodes
    return _worst_first([each for each in episodes[::-1] if each.ended_at is None])


def _worst_first(episodes: list[Episode]) -> list[Episode]:
    return sorted(episodes, key=lambda each: -firing.ORDER.index(each.severity))


def silences_now(settings: Settings) -> list[Silence]:
    """Silences that hold, or are to come; none where their file is damaged."""
    try:
        return [each for each in silences.read(settings.folder) if each.until > settings.clock]
    except MonitorError:
        return []


def findings(health: documents.Document) -> tuple[Finding, ...]:
    """The checks of a health document, the worst first."""
    order = {"critical": 0, "warning": 1, "ok": 2}
    every = [
        Finding(
            check["name"],
            " ".join(check["tags"].values()),
            tags_text(check["tags"]),
            check["status"],
            check["sentence"],
            check["remedy"],
        )
        for check in health["checks"]
    ]
    return tuple(sorted(every, key=lambda each: order.get(each.status, 0)))


def _open(connection: Connection, _: Settings) -> list[Episode]:
    return episode_store.listed(connection, every=False, most=200)
