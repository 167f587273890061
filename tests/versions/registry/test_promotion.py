"""Release, promote and roll back on a small project: what is refused leaves nothing half done."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.common.errors import StageError
from tests.projects import ROOT, Project
from tests.small import again, commit, small
from versions.registry import promotion, registration
from versions.repository import git, lock

Make = Callable[[], Project]


@pytest.fixture(scope="module")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two released revisions, short v1.0.0 and v1.1.0, and one more commit."""
    project = small(tmp_path_factory.mktemp("made") / "work")
    registration.register("short", folder=project.folder)
    again(project, 0.8)
    registration.register("short", folder=project.folder)
    (project.folder / "README.md").write_text("Notes\n", encoding="utf-8")
    commit(project, "Notes")
    return project.folder.parent


@pytest.fixture
def work(_original: Path, tmp_path: Path) -> Project:
    shutil.copytree(_original, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy" / "work")


def bare(project: Project) -> Project:
    """A clone without data and without a cache, beside the same remote."""
    folder = project.folder.with_name("clone")
    project.git("clone", "--quiet", str(project.folder), str(folder))
    clone = Project(folder)
    clone.git("config", "user.email", "other@example.org")
    clone.git("config", "user.name", "Other")
    return clone


def stored(project: Project) -> set[str]:
    root = project.folder.with_name("remote")
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def tag_names(project: Project) -> list[str]:
    return project.git("tag").split()


def refused(message: str, act: Callable[[], object], project: Project) -> None:
    """It fails with one line, and makes neither a tag nor an object."""
    before = tag_names(project), stored(project)
    with pytest.raises(StageError) as caught:
        act()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tag_names(project), stored(project)) == before


def test_a_release_says_what_it_is_worth(work: Project) -> None:
    assert tag_names(work) == ["short@v1.0.0", "short@v1.1.0"]
    annotation = work.git("tag", "--list", "--format=%(contents)", "short@v1.1.0")
    assert annotation.split("\n")[0] == "short v1.1.0"
    lines = dict(line.rsplit("  ", 1) for line in annotation.strip().splitlines()[2:])
    assert {key.strip(): value for key, value in lines.items()} == {
        "as of": "2012-12-31",
        "MAE": "0.008",
        "RMSE": "-",
        "OOS R2": "-",
        "AUC": "0.5",
        "fold OOS R2": "-",
    }


@pytest.mark.parametrize(("bump", "tag"), [("major", "v2.0.0"), ("patch", "v1.1.1")])
def test_the_next_version_is_as_asked(work: Project, bump: registration.Bump, tag: str) -> None:
    assert registration.register("short", bump, work.folder) == f"short@{tag}"


def test_a_release_is_refused(work: Project) -> None:
    folder = work.folder

    def release(horizon: str = "short") -> None:
        registration.register(horizon, folder=folder)

    refused(
        "no 'shrot' (did you mean short?); there is short, long", lambda: release("shrot"), work
    )
    refused("HORIZON is missing; name one of short, long", lambda: release(""), work)
    refused("does not list long as an artifact; add below", lambda: release("long"), work)
    (folder / "new file").touch()
    work.set("Notes", "More notes", "README.md")
    refused("the tree is not clean: README.md, new file; commit", release, work)
    (folder / "new file").unlink()
    work.git("checkout", "--quiet", ".")
    work.git("checkout", "--quiet", "HEAD~1")
    refused(" is short v1.1.0 already", release, work)


def test_the_line_that_is_named_makes_an_artifact(work: Project) -> None:
    with pytest.raises(StageError) as caught:
        registration.register("long", folder=work.folder)
    line = "  " + str(caught.value).split("`")[3]
    work.set("artifacts:\n", f"artifacts:\n{line}\n", "dvc.yaml")
    (work.folder / "metrics" / "long.json").write_text('{"mae": 0.1}', encoding="utf-8")
    commit(work, "One more")
    assert registration.register("long", folder=work.folder) == "long@v1.0.0"
    # Each horizon has versions of its own, also on one commit.
    assert registration.register("short", folder=work.folder) == "short@v1.2.0"
    assert work.git("tag", "--points-at", "HEAD").split() == ["long@v1.0.0", "short@v1.2.0"]


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("params.yaml", "level: 0.8", "level: 0.7", "evaluate (evaluate.level)"),
        ("make.py", "import json", "import  json", "evaluate (make.py)"),
        ("dvc.yaml", "python make.py", "python  make.py", "evaluate (command)"),
        ("dvc.yaml", "    - make.py", "    - make.py\n    - none.py", "evaluate (none.py)"),
        ("metrics/short.json", "0.5", "0.6", "evaluate (metrics/short.json)"),
        ("dvc.yaml", "- data/raw", "- data/row", "evaluate (data/row)"),
    ],
)
def test_a_lock_that_does_not_match_is_refused_also_without_data(
    work: Project, name: str, old: str, new: str, reason: str
) -> None:
    work.set(old, new, name)
    commit(work, "Without dvc repro")
    clone = bare(work)
    for project in (work, clone):
        refused(
            f"dvc.lock of HEAD does not match: {reason}",
            lambda folder=project.folder: registration.register("short", folder=folder),  # type: ignore[misc]
            project,
        )


def test_what_is_registered_all_the_same_is_not_promoted(work: Project) -> None:
    work.set("level: 0.8", "level: 0.7")
    commit(work, "Without dvc repro")
    work.git("tag", "--annotate", "--message=by hand", "short@v3.0.0")
    refused(
        "dvc.lock of short@v3.0.0 does not match: evaluate (evaluate.level); `dvc repro`",
        lambda: promotion.promote("short", "v3.0.0", folder=work.folder),
        work,
    )


def test_a_promotion_pushes_what_the_revision_lacks_and_no_more(work: Project) -> None:
    done = promotion.promote("short", "v1.0.0", folder=work.folder)
    assert (done.tag, done.former, done.sent.objects, done.sent.pushed) == (
        *("short#production#1", None),
        *(4, 4),
    )
    first = stored(work)
    assert len(first) == 4
    removed = next(name for name in first if not name.endswith(".dir"))
    (work.folder.with_name("remote") / removed).unlink()
    done = promotion.promote("short", "1.0.0", "staging", work.folder)
    assert (done.tag, done.sent.pushed, stored(work)) == ("short#staging#2", 1, first)
    done = promotion.promote("short", "v1.1.0", folder=work.folder)
    assert (done.former, done.sent.pushed) == ("v1.0.0", 4)
    assert len(stored(work)) == 8


def test_a_promotion_is_refused(work: Project) -> None:
    folder = work.folder

    def promote(version: str, stage: str = "production", horizon: str = "short") -> None:
        promotion.promote(horizon, version, stage, folder)

    refused(
        "short has no version v2.0.0; there is v1.1.0, v1.0.0;", lambda: promote("v2.0.0"), work
    )
    refused("VERSION is missing; short has v1.1.0, v1.0.0", lambda: promote(""), work)
    refused("horizons: no 'x'", lambda: promote("v1.0.0", horizon="x"), work)
    refused("long has no version yet", lambda: promote("v1.0.0", horizon="long"), work)
    refused("STAGE=a b: the name of a stage has letters", lambda: promote("v1.0.0", "a b"), work)
    promote("v1.0.0")
    refused("short v1.0.0 is in production already", lambda: promote("v1.0.0"), work)
    (folder / "new").touch()
    refused("the tree is not clean: new", lambda: promote("v1.1.0"), work)


def test_a_clone_without_data_promotes_what_the_remote_has_and_nothing_else(work: Project) -> None:
    clone = bare(work)
    cached = list((clone.folder / ".dvc").glob("cache/*"))
    assert cached == []
    refused(
        "the list of the files of data/raw/ is whole neither in the remote nor here",
        lambda: promotion.promote("short", "v1.0.0", folder=clone.folder),
        clone,
    )
    promotion.promote("short", "v1.0.0", folder=work.folder)
    done = promotion.promote("short", "v1.0.0", folder=clone.folder)
    assert (done.sent.objects, done.sent.pushed) == (4, 0)
    refused(
        "the list of the files of data/raw/ is whole neither in the remote nor here",
        lambda: promotion.promote("short", "v1.1.0", folder=clone.folder),
        clone,
    )
    assert [row.version for row in registration.versions(clone.folder)] == ["v1.1.0", "v1.0.0"]


def test_an_object_that_is_nowhere_or_broken_is_named(work: Project) -> None:
    cache = work.folder / ".dvc" / "cache" / "files" / "md5"
    model = lock.at("short@v1.0.0", work.folder).outs["models/short/model.onnx"].md5
    path = cache / model[:2] / model[2:]
    path.chmod(0o644)
    path.write_text("flipped", encoding="utf-8")
    message = r"^models/short/model\.onnx of short@v1\.0\.0 is neither in .* nor here"
    for _ in range(2):
        with pytest.raises(StageError, match=message):
            promotion.promote("short", "v1.0.0", folder=work.folder)
    assert [name for name in tag_names(work) if "#" in name] == []


def test_no_remote_is_named_as_such(work: Project) -> None:
    work.dvc("remote", "remove", "storage")
    commit(work, "No remote")
    refused(
        "no default remote is set: `dvc remote add --default NAME URL`",
        lambda: promotion.promote("short", "v1.0.0", folder=work.folder),
        work,
    )


GIT_THAT_KILLS = """#!/bin/sh
if [ "$1" = tag ]; then
    kill -9 $PPID
    exit 1
fi
exec {git} "$@"
"""


def test_a_promotion_that_is_killed_before_its_tag_is_completed_by_the_next(
    work: Project, tmp_path: Path
) -> None:
    killer = tmp_path / "bin" / "git"
    killer.parent.mkdir()
    killer.write_text(GIT_THAT_KILLS.format(git=shutil.which("git")), encoding="utf-8")
    killer.chmod(0o755)

    def promote(path: str) -> int:
        command = [sys.executable, "-m", "versions.release", "promote", "short", "v1.0.0"]
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=work.folder, env=environment, check=False).returncode

    assert promote(f"{killer.parent}:{os.environ['PATH']}") == -signal.SIGKILL
    assert len(stored(work)) == 4
    assert [name for name in tag_names(work) if "#" in name] == []
    assert promote(os.environ["PATH"]) == 0
    assert [name for name in tag_names(work) if "#" in name] == ["short#production#1"]


def test_rolling_back_goes_back_one_version_each_time(work: Project) -> None:
    folder = work.folder
    refused("no version of short is in production", lambda: back(work), work)
    again(work, 0.6)
    registration.register("short", folder=folder)
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        promotion.promote("short", version, folder=folder)
    done = back(work)
    assert (done.version, done.former, done.tag) == ("v1.1.0", "v1.2.0", "short#production#4")
    assert back(work).version == "v1.0.0"
    refused(
        "short v1.0.0 is the first in production: no version to go back to",
        lambda: back(work),
        work,
    )
    annotation = work.git("tag", "--list", "--format=%(contents)", "short#production#4")
    assert annotation.split("\n")[0] == "short back to v1.1.0 in production"
    work.git("rm", "--quiet", "README.md")
    refused("the tree is not clean: README.md", lambda: back(work), work)


def back(project: Project) -> promotion.Promotion:
    return promotion.rollback("short", folder=project.folder)


def test_versions_are_listed_with_their_stages_and_metrics(work: Project) -> None:
    promotion.promote("short", "v1.0.0", folder=work.folder)
    newest, oldest = registration.versions(work.folder)
    assert (newest.version, newest.stages, newest.metrics["mae"]) == ("v1.1.0", (), 0.008)
    assert (oldest.version, oldest.stages, oldest.metrics["rmse"]) == (
        *("v1.0.0", ("production",)),
        None,
    )
    assert newest.commit == git.commit("HEAD~1", work.folder)
    assert newest.who == "Tests"
