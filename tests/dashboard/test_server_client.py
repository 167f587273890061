"""What a page is told where a server does not answer as this project's does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from dashboard.server_client import RefusedError, Server, ServerAwayError

ANSWERS = {
    "/page": (200, "<html>something else</html>"),
    "/health": (200, json.dumps({"status": "ok"})),
    "/broken": (500, "<html>no JSON</html>"),
    "/list": (500, "[]"),
    "/batch-predict": (422, json.dumps({"type": "/problems/invalid-rows", "detail": "rows.0: x"})),
    "/gone": (404, json.dumps({"detail": "Not Found"})),
}


class Elsewhere(BaseHTTPRequestHandler):
    """Another program at the address of the server."""

    def do_GET(self) -> None:
        status, text = ANSWERS[self.path]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET  # noqa: N815  # its name in the library

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        Thread(target=elsewhere.serve_forever, daemon=True).start()
        with httpx.Client() as client:
            yield Server(f"http://127.0.0.1:{elsewhere.server_port}", "", client)
        elsewhere.shutdown()


@pytest.mark.parametrize("path", ["/page", "/health"])
def test_another_program_at_its_address_is_named(server: Server, path: str) -> None:
    with pytest.raises(ServerAwayError, match=f"{server.url}{path}.*DASHBOARD_SERVER"):
        server.health() if path == "/health" else server.get(path)


@pytest.mark.parametrize("path", ["/broken", "/list"])
def test_an_answer_500_without_a_problem_is_its_status(server: Server, path: str) -> None:
    with pytest.raises(RefusedError, match="the server answered 500 Internal Server Error"):
        server.get(path)


def test_a_refusal_has_the_words_of_the_server_and_its_kind(server: Server) -> None:
    with pytest.raises(RefusedError, match=r"rows\.0: x") as refused:
        server.post("/batch-predict", {})
    assert refused.value.kind == "invalid-rows"
    with pytest.raises(RefusedError, match="Not Found") as refused:
        server.get("/gone")
    assert refused.value.kind == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:port", "http://[::1"])
def test_an_address_where_nothing_answers_is_named(url: str) -> None:
    with pytest.raises(ServerAwayError) as away:
        Server(url, "", httpx.Client()).get("/version")
    assert url in str(away.value)
    assert "make serve" in str(away.value)
