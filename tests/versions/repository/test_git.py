"""What the functions give for a real git repository."""

import subprocess
from pathlib import Path

import pytest

from stages.common.errors import VersionError
from versions.repository import git, lock


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    def run(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    run("init", "--initial-branch=main")
    run("config", "user.email", "tests@example.org")
    run("config", "user.name", "Tests")
    (tmp_path / "a file").write_bytes(b"\xff\r\none\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_text("two\n", encoding="utf-8")
    run("add", "--all")
    run("commit", "--message=first")
    run("tag", "first")
    return tmp_path


def test_content_is_that_of_the_revision(repository: Path) -> None:
    (repository / "a file").write_text("changed", encoding="utf-8")
    assert git.content("first", "a file", repository) == b"\xff\r\none\n"
    assert git.content("HEAD", Path("folder/b"), repository) == b"two\n"
    assert git.content("first", "none", repository) is None


def test_paths_are_from_the_root_wherever_it_is_asked(repository: Path) -> None:
    assert git.content("first", "folder/b", repository / "folder") == b"two\n"


def test_changes_are_named(repository: Path) -> None:
    assert git.changes(repository) == []
    (repository / "a file").write_text("changed", encoding="utf-8")
    (repository / "new").touch()
    assert git.changes(repository) == ["a file", "new"]


def test_an_unknown_revision_names_the_remedy(repository: Path) -> None:
    with pytest.raises(VersionError, match="git knows no revision 'v9'; `git fetch --tags`"):
        git.content("v9", "a file", repository)


def test_an_error_of_git_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match=r"^git status: fatal: not a git repository"):
        git.changes(tmp_path)


def test_a_revision_without_a_lock_says_so(repository: Path) -> None:
    with pytest.raises(VersionError, match=r"^first has no dvc\.lock: nothing was reproduced"):
        lock.at("first", repository)
