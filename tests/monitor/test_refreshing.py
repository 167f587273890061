"""New bars in the checkout, without retraining."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor import exchange_hours, refreshing
from monitor.settings import MonitorError, Settings
from tests import forks
from tests.projects import Project

if TYPE_CHECKING:
    import subprocess


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
    ("ask", "said"),
    [
        (lambda: exchange_hours.zone("XNIX"), "exchange_calendars has no 'XNIX'"),
        (
            lambda: exchange_hours.newest_closed("XKRX", datetime(2150, 1, 1, tzinfo=UTC)),
            "does not know the sessions of XKRX around 2150-01-01; install a newer",
        ),
    ],
)
def test_an_unknown_calendar_is_one_line(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(MonitorError) as raised:
        ask()
    assert said in str(raised.value)


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
