"""A search through real DVC, over a pipeline of one stage that takes no time."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests import forks
from tests.projects import ROOT, Project

PARALLEL = 4
"""Trials, two at a time: a second pair follows the first."""

pytestmark = pytest.mark.slow

# Notes that it ran, then takes its time as long as a file says so, or until a pair has begun.
STAGE = """
import json, math, os, time
from pathlib import Path
import yaml

alpha = float(yaml.safe_load(Path("params.yaml").read_text())["models"]["ridge"]["alpha"])
marks = Path(os.environ["MARKS"])
with (marks / "ran").open("a") as file:
    file.write(f"{alpha}\\n")
while (marks / "slow").exists() or (
    (marks / "pairs").exists() and len((marks / "ran").read_text().split()) % 2
):
    time.sleep(0.05)
if alpha < 1.5:
    raise SystemExit(f"error: models.ridge.alpha: {alpha} is too little")
Path("metrics").mkdir(exist_ok=True)
Path("metrics/short.json").write_text(json.dumps({"fold_oos_r2": -abs(math.log10(alpha) - 1)}))
"""

PIPELINE = """
stages:
  score:
    cmd: python score.py
    deps: [score.py]
    params: [models.ridge.alpha]
    metrics:
    - metrics/short.json: {cache: false}
"""


class Search(Project):
    """A project of one stage, and searches in it as processes."""

    def __init__(self, folder: Path, marks: Path) -> None:
        super().__init__(folder)
        self.marks = marks

    def search(self, *arguments: str, check: bool = True) -> str:
        arguments = arguments or ("--trials", "4")
        command = ("python", "-m", "versions.search", "short", *arguments)
        return self.run(*command, check=check, MARKS=str(self.marks))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            [sys.executable, "-m", "versions.search", "short", "--trials", "4", *arguments],
            cwd=self.folder,
            env={**os.environ, "MARKS": str(self.marks), "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ran(self) -> list[str]:
        marks = self.marks / "ran"
        return marks.read_text(encoding="utf-8").split() if marks.exists() else []

    def experiments(self) -> list[str]:
        return sorted(self.dvc("exp", "list", "--name-only", "--all-commits").split())


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def small(tmp_path: Path) -> Search:
    folder, marks = tmp_path / "small", tmp_path / "marks"
    folder.mkdir()
    marks.mkdir()
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["search"] = {"models.ridge.alpha": {"low": 0.1, "high": 20, "log": True}}
    project = Search(folder, marks)
    for name, text in {
        "params.yaml": yaml.safe_dump(params),
        "dvc.yaml": PIPELINE,
        "score.py": STAGE,
        ".gitignore": "/stages\n/versions\nvar/\n__pycache__/\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in ("stages", "versions"):
        (folder / name).symlink_to(ROOT / name)
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("config", "user.email", "tests@example.org")
    project.git("config", "user.name", "Tests")
    project.dvc("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message=A small pipeline")
    return project


def test_a_search_that_is_stopped_and_killed_ends_as_one_that_is_not(small: Search) -> None:
    head = small.git("rev-parse", "HEAD").strip()
    study = f"short-{head[:7]}"
    slow = small.marks / "slow"

    # Ctrl-C while the first trial runs.
    slow.touch()
    with small.start() as stopped:
        until(lambda: len(small.ran()) == 1)
        stopped.send_signal(signal.SIGINT)
        printed, _ = stopped.communicate(timeout=300)
    assert stopped.returncode == 130
    assert printed.endswith("search: stopped; the same command goes on\n")
    assert "Traceback" not in printed
    assert small.experiments() == []
    assert small.git("status", "--porcelain") == ""

    # The search is killed, and leaves its trial running; the next one waits for it.
    with small.start() as killed:
        until(lambda: len(small.ran()) == 2)
        killed.kill()
    with small.start() as resumed:
        assert resumed.stdout is not None
        waits = resumed.stdout.readline()
        assert waits.startswith(f"search: waiting for another search of {study}, or the trials")
        slow.unlink()
        printed, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0

    # The first trial was stopped, then ran to its end alone, and was not run a third time.
    first, *ran = small.ran()
    assert ran[0] == first
    assert len(ran) == len(set(ran)) == 4
    assert small.git("status", "--porcelain") == ""
    assert small.git("rev-parse", "HEAD").strip() == head

    # A failed trial is reported and has no experiment; every other has one.
    failed = [number for number, alpha in enumerate(ran) if float(alpha) < 1.5]
    failures = re.findall(r"trial (\d) failed: models.ridge.alpha: \S+ is too little", printed)
    assert list(map(int, failures)) == failed != []
    assert f"{len(failed)} of 4 trials failed; var/search/{study} has their logs." in printed
    whole = [f"search-{study}-{number:03d}" for number in range(4) if number not in failed]
    assert small.experiments() == whole

    # Without the journal the same trials are proposed, and found by their names.
    (small.folder / "var" / "search" / f"{study}.journal").unlink()
    again = small.search()
    assert small.ran() == [first, *ran, *(ran[number] for number in failed)]
    assert again.splitlines()[-3:] == printed.splitlines()[-3:]


def test_two_trials_at_the_same_time_are_stopped_and_run_again(small: Search) -> None:
    slow = small.marks / "slow"
    slow.touch()
    with small.start("-j", "2") as stopped:
        until(lambda: len(small.ran()) == 2)
        stopped.send_signal(signal.SIGINT)
        stopped.communicate(timeout=300)
    assert stopped.returncode == 130
    # A run of DVC goes on with what it finds in the stash. One that ended before the other of its
    # pair had begun, sooner than any model trains, would run that one too.
    (small.marks / "pairs").touch()
    slow.unlink()
    begun = sorted(small.ran())
    printed = small.search("--trials", str(PARALLEL), "-j", "2")
    again = small.ran()[2:]
    # Which of two that run at the same time writes first is chance.
    assert {*begun} <= {*again}
    assert len(again) == PARALLEL
    failed = sum(float(alpha) < 1.5 for alpha in again)
    assert len(small.experiments()) == PARALLEL - failed
    assert len(re.findall(r"^search: trial \d", printed, re.MULTILINE)) == PARALLEL
    assert small.git("status", "--porcelain") == ""


def test_the_command_of_the_page_keeps_the_best_and_begins_a_new_study(small: Search) -> None:
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```sh\n(make search .*)\n```$", text, re.MULTILINE)
    for name in ("Makefile", ".ci/install", "requirements.txt"):
        (small.folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, small.folder / name)
    # None of the two trials fails.
    small.set("low: 0.1", "low: 2")
    small.git("add", "--all")
    small.git("commit", "--quiet", "--message=The commands")
    head = small.git("rev-parse", "HEAD").strip()
    flags = f"VENV={forks.folder()}"
    printed = small.run("bash", "-euc", command, MAKEFLAGS=flags, MARKS=str(small.marks))
    assert small.git("status", "--porcelain") == ""
    for number, alpha in enumerate(small.ran()):
        name, value = f"search-short-{head[:7]}-{number:03d}", -abs(math.log10(float(alpha)) - 1)
        assert re.search(rf"^{name} +{re.escape(format(value, '+.5f'))} ", printed, re.MULTILINE)
    assert len(small.ran()) == len(small.experiments()) == 2
    best = max(small.ran(), key=lambda alpha: -abs(math.log10(float(alpha)) - 1))
    keep = re.search(r"^keep it +(dvc exp apply search-short-\w+-\d+)$", printed, re.MULTILINE)
    assert keep is not None
    small.run("bash", "-euc", keep.group(1))
    params = yaml.safe_load((small.folder / "params.yaml").read_text(encoding="utf-8"))
    assert params["models"]["ridge"]["alpha"] == float(best)
    assert json.loads((small.folder / "metrics" / "short.json").read_text(encoding="utf-8"))

    refused = small.search(check=False)
    assert refused.startswith("error: params.yaml: not committed, and a study belongs to a commit")
    small.git("add", "--all")
    small.git("commit", "--quiet", "--message=Keep the best")
    head = small.git("rev-parse", "HEAD").strip()
    assert f"search: short-{head[:7]}: 0 of 0 trials so far" in small.search("--trials", "0")


def test_what_was_asked_wrongly_is_told_in_one_line(small: Search) -> None:
    assert small.search("--trials", "few", check=False) == (
        "error: argument --trials: invalid int value: 'few'; see --help\n"
    )
    small.set("low: 0.1", "lowest: 0.1")
    assert small.search(check=False).startswith("error: search.models.ridge.alpha.low: is missing")
