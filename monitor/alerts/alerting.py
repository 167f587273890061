"""One step of all alerts: episodes begin, go on and end, and people are told what is new."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from uuid_utils import uuid7

from monitor.alerts import delivery, episode_store, episodes, outbox, silences
from monitor.alerts.delivery import Limits
from monitor.alerts.episodes import Episode
from monitor.alerts.firing import Firing, Key
from monitor.alerts.outbox import Outbox
from monitor.alerts.silences import Silence
from monitor.bounded import bounded
from monitor.health import log_state
from monitor.settings import MonitorError, Settings
from monitor.store import records
from predictions.schema import monitoring_alerts
from stages.common.running import log
from stages.monitor_params import AlertParams, MonitorParams


@dataclass(frozen=True)
class Update:
    """What one step did.

    Attributes:
        running: episodes that have not ended.
        begun, ended: how many episodes began and ended.
        waiting: messages that some channel has not taken yet.
        problems: what went wrong with channels, a sentence each.
    """

    running: int = 0
    begun: int = 0
    ended: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()


def update(
    engine: Engine | None,
    settings: Settings,
    thresholds: MonitorParams,
    firing: Sequence[Firing],
    unjudged: Collection[Key] = (),
) -> Update:
    """Begin and end episodes, and send what people have not been told.

    While the log is away, episodes are kept only in `var/monitor/alerts.json`: critical ones begin
    and are sent once, and none ends. The table gets them when the log is back.

    Args:
        engine: of the log; None while it is away.
        settings: of the machine.
        thresholds: of params.yaml.
        firing: everything that is not well now; an episode that it lacks grows quiet.
        unjudged: what could not be judged now.

    Raises:
        SQLAlchemyError: the log is away; the next step sends what this one did not.
        TimeoutError: it does not answer.
    """
    with outbox.locked(settings.folder) as is_free:
        if not is_free:
            log.warning("alerts: another round is at work on them")
            return Update()
        return _update(engine, settings, thresholds.alerts, firing, unjudged)


def _update(
    engine: Engine | None,
    settings: Settings,
    params: AlertParams,
    firing: Sequence[Firing],
    unjudged: Collection[Key],
) -> Update:
    now = settings.clock
    box = outbox.read(settings.folder)
    stored: dict[str, Episode] = {}
    if engine is None:
        firing = [each for each in firing if each.severity == "CRITICAL"]
        unjudged = {each.key for each in box.episodes}
    else:
        ids = [each.id for each in box.episodes]
        stored = bounded(lambda: _stored(engine, ids, now), log_state.limit(settings.timeout))
    known = episode_store.merged(stored, box.episodes)
    running = [each for each in known if each.ended_at is None]
    followed = episodes.follow(running, firing, unjudged, now, params.quiet_checks)
    after = [*(each for each in known if each.ended_at is not None), *followed]
    if engine is not None:
        stored = _keep(engine, settings, stored, after, now)
    box.episodes = [each for each in after if episode_store.is_open(each, now)]
    problems = _tell(box, settings, params, now)
    if engine is not None:
        _keep(engine, settings, stored, box.episodes, now)
    box.episodes = [each for each in box.episodes if episode_store.is_open(each, now)]
    _save(settings.folder, box)
    former = {each.id for each in running}
    return Update(
        running=sum(each.ended_at is None for each in after),
        begun=sum(each.id not in former for each in followed),
        ended=sum(each.ended_at is not None for each in followed),
        waiting=len(box.messages),
        problems=tuple(problems),
    )


def _stored(engine: Engine, ids: Sequence[str], now: datetime) -> dict[str, Episode]:
    with engine.connect() as connection:
        return episode_store.read(connection, ids, now)


def _keep(
    engine: Engine,
    settings: Settings,
    before: dict[str, Episode],
    after: Sequence[Episode],
    now: datetime,
) -> dict[str, Episode]:
    def write() -> None:
        with records.writing(engine, settings, now) as writer:
            episode_store.write(writer, before, after)

    bounded(write, log_state.limit(settings.timeout))
    return {**before, **{each.id: each for each in after}}


def _tell(box: Outbox, settings: Settings, params: AlertParams, now: datetime) -> list[str]:
    urls = delivery.channels(settings)
    silent = _silences(settings.folder)
    audible = [
        each
        for each in box.episodes
        if not silences.is_silent(silent, each.rule, each.ended_at or now)
    ]
    outbox.queue(box, audible, list(urls), now)

    def save() -> None:
        _save(settings.folder, box)

    save()
    problems = delivery.deliver(box, urls, now, Limits(params.retries, params.pause), save)
    for problem in problems:
        log.warning("alerts: %s; it is tried again after %s s", problem, params.pause)
    return problems


def _save(folder: Path, box: Outbox) -> None:
    # People must hear of a full disk, even if they hear of it more than once.
    try:
        outbox.write(folder, box)
    except OSError as error:
        log.warning("alerts: %s cannot be written: %s", folder / outbox.FILE, error.strerror)


def _silences(folder: Path) -> list[Silence]:
    # A damaged file silences nothing.
    try:
        return silences.read(folder)
    except MonitorError as error:
        log.warning("alerts: %s", error)
        return []


def announce(engine: Engine, settings: Settings, news: Firing) -> None:
    """Record something that happened at one moment, such as a rollback; the next round sends it."""
    now = settings.clock
    event = {
        "id": str(uuid7()),
        "rule": news.rule,
        "tags": news.key[1],
        "severity": news.severity,
        "message": news.message,
        **dict.fromkeys(("started_at", "seen_at", "ended_at"), now),
        **dict.fromkeys(("sent_at", "end_sent_at")),
    }
    with records.writing(engine, settings, now) as writer:
        writer.add(monitoring_alerts, event)
