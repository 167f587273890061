"""docs/your-first-symbol.md on a file that the test writes, and files that git must know."""

import json
import re
import shutil
from pathlib import Path

import exchange_calendars
import numpy as np
import pytest
import yaml

from tests import forks
from tests.projects import ROOT, Project, copied
from tests.runs.test_readme import served

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "your-first-symbol.md").read_text(encoding="utf-8")
TRACK, RUN, SERVE, ASK, KEEP = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(EDIT,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(HEADER,) = re.findall(r"^(date,open.*)$", TEXT, re.MULTILINE)


def type_in(project: Project, command: str) -> str:
    return project.run("bash", "-euc", command, MAKEFLAGS=f"VENV={forks.folder()}")


def write_bars(project: Project, first: str = "2015-01-02", last: str = "2018-12-31") -> None:
    """A random walk on every session of New York, in the columns of the page's example."""
    days = exchange_calendars.get_calendar("XNYS", start=first, end=last).sessions
    rng = np.random.default_rng(7)
    closes = 40 * np.exp(np.cumsum(rng.normal(0, 0.012, len(days))))
    lines = []
    for day, close in zip(days, closes, strict=True):
        opened = close * (1 + rng.normal(0, 0.005))
        low, high = (
            min(opened, close) - rng.uniform(0, 0.5),
            max(opened, close) + rng.uniform(0, 0.5),
        )
        prices = ",".join(f"{price:.2f}" for price in (opened, high, low, close))
        lines.append(f"{day.date()},{prices},{rng.integers(50_000, 500_000)}")
    path = project.folder / "data" / "inbox" / "ACME.csv"
    path.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")


def edit(project: Project) -> None:
    """Change the keys that the page shows, and no others."""
    path = project.folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["data"] |= yaml.safe_load(EDIT)["data"]
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def test_from_a_file_to_a_served_forecast(brief: Project) -> None:
    write_bars(brief)
    type_in(brief, TRACK)
    edit(brief)
    printed = type_in(brief, RUN)
    assert "ingest: csv: 1 symbol, " in printed
    assert "ACME" in printed
    assert SERVE == "make serve\n"
    with served(brief) as port:
        answer = json.loads(type_in(brief, ASK.replace(":8000", f":{port}")))
    assert (answer["symbol"], answer["horizon"], answer["as_of"]) == ("ACME", "short", "2018-12-31")
    assert answer["target_date"] == "2019-01-02"
    interval = answer["interval"]
    assert interval["lower_return"] < answer["predicted_return"] < interval["upper_return"]
    type_in(brief, KEEP)
    assert brief.git("status", "--porcelain") == ""


TRACKED = ("git add data/inbox/ACME.csv", "dvc add data/inbox/ACME.csv")


def test_experiments_and_colleagues_need_files_that_git_knows(tmp_path: Path) -> None:
    mine = ingesting(tmp_path / "mine")
    write_bars(mine)
    missing = mine.dvc("exp", "run", "--temp", check=False)
    for fact in ("error: data/inbox", "git add", "dvc add"):
        assert fact in missing
    for number, track in enumerate(TRACKED):
        tracked = copied(mine.folder, tmp_path / f"tracked {number}")
        type_in(tracked, track)
        tracked.git("add", "--all", "data/inbox")
        assert "ingest: csv: 1 symbol, " in tracked.dvc("exp", "run", "--temp")
        tracked.git("commit", "--quiet", "--message=Bars of ACME")
        colleague(tracked, tmp_path / f"colleague {number}", track)


def ingesting(folder: Path) -> Project:
    """The first stage that reads bars, with the params of the page, committed."""
    mine = Project(folder)
    shutil.copytree(ROOT / "stages", folder / "stages")
    (folder / "data" / "inbox").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    names = (".gitignore", ".dvcignore", "data/inbox/README.md", "data/.gitignore", "params.yaml")
    for name in (*names, ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, folder / name)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    pipeline = {"stages": {"ingest": pipeline["stages"]["ingest"]}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    edit(mine)
    mine.git("init", "--quiet", "--initial-branch=main")
    mine.git("config", "user.email", "tests@example.org")
    mine.git("config", "user.name", "Tests")
    mine.git("add", "--all")
    mine.git("commit", "--quiet", "--message=Bars of a file")
    return mine


def colleague(mine: Project, folder: Path, track: str) -> None:
    """What a clone makes of the files."""
    mine.git("clone", "--quiet", ".", str(folder))
    other = Project(folder)
    if track.startswith("dvc"):
        other.dvc("cache", "dir", "--local", str(mine.folder / ".dvc" / "cache"))
        other.dvc("checkout", "data/inbox/ACME.csv.dvc")
    other.dvc("repro")
    assert (folder / "data" / "raw" / "daily" / "ACME.parquet").exists()
