"""docs/releases.md as it stands, on the real sample, with a bucket and a team's repository.

One walk, for each step stands on those before: what is refused is tried where it can happen.
"""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from stages.forecast.session import Session
from tests import forks
from tests.narrow import wait_for
from tests.projects import ROOT, Project
from tests.s3 import S3
from versions.repository import lock

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "releases.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
HOOKS, RELEASE, PROMOTE, NEXT, LIST, BACK, BY_GIT, MODELS, RETURN, ELSEWHERE = BLOCKS

V1, V2 = "short@v1.0.0", "short@v1.1.0"


WITHOUT_HOOKS = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": "/dev/null",
}
"""For a push of what the bucket has already; that the hook sees it is tried once."""


def block(project: Project, text: str, *, check: bool = True, hooks: bool = True) -> str:
    """Run commands of the page; the environment is the one that runs this test.

    The linter has its own tests: of the checks before a commit only `dvc status` is left.
    """
    variables = {"MAKEFLAGS": f"--no-print-directory VENV={forks.folder()}", "SKIP": "lint"}
    return project.run(
        "bash", "-euc", text, check=check, **variables, **({} if hooks else WITHOUT_HOOKS)
    )


def refused(project: Project, command: str) -> str:
    """The one line of a make target that is refused, and makes no tag."""
    before = project.git("tag")
    *output, error, last = block(project, command, check=False).splitlines()
    assert output == []
    assert last.startswith("make: ***")
    assert project.git("tag") == before
    return error


def state(project: Project, *folders: str) -> dict[str, str]:
    """The md5 of every file below folders."""
    return {
        str(path.relative_to(project.folder)): hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324  # what DVC names objects by
        for folder in folders
        for path in sorted((project.folder / folder).rglob("*"))
        if path.is_file()
    }


def predictions(project: Project) -> dict[str, bytes]:
    """What the model forecasts for the newest bars here, to the bit, by output."""
    folder = project.folder / "models" / "short"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    rows = pl.read_parquet(project.folder / "data" / "datasets" / "short" / "test.parquet")
    rows = rows.sort("date", "symbol").tail(500)
    features = rows.select(card["features"]).to_numpy().astype("float32")
    return {
        name: values.tobytes() for name, values in Session(folder / "model.onnx")(features).items()
    }


@pytest.fixture
def team(brief: Project, tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project with a git remote, and a bucket in which nothing is yet."""
    # A few trees on the whole history, served even if their skill is chance: otherwise every
    # revision would serve the mean.
    project = brief
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["data"]["start"] = None
    params["evaluate"]["significance"] = 1.0
    known = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]["xgboost"]
    trees = {"n_estimators": 20, "max_depth": 3, "min_leaf": 0.01}
    params["models"]["xgboost"] = known | trees
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    project.dvc("repro", "--quiet")
    project.git("commit", "--quiet", "--no-verify", "--all", "--message=A few trees")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    project.run("git", "init", "--quiet", "--bare", "--initial-branch=main", f"{tmp_path}/team.git")
    project.git("remote", "add", "origin", f"{tmp_path}/team.git")
    block(project, f"make remote URL=s3://stocks/cache ENDPOINT={s3.url}")
    return project


def clone(project: Project, folder: Path) -> Project:
    """A colleague's clone: neither data nor a cache."""
    project.run("git", "clone", "--quiet", f"{folder.parent}/team.git", str(folder))
    other = Project(folder)
    other.git("config", "user.name", "Ben")
    other.git("config", "user.email", "ben@example.org")
    shutil.copy(project.folder / ".dvc" / "config.local", folder / ".dvc")
    return other


@pytest.mark.longest
def test_the_page_from_the_first_release_to_a_model_elsewhere(
    team: Project, tmp_path: Path, s3: S3
) -> None:
    assert "post-checkout brings data and models" in block(team, HOOKS)
    first = release(team, s3)
    second = follow(team)
    back_and_forth(team, first, second)
    models_only(team, first, second)
    ben = clone(team, tmp_path / "ben")
    without_data(ben, s3)
    elsewhere(team, tmp_path)


def release(team: Project, s3: S3) -> dict[str, str]:
    """The first version: released, its promotion killed in the middle, then promoted."""
    make_release, push_release = RELEASE.splitlines()
    commit = team.git("rev-parse", "--short=7", "HEAD").strip()
    assert f"short v1.0.0 is {commit}" in block(team, make_release)
    notes = re.search(r"^```text\n(short v1\.0\.0.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert notes is not None
    annotation = team.git("tag", "--list", "--format=%(contents)", V1)
    for line, expected in zip(annotation.splitlines(), notes.group(1).splitlines(), strict=False):
        assert line.rsplit("  ", 1)[0] == expected.rsplit("  ", 1)[0]

    # Killed in the middle of its push: objects without a tag, never a tag without objects.
    promoting = subprocess.Popen(
        [sys.executable, "-m", "versions.release", "promote", "short", "v1.0.0"],
        cwd=team.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: bool(s3.objects()))
    with s3.frozen():  # it would take the rest before the kill
        promoting.kill()
        assert promoting.wait() == -signal.SIGKILL
    assert team.git("tag").split() == [V1]
    # What is on its way arrives or is lost before the count.
    s3.stop()
    s3.start()
    there = len(s3.objects())

    promote, push = PROMOTE.splitlines()
    printed = block(team, promote)
    assert "short v1.0.0 is in production\n" in printed
    count = re.search(
        r"^(\d+) objects in s3://stocks/cache\S*, (\d+) of them", printed, re.MULTILINE
    )
    assert count is not None
    # Uploads that the kill cut off count for nothing.
    assert int(count[1]) - there <= int(count[2]) <= int(count[1])
    assert len([name for name in s3.objects() if "/files/md5/" in name]) >= int(count[1])
    # The hook finds all data there.
    assert "push: the remote has all" in block(team, push_release)
    block(team, push, hooks=False)
    return state(team, "data", "models")


def follow(team: Project) -> dict[str, str]:
    """The next version, and what is refused on the way to it."""
    experiment, commit, released, promote, push = NEXT.splitlines()
    block(team, experiment)
    assert refused(team, "make release HORIZON=short").startswith(
        "error: the tree is not clean: dvc.lock, metrics/"
    )
    assert "Data and pipelines are up to date." in block(team, commit)
    second = state(team, "data", "models")

    team.set("  shrinkage: 0.5", "  shrinkage: 0.25")
    team.git("commit", "--quiet", "--no-verify", "--all", "--message=Without dvc repro")
    assert refused(team, "make release HORIZON=short") == (
        "error: dvc.lock of HEAD does not match: params (params.yaml), evaluate@short (evaluate); "
        "`dvc repro` and commit"
    )
    team.git("reset", "--quiet", "--hard", "HEAD~1")

    assert "short v1.1.0 is" in block(team, released)
    printed = block(team, promote)
    assert "short v1.1.0 is in production, after v1.0.0" in printed
    assert re.search(
        r"^\d+ objects in s3://stocks/cache\S*, \d+ of them pushed now$", printed, re.MULTILINE
    )
    block(team, push, hooks=False)

    table = re.search(r"^```text\n(horizon .*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert table is not None
    headings, _, newer, older, legend = table.group(1).splitlines()
    printed = block(team, LIST)
    lines = printed.splitlines()
    assert lines[0].split() == headings.split()
    for line, example in zip(lines[2:4], (newer, older), strict=True):
        assert line.split()[:3] == example.split()[:3]
        assert re.search(r" Tests 1\.\d{3} +1\.\d{3} [+-]0\.\d{4} 0\.\d{3}$", line), line
    assert "production" in lines[2]
    assert legend in lines

    rollback, push = BACK.splitlines()
    assert "short v1.0.0 is in production, after v1.1.0" in block(team, rollback)
    block(team, push, hooks=False)
    return second


def back_and_forth(team: Project, first: dict[str, str], second: dict[str, str]) -> None:
    """Git alone, by the hook: every file and every forecast as it was."""
    changed = {name for name in first if first[name] != second.get(name)}
    assert {name.split("/")[0] for name in changed} == {"data", "models"}
    assert len(changed) > 6
    assert state(team, "data", "models") == second
    forecasts = {V2: predictions(team)}
    there, status, back = BY_GIT.splitlines()
    block(team, there)
    forecasts[V1] = predictions(team)
    assert state(team, "data", "models") == first
    assert "up to date" in block(team, status)
    assert forecasts[V1]["return"] != forecasts[V2]["return"]
    block(team, back)
    assert state(team, "data", "models") == second
    assert predictions(team) == forecasts[V2]
    assert team.git("status", "--porcelain") == ""


def models_only(team: Project, first: dict[str, str], second: dict[str, str]) -> None:
    """Models of the first version above the data of the second, and back."""

    def mixed(models: dict[str, str]) -> dict[str, str]:
        return {name: md5 for name, md5 in second.items() if name.startswith("data/")} | {
            name: md5 for name, md5 in models.items() if name.startswith("models/")
        }

    block(team, MODELS)
    assert state(team, "data", "models") == mixed(first)
    known = lock.at(V1, team.folder).outs["models/short/model.onnx"].md5
    assert state(team, "models/short")["models/short/model.onnx"] == known
    block(team, RETURN)
    assert state(team, "data", "models") == second
    assert team.git("status", "--porcelain") == ""


def without_data(ben: Project, s3: S3) -> None:
    """Everything in a clone that has neither data nor a cache."""
    assert not (ben.folder / ".dvc" / "cache").exists()
    assert ben.git("tag").split() == [f"short#production#{number}" for number in (1, 2, 3)] + [
        V1,
        V2,
    ]
    rows = json.loads(block(ben, "make versions ARGS=--json"))
    assert [(row["version"], row["stages"]) for row in rows] == [
        ("v1.1.0", []),
        ("v1.0.0", ["production"]),
    ]
    (ben.folder / "notes.txt").touch()
    assert refused(ben, "make promote HORIZON=short VERSION=v1.1.0").startswith(
        "error: the tree is not clean: notes.txt; commit or"
    )
    (ben.folder / "notes.txt").unlink()

    # An object of v1.1.0 is removed from the bucket. Ben has no copy, so nothing is promoted.
    md5 = lock.at(V2, ben.folder).outs["models/short/model.onnx"].md5
    model = s3.objects()[f"cache/files/md5/{md5[:2]}/{md5[2:]}"]
    s3.stop()
    content = model.read_bytes()
    model.unlink()
    s3.start()
    assert refused(ben, "make promote HORIZON=short VERSION=v1.1.0").startswith(
        "error: models/short/model.onnx of short@v1.1.0 is neither in s3://stocks/cache"
    )
    s3.stop()
    model.write_bytes(content)
    s3.start()

    assert "all there before" in block(ben, "make promote HORIZON=short VERSION=v1.1.0")
    assert "short v1.0.0 is in production, after v1.1.0" in block(
        ben, "make rollback HORIZON=short"
    )
    # The hook of a clone without data asks the bucket, and lets git go on.
    block(ben, "make hooks\ngit push origin 'short#production#4' 'short#production#5'")
    assert not (ben.folder / ".dvc" / "cache" / "files" / "md5").exists()
    assert not (ben.folder / "models" / "short" / "model.onnx").exists()


def elsewhere(team: Project, folder: Path) -> None:
    """The released models come from the bucket: the team's git repository has no data."""
    place = Project(folder / "elsewhere")
    (place.folder / ".dvc").mkdir(parents=True)
    shutil.copy(team.folder / ".dvc" / "config.local", place.folder / ".dvc")
    place.git("init", "--quiet")
    place.git("remote", "add", "origin", (folder / "team.git").as_uri())
    block(place, ELSEWHERE)
    for name, version in (("production", V1), ("v1.1.0", V2)):
        outs = lock.at(version, team.folder).outs
        assert state(place, f"var/{name}") == {
            f"var/{name}/{Path(path).name}": entry.md5
            for path, entry in outs.items()
            if path.startswith("models/short/")
        }
