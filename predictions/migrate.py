"""The tables of the prediction log, and whether they are those that this code writes."""

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from predictions.engine import LogError, place, reason
from predictions.schema import VERSION

SCRIPTS = Path(__file__).parent / "migrations"

_LOCK = 7_153_120_011_402_118
"""The advisory lock of PostgreSQL that a migration takes, so that one runs at a time."""


def version(connection: Connection) -> str | None:
    """The newest migration that a log has; None if it has no tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    newest: str | None = connection.scalar(text("SELECT max(version_num) FROM alembic_version"))
    return newest


def ensure(engine: Engine) -> None:
    """Check that this code can write to a log; tables of SQLite are brought up to date.

    Raises:
        LogError: the tables of PostgreSQL are missing, or older than the code.
    """
    try:
        check(engine)
    except LogError:
        if engine.dialect.name != "sqlite":
            raise
        upgrade(engine)


def check(engine: Engine) -> None:
    """Check that a log has the tables of this code.

    Raises:
        LogError: they are missing, or older than the code.
    """
    with engine.connect() as connection:
        present = version(connection)
    if present is None or present < VERSION:
        state = "has no tables" if present is None else f"has tables of version {present}"
        raise LogError(
            f"the prediction log {state}, this revision writes version {VERSION}; run "
            "`make migrate`"
        )


def ensure_at_start(engine: Engine) -> str | None:
    """The same for a server, which also starts without its database.

    Returns:
        Why the database does not answer; None if it does.

    Raises:
        LogError: as `ensure`; or the database answers, and cannot hold a log.
    """
    try:
        ensure(engine)
    except OperationalError as error:
        return reason(error)
    except (DatabaseError, LogError) as error:
        engine.dispose()
        if isinstance(error, LogError):
            raise
        raise LogError(f"the prediction log {place(engine)}: {reason(error)}") from None
    return None


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the tables up to date, all at once or not at all; others wait meanwhile.

    Returns:
        Their version before and after.
    """
    # Otherwise each first start logs six lines about standard plug-ins.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    # The import takes 0.3 s, which a server with current tables need not spend.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        before = version(connection)
        if (before or "") < VERSION:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, max(before or "", VERSION)
