"""The writer of the log, on databases that are well, away, locked, hung, full or refuse a row."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from predictions.database import Database
from predictions.engine import connect
from predictions.group_commit import GroupCommit, LogDownError, LogRefusedError
from predictions.schema import Row
from predictions.spool import Spool
from predictions.writer import LogWriter
from tests.predictions.postgres import Postgres
from tests.predictions.rows import ids, row
from tests.projects import ROOT

PATIENT = 30.0
"""Seconds for what is well: the machine may be busy."""

TIMEOUT = 1.0
"""The same where a database is locked, hangs or is stopped."""


@asynccontextmanager
async def writing(
    engine: sa.Engine,
    folder: Path,
    longest: float = PATIENT,
    *,
    backlog: int = 10_000,
    spools: bool = False,
) -> AsyncIterator[LogWriter]:
    writer = LogWriter(engine, longest, backlog, folder / "spool", spools=spools)
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


async def until(true: Callable[[], bool], seconds: float = PATIENT) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


async def outcomes(writer: LogWriter, *entries: Sequence[Row]) -> list[Any]:
    return await asyncio.gather(*map(writer.append, entries), return_exceptions=True)


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


def test_a_row_is_durable_when_append_returns(engine: sa.Engine, tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            for _ in range(20):
                made = row()
                assert await writer.append([made]) == "database"
                # On a connection of its own, which sees what is committed only.
                assert await asyncio.to_thread(ids, engine) == [made["id"]]
                with engine.begin() as connection:
                    connection.execute(sa.text("DELETE FROM prediction_logs"))

    asyncio.run(run())


def test_every_value_comes_back_as_it_was(engine: sa.Engine, tmp_path: Path) -> None:
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
        async with writing(engine, tmp_path) as writer:
            await writer.append([row(**values)])

    asyncio.run(run())
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT * FROM prediction_logs")).mappings().one()
    assert {name: found[name] for name in values} == values


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
def test_a_row_that_is_refused_fails_alone(engine: sa.Engine, tmp_path: Path, place: int) -> None:
    bad = {**BAD, **(BAD_IN_POSTGRESQL if engine.dialect.name == "postgresql" else {})}

    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            for kind, values in bad.items():
                good = [[row(), row()] for _ in range(30)]
                entries = [*good[:place], [row(), row(**values)], *good[place:]]
                found = await outcomes(writer, *entries)
                assert isinstance(found.pop(place), LogRefusedError), kind
                assert found == ["database"] * 30, kind
                assert writer.health()[0] == "ok", kind
                assert set(ids(engine)) >= {made["id"] for entry in good for made in entry}, kind

    asyncio.run(run())
    assert len(ids(engine)) == len(bad) * 60


def test_an_id_goes_in_once(engine: sa.Engine, tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            made = [row() for _ in range(100)]
            assert await outcomes(writer, made, made[:50], made) == ["database"] * 3

    asyncio.run(run())
    assert len(ids(engine)) == 100


def test_a_sqlite_that_another_has_locked_is_away_until_it_lets_go(tmp_path: Path) -> None:
    from predictions import migrate

    path = tmp_path / "log.db"
    engine = connect(f"sqlite:///{path}", TIMEOUT)
    migrate.upgrade(engine)
    other = sqlite3.connect(path, isolation_level=None)

    async def run() -> None:
        async with writing(engine, tmp_path, TIMEOUT) as writer:
            await writer.append([row()])
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            found = await outcomes(writer, [row()], [row()])
            assert [type(one) for one in found] == [LogDownError] * 2
            assert TIMEOUT * 0.9 < time.monotonic() - began < TIMEOUT + 2
            assert writer.health()[0] == "down"
            began = time.monotonic()
            assert isinstance((await outcomes(writer, [row()]))[0], LogDownError)
            # What is known to be away keeps nobody waiting.
            assert time.monotonic() - began < TIMEOUT / 2
            other.execute("COMMIT")
            await until(lambda: writer.health()[0] == "ok")
            assert await writer.append([row()]) == "database"

    asyncio.run(run())
    other.close()
    engine.dispose()


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    """Else answers would go into a file without a name, and be lost at the end."""
    engine = opened(f"sqlite:///{tmp_path / 'log.db'}")

    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            await writer.append([row()])
            assert len(ids(engine)) == 1
            for suffix in ("", "-wal", "-shm"):
                (tmp_path / f"log.db{suffix}").unlink(missing_ok=True)
            made = row()
            assert await writer.append([made]) == "database"
            assert ids(engine) == [made["id"]]
            with sqlite3.connect(tmp_path / "log.db") as other:
                assert other.execute("SELECT id FROM prediction_logs").fetchall() == [(made["id"],)]
            other.close()

    asyncio.run(run())
    engine.dispose()


def opened(url: str, longest: float = PATIENT) -> sa.Engine:
    from predictions import migrate

    engine = connect(url, longest)
    migrate.upgrade(engine)
    return engine


def test_a_connection_that_was_cut_is_made_again(postgres: Postgres, tmp_path: Path) -> None:
    engine = opened(postgres.new_database())

    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            await writer.append([row()])
            with psycopg.connect(postgres.url(), autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            assert await writer.append([row()]) == "database"
            assert writer.health()[0] == "ok"

    asyncio.run(run())
    engine.dispose()
    assert len(ids(engine)) == 2
    engine.dispose()


def test_a_postgresql_that_hangs_or_dies_is_away_until_it_is_back(
    postgres: Postgres, tmp_path: Path
) -> None:
    engine = opened(postgres.new_database(), TIMEOUT)

    async def run() -> None:
        async with writing(engine, tmp_path, TIMEOUT) as writer:
            await writer.append([row()])
            postgres.send(signal.SIGSTOP)
            began = time.monotonic()
            found = await outcomes(writer, [row()], [row()])
            assert [type(one) for one in found] == [LogDownError] * 2
            assert time.monotonic() - began < TIMEOUT + 2
            assert writer.health() == ("down", "no answer for 1 s")
            postgres.send(signal.SIGCONT)
            await until(lambda: writer.health()[0] == "ok")
            assert await writer.append([row()]) == "database"
            postgres.kill()
            began = time.monotonic()
            (found,) = await outcomes(writer, [row()])
            assert isinstance(found, LogDownError)
            assert time.monotonic() - began < TIMEOUT + 2
            assert writer.health()[0] == "down"
            await asyncio.to_thread(postgres.start)
            await until(lambda: writer.health()[0] == "ok")
            assert await writer.append([row()]) == "database"

    asyncio.run(run())
    # Of the two that hung, the statement may have been done after all; nothing is in twice.
    assert len(ids(engine)) in {3, 5}
    engine.dispose()


def test_a_log_that_nobody_writes_to_is_looked_at(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("predictions.group_commit.IDLE", 0.2)
    engine = opened(postgres.new_database())

    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            postgres.kill()
            await until(lambda: writer.health()[0] == "down")
            await asyncio.to_thread(postgres.start)
            await until(lambda: writer.health()[0] == "ok")

    asyncio.run(run())
    engine.dispose()


def test_what_would_wait_too_long_is_turned_away(engine: sa.Engine, tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(engine, tmp_path, backlog=10) as writer:
            found = await outcomes(writer, *([row()] for _ in range(25)))
            assert found[:10] == ["database"] * 10
            assert [str(one) for one in found[10:]] == ["10 rows wait for the prediction log"] * 15
            assert writer.health()[0] == "ok"
            # What is larger than all that may wait goes alone.
            assert await writer.append([row() for _ in range(50)]) == "database"

    asyncio.run(run())
    assert len(ids(engine)) == 60


def test_what_waits_is_written_before_the_end(engine: sa.Engine, tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            tasks = [asyncio.create_task(writer.append([row()])) for _ in range(50)]
            await asyncio.sleep(0)
        assert await asyncio.gather(*tasks) == ["database"] * 50
        with pytest.raises(LogDownError, match="the server is about to end"):
            await writer.append([row()])

    asyncio.run(run())
    assert len(ids(engine)) == 50


def test_the_end_does_not_wait_for_a_database_that_hangs(
    postgres: Postgres, tmp_path: Path
) -> None:
    engine = opened(postgres.new_database(), TIMEOUT)

    async def run() -> None:
        async with writing(engine, tmp_path, TIMEOUT) as writer:
            await writer.append([row()])
            postgres.send(signal.SIGSTOP)
            task = asyncio.create_task(writer.append([row()]))
            await asyncio.sleep(0.05)
            began = time.monotonic()
        # A second is for the thread, which is stuck.
        assert time.monotonic() - began < TIMEOUT + 1 + 2
        with pytest.raises(LogDownError):
            await task

    try:
        asyncio.run(run())
    finally:
        postgres.send(signal.SIGCONT)
        engine.dispose()


def test_an_answer_that_nobody_waits_for_keeps_no_other(engine: sa.Engine, tmp_path: Path) -> None:
    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            gone = asyncio.create_task(writer.append([row()]))
            others = [asyncio.create_task(writer.append([row()])) for _ in range(5)]
            await asyncio.sleep(0)
            gone.cancel()
            assert await asyncio.gather(*others) == ["database"] * 5
            assert writer.queue == 0

    asyncio.run(run())


FULL = """
import asyncio, resource, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from rows import ids, row
from serve.log import migrate
from serve.log.commit import LogDownError
from serve.log.engine import connect
from serve.log.writer import LogWriter

async def main():
    folder = Path({folder!r})
    engine = connect(f"sqlite:///{{folder / 'log.db'}}", 30.0)
    migrate.upgrade(engine)
    writer = LogWriter(engine, 30.0, 1000, folder / "spool")
    writer.start()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    kept = []
    for number in range(10_000):
        made = row(inputs="x" * 10_000)
        try:
            await writer.append([made])
        except LogDownError:
            break
        kept.append(made["id"])
    state = writer.health()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while writer.health()[0] != "ok":
        await asyncio.sleep(0.05)
    made = row()
    await writer.append([made])
    kept.append(made["id"])
    print(len(kept), state, set(kept) <= set(ids(engine)))
    await writer.stop()

asyncio.run(asyncio.wait_for(main(), 120))
"""


def test_a_disk_without_room_is_away_until_there_is_some(tmp_path: Path) -> None:
    # A limit on the size of files stands for the disk.
    code = FULL.format(root=str(ROOT), tests=str(ROOT / "tests/predictions"), folder=str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=False
    )
    assert ended.returncode == 0, ended.stderr
    count, state, whole = ended.stdout.partition("(")[0], ended.stdout, ended.stdout.split()[-1]
    assert int(count) > 10
    assert "('down', " in state
    assert whole == "True"


def test_the_spool_takes_over_and_hands_on(postgres: Postgres, tmp_path: Path) -> None:
    engine = opened(postgres.new_database())
    kept: list[Row] = []

    async def run() -> None:
        async with writing(engine, tmp_path, spools=True) as writer:
            postgres.kill()
            while (made := row()) and await writer.append([made]) == "database":
                kept.append(made)
            kept.append(made)
            for _ in range(3):
                many = [row() for _ in range(200)]
                assert await writer.append(many) == "spool"
                kept.extend(many)
            state, detail = writer.health()
            assert state == "degraded"
            assert f"predictions are kept in {tmp_path / 'spool'} meanwhile" in detail
            await asyncio.to_thread(postgres.start)
            await until(lambda: writer.health()[0] == "ok")
            assert await writer.append([row()]) == "database"
            assert list((tmp_path / "spool").iterdir()) == []

    asyncio.run(run())
    assert set(ids(engine)) >= {made["id"] for made in kept}
    assert len(ids(engine)) == len(kept) + 1
    engine.dispose()


def test_what_a_spool_may_not_hand_on_is_refused_at_once(
    postgres: Postgres, tmp_path: Path
) -> None:
    engine = opened(postgres.new_database())

    async def run() -> None:
        async with writing(engine, tmp_path, spools=True) as writer:
            postgres.kill()
            for kind, values in {**BAD, **BAD_IN_POSTGRESQL}.items():
                good, bad = await outcomes(writer, [row()], [row(**values)])
                assert good == "spool", kind
                # No server makes such a date: the database alone would notice it.
                assert bad == "spool" if kind == "no date" else isinstance(bad, LogRefusedError)
            await asyncio.to_thread(postgres.start)
            await until(lambda: writer.health()[0] == "ok")

    asyncio.run(run())
    assert len(ids(engine)) == len(BAD) + len(BAD_IN_POSTGRESQL)
    # What it refused is set aside, and said in the server's log.
    (aside,) = (tmp_path / "spool").iterdir()
    assert aside.suffix == ".refused"
    assert aside.read_text().count("2012-13-01") == 1
    engine.dispose()


def test_a_half_written_line_of_a_server_that_was_killed_is_nothing(
    engine: sa.Engine, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    made = [row() for _ in range(1200)]
    spool.write([made])
    spool.close()
    (path,) = (tmp_path / "spool").iterdir()
    path.write_bytes(path.read_bytes() + b'{"id": "half')

    async def run() -> None:
        # It is brought in whatever the setting is now.
        async with writing(engine, tmp_path, spools=False) as writer:
            assert writer.health()[0] == "degraded"
            await until(lambda: writer.health()[0] == "ok")

    asyncio.run(run())
    assert ids(engine) == [one["id"] for one in made]
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[:20] + b"\xff" + line[21:],
        lambda line: line.replace(b'"symbol"', b'"Symbol"'),
        lambda line: line.replace(b'"sessions":1', b'"sessions":[1]'),
        lambda line: b"[" + line.strip() + b"]\n",
    ],
    ids=["no JSON", "a column missing", "no number", "no row"],
)
def test_a_line_that_the_disk_has_changed_is_set_aside(
    engine: sa.Engine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[bytes], bytes],
) -> None:
    spool = Spool(tmp_path / "spool")
    made = [row() for _ in range(1200)]
    spool.write([made])
    spool.close()
    (path,) = (tmp_path / "spool").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    bad = [change(line) for line in lines[:600]]
    assert bad[0] != lines[0]
    # The first chunk has nothing else.
    path.write_bytes(b"".join([*bad, *lines[600:]]))

    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            await until(lambda: writer.health()[0] == "ok")

    asyncio.run(run())
    assert ids(engine) == [one["id"] for one in made[600:]]
    (aside,) = (tmp_path / "spool").iterdir()
    assert aside.read_bytes() == b"".join(bad)
    assert f"stays in {aside}" in caplog.text


def test_a_spool_that_cannot_be_read_is_told_and_tried_again(
    engine: sa.Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = [row() for _ in range(3)]
    spool = Spool(tmp_path / "spool")
    spool.write([made])
    spool.close()
    (path,) = (tmp_path / "spool").iterdir()
    whole = path.rename(tmp_path / "elsewhere")
    path.mkdir()

    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            await until(lambda: "Is a directory" in writer.health()[1])
            assert writer.health()[0] == "degraded"
            assert await writer.append([row()]) == "database"
            path.rmdir()
            whole.rename(path)
            await until(lambda: writer.health()[0] == "ok")

    asyncio.run(run())
    assert len(ids(engine)) == 4
    assert caplog.text.count("is not emptied") == 1


def test_a_spool_that_another_server_writes_is_left_to_it(
    engine: sa.Engine, tmp_path: Path
) -> None:
    other = Spool(tmp_path / "spool")
    other.write([[row()]])

    async def run() -> None:
        async with writing(engine, tmp_path) as writer:
            await asyncio.sleep(0.6)
            assert ids(engine) == []
            other.close()
            await until(lambda: writer.health()[0] == "ok")

    asyncio.run(run())
    assert len(ids(engine)) == 1
