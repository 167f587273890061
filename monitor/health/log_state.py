"""The prediction log: whether it answers, takes rows, and has the tables that this code writes."""

import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select

from monitor.bounded import bounded
from monitor.health.verdicts import Check
from predictions import migrate
from predictions.database import Database
from predictions.engine import place, reason
from predictions.schema import VERSION, prediction_logs

NAME = "prediction_log"

_TIMES = 3
"""A check of the log takes several statements."""


def limit(timeout: float) -> float:
    """Seconds after which a log that has not answered is away.

    Args:
        timeout: seconds that one statement may wait.
    """
    return _TIMES * timeout


@dataclass(frozen=True)
class LogState:
    """What the log answered.

    Attributes:
        problem: why it cannot be used; None if it can.
        place: where it is, without its password.
        seconds: until a row was written and deleted.
        version: of its tables.
        newest: when the newest forecast was logged; None if there is none.
    """

    problem: str | None
    place: str = ""
    seconds: float | None = None
    version: str | None = None
    newest: datetime | None = None


def ask(engine: Engine, timeout: float) -> LogState:
    """Write a row and delete it, and read what the log holds; in a bounded time."""
    where = place(engine)
    try:
        # A statement has its own time-out; this one is for a server that does not even refuse.
        return bounded(lambda: _ask(engine, where), limit(timeout))
    except Exception as error:  # noqa: BLE001  # drivers raise errors of their own
        return LogState(reason(error), where)


def _ask(engine: Engine, where: str) -> LogState:
    began = time.monotonic()
    database = Database(engine)
    try:
        database.probe()
    finally:
        database.close()
    seconds = time.monotonic() - began
    with engine.connect() as connection:
        version = migrate.version(connection)
        newest_id = select(func.max(prediction_logs.c.id)).scalar_subquery()
        query = select(prediction_logs.c.created_at).where(prediction_logs.c.id == newest_id)
        newest = connection.scalar(query)
    return LogState(None, where, seconds, version, newest)


def check(state: LogState, timeout: float, now: datetime) -> Check:
    """Whether the log takes forecasts.

    Args:
        state: what it answered.
        timeout: seconds that a request may wait for it.
        now: in UTC.
    """
    if state.problem is not None:
        where = f"{state.place}: " if state.place and state.place not in state.problem else ""
        return Check(
            NAME,
            "critical",
            None,
            timeout,
            f"cannot be used: {where}{state.problem}",
            "start the database, or mend DATABASE_URL or SERVE_VAR; the server turns requests away "
            "until it answers",
        )
    newest = "no forecast yet"
    if state.newest is not None:
        hours = max(0.0, (now - state.newest).total_seconds() / 3600)
        newest = f"newest forecast {state.newest:%Y-%m-%d %H:%M} UTC, {hours:,.1f} h ago"
    seconds = state.seconds or 0.0
    tables = f"tables of version {state.version}"
    if state.version != VERSION:
        tables += f" (this revision writes {VERSION})"
    sentence = f"took a row in {1000 * seconds:.0f} ms; {tables}; {newest}"
    if seconds > timeout:
        return Check(NAME, "warning", seconds, timeout, sentence, "see what else keeps it busy")
    return Check(NAME, "ok", seconds, timeout, sentence)
