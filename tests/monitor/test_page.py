"""The examples of docs/self-healing.md on labels and tables."""

import re
import shlex
from pathlib import Path

import pytest

from monitor.settings import Settings
from monitor.store import records
from tests.monitor import live
from tests.monitor.conftest import Monitor
from tests.projects import ROOT

PAGE = (ROOT / "docs" / "self-healing.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """What stands below a heading."""
    return re.split(r"^## ", PAGE.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def commands(title: str) -> list[list[str]]:
    """The arguments of each command in the examples of a section, all of them the monitor's."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert lines
    assert all(line[:3] == ["python", "-m", "monitor"] for line in lines)
    return [line[3:] for line in lines]


def test_the_examples_of_labels_and_tables(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monitor: Monitor
) -> None:
    monkeypatch.chdir(tmp_path)
    live.write_bars(tmp_path, live.bars())
    engine = live.log(settings)
    live.add(engine, live.forecasts(live.bars()))
    with records.writing(engine, settings) as written:
        model = {"commit": "a" * 40, "model_md5": live.CHAMPION_MD5, "version": "v1.0.0"}
        written.placed("production", "short", model)
    engine.dispose()
    counted, measured, placed, restored = (
        monitor(*arguments)
        for title in ("Labels", "Tables and audit trail")
        for arguments in commands(title)
    )
    assert {status for status, *_ in (counted, measured, placed, restored)} == {0}
    assert re.search(r"^short +177 +177 +100\.0%", counted[1], re.MULTILINE)
    for name in re.findall(r"`(label\w*)`", section("Labels").partition("| metric |")[2]):
        assert re.search(rf"^{name} +horizon=short +1 ", measured[1], re.MULTILINE), name
    assert re.search(r"short +production +v1\.0\.0 +c{8} +a{8} +-$", placed[1], re.MULTILINE)
    assert restored[1] == ("model_metadata: 0 rows restored\nmonitoring_metrics: 0 rows restored\n")
