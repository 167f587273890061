"""A server without keys answers to its own machine alone, however it is started."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from serve.app import create
from serve.edge.keyring import ExposedError, Keyring, check_exposure, make
from serve.server_settings import Settings
from tests.projects import ROOT
from tests.serve.servers import Server

UVICORN = ("-m", "uvicorn", "serve.app:app", "--port", "0")
REMEDIES = ("without API keys", "`python -m serve keys add`", "SERVE_ALLOW_OPEN=true")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", None])
def test_other_addresses_need_keys(host: str | None) -> None:
    none = Keyring()
    with pytest.raises(ExposedError, match="refusing") as raised:
        check_exposure(Settings(), none, host)
    assert (host or "") in str(raised.value)
    check_exposure(Settings(allow_open=True), none, host)
    check_exposure(Settings(), Keyring(str(make("desk", ["predict"])[1])), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_this_machine_needs_none(host: str) -> None:
    check_exposure(Settings(), Keyring(), host)


@pytest.mark.parametrize(
    "command",
    [UVICORN, ("-m", "serve", "--port", "0", "--host", "0.0.0.0")],
)
def test_it_does_not_even_start(command: tuple[str, ...], models: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "SERVE_ROOT": str(models), "SERVE_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stderr.startswith("error: refusing to ")
    assert done.stderr.count("\n") == 1
    assert all(remedy in done.stderr for remedy in REMEDIES)


def test_uvicorn_serves_if_a_setting_says_so(models: Path, tmp_path: Path) -> None:
    server = Server(models, tmp_path, ALLOW_OPEN="true")
    server.command = ("-m", "uvicorn", "serve.app:app", "--port", str(server.port))
    with server:
        assert httpx2.post(f"{server.url}/predict/short").status_code == 200


def test_what_comes_from_elsewhere_through_this_machine_is_refused(
    models: Path, tmp_path: Path
) -> None:
    app = create(Settings(root=models, var=tmp_path))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        assert client.get("/predict/short").status_code == 200
        # A proxy on this machine speaks for somebody else.
        proxied = client.get("/predict/short", headers={"X-Forwarded-For": "192.0.2.1"})
        assert proxied.status_code == 403
        assert all(remedy in proxied.json()["detail"] for remedy in REMEDIES[1:])
        # A page whose name was made to point to this machine.
        rebound = client.get("/predict/short", headers={"Host": "evil.example"})
        assert rebound.json()["type"] == "/problems/host"
        # Names are cached, so they must be short.
        for length, status in ((255, 403), (256, 400), (1_000_000, 400)):
            long = client.get("/predict/short", headers={"Host": "a" * length})
            assert long.status_code == status
            assert long.json()["type"] == "/problems/host"


def test_a_page_of_another_site_adds_nothing_to_the_log(models: Path, tmp_path: Path) -> None:
    desk = "https://desk.example.org"
    settings = Settings(root=models, var=tmp_path, cors_origins=(desk,))
    with TestClient(create(settings), base_url="http://127.0.0.1:8000") as client:

        def ask(site: str, **headers: str) -> httpx2.Response:
            return client.get("/predict/short", headers={"Sec-Fetch-Site": site, **headers})

        picture = ask("cross-site", **{"Sec-Fetch-Mode": "no-cors"})
        assert picture.status_code == 403
        assert picture.json()["type"] == "/problems/cross-site"
        assert ask("cross-site", Origin="https://evil.example").status_code == 403
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            client.websocket_connect("/live", headers={"Sec-Fetch-Site": "cross-site"}),
        ):
            pass
        assert refused.value.status_code == 403
        assert client.get("/predictions").json()["predictions"] == []
        # The user's own request, a page of this machine, and a page that is allowed.
        assert ask("none").status_code == 200
        assert ask("same-site").status_code == 200
        assert ask("cross-site", Origin=desk).status_code == 200
    anyone = Settings(root=models, var=tmp_path, cors_origins=("*",))
    with TestClient(create(anyone), base_url="http://127.0.0.1:8000") as client:
        assert ask("cross-site", Origin="https://evil.example").status_code == 200
