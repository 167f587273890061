"""Lines of the log: JSON, with the id of the request, without what looks like a secret."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from serve.edge import keyring
from serve.observe import access_log
from serve.observe.access_log import AccessLog


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    access_log.configure("info")
    yield stream
    root.handlers, root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_logger_speaks_json(configured: io.StringIO) -> None:
    token = access_log.REQUEST.set("r-1")
    logging.getLogger("serve").info("revision %s", "abc")
    access_log.REQUEST.reset(token)
    logging.getLogger("uvicorn.error").warning("bye")
    logging.getLogger("uvicorn.access").info("twice")
    logging.getLogger("serve").debug("unheard")
    first, second = lines(configured)
    assert first.pop("time")
    assert first == {
        "event": "revision abc",
        "logger": "serve",
        "level": "info",
        "request_id": "r-1",
    }
    assert (second["event"], second["level"]) == ("bye", "warning")
    assert "request_id" not in second


def test_a_stack_is_one_line(configured: io.StringIO) -> None:
    try:
        int("wrong")
    except ValueError:
        logging.getLogger("serve").exception("failed")
    (line,) = lines(configured)
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'wrong'")


def test_secrets_are_masked(configured: io.StringIO) -> None:
    secret, _ = keyring.make("desk", ["predict"])
    log = logging.getLogger("sqlalchemy")
    log.error("postgresql://desk:sesame@db/log is away")
    log.error("Authorization: Bearer %s", secret)
    log.error("bad key %s", secret)
    assert [line["event"] for line in lines(configured)] == [
        "postgresql://***@db/log is away",
        "Authorization: Bearer ***",
        "bad key ***",
    ]


def test_the_query_of_a_websocket_is_cut_off(configured: io.StringIO) -> None:
    log = logging.getLogger("uvicorn.error")
    for query, outcome in (("?key=a.b", "[accepted]"), ('?a="b"c"?', "403"), ("", "[accepted]")):
        log.info('%s - "WebSocket %s" %s', "127.0.0.1:5", f"/live{query}", outcome)
    events = [line["event"] for line in lines(configured)]
    assert events == [
        '127.0.0.1:5 - "WebSocket /live" [accepted]',
        '127.0.0.1:5 - "WebSocket /live" 403',
        '127.0.0.1:5 - "WebSocket /live" [accepted]',
    ]


@pytest.mark.parametrize(
    ("level", "statuses"), [("info", [200, 404, 500]), ("warning", [500]), ("error", [500])]
)
def test_above_info_only_failures_of_the_server_are_logged(level: str, statuses: list[int]) -> None:
    file = io.BytesIO()
    access = AccessLog(level, file)
    for status in (200, 404, 500):
        access.line({"request_id": "r", "status": status}, failed=status >= 500)
    records = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["status"] for line in records] == statuses


def test_a_log_that_is_not_read_harms_no_answer() -> None:
    class Gone(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    AccessLog("info", Gone()).line({}, failed=False)
