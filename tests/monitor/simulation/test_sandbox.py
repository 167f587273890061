"""The copy of the project in which a simulation runs."""

import subprocess
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml

from monitor.settings import MonitorError
from monitor.simulation import faulty_bars, sandbox
from monitor.simulation.plan import Plan
from stages import params
from stages.common import tables
from stages.common.paths import CLEAN_DAILY, CLEAN_MARKET
from tests.monitor import live
from tests.projects import Project

PLAN = Plan(
    first=date(2021, 1, 4), last=date(2021, 12, 31), small=True, faults=("turning-challenger",)
)


@pytest.fixture
def project(fresh: Project) -> Project:
    """A checkout with bars, and with changes that are not committed."""
    tables.write(live.bars(sessions=520), fresh.folder / CLEAN_DAILY)
    market = live.bars(["sp500", "nasdaq"], sessions=520)
    tables.write(market, fresh.folder / CLEAN_MARKET)
    fresh.set("window: 200", "window: 100")
    (fresh.folder / "stages" / "new.py").write_text('"""New."""\n', "utf-8")
    return fresh


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    # Git writes down what it has seen of unchanged files.
    paths = [path for path in paths if path != folder / ".git" / "index"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_the_project_as_it_stands_is_copied_and_left_alone(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(project.folder)
    folder = tmp_path / "simulation"
    here, bars = sandbox.make(project.folder, folder, PLAN)
    assert state(project.folder) == before

    assert bars["symbol"].unique(maintain_order=True).to_list() == list(live.SYMBOLS)
    assert (here.folder / "stages" / "new.py").exists()
    assert not (here.folder / "tests").exists()
    # It begins with no results, and its bars are those that the simulation gives.
    assert not (here.folder / "dvc.lock").exists()
    assert list((here.folder / sandbox.INBOX).rglob("*.parquet")) == [
        here.folder / sandbox.INBOX / "market" / "market.parquet"
    ]
    monkeypatch.chdir(here.folder)
    content = yaml.safe_load(Path("params.yaml").read_text("utf-8"))
    assert content["monitor"]["drift"]["window"] == 100
    assert (content["horizons"], list(content["models"])) == ({"short": 1}, ["ridge"])
    assert content["data"]["symbol_levels"] == ["SENTIMENT", "IMPLIED"]
    assert "models.ridge.alpha" not in (content.get("search") or {})
    settings = params.load()
    assert (settings.data.source, settings.train.folds) == ("parquet", 2)

    series = faulty_bars.series(bars, None, 0)
    assert sandbox.stock(here.folder, bars, series)
    assert not sandbox.stock(here.folder, bars, series)
    here.commit("Bars")
    assert (
        subprocess.run(
            ["git", "status", "--porcelain"], cwd=here.folder, capture_output=True, check=True
        ).stdout
        == b""
    )
    # A promotion pushes to a folder beside it.
    remote = "".join(here.python("dvc", "remote", "list").split())  # wrapped where it is narrow
    assert str(folder / "remote") in remote
    assert "(default)" in remote


def test_settings_of_the_user_do_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://live/log")
    monkeypatch.setenv("SERVE_PORT", "80")
    monkeypatch.setenv("MONITOR_ALERT_URLS", "slack://team")
    variables = sandbox.Sandbox(tmp_path).environment
    assert not {"DATABASE_URL", "SERVE_PORT", "MONITOR_ALERT_URLS", "PYTHONPATH"} & variables.keys()
    assert variables["DVC_NO_ANALYTICS"] == "true"


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("", "utf-8")
    with pytest.raises(MonitorError, match=r"is not empty; choose another --folder"):
        sandbox.make(tmp_path, tmp_path, PLAN)


def test_adjusted_bars_keep_returns_and_proportions() -> None:
    bars = pl.DataFrame(
        {
            "symbol": ["A", "A"],
            "date": [date(2020, 1, 1), date(2020, 1, 2)],
            # A split of one share into two.
            "open": [100.0, 51.0],
            "high": [110.0, 55.0],
            "low": [90.0, 45.0],
            "close": [100.0, 52.0],
            "adj_close": [50.0, 52.0],
            "volume": [1.0, 2.0],
        }
    )
    adjusted = faulty_bars.adjusted(bars)
    assert adjusted["close"].to_list() == [50, 52]
    assert adjusted["high"].to_list() == [55, 55]
