"""Logs that cannot be used: what the server says of them, and that it recovers."""

import asyncio
import os
import pwd
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from predictions import migrate
from predictions.database import Database
from predictions.engine import LogDownError, LogError, connect
from predictions.group_commit import GroupCommit
from serve.app import create
from serve.server_settings import Settings
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
    messages = [record.getMessage() for record in caplog.records if record.name == "predictions"]
    assert [line.partition(": ")[0] for line in messages] == [
        f"prediction log sqlite:///{folder} is away",
        f"prediction log sqlite:///{folder} is back",
    ]


def test_answers_outlive_the_removal_of_the_wal(reproduced: Path, tmp_path: Path) -> None:
    forecasts, labels = set(), set()
    with TestClient(create(Settings(root=reproduced, var=tmp_path))) as client:

        def ask() -> None:
            answer = client.post("/predict/short")
            if answer.status_code == 503:
                return
            forecasts.add(answer.json()["id"])
            label = {"prediction_id": answer.json()["id"], "actual_return": 0.1}
            if client.post("/labels", json=label).status_code == 201:
                labels.add(label["prediction_id"])
            # Those who read have connections too.
            client.get("/predictions")

        for _ in range(3):
            for _ in range(5):
                ask()
            (tmp_path / "predictions.db-wal").unlink(missing_ok=True)
            # A label is the first that notices.
            client.post("/labels", json={"prediction_id": min(forecasts), "actual_return": 0.1})
        wait(lambda: client.get("/health").status_code == 200)
        for _ in range(5):
            ask()
        with TemporaryDirectory() as crashed:
            subprocess.run(["cp", *tmp_path.glob("predictions.db*"), crashed], check=True)
            with sqlite3.connect(f"{crashed}/predictions.db") as log:
                stored_predictions = {
                    row[0] for row in log.execute("SELECT id FROM prediction_logs")
                }
                stored_labels = {
                    row[0] for row in log.execute("SELECT prediction_id FROM label_store")
                }
            log.close()
    assert len(forecasts) >= 15
    assert forecasts <= stored_predictions
    assert len(labels) >= 10
    assert labels <= stored_labels


def test_a_folder_that_is_away_at_start_or_later_is_back_once_it_is(
    reproduced: Path, tmp_path: Path
) -> None:
    var = tmp_path / "var"
    # Whatever user runs the tests, root as well, makes no folder there.
    var.touch()
    with TestClient(create(Settings(root=reproduced, var=var))) as client:
        refused = client.post("/predict/short")
        assert refused.status_code == 503
        assert "its folder exists and the server may write" in refused.json()["detail"]
        var.unlink()
        wait(lambda: client.get("/health").status_code == 200)
        assert client.post("/predict/short").status_code == 200
        for _ in range(2):
            shutil.rmtree(var)
            wait(lambda: client.post("/predict/short").status_code == 200)
            (row,) = client.get("/predictions").json()["predictions"]
            assert client.get(f"/predictions/{row['id']}").status_code == 200


@pytest.fixture(params=["no file", "files of a crash", "file alone"])
def unwritable(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with a log, both of which this process may only read; root may do so as nobody."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        # Always: what a migration imports may lie where nobody may not read.
        engine = connect(f"sqlite:///{folder / 'log.db'}")
        migrate.upgrade(engine)
        if request.param == "files of a crash":
            for path in [*folder.iterdir()]:
                shutil.copy(path, folder / f"copy{path.suffix}")
        engine.dispose()
        for path in folder.glob("copy*"):
            path.rename(folder / path.name.replace("copy", "log"))
        if request.param == "no file":
            (folder / "log.db").unlink()
        allow(folder, 0o444, 0o755 if request.param == "file alone" else 0o555)
        user = os.geteuid()
        if user == 0:
            nobody = pwd.getpwnam("nobody").pw_uid
            for path in (folder, *folder.iterdir()):
                os.chown(path, nobody, -1)
            os.seteuid(nobody)
        try:
            yield folder
        finally:
            os.seteuid(user)
            allow(folder, 0o644, 0o755)


def allow(folder: Path, files: int, folders: int) -> None:
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(files)
    folder.chmod(folders)


def test_a_log_that_may_only_be_read_at_start_is_back_once_it_may_be_written(
    unwritable: Path,
) -> None:
    engine = connect(f"sqlite:///{unwritable / 'log.db'}")

    async def run() -> None:
        writer = GroupCommit(Database(engine), "log", 5.0, 100)
        writer.start(migrate.ensure_at_start(engine))
        with pytest.raises(LogDownError):
            await writer.append([row()])
        await asyncio.sleep(0.5)
        allow(unwritable, 0o644, 0o755)
        for _ in range(100):
            with suppress(LogDownError):
                await writer.append([row()])
                break
            await asyncio.sleep(0.05)
        assert writer.health() == ("ok", "0 rows wait for it")
        await writer.stop()

    asyncio.run(run())
    engine.dispose()


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
