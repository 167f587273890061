"""Settings: a mistake is one line that names the variable, and the page lists them all."""

import os
import re
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard import dashboard_settings
from monitor import settings as monitor_settings
from serve.__main__ import main
from serve.edge.keyring import make
from serve.server_settings import Settings, SettingsError, load, variable
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
        (variable(field), displayed(information.default))
        for field, information in Settings.model_fields.items()
    ]
    assert sorted(listed) == sorted(expected)


def displayed(default: object) -> str:
    if default is None or default in ("", (), Path()):
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def settings_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[str]]:
    """The words after each variable."""
    main([*arguments, "settings"])
    return {name: rest for name, *rest in map(str.split, capsys.readouterr().out.splitlines())}


def test_a_file_gives_settings_and_the_command_says_where_each_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = settings_command(capsys)
    assert printed.keys() == {variable(field) for field in Settings.model_fields}
    assert printed["SERVE_PORT"] == ["8000", "default"]
    _, key = make("desk", ["predict"])
    (tmp_path / ".env").write_text(
        f"# ours\nSERVE_PORT=9000\nexport SERVE_WORKERS=2\nserve_max_batch=10\nSERVE_KEYS='{key}'\n"
        "DATABASE_URL=postgresql://me:sesame@db/log?password=sesame\nOTHERS=1\n"
        'SERVE_CORS_ORIGINS="https://a.org,https://b.org"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("SERVE_WORKERS", "3")
    # The command sets it for the workers.
    monkeypatch.setenv("SERVE_HOST", "localhost")
    printed = settings_command(capsys, "--host", "::1")
    assert printed["SERVE_PORT"] == ["9000", ".env"]
    assert printed["SERVE_WORKERS"] == ["3", "environment"]
    assert printed["SERVE_HOST"] == ["::1", "command", "line"]
    assert printed["SERVE_MAX_BATCH"] == ["10", ".env"]
    assert printed["SERVE_CORS_ORIGINS"] == ["https://a.org,https://b.org", ".env"]
    assert printed["SERVE_ALLOW_OPEN"] == ["false", "default"]
    assert printed["SERVE_TLS_KEY"] == ["default"]
    assert printed["SERVE_KEYS"] == ["***", ".env"]
    assert printed["DATABASE_URL"] == ["postgresql://me:***@db/log?***", ".env"]
    assert load().port == 9000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SERVE_PORT=http", ".env: SERVE_PORT=http: input should be a valid integer"),
        ("SERVE_KEY=x", ".env: SERVE_KEY: no such setting; did you mean SERVE_KEYS?"),
        ("A=1\nSERVE_PORT 9000", ".env: line 2 is not NAME=VALUE"),
        ("SERVE_PORT", ".env: line 1 is not NAME=VALUE"),
        ("SERVE_PORT=1\nserve_port=2", ".env: line 2: SERVE_PORT is there twice"),
        ("\xff", ".env: is not utf-8"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value).startswith(expected)


def test_the_example_has_every_setting_with_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert all(line.startswith("#") for line in example.splitlines() if line)
    listed = dict(re.findall(r"^#([A-Z_]+)=(.*)$", example, re.MULTILINE))
    # The monitor shares the file, without the variables that only a simulation sets.
    assert listed.pop("MONITOR_ALERT_URLS") == monitor_settings.Settings().alert_urls
    for name, information in dashboard_settings.Settings.model_fields.items():
        assert listed.pop(f"DASHBOARD_{name.upper()}") == str(information.default)
    assert listed == {
        variable(field): displayed(information.default)
        for field, information in Settings.model_fields.items()
    }
    # Without the # before the lines that have a value, nothing changes.
    monkeypatch.chdir(tmp_path)
    lines = [f"{name}={value}\n" for name, value in listed.items() if value]
    (tmp_path / ".env").write_text("".join(lines), encoding="utf-8")
    assert load() == Settings()


def test_git_ignores_the_file_and_keeps_the_example() -> None:
    for name, status in ((".env", 0), (".env.example", 1)):
        command = ["git", "check-ignore", "--quiet", "--no-index", name]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == status, name


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

    help_ = run("--help")
    assert help_.returncode == 0
    for command in ("keys", "replay", "--host", "--workers"):
        assert command in help_.stdout
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


def start(
    command: tuple[str, ...] = ("-m", "serve"), **settings: object
) -> subprocess.CompletedProcess[str]:
    """A server that cannot start."""
    return subprocess.run(
        [sys.executable, *command],
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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
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
    # Processor time, which does not depend on other work of the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    done = start(ROOT=tmp_path, HOST="192.0.2.1", ALLOW_OPEN="true", PORT=0)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: SERVE_HOST=192.0.2.1: ")


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (("-m", "serve"), {"RATE_LIMIT": 10}),
        (("-m", "serve"), {"WORKERS": 2}),
        (("-m", "uvicorn", "serve.app:app"), {"RATE_LIMIT": 10, "ALLOW_OPEN": "true"}),
    ],
)
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, command: tuple[str, ...], variables: dict[str, object]
) -> None:
    (tmp_path / "var").touch()
    done = start(command, ROOT=tmp_path, PORT=0, **variables)
    assert done.returncode != 0
    assert done.stderr.startswith("error: SERVE_VAR=var: ")
    assert str(tmp_path / "var") in done.stderr
    assert done.stderr.count("\n") == 1
