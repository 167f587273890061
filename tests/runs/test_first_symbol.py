"""docs/your-first-symbol.md on a file that the test writes, and files that git must know."""

import json
import re
import sys

import exchange_calendars
import numpy as np
import pytest
import yaml

from tests.projects import ROOT, Project
from tests.runs.test_readme import served

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "your-first-symbol.md").read_text(encoding="utf-8")
TRACK, RUN, SERVE, ASK, KEEP = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(EDIT,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(HEADER,) = re.findall(r"^(date,open.*)$", TEXT, re.MULTILINE)


def type_in(project: Project, command: str, *, check: bool = True) -> str:
    return project.run("bash", "-euc", command, check=check, MAKEFLAGS=f"VENV={sys.prefix}")


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


def test_from_a_file_to_a_served_forecast(quick: Project) -> None:
    write_bars(quick)
    type_in(quick, TRACK)
    edit(quick)
    printed = type_in(quick, RUN)
    assert "ingest: csv: 1 symbol, " in printed
    assert "ACME" in printed
    assert SERVE == "make serve\n"
    with served(quick) as port:
        answer = json.loads(type_in(quick, ASK.replace(":8000", f":{port}")))
    assert (answer["symbol"], answer["horizon"], answer["as_of"]) == ("ACME", "short", "2018-12-31")
    assert answer["target_date"] == "2019-01-02"
    interval = answer["interval"]
    assert interval["lower_return"] < answer["predicted_return"] < interval["upper_return"]
    type_in(quick, KEEP)
    assert quick.git("status", "--porcelain") == ""


@pytest.mark.parametrize("track", ["git add data/inbox/ACME.csv", "dvc add data/inbox/ACME.csv"])
def test_experiments_and_colleagues_need_files_that_git_knows(fresh: Project, track: str) -> None:
    pipeline = (fresh.folder / "dvc.yaml").read_text(encoding="utf-8")
    (fresh.folder / "dvc.yaml").write_text(pipeline[: pipeline.index("\n  clean:\n")])
    edit(fresh)
    fresh.git("commit", "--quiet", "--no-verify", "--all", "--message=Bars of a file")
    write_bars(fresh)
    missing = fresh.dvc("exp", "run", "--temp", check=False)
    for fact in ("error: data/inbox", "git add", "dvc add"):
        assert fact in missing
    type_in(fresh, track)
    fresh.git("add", "--all", "data/inbox")
    assert "ingest: csv: 1 symbol, " in fresh.dvc("exp", "run", "--temp")

    fresh.git("commit", "--quiet", "--no-verify", "--all", "--message=Bars of ACME")
    colleague = Project(fresh.folder.with_name("colleague"))
    fresh.git("clone", "--quiet", ".", str(colleague.folder))
    if track.startswith("dvc"):
        colleague.dvc("cache", "dir", "--local", str(fresh.folder / ".dvc" / "cache"))
        colleague.dvc("checkout", "data/inbox/ACME.csv.dvc")
    colleague.dvc("repro")
    assert (colleague.folder / "data" / "raw" / "daily" / "ACME.parquet").exists()
