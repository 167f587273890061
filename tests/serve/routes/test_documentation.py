"""`/docs` and `/redoc`: nothing is loaded from elsewhere, and a browser shows every endpoint."""

import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.edge.keyring import make
from serve.routes.pages import ASSETS, POLICIES
from serve.server_settings import Settings
from tests.browsers import BROWSER, REMEDY
from tests.serve.servers import Server

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update"),
    *("--enable-logging=stderr", "--virtual-time-budget=15000", "--dump-dom"),
)


class Loaded(HTMLParser):
    """What a page loads, and what is written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in {"script", "link"}:
            self.addresses.append(attributes.get("src") or attributes["href"] or "")
        if (tag == "script" and "src" not in attributes) or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.fixture(scope="module")
def locked(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server with keys, which is asked without one."""
    _, key = make("desk", ["predict"])
    settings = Settings(root=models, var=tmp_path_factory.mktemp("var"), keys=str(key))
    with TestClient(create(settings)) as client:
        yield client


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_a_page_loads_what_the_server_has_and_nothing_else(locked: TestClient, page: str) -> None:
    answer = locked.get(f"/{page}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers.get_list("content-security-policy") == [POLICIES[page]]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in POLICIES[page]
    assert "http" not in POLICIES[page]
    loaded = Loaded()
    loaded.feed(answer.text)
    assert loaded.inline == []
    files = [address for address in loaded.addresses if address != "data:,"]
    assert files == [f"{page}/{name}" for name in ASSETS[page]]
    for file in files:
        asset = locked.get(f"/{file}")
        assert asset.status_code == 200
        kind = "css" if file.endswith(".css") else "javascript"
        assert asset.headers["content-type"] == f"text/{kind}; charset=utf-8"
        assert "cdn." not in asset.text
    assert locked.get(f"/{page}/other.js").status_code == 404
    # All other answers have the policy for data.
    for path in ("/version", f"/{page}/other.js", "/symbols"):
        policy = locked.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; frame")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason=REMEDY)
def test_a_browser_shows_every_endpoint_and_refuses_nothing(models: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    with Server(models, tmp_path / "var") as server:
        for page in ("docs", "redoc"):
            browser = subprocess.run(
                [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / page}", f"{server.url}/{page}"],
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            )
            # There a browser says what it did not load, and what failed.
            assert re.findall(r".*CONSOLE.*", browser.stderr) == []
            # Long paths may break at a zero-width space.
            text = browser.stdout.replace("\u200b", "")
            for path in ("/predict/short", "/batch-predict", "/labels", "/metrics/{symbol}"):
                assert path in text, (page, path)
