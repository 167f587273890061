"""Every command of docs/experiments.md, in its order, with stages that take no time.

That of a search is run in test_search.py.
In the long checks real stages run two at a time, and make the same bytes as alone.
"""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import forks
from tests.projects import ROOT, Project

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")


def blocks(title: str) -> list[str]:
    """The commands of a section, with an environment for make."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section is not None, title
    texts = re.findall(r"^```sh\n(.*?)^```$", section.group(1), re.MULTILINE | re.DOTALL)
    return [
        re.sub(r"^make ", f"make VENV={forks.folder()} ", each, flags=re.MULTILINE)
        for each in texts
    ]


def walk(project: Project, title: str) -> list[str]:
    return [project.run("bash", "-euc", block) for block in blocks(title)]


def experiments(project: Project) -> dict[str, Any]:
    """Experiments on the checked-out commit by name, as `dvc exp show` has them."""
    baselines = json.loads(project.dvc("exp", "show", "--json"))
    return {
        experiment["name"]: experiment["revs"][-1]["data"]
        for baseline in baselines
        for experiment in baseline["experiments"] or []
    }


def names(project: Project) -> set[str]:
    """The names of all experiments."""
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    # Others, such as refs/exps/celery/stash, are DVC's own.
    return {Path(ref).name for ref in refs if ref.count("/") == 4}


def params(data: dict[str, Any]) -> Any:
    return data["params"]["params.yaml"]["data"]


@pytest.fixture
def few(light: Project, tmp_path: Path) -> Iterator[Project]:
    """Stages that take no time, and remotes for git and DVC."""
    project = light
    project.run("git", "init", "--quiet", "--bare", "--initial-branch=main", f"{tmp_path}/team.git")
    project.git("remote", "add", "origin", f"{tmp_path}/team.git")
    project.git("push", "--quiet", "origin", "main")
    project.dvc("remote", "add", "--local", "--default", "team", str(tmp_path / "team.dvc"))
    yield project
    project.dvc("queue", "stop", "--kill", check=False)
    left = running_below(tmp_path)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert not left, f"processes of the queue were left behind: {left}"


def running_below(folder: Path) -> dict[int, str]:
    """Processes that work in a folder, with their command lines."""
    processes = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve(strict=True).is_relative_to(folder):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                processes[int(process.name)] = command
        except OSError:
            # It has ended, or is another user's.
            continue
    return processes


def colleague(project: Project, folder: Path) -> Project:
    """Another clone of the team's repository, with the same DVC remote."""
    project.git("clone", "--quiet", "--branch=main", f"{folder}/team.git", str(folder / "other"))
    other = Project(folder / "other")
    other.dvc("remote", "add", "--local", "--default", "team", str(folder / "team.dvc"))
    return other


@pytest.mark.longest
def test_the_page_up_to_the_search(few: Project, tmp_path: Path) -> None:
    one(few)
    many(few)
    compare(few)
    keep(few)
    share(few, tmp_path)
    clean_up(few)


def one(few: Project) -> None:
    walk(few, "One experiment")
    assert few.git("status", "--porcelain") == ""
    assert "up to date" in few.dvc("status")
    tried = params(experiments(few)["averages"])["features"]
    assert (tried["sma"], tried["lags"]) == ([5, 20], [1, 2, 3])


def many(few: Project) -> None:
    (queued,) = walk(few, "Many")
    assert queued.count("Success") == 5
    by_name = experiments(few)
    assert set(by_name) == {"averages", "month", *(f"grid-{number}" for number in range(1, 5))}
    grid = [params(data) for name, data in by_name.items() if name.startswith("grid-")]
    pairs = {(each["models"]["ridge"]["alpha"], each["evaluate"]["shrinkage"]) for each in grid}
    assert pairs == {(1, 0.25), (1, 0.75), (100, 0.25), (100, 0.75)}
    assert params(by_name["month"])["horizons"] == {"short": 1, "long": 21}
    for data in by_name.values():
        for horizon in ("short", "long"):
            assert "fold_oos_r2" in data["metrics"][f"metrics/{horizon}.json"]["data"]
    assert few.git("status", "--porcelain") == ""
    few.dvc("exp", "apply", "grid-4")
    assert "up to date" in few.dvc("status")
    assert few.git("diff", "--name-only", few.experiment("grid-4")) == ""
    few.git("checkout", "--quiet", ".")
    few.dvc("checkout", "--quiet")


def compare(few: Project) -> None:
    table, differences, drawn = walk(few, "Compare")
    assert all(name in table for name in names(few))
    assert re.search(r"^ +averages +[+-]0\.\d{5} ", table, re.MULTILINE)
    assert max(map(len, table.splitlines())) <= 160
    headings = re.search(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert headings is not None
    printed = [line.split() for line in table.splitlines()]
    for line in headings.group(1).splitlines():
        assert line.split() in printed, line
    assert "metrics/short.json:fold_oos_r2" in differences
    assert re.search(r"^metrics/short.json +fold_oos_r2 ", differences, re.MULTILINE)
    assert re.search(r"^params.yaml +models.ridge.alpha +10.0 +1$", differences, re.MULTILINE)
    pictures = few.folder / "var" / "pictures"
    assert "averages" in (pictures / "short-folds.svg").read_text(encoding="utf-8")
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    plots = pipeline["stages"]["evaluate"]["plots"]
    assert drawn.count(".svg") == len(list(pictures.iterdir())) == 2 * len(plots)


def keep(few: Project) -> None:
    before = few.git("rev-parse", "HEAD").strip()
    _, branched = walk(few, "Keep one")
    assert "up to date" in few.dvc("status")
    assert few.git("status", "--porcelain") == ""
    assert "experiment" in branched
    params_now = yaml.safe_load((few.folder / "params.yaml").read_text(encoding="utf-8"))
    assert params_now["features"]["sma"] == [5, 20]
    few.git("reset", "--quiet", "--hard", before)
    few.dvc("checkout", "--quiet")


def share(few: Project, folder: Path) -> None:
    push, pull = blocks("Share one")
    few.run("bash", "-euc", push)
    other = colleague(few, folder)
    assert "month" in other.run("bash", "-euc", pull)
    assert "up to date" in other.dvc("status")
    assert other.git("show", ":dvc.lock") != (other.folder / "dvc.lock").read_text(encoding="utf-8")
    assert other.git("diff", "--name-only", other.experiment("month")) == ""


def clean_up(few: Project) -> None:
    walk(few, "Clean up")
    assert names(few) == {"averages", "grid-1", "month"}
    assert "up to date" in few.dvc("status")
    assert "month" not in few.dvc("exp", "list", "origin", "--all-commits")
    few.dvc("exp", "apply", "averages")
    assert "up to date" in few.dvc("status")
    few.git("checkout", "--quiet", ".")
    few.dvc("checkout", "--quiet")


@pytest.mark.skipif(
    os.environ.get("CI_FULL") != "1",
    reason="a long check: test_search runs two trials at a time, test_cores has the same bytes",
)
def test_real_stages_two_at_a_time_make_the_same_bytes_as_alone(brief: Project) -> None:
    brief.dvc(
        *("exp", "run", "--queue", "--name", "alpha", "-S", "models.ridge.alpha=1,100"),
        "evaluate@short",
    )
    brief.dvc("exp", "run", "--run-all", "-j", "2")
    brief.dvc("exp", "apply", "alpha-2")
    stages = ("train@short-ridge", "evaluate@short")
    assert "up to date" in brief.dvc("status", *stages)
    log = brief.dvc("repro", "--force", "--single-item", *stages)
    assert all(f"Running stage '{name}'" in log for name in stages)
    assert brief.git("diff", "--name-only", brief.experiment("alpha-2")) == ""


def test_only_the_check_depends_on_what_may_be_searched(project: Project) -> None:
    project.set("  models.ridge.alpha:\n    low: 0.01", "  models.ridge.alpha:\n    low: 0.02")
    assert set(json.loads(project.dvc("status", "--json"))) == {"params"}
    pipeline = (project.folder / "dvc.yaml").read_text(encoding="utf-8")
    assert not re.search(r"^ *- (search\b|versions/)", pipeline, re.MULTILINE)
