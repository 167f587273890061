"""Episodes in the table `monitoring_alerts`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Table, and_, or_, select

from monitor.alerts.episodes import Episode
from monitor.alerts.firing import ORDER
from monitor.alerts.outbox import LATE
from monitor.store.records import Records
from predictions.schema import monitoring_alerts

_TABLE: Table = monitoring_alerts
_COLUMNS = frozenset(str(column.name) for column in _TABLE.columns)


def is_open(episode: Episode, now: datetime) -> bool:
    """Whether an episode may still change: it runs, or people are still to be told of its end."""
    if episode.ended_at is None:
        return True
    is_told = episode.sent_at is not None and episode.end_sent_at is not None
    return not is_told and now - episode.ended_at < LATE


def read(connection: Connection, ids: Collection[str], now: datetime) -> dict[str, Episode]:
    """The episodes of some ids and all open ones, by id, the oldest first."""
    columns = _TABLE.c
    untold = or_(columns.sent_at.is_(None), columns.end_sent_at.is_(None))
    query = (
        select(_TABLE)
        .where(
            or_(
                columns.id.in_(ids),
                columns.ended_at.is_(None),
                and_(untold, columns.ended_at > now - LATE),
            )
        )
        .order_by(columns.started_at, columns.id)
    )
    rows = connection.execute(query).mappings()
    return {row["id"]: episode(row) for row in rows}


def listed(
    connection: Connection, *, every: bool, since: datetime | None = None, most: int | None = None
) -> list[Episode]:
    """Episodes that run, or all, the newest first.

    Args:
        connection: to the log.
        every: whether those that ended are listed too.
        since: those that ended before it are left out.
        most: how many at most.
    """
    ended = _TABLE.c.ended_at
    query = select(_TABLE).order_by(_TABLE.c.started_at.desc(), _TABLE.c.id.desc()).limit(most)
    if not every:
        query = query.where(ended.is_(None))
    elif since is not None:
        query = query.where(or_(ended.is_(None), ended >= since))
    return [episode(row) for row in connection.execute(query).mappings()]


def episode(row: RowMapping) -> Episode:
    """A row of the table."""
    return Episode.model_validate({str(name): value for name, value in row.items()})


def merged(stored: Mapping[str, Episode], known: Sequence[Episode]) -> list[Episode]:
    """The episodes of the table with what only the file knows, the oldest first.

    Args:
        stored: of the table, by id; empty while it is away.
        known: of the file.
    """
    by_id = {each.id: each for each in known}
    both = [_merged(each, by_id[key]) if key in by_id else each for key, each in stored.items()]
    lacking = [each for each in known if each.id not in stored]
    return sorted([*both, *lacking], key=lambda each: (each.started_at, each.id))


def _merged(stored: Episode, known: Episode) -> Episode:
    rose = ORDER.index(known.severity) > ORDER.index(stored.severity)
    newer = known if rose or known.severity == stored.severity else stored
    return stored.model_copy(
        update={
            "severity": known.severity if rose else stored.severity,
            "message": known.message if rose else stored.message,
            "seen_at": max(stored.seen_at, known.seen_at),
            "sent_at": known.sent_at if rose else stored.sent_at or newer.sent_at,
            "end_sent_at": stored.end_sent_at or known.end_sent_at,
            "quiet": known.quiet,
        }
    )


def write(writer: Records, before: Mapping[str, Episode], after: Sequence[Episode]) -> None:
    """Insert and update what differs."""
    for each in after:
        row = each.model_dump(include=set(_COLUMNS))
        former = before.get(each.id)
        if former is None:
            writer.add(_TABLE, row)
            continue
        known = former.model_dump(include=set(_COLUMNS))
        changes = {name: value for name, value in row.items() if value != known[name]}
        if changes:
            writer.change(_TABLE, each.id, changes)
