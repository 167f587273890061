"""The examples of docs/self-healing.md on labels and tables, run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

from monitor.settings import Settings
from monitor.store import records
from tests.monitor import live
from tests.projects import ROOT

PAGE = (ROOT / "docs" / "self-healing.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """What stands below a heading."""
    return re.split(r"^## ", PAGE.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def test_the_examples_of_labels_and_tables(settings: Settings, tmp_path: Path) -> None:
    live.write_bars(tmp_path, live.bars())
    engine = live.log(settings)
    live.add(engine, live.forecasts(live.bars()))
    with records.writing(engine, settings) as written:
        model = {"commit": "a" * 40, "model_md5": live.CHAMPION_MD5, "version": "v1.0.0"}
        written.placed("production", "short", model)
    engine.dispose()
    titles = ("Labels", "Tables and audit trail")
    pattern = r"^```sh\n(.*?)^```$"
    commands = [
        block
        for title in titles
        for block in re.findall(pattern, section(title), re.MULTILINE | re.DOTALL)
    ]
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^short +177 +177 +100\.0%", done.stdout, re.MULTILINE)
    for name in re.findall(r"`(label\w*)`", section("Labels").partition("| metric |")[2]):
        assert re.search(rf"^{name} +horizon=short +1 ", done.stdout, re.MULTILINE), name
    assert re.search(r"short +production +v1\.0\.0 +c{8} +a{8} +-$", done.stdout, re.MULTILINE)
    assert "model_metadata: 0 rows restored\nmonitoring_metrics: 0 rows restored\n" in done.stdout
