"""A tiny run of the benchmarks of the server, without the peers that are a gigabyte to install."""

import asyncio
import contextlib
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import arrow, contestants, load, serving
from benchmarks.contestants import Contestant
from benchmarks.load import Load
from benchmarks.serving import Memory
from stages.forecast.session import Session
from tests.test_benchmarks import seconds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> contestants.Model:
    return contestants.build(reproduced, tmp_path_factory.mktemp("contestants"))


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads of a fifth of a second, from this process."""

    def brief(port: int, path: str, body: object, *, clients: int, seconds: float) -> Load:
        del seconds
        return asyncio.run(load._run(port, load.request(path, body), clients, 0.1, 0.2))

    monkeypatch.setattr(load, "measure", brief)


@pytest.mark.usefixtures("_brief")
def test_a_race_asks_every_contestant_and_tells_who_answered(
    model: contestants.Model, tmp_path: Path
) -> None:
    canary = contestants.trying(model, tmp_path, "canary")
    field = [contestants.ours(model, tmp_path), contestants.empty(), canary]
    many, one = serving.race(field, tmp_path, rounds=1, seconds=0.5)
    for (answers,) in (*many, *one):
        assert answers.requests > 0
        assert answers.failures == 0
        assert 0 < answers.p50 <= answers.p99
    table = serving.report(field, many, one, 1.5, [Memory(20_001, 100.0), Memory(360_002, 110.0)])
    assert [row[0] for row in table.rows] == [contestant.name for contestant in field]
    (ours,), (empty,), _ = many
    assert seconds(table, "ours, times")[1] == pytest.approx(ours.rate / empty.rate, abs=0.01)
    with sqlite3.connect(tmp_path / "canary" / "var" / "predictions.db") as log:
        roles = dict(log.execute("SELECT role, count(*) FROM prediction_logs GROUP BY role"))
    log.close()
    assert roles["shadow"] == roles["canary"] + roles[None] > roles["canary"] > 0
    verdict = "met" if ours.rate / empty.rate >= 0.75 else "MISSED"
    assert len(table.findings) == 3
    assert table.findings[0].endswith(f"at least 0.75 required: {verdict}.")
    assert table.findings[-1] == (
        "Resident memory is 100 MB after 20,001 requests and 110 MB after 360,002 more; "
        "1.10 times as much; at most 1.05 required: MISSED."
    )


def test_a_ratio_is_that_of_the_rounds_that_a_slow_machine_slowed_for_both() -> None:
    def rounds(*rates: float) -> list[Load]:
        return [Load(1.0, int(rate), 0, 1.0, 2.0) for rate in rates]

    field = [
        Contestant(name, ["none"], port, "/", {}, {})
        for port, name in enumerate(("ours", "an empty FastAPI handler"))
    ]
    many = [rounds(800, 100, 200), rounds(1000, 500, 250)]
    table = serving.report(field, many, many, 1.5, [Memory(1, 100.0), Memory(2, 100.0)])
    assert seconds(table, "ours, times") == [1.0, 0.8]
    assert table.findings[0] == (
        "an empty FastAPI handler: ours answers 0.80 times as many "
        "(0.20 to 0.80 in single rounds); at least 0.75 required: met."
    )


def test_the_same_booster_is_served(model: contestants.Model) -> None:
    """In the graph of the server as in the file of the peers."""
    outputs = Session(model.folder / "models" / "short" / "model.onnx")(model.row[None])
    assert outputs["return"][0] == pytest.approx(model.expected, abs=1e-6)


def test_a_stream_is_timed_against_the_session(reproduced: Path) -> None:
    table = arrow.measure(reproduced, rows=2_000, rounds=1)
    assert [row[0] for row in table.rows] == ["short", "long"]
    for column in ("stream, ms", "session, ms", "times the session"):
        assert all(value >= 0 for value in seconds(table, column))


def test_a_stream_with_other_values_is_void() -> None:
    outputs = {"return": np.array([0.5, -0.5], np.float32)}
    arrow.check(pl.DataFrame(outputs), outputs)
    with pytest.raises(SystemExit, match="other values of return"):
        arrow.check(pl.DataFrame({"return": np.array([0.5, -0.25], np.float32)}), outputs)


# The load generator


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that says the same to every request."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk(connection: socket.socket) -> None:
            # A client hangs up when its time is over, be it within an answer.
            with connection, contextlib.suppress(ConnectionError):
                while connection.recv(65536):
                    for part in (answer[:20], answer[20:]):
                        connection.sendall(part)

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def ask(port: int) -> Load:
    return load.measure(port, "/", {}, clients=2, warm_up=0.1, seconds=0.2)


def test_answers_are_counted_however_they_arrive() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone") as port:
        answers = ask(port)
    assert answers.requests > 0
    assert answers.failures == 0
    assert answers.rate == pytest.approx(answers.requests / answers.seconds)


@pytest.mark.usefixtures("_brief")
def test_a_failure_is_counted_and_voids_the_race() -> None:
    with answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as port:
        answers = load.measure(port, "/", {}, clients=2, seconds=0.2)
        assert answers.failures >= answers.requests > 0
        contestant = Contestant("broken", ["none"], port, "/", {}, {})
        with pytest.raises(SystemExit, match=r"broken: \d+ of \d+ failed"):
            serving.ask(contestant, 2, 0.3)


def test_a_server_that_hangs_up_ends_the_run() -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\nNo: length here\r\n\r\n") as port,
        pytest.raises(SystemExit, match="an answer without a length"),
    ):
        ask(port)
