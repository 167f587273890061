"""Every command of README.md, run as it stands there in a fresh copy of the project."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import forks
from tests.projects import ROOT, Project, copied

pytestmark = pytest.mark.slow

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
START, TEST, *EVERYDAY = BLOCKS

ELSEWHERE = {"dvc exp run": "experiments", "make s3": "sharing", "make refresh": "data"}
"""How a block begins whose commands are those of a page; they are run in the test of that page:
test_experiments, test_sharing, test_refresh."""


def test_the_two_commands_come_first() -> None:
    assert START == "git clone <this repository> stocks && cd stocks && make run\n"
    assert TEST == "make test\n"


def test_the_first_command_prints_what_the_readme_shows(project: Project, tmp_path: Path) -> None:
    # The environment is the one that runs this test: installing it has a test of its own.
    command = START.replace("<this repository>", str(project.folder)).replace(
        "make run", f"make run VENV={forks.folder()}"
    )
    # That a fresh checkout makes these bytes itself is tested in test_repro; here the cache of
    # this machine has them, as after a first run.
    (tmp_path / "config").write_text(f"[cache]\ndir = {project.folder}/.dvc/cache\n", "utf-8")
    clone = Project(tmp_path)
    surroundings: Any = {"COLUMNS": "110", "DVC_GLOBAL_CONFIG_DIR": str(tmp_path)}
    printed = clone.run("bash", "-euc", command.strip(), **surroundings)
    block = re.search(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert block is not None
    plain = [line.rstrip() for line in printed.splitlines()]
    for line in block.group(1).splitlines():
        assert line.rstrip() in plain, line
    assert Project(tmp_path / "stocks").git("status", "--porcelain") == ""


@pytest.mark.parametrize("block", EVERYDAY, ids=[block.split("\n")[0] for block in EVERYDAY])
def test_everyday_commands_work(request: pytest.FixtureRequest, block: str) -> None:
    pages = [page for begin, page in ELSEWHERE.items() if block.startswith(begin)]
    if pages:
        text = (ROOT / "docs" / f"{pages[0]}.md").read_text(encoding="utf-8")
        commands = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        for command in block.replace(" && ", "\n").splitlines():
            # The page may set more params of the same experiment.
            assert any(line.startswith(command) for line in commands.splitlines()), command
        return
    assert "localhost:8000" in block
    project: Project = request.getfixturevalue("project")
    with served(project) as port:
        printed = project.run("bash", "-euc", block.replace(":8000", f":{port}"))
    assert printed.count('"predicted_return"') == block.count("curl")


@contextmanager
def served(project: Project) -> Iterator[int]:
    """What `make serve` starts; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(
        ["make", "serve", f"VENV={sys.prefix}"],
        cwd=project.folder,
        env={**os.environ, "SERVE_PORT": str(port)},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready").close()
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.fixture(scope="module")
def unchanged(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A reproduced project for commands that change nothing in it."""
    return copied(reproduced, tmp_path_factory.mktemp("readme") / "project")


@pytest.mark.parametrize(
    "command",
    [
        line
        for cell in re.findall(r"^\| .* \| (`.*) \|$", TEXT, re.MULTILINE)
        for line in re.findall(r"`((?:dvc|python|make table|make data-docs) ?[^`]*)`", cell)
        if "<" not in line and "exp run" not in line
    ],
)
def test_commands_of_the_tables_work(unchanged: Project, command: str) -> None:
    unchanged.run("bash", "-euc", command, MAKEFLAGS=f"VENV={forks.folder()}")
    if command == "make data-docs":
        pages = unchanged.folder / "great_expectations" / "uncommitted" / "data_docs"
        assert (pages / "index.html").exists()
