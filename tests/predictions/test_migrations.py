"""The tables that the migrations make, and how they come about."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient

from predictions import labels, migrate
from predictions.database import Database
from predictions.engine import LogError, connect
from predictions.schema import VERSION, Row, metadata, moment, prediction_logs
from serve.__main__ import main
from serve.app import create
from serve.server_settings import Settings
from tests.predictions.rows import row
from tests.projects import ROOT


def test_the_version_of_the_tables_is_that_of_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [VERSION]
    assert max(script.revision for script in scripts.walk_revisions()) == VERSION


def test_migrations_and_tables_agree(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_what_differs_would_be_found(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE label_store ADD COLUMN more INTEGER"))
        differences: list[Any] = compare_metadata(MigrationContext.configure(connection), metadata)
        assert [change[0] for change in differences] == ["remove_column"]


def at_version(engine: sa.Engine, wanted: str) -> None:
    """Make the tables of an older version."""
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, wanted)


def former_row() -> Row:
    """A row of a version that had no role."""
    logged = row()
    del logged["role"]
    return logged


def test_rows_and_labels_of_the_first_version_stay(url: str) -> None:
    engine = connect(url)
    logged = former_row()
    label = {"id": logged["id"], "now": moment()}
    at_version(engine, "0001")
    with engine.begin() as connection:
        connection.execute(sa.insert(prediction_logs), [typed(logged)])
        connection.execute(
            sa.text(
                "INSERT INTO label_store (prediction_id, actual_return, created_at) "
                "VALUES (:id, 0.1, :now)"
            ),
            label,
        )
    assert migrate.upgrade(engine) == ("0001", VERSION)
    correction = {
        "prediction_id": logged["id"],
        "actual_return": 0.2,
        "actual_close": None,
        "observed_at": None,
        "created_at": datetime.now(UTC),
        "client": None,
    }
    with engine.begin() as connection:
        labels.correct(connection, correction)
        (former,) = labels.former(connection, logged["id"])
        assert former["actual_return"] == 0.1
        assert former["replaced_at"] == correction["created_at"]
        # With its prediction it goes.
        connection.execute(sa.delete(prediction_logs))
        assert labels.former(connection, logged["id"]) == []
    engine.dispose()


def typed(logged: Row) -> Row:
    """A row in the types that SQLAlchemy takes."""
    return {
        **logged,
        "created_at": datetime.fromisoformat(logged["created_at"]),
        **{name: date.fromisoformat(logged[name]) for name in ("as_of", "target_date")},
    }


def test_a_server_of_the_second_version_goes_on_with_the_tables_of_the_third(url: str) -> None:
    engine = connect(url)
    at_version(engine, "0002")
    before, after, new = former_row(), former_row(), row(role="shadow")
    former_server = sa.Table("prediction_logs", sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(former_server), [typed(before)])
    assert migrate.upgrade(engine) == ("0002", VERSION)
    with engine.begin() as connection:
        connection.execute(sa.insert(former_server), [typed(after)])
    Database(engine).write([[new]])
    roles = {before["id"]: None, after["id"]: None, new["id"]: "shadow"}
    with engine.connect() as connection:
        query = sa.select(prediction_logs.c.id, prediction_logs.c.role)
        assert dict(connection.execute(query).all()) == roles
        assert len(connection.execute(sa.select(former_server)).all()) == len(roles)
    engine.dispose()


def test_many_at_once_make_the_tables_once(url: str) -> None:
    engines = [connect(url) for _ in range(6)]
    with ThreadPoolExecutor(len(engines)) as threads:
        assert {after for _, after in threads.map(migrate.upgrade, engines)} == {VERSION}
    with engines[0].connect() as connection:
        assert migrate.version(connection) == VERSION
    for engine in engines:
        engine.dispose()


def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    engine = connect(url)
    with engine.begin() as connection:
        # The second table of the migration is in its way.
        connection.execute(sa.text("CREATE TABLE label_store (id INTEGER)"))
    with pytest.raises(sa.exc.DBAPIError):
        migrate.upgrade(engine)
    assert sa.inspect(engine).get_table_names() == ["label_store"]
    engine.dispose()


def test_the_command_says_what_it_did(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    main(["migrate"])
    assert f"went from no tables to version {VERSION}" in capsys.readouterr().out
    main(["migrate"])
    assert f"is at version {VERSION}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://nobody:secret@127.0.0.1:1/none", "127.0.0.1:1/none: connection"),
        ("mysql://host/log", "DATABASE_URL names mysql; the log can be SQLite or PostgreSQL"),
        ("nonsense", "DATABASE_URL is not the URL of a database"),
        ("sqlite:////proc/none/log.db", "/proc/none"),
    ],
)
def test_an_error_is_one_line_without_secrets(
    url: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit) as stopped:
        main(["migrate"])
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: .*\n", error)
    assert says in error
    assert "secret" not in error


def test_a_server_refuses_tables_of_postgresql_that_are_behind(
    postgres: Any, reproduced: Path, tmp_path: Path
) -> None:
    url = postgres.new_database()
    settings = Settings(root=reproduced, var=tmp_path, database_url=url)
    wanted = f"the prediction log has no tables, this revision writes version {VERSION}; run"
    with pytest.raises(LogError, match=f"{wanted} `make migrate`"), TestClient(create(settings)):
        pass
    environment = {"DATABASE_URL": url, "SERVE_ROOT": str(reproduced), "SERVE_PORT": "0"}
    ended = subprocess.run(
        [sys.executable, "-m", "serve"],
        cwd=ROOT,
        env={**environment, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert f"error: {wanted} `make migrate`" in ended.stderr


def test_newer_tables_are_as_good(url: str) -> None:
    engine = connect(url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    migrate.ensure(engine)
    assert migrate.upgrade(engine) == ("9999", "9999")
    engine.dispose()


def test_alembic_is_not_imported_where_the_tables_are_current(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = connect(url)
    migrate.upgrade(engine)
    engine.dispose()
    code = (
        "import sys; from predictions import engine, migrate; "
        f"migrate.ensure(engine.connect({url!r})); print('alembic' in sys.modules)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert completed.stdout == "False\n"
