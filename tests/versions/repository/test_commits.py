"""Commits found by an md5 alone, in real repositories with hand-made locks."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.common.errors import VersionError
from tests.histories import Repository, lock_text
from versions.repository import commits, git, lock

A, B, C, D = (letter * 32 for letter in "abcd")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_commits_come_newest_first_with_date_subject_and_names(repository: Repository) -> None:
    repository.commit(None, "Before any lock")
    first = repository.commit(lock_text({"models/m": A}), "One")
    repository.git("tag", "short@v1.0.0")
    second = repository.commit(lock_text({"models/m": A, "data/x": B}), "Two, with a comma")
    repository.git("branch", "release")
    third = repository.commit(lock_text({"models/n": C}, {"models/m": A}), "Only as a dep")

    matches = commits.search(A, repository.folder)
    assert matches.md5 == A
    assert [sighting.commit.id for sighting in matches.sightings] == [second, first]
    newest, oldest = (sighting.commit for sighting in matches.sightings)
    assert (newest.subject, newest.date[:10]) == ("Two, with a comma", "2024-01-03")
    assert (newest.names, oldest.names) == (("release",), ("short@v1.0.0",))
    assert matches.sightings[0].paths == ("models/m",)
    assert not newest.experiment

    assert commits.search(C, repository.folder).sightings[0].commit.id == third
    assert commits.search(C, repository.folder).sightings[0].commit.names == ("main",)


def test_a_folder_is_found_with_and_without_its_ending(repository: Repository) -> None:
    repository.commit(lock_text({"models/candidates": f"{D}.dir", "copy": f"{D}.dir"}))
    for digits in (D, f"{D}.dir", D[:8], D.upper()):
        matches = commits.search(digits, repository.folder)
        assert matches.md5 == f"{D}.dir"
        assert matches.sightings[0].paths == ("models/candidates", "copy")


def test_experiments_are_told_apart(repository: Repository) -> None:
    repository.commit(lock_text({"m": A}))
    repository.commit(lock_text({"m": B}), "Tried")
    repository.git("update-ref", "refs/exps/12/3456/brave-owl", "HEAD")
    # DVC's own notes are not names.
    repository.git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    repository.git("reset", "--hard", "HEAD~1")
    tried = commits.search(B, repository.folder).sightings
    assert [(sighting.commit.experiment, sighting.commit.names) for sighting in tried] == [
        (True, ("experiment brave-owl",))
    ]
    # Where both have it, those of branches come first, though they are older.
    repository.git("update-ref", "refs/heads/side", "refs/exps/12/3456/brave-owl")
    repository.git("checkout", "--quiet", "--detach", "side")
    repository.commit(lock_text({"m": B, "n": C}), "Tried again")
    repository.git("update-ref", "refs/exps/12/3456/wise-owl", "HEAD")
    repository.git("checkout", "--quiet", "main")
    both = commits.search(B, repository.folder).sightings
    assert [sighting.commit.experiment for sighting in both] == [False, True]


def test_a_commit_that_only_head_leads_to_is_found(repository: Repository) -> None:
    repository.commit(lock_text({"m": A}))
    repository.git("checkout", "--quiet", "--detach")
    repository.commit(lock_text({"m": B}))
    assert len(commits.search(B, repository.folder).sightings) == 1


@pytest.mark.parametrize("digits", ["", "abc", "abcdefg1", f"{A}0", "0x123456", f"{A}.file"])
def test_what_is_no_md5(repository: Repository, digits: str) -> None:
    with pytest.raises(VersionError, match=r"^an md5 is 32 digits of 0-9 and a-f, "):
        commits.search(digits, repository.folder)


def test_digits_that_begin_several_md5s(repository: Repository) -> None:
    repository.commit(lock_text({"m": f"{A[:8]}{B[:24]}", "n": A}))
    with pytest.raises(VersionError, match=rf"^2 md5s begin with {A[:8]}: {A}, .*; give more"):
        commits.search(A[:8], repository.folder)


def test_an_md5_that_no_commit_has(repository: Repository, tmp_path: Path) -> None:
    repository.commit(lock_text({"m": A}))
    repository.commit(lock_text({"m": B}, {"x": C}))
    with pytest.raises(VersionError) as caught:
        commits.search(C, repository.folder)
    assert str(caught.value) == (
        f"none of the 2 commits here has a dvc.lock with an output of md5 {C}; "
        "`git fetch --tags` brings those of others"
    )
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(shallow))
    with pytest.raises(VersionError, match="`git fetch --unshallow --tags` brings"):
        commits.search(A, shallow)


def test_every_output_of_the_project_is_found_and_no_dep(
    repository: Repository, repo_root: Path
) -> None:
    text = (repo_root / "dvc.lock").read_text(encoding="utf-8")
    repository.commit(text)
    outs = lock.parse(text).outs
    assert len(outs) > 20
    for path, entry in outs.items():
        assert path in commits.search(entry.md5[:8], repository.folder).sightings[0].paths
    with pytest.raises(VersionError, match="none of the 1 commits here"):
        commits.search(lock.parse(text).stages["ingest"].deps[0].md5, repository.folder)


def test_paths_and_md5s_that_yaml_quotes(repository: Repository) -> None:
    digits = "12345678901234567890123456789012"
    name = "a: b, 'c' #d"
    entry = {"path": name, "hash": "md5", "md5": digits, "size": 1}
    content = {"stages": {"1": {"cmd": "s", "outs": [entry]}}}
    text = yaml.safe_dump(content, sort_keys=False)
    assert "md5: '123" in text
    repository.commit(text)
    assert commits.search(digits, repository.folder).sightings[0].paths == (name,)


def test_thousands_of_commits_are_a_handful_of_questions_to_git(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = []
    for at in range(2000):
        # Every third commit changes the lock; one lock has the md5.
        md5 = A if at // 3 == 500 else f"{at // 3:032x}"
        text = lock_text({"m": md5}, {f"dep{n}": f"{n:032x}" for n in range(50)})
        stream.append(
            f"commit refs/heads/main\ncommitter T <t@example.org> {1_700_000_000 + at} +0000\n"
            f"data 1\nx\nM 100644 inline dvc.lock\ndata {len(text)}\n{text}\n"
        )
    repository.git("fast-import", "--quiet", stdin="".join(stream))
    commands: list[object] = []
    run = git._run

    def counted(*arguments: Any) -> bytes:
        commands.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(git, "_run", counted)
    assert len(commits.search(A, repository.folder).sightings) == 3
    assert len(commands) < 10
