"""New bars in the checkout, without retraining."""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from monitor import exchange_hours, refreshing
from monitor.settings import MonitorError, Settings
from stages.common.errors import VersionError
from tests import forks
from tests.projects import Project
from versions.repository import git


def test_the_newest_session_is_one_that_has_closed() -> None:
    def newest(*moment: int, minutes: int = 0) -> date:
        now = datetime(*moment, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year to minute
        return exchange_hours.newest_closed("XNYS", now, timedelta(minutes=minutes))

    # New York closes at 16:00, which is 20:00 UTC in summer, and at 13:00 on 3 July 2025.
    assert newest(2025, 7, 2, 19, 59) == date(2025, 7, 1)
    assert newest(2025, 7, 2, 20, 0) == date(2025, 7, 2)
    assert newest(2025, 7, 2, 20, 29, minutes=30) == date(2025, 7, 1)
    assert newest(2025, 7, 3, 17, 0) == date(2025, 7, 3)
    assert newest(2025, 7, 6, 12, 0) == date(2025, 7, 3)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: exchange_hours.zone("XNIX"), "exchange_calendars has no 'XNIX'"),
        (
            lambda: exchange_hours.newest_closed("XKRX", datetime(2150, 1, 1, tzinfo=UTC)),
            "does not know the sessions of XKRX around 2150-01-01; install a newer",
        ),
    ],
)
def test_an_unknown_calendar_is_one_line(ask: Callable[[], object], message: str) -> None:
    with pytest.raises(MonitorError) as raised:
        ask()
    assert message in str(raised.value)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the files that a refresh changes, and a pipeline that moves them at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVE_VAR", str(tmp_path / "var"))
    for name in ("metrics", "models", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "params.yaml").write_text("data:\n  as_of: '2012-12-31'\nalpha: 10.0\n", "utf-8")
    (tmp_path / "dvc.lock").write_text("of 2012-12-31\n", "utf-8")
    (tmp_path / "metrics" / "short.json").write_text("{}\n", "utf-8")
    (tmp_path / ".gitignore").write_text("/models\n/var\n", "utf-8")
    (tmp_path / "data" / "note.txt").write_text("bars\n", "utf-8")
    git.git("init", "--quiet")
    git.git("config", "user.name", "A")
    git.git("config", "user.email", "a@example.org")
    git.git("add", "--all")
    git.git("commit", "--quiet", "--message", "First")

    def python(*words: str) -> "subprocess.CompletedProcess[str]":
        if words[0] == "versions.refresh":
            text = Path("params.yaml").read_text("utf-8")
            Path("params.yaml").write_text(text.replace("2012-12-31", words[1]), "utf-8")
            Path("dvc.lock").write_text(f"of {words[1]}\n", "utf-8")
            rows = {"symbol": ["A"], "date": [date.fromisoformat(words[1])], "market": [False]}
            pl.DataFrame(rows).write_parquet("models/latest.parquet")
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(refreshing, "_python", python)
    return tmp_path


def test_a_commit_that_git_refuses_leaves_the_checkout_as_it_was(checkout: Path) -> None:
    git.git("config", "commit.gpgsign", "true")
    git.git("config", "gpg.program", "false")
    for _ in range(2):
        with pytest.raises(VersionError, match=r"git commit: .*gpg"):
            refreshing.refresh(Settings(), date(2013, 1, 3), date(2012, 12, 31))
        assert git.changes() == []
    assert not (checkout / "var" / "monitor" / "refreshing").exists()
    git.git("config", "commit.gpgsign", "false")
    newest = refreshing.refresh(Settings(), date(2013, 1, 3), date(2012, 12, 31))
    assert newest == date(2013, 1, 3)
    assert git.git("log", "-1", "--format=%s") == "Refresh to 2013-01-03"


def test_a_refresh_that_is_interrupted_before_it_begins_keeps_the_work_of_people(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "data:\n  as_of: '2012-12-31'\nalpha: 2.0\n"
    (checkout / "params.yaml").write_text(own, "utf-8")

    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(git, "changes", interrupted)
        refreshing.refresh(Settings(), date(2013, 1, 3), date(2012, 12, 31))
    assert (checkout / "params.yaml").read_text("utf-8") == own


def test_what_could_not_be_undone_is_undone_by_the_next_refresh(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = refreshing._python

    def twice_interrupted(*words: str) -> "subprocess.CompletedProcess[str]":
        python(*words)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(refreshing, "_python", twice_interrupted)
        patch.setattr(refreshing, "_go_back", lambda: twice_interrupted("dvc"))
        refreshing.refresh(Settings(), date(2013, 1, 3), date(2012, 12, 31))
    assert git.changes() == ["dvc.lock", "params.yaml"]
    newest = refreshing.refresh(Settings(), date(2013, 1, 4), date(2012, 12, 31))
    assert newest == date(2013, 1, 4)
    assert git.changes() == []
    assert (checkout / "dvc.lock").read_text("utf-8") == "of 2013-01-04\n"


@pytest.fixture
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreters that have imported what stages need; dvc.yaml finds `python` by PATH."""
    folder = forks.folder() / "bin"
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.slow
@pytest.mark.usefixtures("_fast")
def test_bars_come_in_as_a_commit_or_not_at_all(
    brief: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refresh(day: str) -> date | None:
        return refreshing.refresh(Settings(), date.fromisoformat(day), date(2012, 12, 31))

    monkeypatch.chdir(brief.folder)
    head = brief.git("rev-parse", "HEAD")
    assert refresh("2012-12-31") is None

    # Other changes would be in the commit of the refresh.
    brief.set("alpha: 10.0", "alpha: 2.0")
    with pytest.raises(MonitorError, match=r"not committed: params\.yaml; commit them"):
        refresh("2013-01-03")
    brief.set("alpha: 2.0", "alpha: 10.0")

    # The pipeline stops, and the checkout is as it was.
    with (brief.folder / "data" / "actions.csv").open("a", encoding="utf-8") as file:
        file.write("AAPL,2012-12-20,0\n")
    with pytest.raises(MonitorError) as raised:
        refresh("2013-01-03")
    assert "data/actions.csv" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert brief.git("status", "--porcelain") == " M data/actions.csv\n"
    brief.git("checkout", "--quiet", "data/actions.csv")
    assert brief.git("rev-parse", "HEAD") == head

    # Ctrl-C in the middle, and the checkout is as it was.
    python = refreshing._python

    def interrupted(*words: str) -> "subprocess.CompletedProcess[str]":
        if words[0] == "versions.refresh":
            brief.set("as_of: '2012-12-31'", "as_of: '2013-01-03'")
            raise KeyboardInterrupt
        return python(*words)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(refreshing, "_python", interrupted)
        refresh("2013-01-03")
    assert brief.git("status", "--porcelain") == ""

    # What a killed refresh has left is undone, but not what a person has changed since.
    mark = Path("var/monitor/refreshing")
    brief.set("as_of: '2012-12-31'", "as_of: '2013-01-03'")
    brief.set("alpha: 10.0", "alpha: 2.0")
    mark.write_text(head.strip(), encoding="utf-8")
    with pytest.raises(MonitorError, match=r"not committed: params\.yaml; commit them"):
        refresh("2013-01-03")
    brief.set("alpha: 2.0", "alpha: 10.0")
    mark.write_text(head.strip(), encoding="utf-8")

    # A file that the user has brought is part of the refresh.
    (brief.folder / "data" / "inbox" / "note.txt").write_text("bars of January", "utf-8")
    models = (brief.folder / "models" / "short" / "model.onnx").read_bytes()
    # A Saturday: the newest bar is of the Friday before.
    assert refresh("2013-01-05") == date(2013, 1, 4)
    assert brief.git("status", "--porcelain") == ""
    assert brief.git("log", "-1", "--format=%s").strip() == "Refresh to 2013-01-04"
    changed = brief.git("show", "--name-only", "--format=").splitlines()
    assert {"params.yaml", "dvc.lock", "data/inbox/note.txt"} <= set(changed)
    assert (brief.folder / "models" / "short" / "model.onnx").read_bytes() == models
    assert refreshing.newest_bar() == date(2013, 1, 4)
    assert "as_of: '2013-01-04'" in Path("params.yaml").read_text("utf-8")

    # The Saturday again: there is nothing newer.
    with pytest.raises(MonitorError, match="the source has no bars after 2013-01-04"):
        refreshing.refresh(Settings(), date(2013, 1, 5), date(2013, 1, 4))
    assert brief.git("status", "--porcelain") == ""
    assert "as_of: '2013-01-04'" in Path("params.yaml").read_text("utf-8")
