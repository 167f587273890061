"""The commands of docs/security.md, run as they stand, but for the port."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from typing import Any

import httpx2
import pytest

from tests.narrow import wait_for
from tests.projects import ROOT, Project
from tests.serve.servers import Server
from tests.serve.test_secured import certify

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
MAKE, ASK, REMOVE, SECURE, SHOW = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_keys_are_made_used_and_removed(project: Project) -> None:
    printed = project.run("bash", "-euc", f'{MAKE}echo "desk=$desk"')
    *_, first, second, desk = printed.splitlines()
    assert (first, second) == ("desk  predict", "outcomes  label, predict")
    assert desk.startswith("desk=desk.")
    file = project.folder / "var" / "keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert desk.removeprefix("desk=") not in file.read_text(encoding="utf-8")
    settings: dict[str, Any] = {"KEYS_FILE": str(file), "LOG_LEVEL": "info", "RATE_LIMIT": "600"}
    with Server(project.folder, project.folder / "var", **settings) as server:
        command = f"{desk}; {ASK}".replace("localhost:8000", f"127.0.0.1:{server.port}")
        assert '"predicted_return"' in project.run("bash", "-euc", command)
        (example,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        # A line is written when its answer has left.
        wait_for(lambda: '"/predict/short"' in server.log_text(), 10)
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        (line,) = [each for each in lines if each.get("path") == "/predict/short"]
        assert line.keys() == json.loads(example).keys()
        project.run("bash", "-euc", f"export SERVE_KEYS_FILE=var/keys; {REMOVE}")
        wait_for(lambda: '"status":401' in project.run("bash", "-euc", command), 30)


def test_the_settings_are_shown(project: Project) -> None:
    shutil.copy(project.folder / ".env.example", project.folder / ".env")
    project.set("#SERVE_RATE_LIMIT=0", "SERVE_RATE_LIMIT=600", ".env")
    assert project.git("status", "--porcelain") == ""
    printed = project.run("bash", "-euc", SHOW)
    assert re.search(r"^SERVE_RATE_LIMIT +600 +\.env$", printed, re.MULTILINE)


def test_https_is_two_settings(project: Project) -> None:
    chain, _ = certify(project.folder)
    trust = ssl.create_default_context(cafile=str(chain))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = subprocess.Popen(
        ["bash", "-euc", SECURE],
        cwd=project.folder,
        env={**os.environ, "SERVE_PORT": str(port)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answers: list[int] = []
        deadline = time.monotonic() + 60
        while not answers and serving.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
            with contextlib.suppress(httpx2.TransportError):
                url = f"https://localhost:{port}/health/live"
                answers.append(httpx2.get(url, verify=trust).status_code)
        assert answers == [200]
    finally:
        os.killpg(serving.pid, signal.SIGTERM)
        serving.wait(20)


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE) or [""])
def test_every_path_that_is_linked_exists(path: str) -> None:
    assert (ROOT / "docs" / path).exists()
