"""Group commit on databases that are well, away, locked, hung, full or refuse a row."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from predictions import migrate, sqlite_files
from predictions.access import Access
from predictions.database import Database
from predictions.engine import LogDownError, LogRefusedError, connect
from predictions.group_commit import GroupCommit
from predictions.schema import Row, prediction_logs
from tests.predictions.postgres import Postgres
from tests.predictions.rows import ids, row
from tests.projects import ROOT

PATIENT = 30.0
"""Seconds for what is well: the machine may be busy."""

TIMEOUT = 1.0
"""The same where a database is locked, hangs or is stopped."""


@asynccontextmanager
async def writing(
    engine: sa.Engine, longest: float = PATIENT, *, backlog: int = 10_000
) -> AsyncIterator[GroupCommit]:
    writer = GroupCommit(Database(engine), "log", longest, backlog)
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


async def until(writer: GroupCommit, state: str) -> None:
    deadline = time.monotonic() + PATIENT
    while writer.health()[0] != state:
        assert time.monotonic() < deadline, writer.health()
        await asyncio.sleep(0.02)


async def outcomes(writer: GroupCommit, *entries: Sequence[Row]) -> list[Any]:
    return await asyncio.gather(*map(writer.append, entries), return_exceptions=True)


def opened(url: str, longest: float = PATIENT) -> sa.Engine:
    engine = connect(url, longest)
    migrate.upgrade(engine)
    return engine


def test_rows_that_wait_go_together(engine: sa.Engine) -> None:
    sizes = []

    class Counted(Database):
        def write(self, entries: Sequence[Sequence[Row]]) -> Sequence[str | None]:
            sizes.append(len(entries))
            return super().write(entries)

    async def run() -> None:
        commit = GroupCommit(Counted(engine), "test", PATIENT, 1000)
        commit.start()
        await asyncio.gather(*(commit.append([row(), row()]) for _ in range(300)))
        await commit.stop()

    asyncio.run(run())
    assert sizes == [300]
    assert len(ids(engine)) == 600


def test_a_row_is_durable_when_append_returns(engine: sa.Engine) -> None:
    async def run() -> None:
        async with writing(engine) as writer:
            for _ in range(20):
                new = row()
                await writer.append([new])
                # On a connection of its own, which sees what is committed only.
                assert await asyncio.to_thread(ids, engine) == [new["id"]]
                with engine.begin() as connection:
                    connection.execute(sa.text("DELETE FROM prediction_logs"))

    asyncio.run(run())


def test_every_value_comes_back_as_it_was(engine: sa.Engine) -> None:
    values = {
        "predicted_return": 0.1 + 0.2,
        "lower": -1.7976931348623157e308,
        "upper": 5e-324,
        "probability": 1 / 3,
        "symbol": "é𝄞'\"\\%s?",
        "client": None,
        "symbol_index": 2**40,
        "inputs": '{"a":1.17549435e-38}',
    }

    async def run() -> None:
        async with writing(engine) as writer:
            await writer.append([row(**values)])

    asyncio.run(run())
    with engine.connect() as connection:
        stored = connection.execute(sa.text("SELECT * FROM prediction_logs")).mappings().one()
    assert {name: stored[name] for name in values} == values


BAD: dict[str, dict[str, Any]] = {
    "no text": {"symbol": "A\ud800"},
    "missing": {"symbol": None},
    "no number": {"predicted_return": float("nan")},
    "too large": {"symbol_index": 2**70},
}
BAD_IN_POSTGRESQL: dict[str, dict[str, Any]] = {
    "NUL": {"symbol": "A\0"},
    "too long": {"symbol": "A" * 65},
    "infinite": {"predicted_return": float("inf")},
    "no date": {"as_of": "2012-13-01"},
}


@pytest.mark.parametrize("place", [0, 7, 29])
def test_a_row_that_is_refused_fails_alone(engine: sa.Engine, place: int) -> None:
    """Requests cannot make such a row (`test_requests.py`); a symbol of the user's files can."""
    bad = {**BAD, **(BAD_IN_POSTGRESQL if engine.dialect.name == "postgresql" else {})}

    async def run() -> None:
        async with writing(engine) as writer:
            for kind, values in bad.items():
                good = [[row(), row()] for _ in range(30)]
                entries = [*good[:place], [row(), row(**values)], *good[place:]]
                results = await outcomes(writer, *entries)
                assert isinstance(results.pop(place), LogRefusedError), kind
                assert results == [None] * 30, kind
                assert writer.health()[0] == "ok", kind
                assert set(ids(engine)) >= {new["id"] for entry in good for new in entry}, kind

    asyncio.run(run())
    assert len(ids(engine)) == len(bad) * 60


def test_rows_beside_go_with_their_entry_and_fail_without_it(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = []

    class Counted(Database):
        def write(self, entries: Sequence[Sequence[Row]]) -> Sequence[str | None]:
            sizes.append(sum(map(len, entries)))
            return super().write(entries)

    pairs = [(row(), row(role="shadow")) for _ in range(20)]
    wrong = row(role="shadow", predicted_return=float("nan"))

    async def run() -> None:
        # Rows beside do not count among those that may wait.
        commit = GroupCommit(Counted(engine), "log", PATIENT, 20)
        commit.start()
        await asyncio.gather(*(commit.append([one], [other]) for one, other in pairs))
        assert sizes == [40]
        new = row()
        await commit.append([new], [wrong])
        pairs.append((new, new))
        assert commit.health()[0] == "ok"
        await commit.stop()

    asyncio.run(run())
    assert set(ids(engine)) == {each["id"] for pair in pairs for each in pair}
    assert sum("challenger" in line for line in caplog.messages) == 1


def test_an_id_goes_in_once(engine: sa.Engine) -> None:
    async def run() -> None:
        async with writing(engine) as writer:
            new = [row() for _ in range(100)]
            assert await outcomes(writer, new, new[:50], new) == [None] * 3

    asyncio.run(run())
    assert len(ids(engine)) == 100


def test_a_log_that_another_has_locked_is_away_until_it_lets_go(url: str) -> None:
    engine, other = opened(url, TIMEOUT), connect(url)

    async def run() -> None:
        async with writing(engine, TIMEOUT) as writer:
            await writer.append([row()])
            with other.begin() as connection:
                if other.dialect.name == "postgresql":
                    connection.execute(sa.text("LOCK TABLE prediction_logs"))
                began = time.monotonic()
                results = await outcomes(writer, [row()], [row()])
                assert [type(result) for result in results] == [LogDownError] * 2
                assert TIMEOUT * 0.9 < time.monotonic() - began < TIMEOUT + 2
                assert writer.health()[0] == "down"
                began = time.monotonic()
                assert isinstance((await outcomes(writer, [row()]))[0], LogDownError)
                # What is known to be away keeps nobody waiting.
                assert time.monotonic() - began < TIMEOUT / 2
            await until(writer, "ok")
            await writer.append([row()])

    asyncio.run(run())
    other.dispose()
    engine.dispose()


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    """Else answers would go into a file without a name, and be lost at the end."""
    engine = opened(f"sqlite:///{tmp_path / 'log.db'}")

    async def run() -> None:
        async with writing(engine) as writer:
            await writer.append([row()])
            assert len(ids(engine)) == 1
            for count in (1, 100):
                for suffix in ("", "-wal", "-shm"):
                    (tmp_path / f"log.db{suffix}").unlink(missing_ok=True)
                new = [row() for _ in range(count)]
                await writer.append(new)
                assert ids(engine) == [each["id"] for each in new]
                with sqlite3.connect(tmp_path / "log.db") as other:
                    stored = other.execute("SELECT count(*) FROM prediction_logs").fetchone()
                assert stored == (count,)
                other.close()

    asyncio.run(run())
    engine.dispose()


LOST = [("-wal",), ("-shm",), ("-wal", "-shm")]


@pytest.mark.parametrize("suffixes", LOST)
def test_what_is_acknowledged_outlives_the_removal_of_a_file(
    tmp_path: Path, suffixes: Sequence[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine, reading = opened(url), connect(url, read_only=True)
    acknowledged: list[str] = []

    async def run() -> None:
        writer = GroupCommit(Database(engine, reading), "log", PATIENT, 1_000)
        writer.start()
        for count in (1, 100, 1):
            assert ids(reading) == acknowledged
            for suffix in suffixes if acknowledged else ():
                (tmp_path / f"log.db{suffix}").unlink()
            for _ in range(3):
                new = [row() for _ in range(count)]
                with suppress(LogDownError):
                    await writer.append(new)
                    acknowledged.extend(each["id"] for each in new)
                    assert after_a_crash(tmp_path) == acknowledged
            await until(writer, "ok")
        await writer.stop()

    asyncio.run(run())
    assert len(acknowledged) > 200
    for each in (engine, reading):
        each.dispose()


@pytest.mark.parametrize("suffixes", [("-wal",), ("-wal", "-shm")])
def test_a_file_that_is_removed_under_a_statement_keeps_no_acknowledged_row(
    tmp_path: Path, suffixes: Sequence[str]
) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'log.db'}")
    armed = False

    def begins(statement: str) -> None:
        nonlocal armed
        if armed and statement.startswith("INSERT INTO prediction_logs"):
            armed = False
            for suffix in suffixes:
                (tmp_path / f"log.db{suffix}").unlink()

    sa.event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(begins))
    migrate.upgrade(engine)
    database = Database(engine)
    first, second = row(), row()
    assert database.write([[first]]) == [None]
    armed = True
    assert database.write([[second]]) == [None]
    assert not armed
    assert after_a_crash(tmp_path) == [first["id"], second["id"]]
    database.close()
    engine.dispose()


def test_a_change_whose_file_is_removed_under_it_is_not_acknowledged(tmp_path: Path) -> None:
    engine = opened(f"sqlite:///{tmp_path / 'log.db'}")
    access = Access(engine, 1, PATIENT)

    def change(connection: sa.Connection) -> None:
        connection.execute(sa.delete(prediction_logs))
        (tmp_path / "log.db-wal").unlink()

    with pytest.raises(LogDownError, match="removed or replaced"):
        asyncio.run(access.run(change))
    access.close()


def after_a_crash(folder: Path) -> list[str]:
    """What a server would find that starts now: the files that have a name."""
    with TemporaryDirectory() as copy:
        # In a process of its own: to close a file here would end SQLite's locks on it.
        subprocess.run(["cp", *folder.glob("log.db*"), copy], check=True)
        engine = connect(f"sqlite:///{copy}/log.db")
        stored = ids(engine)
        engine.dispose()
    return stored


HOLD = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM prediction_logs").fetchone()[0], flush=True)
sys.stdin.read()
"""


def test_nothing_is_acknowledged_while_another_process_has_a_removed_file(tmp_path: Path) -> None:
    """Both would be mixed; the last that closes it brings its rows into the database."""
    path = tmp_path / "log.db"
    engine = opened(f"sqlite:///{path}")

    async def run() -> None:
        async with writing(engine) as writer:
            first = row()
            await writer.append([first])
            command = [sys.executable, "-c", HOLD, str(path)]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, stdin=pipe, stdout=pipe) as other:  # noqa: ASYNC220
                assert other.stdout is not None
                assert other.stdout.readline() == b"1\n"
                (tmp_path / "log.db-wal").unlink()
                (refused,) = await outcomes(writer, [row()])
                assert isinstance(refused, LogDownError)
                assert "log.db-shm is there without" in str(refused)
                assert "log.db-wal" in str(refused)
                other.communicate()
            await until(writer, "ok")
            second = row()
            await writer.append([second])
            assert {first["id"], second["id"]} <= set(after_a_crash(tmp_path))

    asyncio.run(run())
    engine.dispose()


def test_a_log_that_another_process_is_just_closing_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    engine = opened(f"sqlite:///{path}")
    engine.dispose()
    # SQLite removes the -wal first.
    shm = tmp_path / "log.db-shm"
    shm.touch()
    closing = threading.Timer(0.1, shm.unlink)
    closing.start()
    assert ids(engine) == []
    engine.dispose()


@pytest.mark.parametrize("act", ["opens", "closes"])
def test_a_log_that_another_thread_opens_or_closes_meanwhile_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = opened(url)
    engine.dispose()
    other = connect(url)
    connections = [other.connect()] if act == "closes" else []
    look = sqlite_files._identities

    def meanwhile(path: str) -> sqlite_files.Identities:
        """The look at the files before another thread opens the log, or after it closes it."""
        monkeypatch.setattr(sqlite_files, "_identities", look)
        if act == "opens":
            files = look(path)
            connections.append(other.connect())
            return files
        connections.pop().close()
        other.dispose()
        return look(path)

    monkeypatch.setattr(sqlite_files, "_identities", meanwhile)
    assert ids(engine) == []
    for connection in connections:
        connection.close()
    other.dispose()
    engine.dispose()


def test_rows_of_a_removed_wal_are_kept_though_another_process_has_it(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    engine = opened(f"sqlite:///{path}")

    async def run() -> None:
        async with writing(engine) as writer:
            first, second = row(), row()
            await writer.append([first])
            command = [sys.executable, "-c", HOLD, str(path)]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, stdin=pipe, stdout=pipe) as other:  # noqa: ASYNC220
                assert other.stdout is not None
                assert other.stdout.readline() == b"1\n"
                for suffix in ("-wal", "-shm"):
                    (tmp_path / f"log.db{suffix}").unlink()
                await writer.append([second])
                assert after_a_crash(tmp_path) == [first["id"], second["id"]]
                other.communicate()
            assert after_a_crash(tmp_path) == [first["id"], second["id"]]

    asyncio.run(run())
    engine.dispose()


def test_a_connection_that_was_cut_is_made_again(postgres: Postgres) -> None:
    engine = opened(postgres.new_database())

    async def run() -> None:
        async with writing(engine) as writer:
            await writer.append([row()])
            with psycopg.connect(postgres.url(), autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            await writer.append([row()])
            assert writer.health()[0] == "ok"

    asyncio.run(run())
    assert len(ids(engine)) == 2
    engine.dispose()


def test_a_postgresql_that_hangs_or_dies_is_away_until_it_is_back(postgres: Postgres) -> None:
    engine = opened(postgres.new_database(), TIMEOUT)

    async def run() -> None:
        async with writing(engine, TIMEOUT) as writer:
            await writer.append([row()])
            postgres.send(signal.SIGSTOP)
            began = time.monotonic()
            results = await outcomes(writer, [row()], [row()])
            assert [type(result) for result in results] == [LogDownError] * 2
            assert time.monotonic() - began < TIMEOUT + 2
            assert writer.health() == ("down", "no answer for 1 s")
            postgres.send(signal.SIGCONT)
            await until(writer, "ok")
            await writer.append([row()])
            postgres.kill()
            began = time.monotonic()
            (result,) = await outcomes(writer, [row()])
            assert isinstance(result, LogDownError)
            assert time.monotonic() - began < TIMEOUT + 2
            assert writer.health()[0] == "down"
            await asyncio.to_thread(postgres.start)
            await until(writer, "ok")
            await writer.append([row()])

    asyncio.run(run())
    # Of the two that hung, the statement may have been done after all; nothing is in twice.
    assert len(ids(engine)) in {3, 5}
    engine.dispose()


def test_a_log_that_nobody_writes_to_is_looked_at(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("predictions.group_commit.IDLE", 0.2)
    engine = opened(postgres.new_database())

    async def run() -> None:
        async with writing(engine) as writer:
            postgres.kill()
            await until(writer, "down")
            await asyncio.to_thread(postgres.start)
            await until(writer, "ok")

    asyncio.run(run())
    engine.dispose()


def test_what_would_wait_too_long_is_turned_away(engine: sa.Engine) -> None:
    async def run() -> None:
        async with writing(engine, backlog=10) as writer:
            results = await outcomes(writer, *([row()] for _ in range(25)))
            assert results[:10] == [None] * 10
            assert [str(each) for each in results[10:]] == [
                "10 rows wait for the prediction log"
            ] * 15
            assert writer.health()[0] == "ok"
            # What is larger than all that may wait goes alone.
            await writer.append([row() for _ in range(50)])

    asyncio.run(run())
    assert len(ids(engine)) == 60


def test_what_waits_is_written_before_the_end(engine: sa.Engine) -> None:
    async def run() -> None:
        async with writing(engine) as writer:
            tasks = [asyncio.create_task(writer.append([row()])) for _ in range(50)]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        with pytest.raises(LogDownError, match="about to end"):
            await writer.append([row()])

    asyncio.run(run())
    assert len(ids(engine)) == 50


END = """
access = Access(connect(url, 1.0, read_only=True), 2, 1.0)

async def main():
    await access.run(ids)
    await writer.append([row()])
    print("ready", flush=True)
    input()
    began = time.monotonic()
    tasks = [asyncio.create_task(writer.append([row()])), asyncio.create_task(access.run(ids))]
    await asyncio.sleep(0.05)
    await writer.stop()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    print(*(type(result).__name__ for result in results), time.monotonic() - began, flush=True)
    access.close()
"""


def test_the_end_does_not_wait_for_a_database_that_hangs(postgres: Postgres) -> None:
    """Neither for its writer nor for a reader: else a server could not be stopped."""
    url = postgres.new_database()
    opened(url).dispose()
    with subprocess.Popen(
        script(END, url, TIMEOUT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        postgres.send(signal.SIGSTOP)
        try:
            out, _ = process.communicate("\n", timeout=20)
        finally:
            postgres.send(signal.SIGCONT)
            process.kill()
    *errors, seconds = out.split()
    assert errors == ["LogDownError", "LogDownError"]
    # A second is for the thread, which is stuck.
    assert float(seconds) < TIMEOUT + 1 + 2


def test_an_answer_that_nobody_waits_for_keeps_no_other(engine: sa.Engine) -> None:
    async def run() -> None:
        async with writing(engine) as writer:
            gone = asyncio.create_task(writer.append([row()]))
            others = [asyncio.create_task(writer.append([row()])) for _ in range(5)]
            await asyncio.sleep(0)
            gone.cancel()
            assert await asyncio.gather(*others) == [None] * 5
            assert writer.waiting == 0

    asyncio.run(run())


FULL = """
async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    kept = []
    for number in range(10_000):
        new = row(inputs="x" * 10_000)
        try:
            await writer.append([new])
        except LogDownError:
            break
        kept.append(new["id"])
    state = writer.health()[0]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while writer.health()[0] != "ok":
        await asyncio.sleep(0.05)
    new = row()
    await writer.append([new])
    kept.append(new["id"])
    with engine.connect() as connection:
        print(len(kept), state, set(kept) <= set(ids(connection)))
    await writer.stop()
"""


def test_a_disk_without_room_is_away_until_there_is_some(tmp_path: Path) -> None:
    # A limit on the size of files stands for the disk.
    ended = subprocess.run(
        script(FULL, f"sqlite:///{tmp_path / 'log.db'}", PATIENT),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    count, state, whole = ended.stdout.split()
    assert int(count) > 10
    assert (state, whole) == ("down", "True")


def script(main: str, url: str, longest: float) -> list[str]:
    """A command that runs `main` beside a writer, in a process of its own."""
    code = f"""
import asyncio, resource, sys, time
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from rows import row
from predictions import migrate, sqlite_files
from predictions.access import Access
from predictions.database import Database
from predictions.engine import LogDownError, connect
from predictions.group_commit import GroupCommit
from predictions.schema import prediction_logs

url = {url!r}
engine = connect(url, {longest})
migrate.upgrade(engine)
writer = GroupCommit(Database(engine), "log", {longest}, 1000)

def ids(connection):
    return list(connection.scalars(prediction_logs.select()))
{main}
async def run():
    writer.start()
    await asyncio.wait_for(main(), 120)

asyncio.run(run())
"""
    return [sys.executable, "-c", code]
