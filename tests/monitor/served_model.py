"""A project whose one horizon has a served model, without a run of the pipeline.

The model forecasts no return, and errors of a normal distribution with a constant scale: the truth
of `live.bars`.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from scipy.special import ndtri

from monitor.performance import yardstick
from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.scale import CONSTANT, LogScale
from stages.forecast.scoring.spread import GRID, Spread, crps
from stages.forecast.training import graphs
from tests.monitor import live
from tests.projects import ROOT

HORIZON = "short"
TRAINED, EVALUATED = 600, 400
"""Sessions before the first live forecast, and those that the scored fit knew."""

SCALE = 0.02


def spread() -> Spread:
    """The normal distribution, cut off at four deviations."""
    levels = np.clip(np.linspace(0, 1, GRID), 3e-5, 1 - 3e-5)
    return Spread(ndtri(levels), -1.645, 1.645)


def graph(scale: float = SCALE) -> bytes:
    """The ONNX graph of the model."""
    fitted = LogScale(CONSTANT, ["x"], np.zeros(1), float(np.log(scale)))
    zero = {"zero": graphs.linear(np.zeros(1), 0.0)}
    model: bytes = forecast_graph(zero, {"zero": 1.0}, fitted, spread(), ["x"]).SerializeToString()
    return model


def project(folder: Path, bars: pl.DataFrame, sessions: int = 1) -> str:
    """Write the files of a revision and the bars; returns the md5 of the model.

    Args:
        folder: of the project.
        bars: as `live.bars` gives them; the first `TRAINED` sessions are those of the training.
        sessions: of the horizon.
    """
    days = bars["date"].unique().sort()
    live.write_bars(folder, bars)
    own = folder / "models" / HORIZON
    own.mkdir(parents=True)
    content = graph()
    card = {
        "horizon": HORIZON,
        "sessions": sessions,
        "as_of": str(days[TRAINED - 1]),
        "symbols": sorted(bars["symbol"].unique()),
        "scope": "pooled",
        "interval": {"level": live.LEVEL},
        "training": _training(days, TRAINED, sessions),
        "evaluated": {"training": _training(days, EVALUATED, sessions)},
    }
    held_out = yardstick.prepared(bars, sessions).filter(
        pl.col("date") > days[EVALUATED - 1], pl.col("target_date") <= days[TRAINED - 1]
    )
    loss = SCALE * crps(held_out["target"].to_numpy() / SCALE, spread().grid).mean()
    (own / "model.onnx").write_bytes(content)
    (own / "card.json").write_text(json.dumps(card), encoding="utf-8")
    scores = {"all": {"rows": held_out.height, "crps": float(loss), "coverage": 0.9}}
    (own / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    outs = [
        {"path": str(path.relative_to(folder)), "md5": _md5(path.read_bytes()), "size": 1}
        for path in sorted(own.iterdir())
    ]
    lock = {"schema": "2.0", "stages": {"evaluate": {"cmd": "true", "outs": outs}}}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    shutil.copy(ROOT / "params.yaml", folder)
    return _md5(content)


def _training(days: pl.Series, count: int, sessions: int) -> dict[str, Any]:
    last = days[count - 1 - sessions]
    return {"first": str(days[0]), "last": str(last), "last_target": str(days[count - 1])}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
