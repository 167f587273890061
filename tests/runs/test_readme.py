"""Every command of README.md, run as it stands there in a fresh copy of the project."""

import re
import sys
from pathlib import Path

import pytest

from tests.projects import ROOT, Project

pytestmark = pytest.mark.slow

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
START, TEST, *EVERYDAY = BLOCKS


def test_the_two_commands_come_first() -> None:
    assert START == "git clone <this repository> stocks && cd stocks && make run\n"
    assert TEST == "make test\n"


def test_the_first_command_prints_what_the_readme_shows(project: Project, tmp_path: Path) -> None:
    # The environment is the one that runs this test: installing it has a test of its own.
    command = START.replace("<this repository>", str(project.folder)).replace(
        "make run", f"make run VENV={sys.prefix}"
    )
    clone = Project(tmp_path)
    printed = clone.run("bash", "-euc", command.strip(), COLUMNS="110")
    shown = re.search(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert shown is not None
    plain = [line.rstrip() for line in printed.splitlines()]
    for line in shown.group(1).splitlines():
        assert line.rstrip() in plain, line
    assert Project(tmp_path / "stocks").git("status", "--porcelain") == ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", EVERYDAY, ids=[block.split("\n")[0] for block in EVERYDAY])
def test_everyday_commands_work(project: Project, block: str) -> None:
    project.run("bash", "-euc", block)


@pytest.mark.parametrize(
    "command",
    [
        line
        for cell in re.findall(r"^\| .* \| (`.*) \|$", TEXT, re.MULTILINE)
        for line in re.findall(r"`((?:dvc|python) [^`]*)`", cell)
        if "<" not in line and "exp run" not in line
    ],
)
def test_commands_of_the_tables_work(project: Project, command: str) -> None:
    project.run("bash", "-euc", command)


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z0-9-]+)", TEXT)) | {"run", "test"}
    assert named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_path_that_is_linked_exists() -> None:
    for path in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXT):
        assert (ROOT / path).exists(), path
