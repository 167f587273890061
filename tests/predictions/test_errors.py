"""Logs that cannot be used: what the server says of them, and that it recovers."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from predictions import migrate
from predictions.database import Database
from predictions.engine import LogDownError, LogError, connect
from predictions.group_commit import GroupCommit
from serve.app import create
from serve.settings import Settings
from tests.predictions.postgres import Postgres
from tests.predictions.rows import row


def test_a_file_that_is_no_database_ends_the_start_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(LogError) as raised:
        create(Settings(root=tmp_path, var=tmp_path))
    for fact in (str(path), "not a database", "move the file away", "DATABASE_URL"):
        assert fact in str(raised.value)
    assert path.read_bytes().startswith(b"not a database")


def test_a_file_that_cannot_be_opened_is_away_until_it_can(
    reproduced: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "predictions.db"
    folder.mkdir()
    with TestClient(create(Settings(root=reproduced, var=tmp_path))) as client:
        answer = client.post("/predict/short")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        for fact in ("prediction log is away", "unable to open database file", "its folder"):
            assert fact in answer.json()["detail"]
        health = client.get("/health")
        assert health.status_code == 503
        assert "unable to open" in health.json()["checks"]["prediction_log"]["detail"]
        folder.rmdir()
        wait(lambda: client.get("/health").status_code == 200)
        # Its tables were made meanwhile.
        assert client.post("/predict/short").status_code == 200
    said = [record.getMessage() for record in caplog.records if record.name == "predictions"]
    assert [line.partition(": ")[0] for line in said] == [
        f"prediction log sqlite:///{folder} is away",
        f"prediction log sqlite:///{folder} is back",
    ]


def wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_that_may_not_be_written_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = connect(f"sqlite:///{tmp_path / 'log.db'}")
    migrate.upgrade(engine)
    engine.dispose()
    # Whatever user runs the tests, root as well, may not write then.
    engine = connect(f"sqlite:///file:{tmp_path / 'log.db'}?mode=ro&uri=true")

    async def run() -> None:
        writer = GroupCommit(Database(engine), "log", 1.0, 100)
        writer.start(migrate.ensure_at_start(engine))
        with pytest.raises(LogDownError, match="readonly database; let the server write"):
            await writer.append([row()])
        await writer.stop()

    asyncio.run(run())
    engine.dispose()
    # The URI is not taken for a path.
    assert not (tmp_path / "file:").exists()


def test_a_user_of_postgresql_who_may_not_read_the_tables_is_told_so(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.new_database()
    engine = connect(url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS stranger"))
        connection.execute(sa.text("CREATE ROLE stranger LOGIN"))
    engine.dispose()
    named = sa.make_url(url).set(username="stranger").render_as_string(hide_password=False)
    with pytest.raises(LogError, match=r"stranger.*: permission denied for table alembic_version"):
        create(Settings(root=tmp_path, var=tmp_path, database_url=named))
