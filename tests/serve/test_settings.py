"""Settings: what is wrong is said in one line that names the variable; the page lists them all."""

import os
import re
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serve.settings import Settings, SettingsError, load, variable
from tests.projects import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SERVE_PORT", "http", "SERVE_PORT=http: input should be a valid integer"),
        ("SERVE_PORT", "70000", "SERVE_PORT=70000: input should be less than or equal to 65535"),
        ("SERVE_WORKERS", "0", "SERVE_WORKERS=0: input should be greater than 0"),
        ("SERVE_LOG_LEVEL", "loud", "SERVE_LOG_LEVEL=loud: input should be 'debug', 'info'"),
        ("SERVE_CORS_ORIGINS", "https://a.org/x", "SERVE_CORS_ORIGINS=https://a.org/x: https://"),
        ("SERVE_TRUSTED_PROXIES", "proxy", "SERVE_TRUSTED_PROXIES=proxy: proxy is not an"),
        ("SERVE_ALLOW_OPEN", "perhaps", "SERVE_ALLOW_OPEN=perhaps: input should be a valid bool"),
        ("SERVE_KEY", "x", "SERVE_KEY: no such setting; did you mean SERVE_KEYS?"),
        ("SERVE_KEYFILE", "x", "SERVE_KEYFILE: no such setting; did you mean SERVE_KEYS_FILE?"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)


def test_names_of_others_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kubernetes gives every container these, where a service is named `serve`.
    monkeypatch.setenv("SERVE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("SERVE_CORS_ORIGINS", "https://a.org, http://localhost:3000")
    assert load().cors_origins == ("https://a.org", "http://localhost:3000")


def test_the_page_lists_every_setting_with_its_default() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)? *\|", PAGE, re.MULTILINE)
    expected = [
        (variable(field), _shown(information.default))
        for field, information in Settings.model_fields.items()
    ]
    assert sorted(listed) == sorted(expected)


def _shown(default: object) -> str:
    if default is None or default in ("", (), Path()):
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_help_and_mistakes_end_the_command_in_one_line() -> None:
    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "serve", *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    shown = run("--help")
    assert shown.returncode == 0
    for command in ("keys", "replay", "--host", "--workers"):
        assert command in shown.stdout
    wrong = run("--port", "http")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: SERVE_PORT=http: ")
    assert wrong.stderr.count("\n") == 1
    torn = run(SERVE_TLS_CERTIFICATE="README.md")
    assert (torn.returncode, torn.stderr.count("\n")) == (1, 1)
    assert torn.stderr.startswith("error: SERVE_TLS_CERTIFICATE=README.md: ")
    lonely = run(SERVE_TLS_KEY="README.md")
    assert lonely.stderr.startswith("error: SERVE_TLS_KEY: ")
    assert "SERVE_TLS_CERTIFICATE" in lonely.stderr


def start(**settings: object) -> subprocess.CompletedProcess[str]:
    """A server that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "serve"],
        cwd=ROOT,
        env={**os.environ, **{f"SERVE_{name}": str(value) for name, value in settings.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_named_before_anything_is_touched(
    tmp_path: Path, host: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        metrics = tmp_path / "var" / f"metrics-{port}" / "counter_1.db"
        metrics.parent.mkdir(parents=True)
        metrics.touch()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = start(ROOT=tmp_path, PORT=port, HOST=host, WORKERS=2)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: SERVE_PORT={port}: address already in use; ")
    assert done.stderr.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [metrics]
    # How long it takes on a machine that does nothing else.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    done = start(ROOT=tmp_path, HOST="192.0.2.1", ALLOW_OPEN="true", PORT=0)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: SERVE_HOST=192.0.2.1: ")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    for given in ({"RATE_LIMIT": 10}, {"WORKERS": 2}):
        done = start(ROOT=tmp_path, PORT=0, **given)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("error: SERVE_VAR=var: ")
        assert str(tmp_path / "var") in done.stderr
