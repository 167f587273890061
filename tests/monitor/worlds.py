"""A checkout as far as the checks of health read it."""

import hashlib
import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import yaml

from stages.common import tables
from tests.projects import ROOT

AS_OF = date(2012, 12, 31)
"""The session of the newest bar; 2 January 2013 is the next."""


def sessions() -> list[date]:
    """Weekdays without New Year's Day, 2011 to 2013."""
    days = [date(2011, 1, 3) + timedelta(days=count) for count in range(3 * 365)]
    return [day for day in days if day.weekday() < 5 and (day.month, day.day) != (1, 1)]


def build(folder: Path) -> Path:
    """Write models, dvc.lock, params and metrics in which all is well."""
    models = folder / "models"
    models.mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    bars = [
        {"symbol": symbol, "date": day, "market": symbol == "sp500"}
        for symbol in ("AAPL", "IBM", "sp500")
        for day in sessions()
        if day <= AS_OF
    ]
    pl.DataFrame(bars).write_parquet(models / "latest.parquet")
    prices = dict.fromkeys(("open", "high", "low", "close", "adj_close", "volume"), 10.0)
    clean = [{**bar, **prices, "filled": False} for bar in bars if not bar["market"]]
    daily = pl.DataFrame(clean).select(list(tables.CLEAN_DAILY))
    (folder / "data" / "clean").mkdir(parents=True)
    daily.write_parquet(folder / "data" / "clean" / "daily.parquet")
    content = {"calendar": "XNYS", "sessions": [str(day) for day in sessions()]}
    (models / "sessions.json").write_text(json.dumps(content))
    for horizon, length, last in (("short", 1, "2012-12-28"), ("long", 63, "2012-10-03")):
        (models / horizon).mkdir()
        (models / horizon / "model.onnx").write_bytes(horizon.encode())
        card = {"sessions": length, "training": {"last": last}}
        (models / horizon / "card.json").write_text(json.dumps(card))
    (folder / "metrics" / "validation_datasets").mkdir(parents=True)
    scores = {name: {"quality": 100.0, "failed": []} for name in ("raw", "clean", "features")}
    validation = {"quality": 100.0, "tables": scores}
    (folder / "metrics" / "validation.json").write_text(json.dumps(validation))
    for horizon in ("short", "long"):
        path = folder / "metrics" / "validation_datasets" / f"{horizon}.json"
        path.write_text(json.dumps({"quality": 100.0, "failed": []}))
    lock(folder)
    return folder


def lock(folder: Path) -> None:
    """Write dvc.lock for what is in `models/`."""
    outs = [
        {
            "path": str(path.relative_to(folder)),
            "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
            "size": path.stat().st_size,
        }
        for path in sorted((folder / "models").rglob("*"))
        if path.is_file()
    ]
    # A folder of candidates, which no server reads.
    outs.append({"path": "models/candidates/short/ridge", "md5": "0" * 32 + ".dir", "size": 1})
    stages = {"evaluate": {"cmd": "true", "outs": outs}}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def md5(folder: Path, horizon: str) -> str:
    """Of the graph of a horizon."""
    graph = (folder / "models" / horizon / "model.onnx").read_bytes()
    return hashlib.md5(graph, usedforsecurity=False).hexdigest()
