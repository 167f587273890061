"""What a page is told where a server does not answer as this project's does."""

import json

import httpx
import pytest

from dashboard.server_client import RefusedError, Server, ServerAwayError
from tests.dashboard.elsewhere import elsewhere


@pytest.mark.parametrize("text", ["<html>something else</html>", '{"status": "ok"}', "[]"])
def test_another_program_at_its_address_is_named(text: str) -> None:
    with elsewhere(200, text) as server:
        for request, path in ((server.health, "health"), (server.version, "version")):
            with pytest.raises(ServerAwayError, match=f"{server.url}/{path}.*DASHBOARD_SERVER"):
                request()


def test_an_answer_that_is_no_json_is_of_another_program() -> None:
    with (
        elsewhere(200, "<html>") as server,
        pytest.raises(ServerAwayError, match=r"/symbols .*DASHBOARD_SERVER"),
    ):
        server.get("/symbols")


@pytest.mark.parametrize("text", ["<html>no JSON</html>", "[]", "{}"])
def test_an_answer_500_without_a_problem_is_its_status(text: str) -> None:
    with (
        elsewhere(500, text) as server,
        pytest.raises(RefusedError, match="the server answered 500 Internal Server Error"),
    ):
        server.get("/symbols")


@pytest.mark.parametrize("kind", ["/problems/invalid-rows", "about:blank", None])
def test_a_refusal_has_the_words_of_the_server_and_its_kind(kind: str | None) -> None:
    problem = {"detail": "rows.0: wrong"} | ({"type": kind} if kind else {})
    with (
        elsewhere(422, json.dumps(problem)) as server,
        pytest.raises(RefusedError, match=r"rows\.0: wrong") as refused,
    ):
        server.post("/batch-predict", {})
    assert (refused.value.kind == "invalid-rows") is (kind == "/problems/invalid-rows")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:port", "http://[::1"])
def test_an_address_where_nothing_answers_is_named(url: str) -> None:
    with pytest.raises(ServerAwayError) as away:
        Server(url, "", httpx.Client()).get("/version")
    assert url in str(away.value)
    assert "make serve" in str(away.value)
