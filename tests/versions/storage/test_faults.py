"""The place of the remote in messages, and the one line for each fault."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stages.common.errors import VersionError
from tests.narrow import GONE, SMALL, Narrow
from tests.projects import ROOT
from tests.s3 import S3
from versions.storage import faults, remote_config


@pytest.fixture
def here(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, and a working folder with nothing but settings, which point at it."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_bytes((ROOT / ".dvc" / "config").read_bytes())
    Narrow(tmp_path).git("init", "--quiet")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    remote_config.assign("s3://stocks/cache", s3.url)
    return s3


def fault() -> str | None:
    """The line of `check`; None where the server answers."""
    try:
        with remote_config.opened() as remote:
            faults.check(remote)
    except VersionError as error:
        return str(error)
    return None


def test_every_fault_is_one_line_with_the_setting(
    here: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, local = here.url, ".dvc/config.local"
    assert fault() is None
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "stranger")
        assert fault() == f"{url} does not know the key: look at AWS_ACCESS_KEY_ID"
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        assert fault() == f"{url} refuses the signature: look at AWS_SECRET_ACCESS_KEY"
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        assert fault() == (
            f"{url} needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    with monkeypatch.context() as patch:
        patch.setenv("AWS_PROFILE", "nobody")
        line = str(fault())
        assert "(nobody) could not be found: look at AWS_PROFILE and at profile" in line
    with monkeypatch.context() as patch:
        patch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert str(fault()).endswith("HTTP(S)_PROXY")
        patch.setenv("NO_PROXY", "127.0.0.1")
        assert fault() is None
    remote_config.assign("s3://stocks/cache", url, ("tests", "wrong"))
    assert fault() == f"{url} refuses the signature: look at secret_access_key in {local}"
    remote_config.assign("s3://elsewhere/cache", url)
    assert fault() == (
        f"{url} has no bucket elsewhere: create it or look at url (s3://elsewhere/cache) in {local}"
    )
    tls = url.replace("http:", "https:")
    remote_config.assign("s3://stocks/cache", tls)
    line = str(fault())
    assert line.startswith(
        f"{tls} does not speak TLS: look at https or http in endpointurl ({tls})"
    )
    remote_config.assign("s3://stocks/cache", url)
    here.stop()
    line = str(fault())
    assert line.startswith(f"{url} {GONE}{url.removeprefix('http')}) in {local}")


class Page(BaseHTTPRequestHandler):
    """A web server that answers every request with its front page."""

    def do_GET(self) -> None:
        content = b"<html><body>Welcome</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.mark.usefixtures("here")
def test_a_server_of_something_else_is_named() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as other:
        Thread(target=other.serve_forever).start()
        url = f"http://127.0.0.1:{other.server_port}"
        remote_config.assign("s3://stocks/cache", url)
        try:
            assert fault() == (
                f"{url} is not an S3 server: look at endpointurl ({url}) in .dvc/config.local"
            )
        finally:
            other.shutdown()


def test_the_page_shows_these_lines(here: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")

    def on_page() -> bool:
        message = (fault() or "").replace(here.url, "http://127.0.0.1:9000")
        return f"\nerror: {message}\n" in text.replace("bucket stocks", "bucket elsewhere").replace(
            "url (s3://stocks/", "url (s3://elsewhere/"
        )

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "wrong")
            assert on_page()
    remote_config.assign("s3://elsewhere/cache", here.url)
    assert on_page()
    here.stop()
    assert on_page()


def test_the_endpoint_may_come_from_the_environment(
    here: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote_config.assign("s3://stocks/cache", None)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", here.url)
    assert fault() is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    assert fault() == f"{here.url} does not know the key: look at AWS_ACCESS_KEY_ID"


def test_settings_are_the_clone_s_own_and_nothing_of_a_former_server_stays(here: S3) -> None:
    local = Path(".dvc/config.local")
    remote_config.assign("s3://stocks/cache", here.url, ("a-key", "a-secret"))
    assert "a-secret" in local.read_text(encoding="utf-8")
    assert local.stat().st_mode & 0o077 == 0
    remote_config.assign("s3://team/stocks", None)
    assert local.read_text(encoding="utf-8").split() == [
        *("['remote", '"storage"\']', "url", "=", "s3://team/stocks"),
    ]


@pytest.mark.parametrize(
    ("url", "endpoint", "message"),
    [
        ("", None, "URL must be s3://bucket/path, got ''"),
        ("s3://", None, "URL must be s3://bucket/path, got 's3://'"),
        ("gs://bucket/path", None, "URL must be s3://bucket/path, got 'gs://bucket/path'"),
        ("s3://bucket", "host:9000", "ENDPOINT must be http(s)://host[:port], got 'host:9000'"),
    ],
)
def test_a_malformed_address_is_refused(url: str, endpoint: str | None, message: str) -> None:
    with pytest.raises(VersionError) as raised:
        remote_config.assign(url, endpoint)
    assert str(raised.value) == message


def test_without_a_bucket_nothing_is_sent_anywhere(tmp_path: Path) -> None:
    first = Narrow.make(tmp_path / "first", SMALL)
    for command in ("push", "pull", "heal", "check"):
        assert first.remote(command) == [
            "error: no bucket is set: `make remote URL=s3://bucket/path` (with ENDPOINT=https://..."
            " if it is not AWS), or `make s3` for a server on this machine"
        ]
    assert 'Invalid bucket name "(unset - run make remote)"' in first.dvc("push", check=False)
