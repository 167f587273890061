"""Connections to PostgreSQL that give up on a server that has stopped to answer.

`statement_timeout` is kept by the server: one that hangs keeps none. Here the client looks at its
own clock.
"""

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

_T = TypeVar("_T")

_INTERVAL = 0.1
_GRACE = 0.5
"""Seconds by which a server that does answer is let to say itself that it was too slow."""


def connection_class(timeout: float) -> type[psycopg.Connection[Any]]:
    """Connections whose statements take at most so many seconds.

    A statement that has taken longer raises `psycopg.OperationalError`, and the connection is
    closed and `overdue`: whether the server has done it, or will, is not known.
    """

    class Bounded(psycopg.Connection[Any]):
        overdue = False

        def wait(
            self, gen: PQGen[_T], interval: float = _INTERVAL, timeout: float | None = None
        ) -> _T:
            try:
                return super().wait(gen, interval, timeout or bound)
            except psycopg.OperationalError:
                if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                    raise
                self.overdue = True
                self.pgconn.finish()
                raise psycopg.OperationalError(f"no answer for {bound:g} s") from None

    bound = timeout + _GRACE
    return Bounded
