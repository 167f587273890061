"""The git hooks of `make hooks`, on a small project: what follows git, and what is left alone."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import forks
from tests.messages import facts
from tests.projects import ROOT, Project
from tests.small import again, commit, small


@pytest.fixture(scope="module")
def _two_revisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two revisions, `v1` and `main`, whose data are in the cache only, and the hooks."""
    project = small(tmp_path_factory.mktemp("hooks") / "work")
    project.git("tag", "v1")
    shutil.copytree(ROOT / ".ci", project.folder / ".ci")
    # Of the checks before a commit only `dvc status`: the linter is that of this project.
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    config["repos"][0]["hooks"] = [
        hook for hook in config["repos"][0]["hooks"] if hook["id"] == "dvc-status"
    ]
    (project.folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    again(project, 0.8)
    assert install(project).returncode == 0
    return project.folder.parent


@pytest.fixture
def work(_two_revisions: Path, tmp_path: Path) -> Project:
    shutil.copytree(_two_revisions, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy" / "work")


def install(project: Project, venv: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", ".ci/hooks", str(venv or forks.folder())],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def model(project: Project) -> str:
    return (project.folder / "models" / "short" / "model.onnx").read_text(encoding="utf-8")


def tried(project: Project, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_hooks_are_installed_once_and_never_over_those_of_the_user(work: Project) -> None:
    hooks = work.folder / ".git" / "hooks"
    ours = {path.name: path.read_bytes() for path in hooks.iterdir() if "." not in path.name}
    assert sorted(ours) == ["post-checkout", "pre-commit", "pre-push"]
    assert install(work).returncode == 0
    assert {name: (hooks / name).read_bytes() for name in ours} == ours

    (hooks / "pre-push").write_text("#!/bin/sh\necho mine\n", encoding="utf-8")
    (hooks / "post-checkout").unlink()
    refused = install(work)
    assert refused.returncode == 1
    assert facts(refused.stderr) == facts(
        "error: .git/hooks/pre-push is a hook of your own; move it away, then call it at the end "
        "of ours\n"
    )
    assert (hooks / "pre-push").read_text(encoding="utf-8") == "#!/bin/sh\necho mine\n"
    assert not (hooks / "post-checkout").exists()
    for name in ours:
        (hooks / name).unlink(missing_ok=True)

    # What `dvc install` wrote gives way; a pre-commit of the user goes on to run.
    work.dvc("install")
    (hooks / "pre-commit").write_text("#!/bin/sh\necho mine\n", encoding="utf-8")
    (hooks / "pre-commit").chmod(0o755)
    assert install(work).returncode == 0
    assert {name: (hooks / name).read_bytes() for name in ours} == ours
    work.git("checkout", "--quiet", "-b", "new")
    assert "mine" in work.git("commit", "--allow-empty", "--message=Nothing")

    work.git("config", "core.hooksPath", "elsewhere")
    assert install(work).stderr.startswith("error: core.hooksPath is elsewhere, so that git reads")


def test_data_and_models_follow_a_checkout(work: Project) -> None:
    assert model(work) == "model 0.8"
    code, printed = tried(work, "git", "checkout", "--quiet", "v1")
    assert code == 0
    assert sorted(printed.split()) == ["M", "M", "data/raw/", "models/short/model.onnx"]
    assert model(work) == "model 0.9"
    assert work.dvc("status") == "Data and pipelines are up to date.\n"
    assert tried(work, "git", "checkout", "--quiet", "main")[0] == 0
    assert model(work) == "model 0.8"

    # Results that are not committed yet stay when a branch is made for them.
    work.set("level: 0.8", "level: 0.7")
    work.dvc("repro", "--quiet")
    assert tried(work, "git", "checkout", "--quiet", "-b", "lower") == (0, "")
    assert model(work) == "model 0.7"
    # Single files are the user's to follow up.
    assert tried(work, "git", "checkout", "--quiet", "HEAD", "--", "dvc.lock") == (0, "")
    assert model(work) == "model 0.7"
    work.dvc("repro", "--quiet")
    commit(work, "Lower")

    # A rebase checks commits out on its way; the data wait until it is over.
    work.git("checkout", "--quiet", "-b", "notes", "main")
    (work.folder / "notes").touch()
    commit(work, "Notes")
    assert model(work) == "model 0.8"
    assert tried(work, "git", "rebase", "--quiet", "lower") == (0, "")
    assert model(work) == "model 0.8"
    assert "models/short/model.onnx" in work.dvc("checkout")


def test_what_keeps_data_from_following_is_one_line(work: Project) -> None:
    # The environment may lie anywhere.
    elsewhere = work.folder.with_name("Ada's R&D")
    elsewhere.symlink_to(forks.folder())
    assert install(work, elsewhere).returncode == 0
    path = work.folder / "models" / "short" / "model.onnx"
    path.chmod(0o644)
    path.write_text("mine", encoding="utf-8")
    code, printed = tried(work, "git", "checkout", "--quiet", "v1")
    assert (code, printed.count("\n")) == (1, 1)
    assert printed.startswith(
        "error: data or models here are in no cache and were left as they are"
    )
    assert model(work) == "mine"
    work.dvc("checkout", "--force", "--quiet")
    assert model(work) == "model 0.9"

    # As in a clone that has pulled nothing yet.
    for name in (".dvc/cache", "data", "models"):
        shutil.rmtree(work.folder / name)
    code, printed = tried(work, "git", "checkout", "--quiet", "main")
    assert (code, printed) == (
        1,
        "error: the cache here lacks data or models of this revision: `dvc pull` brings them\n",
    )
    work.git("config", "hooks.venv", ".venv")
    code, printed = tried(work, "git", "checkout", "--quiet", "v1")
    assert (code, printed) == (
        1,
        "error: post-checkout: no .venv/bin/dvc; `make install` makes it, and `make hooks` tells "
        "git of it\n",
    )


def test_a_worktree_has_the_cache_of_its_clone(work: Project) -> None:
    work.dvc("remote", "add", "--quiet", "--local", "--default", "team", "/no/such/remote")
    other = Project(work.folder.with_name("other"))
    code, printed = tried(work, "git", "worktree", "add", "--quiet", str(other.folder), "v1")
    assert code == 0, printed
    assert f"DVC's settings and cache here are those of {work.folder}\n" in printed
    assert (model(other), model(work)) == ("model 0.9", "model 0.8")
    assert other.dvc("config", "remote.team.url") == "/no/such/remote\n"
    assert other.git("status", "--porcelain") == ""
    # What the worktree says itself stays.
    other.dvc("remote", "modify", "--local", "team", "url", "/no/such/either")
    code, printed = tried(other, "git", "checkout", "--quiet", "--detach", "main")
    assert (code, "settings" in printed) == (0, False)
    assert model(other) == "model 0.8"
    assert other.dvc("config", "remote.team.url") == "/no/such/either\n"
    work.git("worktree", "remove", str(other.folder))


def test_a_commit_shows_what_dvc_status_says(work: Project) -> None:
    work.set("level: 0.8", "level: 0.7")
    printed = work.git("commit", "--all", "--message=Params alone")
    assert "evaluate.level" in printed
    assert "modified" in printed
    assert work.git("log", "-1", "--format=%s") == "Params alone\n"
    # It asks the environment for which the hooks were installed: there is no .venv here.
    assert not (work.folder / ".venv").exists()


def test_data_are_pushed_before_git_is(work: Project) -> None:
    team = work.folder.with_name("team.git")
    work.git("init", "--quiet", "--bare", str(team))
    work.git("remote", "add", "origin", str(team))
    bucket = work.folder.with_name("remote")

    def branches() -> list[str]:
        return work.run("git", "-C", str(team), "branch", "--format=%(refname:short)").split()

    # A file is where the remote should be: nothing can be pushed.
    bucket.write_text("in the way", encoding="utf-8")
    code, printed = tried(work, "git", "push", "--quiet", "origin", "main")
    assert code != 0
    assert "error: git is not pushed, for others could not get its data and models" in printed
    assert branches() == []
    bucket.unlink()
    work.git("push", "--quiet", "origin", "main")
    assert branches() == ["main"]
    assert len([path for path in bucket.rglob("*") if path.is_file()]) == 4

    # A deletion needs no data, and without a remote git goes alone.
    work.git("push", "--quiet", "origin", "main:old")
    bucket.rename(bucket.with_name("away"))
    bucket.write_text("in the way", encoding="utf-8")
    work.git("push", "--quiet", "origin", ":old")
    assert branches() == ["main"]
    work.dvc("remote", "remove", "storage")
    printed = work.git("push", "origin", "main:alone")
    assert "no DVC remote is set in this clone: git is pushed without data and models" in printed
    assert branches() == ["alone", "main"]
