"""One round of the monitor: measure, check, and tell people what is not well."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from monitor.bounded import bounded
from monitor.settings import Settings
from predictions import engine as engines
from predictions import migrate
from predictions.engine import reason
from stages.common.errors import StageError


@contextmanager
def reached(settings: Settings) -> Iterator[Engine | str]:
    """The engine of the log, or why there is none; never an error.

    Unlike `records.opened` it bounds every statement, and what runs beside the log goes on.
    """
    try:
        engine = engines.connect(settings.log_url, settings.timeout)
    except StageError as error:
        yield str(error)
        return
    try:
        problem = _problem(engine, settings)
        yield engine if problem is None else problem
    finally:
        engine.dispose()


def _problem(engine: Engine, settings: Settings) -> str | None:
    bound = 3 * settings.timeout
    try:
        bounded(lambda: migrate.ensure(engine), bound)
    except TimeoutError:
        return f"{engines.place(engine)}: no answer for {bound:g} s"
    except StageError as error:
        return f"{engines.place(engine)}: {error}"
    except SQLAlchemyError as error:
        return f"{engines.place(engine)}: {reason(error)}"
    return None
