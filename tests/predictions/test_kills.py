"""Servers and databases that are killed under load: what was answered is in the log, once."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from predictions import migrate
from predictions.engine import connect
from predictions.schema import prediction_logs
from tests.predictions.load import Load
from tests.predictions.postgres import Postgres
from tests.serve.servers import Server

KILLS = int(os.environ.get("KILLS", "20" if os.environ.get("CI_FULL") == "1" else "5"))


def check(url: str, answers: Iterable[dict[str, Any]]) -> None:
    """Every answer is in the log as it was given, and no request is there twice."""
    table = prediction_logs.c
    engine = connect(url)
    with engine.connect() as connection:
        query = sa.select(table.id, table.request_id, table.predicted_return)
        rows = connection.execute(query).all()
    engine.dispose()
    answered = {answer["id"]: answer["predicted_return"] for answer in answers}
    logged = {row.id: row.predicted_return for row in rows}
    assert {identifier: logged.get(identifier) for identifier in answered} == answered
    assert len({row.request_id for row in rows}) == len(rows)


def health(server: Server) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{server.url}/health", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def wait_for(server: Server, state: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while (answer := health(server))[1]["checks"]["prediction_log"]["status"] != state:
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)


@pytest.mark.slow
def test_a_server_that_is_killed_again_and_again(reproduced: Path, tmp_path: Path) -> None:
    var = tmp_path / "var"
    one, two = Server(reproduced, var), Server(reproduced, var, WORKERS="2")
    answers = []
    for kill in range(KILLS):
        # Now and then two workers, which share the file.
        server = two if kill % 5 == 4 else one
        with server, Load(server.port) as load:
            # Now and then in the middle of the first commits, or of later ones.
            load.more(1 + 17 * (kill % 7))
            server.kill()
        assert set(load.statuses) <= {0, 200}
        answers.extend(load.answers)
    with one:
        check(f"sqlite:///{var / 'predictions.db'}", answers)
        assert health(one)[0] == 200
    assert len(answers) > 20 * KILLS


@pytest.fixture(scope="module")
def log_url(_postgres: Postgres) -> Iterator[str]:
    """A log in PostgreSQL, of which the environment tells."""
    _postgres.start()
    url = _postgres.new_database()
    engine = connect(url)
    migrate.upgrade(engine)
    engine.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        yield url


@pytest.fixture(scope="module")
def server(
    log_url: str, reproduced: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with that log, whose database tests may kill or stop."""
    del log_url
    with Server(reproduced, tmp_path_factory.mktemp("var"), LOG_TIMEOUT="1") as server:
        yield server


@pytest.mark.slow
def test_a_postgresql_that_is_killed_again_and_again(
    postgres: Postgres, server: Server, log_url: str
) -> None:
    with Load(server.port) as load:
        for kill in range(KILLS):
            load.more(25)
            postgres.kill()
            if not kill:
                wait_for(server, "down")
                assert health(server)[0] == 503
            postgres.start()
        load.more(25)
    wait_for(server, "ok")
    assert health(server)[0] == 200
    assert set(load.statuses) == {200, 503}
    check(log_url, load.answers)


def test_a_postgresql_that_hangs_is_a_503_within_the_bound(
    postgres: Postgres, server: Server
) -> None:
    with Load(server.port, 1) as load:
        load.more(1)
    (answer, *_) = load.answers
    postgres.send(signal.SIGSTOP)
    for path in ("predict/short", "predictions", f"predictions/{answer['id']}"):
        began = time.monotonic()
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{server.url}/{path}", timeout=10)
        with raised.value as error:
            assert error.code == 503, path
            assert b"no answer for 1 s" in error.read()
        assert time.monotonic() - began < 2.5, path
    assert health(server)[0] == 503
    assert urllib.request.urlopen(f"{server.url}/symbols", timeout=10).status == 200
    with urllib.request.urlopen(f"{server.url}/plot/AAPL", timeout=10) as chart:
        assert json.load(chart)["logged"] is None
    postgres.send(signal.SIGCONT)
    wait_for(server, "ok")
    with urllib.request.urlopen(f"{server.url}/predictions/{answer['id']}", timeout=10) as logged:
        assert json.load(logged)["predicted_return"] == answer["predicted_return"]
