"""A small project in which champions meet challengers: real git, DVC and graphs, chosen skill.

Seven percent of the spread of a return can be known. `models.ridge.alpha` is what a forecast makes
of it, and a hundred more: 107 is right, 100 says nothing, 88 believes the contrary.
"""

import json
import shutil
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from sqlalchemy import Engine

from monitor.retraining.retrain import Proposal
from monitor.settings import Settings
from monitor.store import records
from stages.common.sections import Sections, parse
from stages.monitor_params import MonitorParams
from tests.monitor import live
from tests.projects import ROOT, Project

PIPELINE = """
stages:
  latest:
    cmd: python stages/make.py latest
    deps: [stages/make.py]
    params: [data.as_of]
    outs: [models/latest.json]
    metrics: [{metrics/validation.json: {cache: false}}]
  evaluate:
    matrix:
      horizon: ${horizons}
    cmd: python stages/make.py ${item.horizon}
    deps: [stages/make.py, models/latest.json]
    params: ['horizons.${item.horizon}', data.as_of, models.ridge]
    outs:
    - models/${item.horizon}/card.json
    - models/${item.horizon}/forecasts.parquet
    - models/${item.horizon}/model.onnx
    metrics: [{'metrics/${item.horizon}.json': {cache: false}}]
artifacts:
  short: {path: models/short, type: model}
  long: {path: models/long, type: model}
"""

STAGE = """
import json
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import yaml
from onnx import TensorProto, helper

params = yaml.safe_load(Path("params.yaml").read_text())
end = date.fromisoformat(params["data"]["as_of"])
name = sys.argv[1]


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


if name == "latest":
    write("models/latest.json", {"as_of": str(end)})
    write("metrics/validation.json", {"quality": 100.0})
    sys.exit()

sessions, skill = params["horizons"][name], params["models"]["ridge"]["alpha"] / 100 - 1
days = [date(2006, 1, 2) + timedelta(days=n) for n in range((end - date(2006, 1, 2)).days + 1)]
days = [day for day in days if day.weekday() < 5]
rows = []
for place, symbol in enumerate(("AAA", "BBB", "CCC")):
    generator = np.random.default_rng(40 + place)
    # Drawn together day by day, so that a longer history has the same past.
    known, unknown, own = generator.normal(size=(len(days), 3)).T
    target = 0.02 * (0.07 * known + unknown)
    forecast = 0.02 * skill * known + 0.0001 * own
    held_out = len(days) * 7 // 10
    # What one fit differs by from another.
    forecast = forecast + 1e-5 * np.random.default_rng(end.toordinal()).normal()
    for day in range(held_out, len(days) - sessions):
        rows.append((symbol, days[day], days[day + sessions], 100.0, target[day], forecast[day]))
first = min(row[1] for row in rows)
frame = pl.DataFrame(
    rows, ["symbol", "date", "target_date", "close", "target", "forecast"], orient="row"
).with_columns(
    lower=pl.col("forecast") - 0.0329,
    upper=pl.col("forecast") + 0.0329,
    probability=0.5 + 20 * pl.col("forecast"),
    scale=pl.lit(0.02),
)
folder = Path("models", name)
folder.mkdir(parents=True, exist_ok=True)
frame.write_parquet(folder / "forecasts.parquet")
grid = [-2.5, -1.6, -1.28, -1.04, -0.84, -0.67, -0.52, -0.39, -0.25, -0.13, 0]
fit = {
    "residual_quantiles": [*grid, *(-each for each in reversed(grid[:-1]))],
    "training": {"last_target": str(first)},
}
write(folder / "card.json", {"horizon": name, "sessions": sessions, **fit, "evaluated": fit})
write(f"metrics/{name}.json", {"mae": 0.01, "oos_r2": 0.001})
weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 1], [skill + end.toordinal() / 1e9])
graph = helper.make_graph(
    [helper.make_node("MatMul", ["features", "w"], ["return"])],
    name,
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 1])],
    [helper.make_tensor_value_info("return", TensorProto.FLOAT, [None, 1])],
    [weights],
)
made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.save(made, folder / "model.onnx")
"""

STAGE_FILE = "stages/make.py"

AS_OF, NEWER, NEWEST = date(2012, 6, 29), date(2012, 8, 31), date(2012, 12, 28)

EVENING = datetime.fromisoformat("2012-12-31T22:00:00+00:00")


class Arena(Project):
    """The project, its monitor and its log."""

    @classmethod
    def make(cls, folder: Path) -> None:
        """Reproduce and commit it; the remote is the folder `remote` beside it."""
        folder.mkdir()
        arena = cls(folder)
        arena.git("init", "--quiet", "--initial-branch=main")
        arena.git("config", "user.email", "tests@example.org")
        arena.git("config", "user.name", "Tests")
        arena.dvc("init", "--quiet")
        (folder / "stages").mkdir()
        (folder / STAGE_FILE).write_text(STAGE, encoding="utf-8")
        (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
        shutil.copy(ROOT / "params.yaml", folder)
        arena.set("2012-12-31", str(AS_OF))
        arena.set("  long: 63\n", "")
        arena.set("alpha: 10.0", "alpha: 88")
        with (folder / ".gitignore").open("a", encoding="utf-8") as file:
            file.write("/var/\n")
        # Within the project: a copy of it has a remote of its own.
        arena.dvc("remote", "add", "--quiet", "--default", "storage", "var/remote")
        arena.dvc("repro", "--quiet")
        arena.commit("First")
        with records.opened(arena.settings) as engine:
            arena.log(engine, arena.md5())

    def commit(self, message: str) -> str:
        """Commit whatever there is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", f"--message={message}")
        return self.head

    @property
    def head(self) -> str:
        """The commit of the served checkout."""
        return self.git("rev-parse", "HEAD").strip()

    @property
    def settings(self) -> Settings:
        """Of its monitor, on an evening after its newest session."""
        return Settings(var=self.folder / "var", now=EVENING)

    def md5(self, horizon: str = "short") -> str:
        """Of the model that is checked out, which must be that of `dvc.lock`."""
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text(encoding="utf-8"))
        outs = lock["stages"][f"evaluate@{horizon}"]["outs"]
        (md5,) = [out["md5"] for out in outs if out["path"].endswith("model.onnx")]
        return str(md5)

    def placed(self, horizon: str = "short") -> dict[str, Any] | None:
        """The challenger that the server finds."""
        path = self.folder / "var" / "challengers" / horizon / "challenger.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def production(self, horizon: str = "short") -> list[str]:
        """The commits that were put into production, oldest first."""
        listed = self.git(
            *("tag", "--list", f"{horizon}#*", "--sort=version:refname"),
            "--format=%(*objectname)",
        )
        return listed.split()

    def log(
        self,
        engine: Engine,
        md5: str,
        *,
        since: date = date(2011, 1, 3),
        role: str | None = None,
        sessions: int = 120,
        predicted: float = 0.0,
        horizon: tuple[str, int] = ("short", 1),
    ) -> None:
        """Let a model have made forecasts of bars, all with labels."""
        bars = live.bars(sessions=sessions, start=since)
        name, length = horizon
        forecasts = live.forecasts(bars, length, name, predicted=predicted, model_md5=md5)
        live.add(engine, forecasts.with_columns(role=pl.lit(role, pl.String)), labelled=1.0)


def thresholds(**changes: Mapping[str, Any]) -> MonitorParams:
    """The section `monitor:` of the project, with changes by part."""

    class Monitor(Sections):
        monitor: MonitorParams

    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for part, values in changes.items():
        content["monitor"][part] |= values
    return parse(Monitor, content).monitor


def better(alpha: float = 107, **more: Any) -> Proposal:
    """A change that knows the sign."""
    return Proposal("manual", NEWER, {"models.ridge.alpha": alpha}, by="Ada", **more)
