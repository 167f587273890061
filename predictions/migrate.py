"""The tables of the prediction log, and whether they are those that this code writes."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from predictions.engine import LogError
from predictions.group_commit import reason
from predictions.schema import VERSION

SCRIPTS = Path(__file__).parent / "migrations"

_LOCK = 7_153_120_011_402_118
"""Of PostgreSQL, among those that programs agree on: one migrates at a time."""


def version(engine: Engine) -> str | None:
    """The newest migration that a log has; None if it has no tables."""
    with engine.connect() as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT max(version_num) FROM alembic_version"))
    return found


def check(engine: Engine) -> None:
    """Whether this code can write to a log; newer tables are as good.

    Raises:
        LogError: the tables are missing, or older than the code.
    """
    found = version(engine)
    if found is None or found < VERSION:
        state = "has no tables" if found is None else f"has tables of version {found}"
        raise LogError(
            f"the prediction log {state}, this revision writes version {VERSION}; "
            "run `make migrate`"
        )


def ensure(engine: Engine) -> None:
    """See to the tables: those of SQLite are brought up to date.

    Raises:
        LogError: the tables of PostgreSQL are behind.
    """
    if engine.dialect.name != "sqlite":
        check(engine)
    elif (version(engine) or "") < VERSION:
        upgrade(engine)


def away(engine: Engine) -> str | None:
    """See to the tables at start; returns why the database cannot be asked, or None.

    Raises:
        LogError: as `ensure`; or there is a database, and it cannot hold a log.
    """
    try:
        ensure(engine)
    except OperationalError as error:
        return reason(error)
    except DatabaseError as error:
        place = engine.url.render_as_string(hide_password=True)
        engine.dispose()
        raise LogError(f"the prediction log {place}: {reason(error)}") from None
    except LogError:
        engine.dispose()
        raise
    return None


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Bring the tables up to date, all at once or not at all; others wait meanwhile.

    Returns:
        Their version before and after.
    """
    # 0.3 s that a server with the right tables need not spend.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        before = _version(connection)
        if (before or "") < VERSION:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, max(before or "", VERSION)
