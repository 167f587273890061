"""Whatever is asked of a command is in the audit trail, with who and when, before it begins."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboard.control import command_process
from dashboard.control.command_process import NoAnswerError
from dashboard.control.run_commands import Command
from monitor.settings import MonitorError, Settings
from monitor.store import audit_trail, records
from stages.common import tables

ASK = Command("Ask", ("work", "--json"))

WORK = """
import sys, time
from pathlib import Path

print(*sys.argv[1:], *Path("var/audit").glob("*.parquet"))
Path("began").touch()
time.sleep(60 * ("long" in sys.argv))
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a folder in which `python -m work` tells whether the trail was there before it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work.py").write_text(WORK, encoding="utf-8")
    return Settings(var=Path("var"), now=datetime(2012, 3, 10, 12, tzinfo=UTC))


def test_what_is_asked_is_in_the_trail_before_it_is_asked(settings: Settings) -> None:
    assert command_process.answer(ASK, "ada", settings).stdout.split() == [
        *("--json", "var/audit/2012-03-10.parquet"),
    ]
    command_process.answer(ASK, "bob", settings)
    rows = audit_trail.replay(settings.var / records.TRAIL)[audit_trail.RUNS]
    assert [(row["who"], row["title"], row["words"]) for row in rows.values()] == [
        ("ada", "Ask", ["work", "--json"]),
        ("bob", "Ask", ["work", "--json"]),
    ]
    assert all(key == row["event"] and key.endswith(" asked") for key, row in rows.items())
    (file,) = (settings.var / records.TRAIL).glob("*.parquet")
    assert set(tables.read(file)["at"]) == {settings.clock}


def test_nothing_begins_without_the_trail(settings: Settings) -> None:
    settings.var.write_text("a file in its place")
    with pytest.raises(MonitorError, match=r"var/audit cannot be written: .*nothing is started"):
        command_process.answer(ASK, "ada", settings)
    assert not Path("began").exists()


def test_what_does_not_answer_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_process, "LIMIT", 0.2)
    with pytest.raises(NoAnswerError, match=r"work long: no answer within 0\.2 s"):
        command_process.answer(Command("Ask", ("work", "long")), "ada", settings)
