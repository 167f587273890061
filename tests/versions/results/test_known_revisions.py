"""The revisions that can be compared, in a repository with every kind of them."""

import subprocess
from pathlib import Path

import pytest

from stages.common.errors import VersionError
from tests.histories import Repository, lock_text
from versions.results import known_revisions, revision_files


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path)
    (tmp_path / "params.yaml").write_text("a: 1\n", encoding="utf-8")
    repository.commit(lock_text({"models/x": "1" * 32}), "First results")
    repository.git("tag", "-a", "short@v1.0.0", "-m", "The first release")
    (tmp_path / "README.md").write_text("words\n", encoding="utf-8")
    repository.commit(None, "Only words")
    (tmp_path / "params.yaml").write_text("a: 2\n", encoding="utf-8")
    repository.commit(None, "Other params")
    return repository


def experiment(repository: Repository, name: str, base: str = "HEAD") -> str:
    commit = repository.git("rev-parse", base)
    repository.git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/{name}", "HEAD~1")
    return repository.git("rev-parse", "HEAD~1")


def test_every_kind_is_listed_and_found(repository: Repository) -> None:
    tried = experiment(repository, "tried")
    # Where DVC keeps what it runs and what waits: not experiments.
    repository.git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    repository.git("update-ref", "refs/exps/celery/stash", "HEAD")
    known = known_revisions.listed(repository.folder)
    head = repository.git("rev-parse", "HEAD")
    assert [(each.name, each.kind) for each in known] == [
        ("workspace", "workspace"),
        ("main", "branch"),
        ("short@v1.0.0", "tag"),
        ("tried", "experiment"),
        (head[:10], "commit"),
        (repository.git("rev-parse", "HEAD~2")[:10], "commit"),
    ]
    release, trial = known[2], known[3]
    assert release.commit == repository.git("rev-parse", "HEAD~2")
    assert (release.date[:10], release.subject) == ("2024-01-01", "The first release")
    assert (trial.commit, trial.base) == (tried, head)
    commits = {
        name: known_revisions.commit_of(name, known, repository.folder)
        for name in ("tried", "main")
    }
    assert commits == {"tried": tried, "main": head}
    assert known_revisions.commit_of("workspace", known, repository.folder) == ""
    # Not listed, but git knows it.
    words = repository.git("rev-parse", "HEAD~1")
    assert known_revisions.commit_of(words[:8], known, repository.folder) == words


def test_experiments_of_one_name_are_told_apart_by_their_hashes(repository: Repository) -> None:
    experiment(repository, "twice", "HEAD")
    experiment(repository, "twice", "HEAD~1")
    experiment(repository, "main")
    trials = [
        each for each in known_revisions.listed(repository.folder) if each.kind == "experiment"
    ]
    assert [each.name for each in trials] == [each.commit[:10] for each in trials]
    assert [each.subject[:5] for each in trials].count("twice") == 2


@pytest.mark.parametrize("name", ["nowhere", "--all", "", ":/.", "HEAD^{/.|$(ls)}", "a b"])
def test_what_git_does_not_know_is_refused(repository: Repository, name: str) -> None:
    with pytest.raises(VersionError, match="git knows no revision"):
        known_revisions.commit_of(
            name, known_revisions.listed(repository.folder), repository.folder
        )


def test_the_state_changes_with_a_ref_and_with_what_is_checked_out(repository: Repository) -> None:
    states = [known_revisions.state(repository.folder)]
    experiment(repository, "tried")
    states.append(known_revisions.state(repository.folder))
    repository.git("checkout", "--quiet", "--detach", "HEAD~1")
    states.append(known_revisions.state(repository.folder))
    assert len(set(states)) == 3


def test_no_repository_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match="not a git repository"):
        known_revisions.listed(tmp_path)


def test_files_of_a_commit_and_of_the_working_tree(repository: Repository) -> None:
    folder = repository.folder
    first = repository.git("rev-parse", "HEAD~2")
    paths = ["params.yaml", "README.md", "gone.csv"]
    assert revision_files.contents(first, paths, folder) == {"params.yaml": b"a: 1\n"}
    (folder / "params.yaml").write_text("a: 3\n", encoding="utf-8")
    now = revision_files.contents("", paths, folder)
    assert now == {"params.yaml": b"a: 3\n", "README.md": b"words\n"}


def test_a_folder_that_is_not_a_repository_has_files_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert revision_files.contents("", ["a"], tmp_path) == {"a": b"1"}
    with pytest.raises(VersionError):
        revision_files.contents("HEAD", ["a"], tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    with pytest.raises(VersionError):
        known_revisions.state(tmp_path)  # nothing was committed yet
