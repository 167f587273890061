"""The record in tags: read as GTO reads it, and walked back one version at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import gto.api
import pytest

from stages.common.errors import VersionError
from tests.projects import Project
from versions.registry import history, tags
from versions.registry.history import BACK, History
from versions.registry.tags import Tag
from versions.repository import git


@pytest.fixture
def repository(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.git("init", "--initial-branch=main")
    project.git("config", "user.email", "ada@example.org")
    project.git("config", "user.name", "Ada Ł.")
    for number in range(3):
        (tmp_path / "file").write_text(str(number), encoding="utf-8")
        project.git("add", "--all")
        project.git("commit", "--message=a change")
    return project


def test_what_gto_writes_is_read(repository: Project) -> None:
    folder = repository.folder
    gto.api.register(str(folder), "short", "HEAD~2")
    gto.api.register(str(folder), "short", "HEAD~1", version="v1.0.0")
    gto.api.register(str(folder), "long", "HEAD~1")
    gto.api.assign(str(folder), "short", "production", version="v0.0.1")
    repository.git("tag", "short@v9.0.0", "HEAD")  # not annotated: GTO ignores it
    repository.git("tag", "--annotate", "--message=other", "unrelated", "HEAD")
    record = history.read(folder)
    assert set(record) == {"short", "long"}
    short = record["short"]
    assert list(short.newest_first()) == ["v1.0.0", "v0.0.1"]
    assert short.versions["v1.0.0"].commit == git.commit("HEAD~1", folder)
    assert short.versions["v1.0.0"].who == "Ada Ł."
    assert history.stages(short) == {"production": "v0.0.1"}
    gto.api.unassign(str(folder), "short", version="v0.0.1", stage="production")
    gto.api.deregister(str(folder), "short", version="v1.0.0")
    short = history.read(folder)["short"]
    assert history.stages(short) == {}
    assert list(short.versions) == ["v0.0.1"]


def test_gto_reads_what_is_written_here_also_within_a_second_and_beside_a_fast_clock(
    repository: Project,
) -> None:
    folder = repository.folder
    for number, revision in enumerate(("HEAD~2", "HEAD~1", "HEAD")):
        tags.write(f"short@v1.{number}.0", git.commit(revision, folder), "a version", folder)
    message = "by a machine whose clock is ahead"
    repository.run(
        *("git", "tag", "--annotate", f"--message={message}", "short#production#1", "HEAD"),
        GIT_COMMITTER_DATE="@4102444800 +0000",
    )
    # More than nine, since GTO lists them in the order of the alphabet.
    for number in range(2, 13):
        version = f"v1.{number % 2}.0"
        tags.write(f"short#production#{number}", f"short@{version}", f"to {version}", folder)
        (row,) = gto.api.show(str(folder), "short#production")
        assert row["version"] == version
        assert history.read(folder)["short"].current("production") == version
    times = [tag.when for tag in tags.read(folder)]
    assert len(set(times)) == len(times)


def test_a_tag_is_never_moved(repository: Project) -> None:
    tags.write("short@v1.0.0", "HEAD", "one", repository.folder)
    with pytest.raises(VersionError, match=r"^short@v1\.0\.0 exists already"):
        tags.write("short@v1.0.0", "HEAD~1", "two", repository.folder)
    assert git.commit("short@v1.0.0", repository.folder) == git.commit("HEAD", repository.folder)


def test_a_nameless_user_is_told_how_to_get_a_name(
    repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("user.name", "user.email"):
        repository.git("config", "--unset", name)
    repository.git("config", "user.useConfigOnly", "true")
    for variable in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(VersionError, match=r"^git does not know who you are.*user\.name"):
        tags.write("short@v1.0.0", "HEAD", "one", repository.folder)


def record(steps: Sequence[str], registered: str = "ABCD") -> History:
    """A history of `A`: promoted, `<A`: rolled back to, `-A`: taken back."""
    history = History()
    for number, step in enumerate(steps):
        version = step[-1]
        history.assignments.setdefault("production", []).append(
            Tag(
                name=f"short#production#{number}",
                artifact="short",
                version=None,
                stage="production",
                cancels=step[0] == "-",
                counter=number,
                commit=version,
                when=datetime.fromtimestamp(number, UTC),
                who="Ada",
                message=f"back\n\n{BACK} X" if step[0] == "<" else "to production",
            )
        )
    first = history.assignments["production"][0]
    for version in registered:
        history.versions[version] = Tag(
            **{**vars(first), "version": version, "commit": version, "stage": None}
        )
    return history


@pytest.mark.parametrize(
    ("steps", "current", "former"),
    [
        (["A"], "A", None),
        (["A", "B"], "B", "A"),
        (["A", "B", "<A"], "A", None),
        (["A", "B", "C", "<B"], "B", "A"),
        (["A", "B", "C", "<B", "<A"], "A", None),
        (["A", "B", "C", "<B", "D"], "D", "B"),
        (["A", "B", "C", "<B", "D", "<B", "<A"], "A", None),
        (["A", "B", "C", "A"], "A", "C"),
        (["A", "B", "C", "A", "<C"], "C", "B"),
        (["A", "B", "B"], "B", "A"),
        (["A", "B", "-B"], "A", None),
        (["A", "-A"], None, None),
        (["A", "B", "A", "-B"], "A", None),
        (["A", "<B"], "B", "A"),
    ],
)
def test_a_roll_back_goes_one_version_back_each_time(
    steps: list[str], current: str | None, former: str | None
) -> None:
    history = record(steps)
    assert (history.current("production"), history.former("production")) == (current, former)


def test_a_version_that_is_no_longer_registered_is_passed_over() -> None:
    assert record(["A", "B", "C"], registered="AC").former("production") == "A"
