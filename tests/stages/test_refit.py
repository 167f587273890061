"""What is served is fitted again on every row whose outcome is known; what is scored is not."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

from stages.common import tables
from stages.common.paths import DATASETS, METRICS, MODELS, REFITTED
from stages.forecast.session import Session
from stages.forecast.training import models
from stages.forecast.training.arrays import Dataset, Joined
from tests import datasets

PARTS = ("train", "purged", "test")


def copy(project: Path, folder: Path, **sections: Any) -> Path:
    for part in (DATASETS, MODELS, METRICS):
        shutil.copytree(project / part, folder / part)
    datasets.write_params(folder, **sections)
    return folder


@pytest.fixture(scope="module")
def refitted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real sample, evaluated and fitted again; no test changes it."""
    folder = copy(trained, tmp_path_factory.mktemp("refit") / "p", train={"refit": True})
    for horizon in datasets.HORIZONS:
        datasets.stage(folder, "evaluate", horizon)
    return folder


def card(folder: Path, horizon: str) -> dict[str, Any]:
    path = folder / MODELS / horizon / "card.json"
    content: dict[str, Any] = pl.read_json(path).row(0, named=True)
    return content


def forecasts(folder: Path, horizon: str, *, known: bool) -> pl.DataFrame:
    rows = tables.read(folder / MODELS / horizon / "forecasts.parquet")
    return rows.filter(pl.col("target").is_not_null() == known)


@pytest.mark.parametrize("horizon", datasets.HORIZONS)
def test_what_is_scored_stays_what_it_was(trained: Path, refitted: Path, horizon: str) -> None:
    assert forecasts(refitted, horizon, known=True).equals(forecasts(trained, horizon, known=True))
    for name in (f"{horizon}.json", f"{horizon}/scores.csv", f"{horizon}/folds.csv"):
        mine, theirs = (folder / METRICS / name for folder in (refitted, trained))
        assert mine.read_bytes() == theirs.read_bytes()
    before, after = card(trained, horizon), card(refitted, horizon)
    assert after["evaluated"] == before["evaluated"]
    same = ("method", "candidates", "baselines", "scale_scores", "fold_oos_r2")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


@pytest.mark.parametrize("horizon", datasets.HORIZONS)
def test_it_is_trained_on_every_row_whose_outcome_is_known(refitted: Path, horizon: str) -> None:
    every = pl.concat(
        [tables.read(refitted / DATASETS / horizon / f"{part}.parquet") for part in PARTS]
    )
    trained_on = card(refitted, horizon)["training"]
    assert trained_on["rows"] == every.height
    assert trained_on["last_target"] == "2012-12-31"
    # None is there twice, and none is missing up to the last whose outcome is known.
    assert every.select("symbol", "date").is_duplicated().sum() == 0
    bars = tables.read(refitted / MODELS / "latest.parquet").filter(symbol="IBM")["date"].sort()
    sessions = every.filter(pl.col("date") >= bars[0], symbol="IBM")["date"].sort()
    assert sessions.equals(bars[: -datasets.HORIZONS[horizon]])


@pytest.mark.parametrize("horizon", datasets.HORIZONS)
def test_the_parts_of_what_is_served_are_fits_to_these_rows(refitted: Path, horizon: str) -> None:
    parts = [Dataset(refitted / DATASETS / horizon / f"{part}.parquet") for part in PARTS]
    data, content = Joined(parts), card(refitted, horizon)
    graphs = {
        path.stem: Session(path) for path in sorted((refitted / REFITTED / horizon).iterdir())
    }
    weights = {name: part["weight"] for name, part in content["candidates"].items()}
    assert set(graphs) == {"mean", *(name for name, weight in weights.items() if weight)}
    sample = data.x[::37]
    assert graphs["mean"](sample)["return"] == pytest.approx(data.y.mean())
    if "ridge" in graphs:
        # The scale's own columns are not for models.
        visible = [not name.startswith(("range_", "ewma_vol_")) for name in parts[0].features]
        own = models.ridge(data.x[:, visible], data.y, 0, alpha=1.0).predict(sample[:, visible])
        assert graphs["ridge"](sample)["return"] == pytest.approx(own, abs=1e-7)
    served = Session(refitted / MODELS / horizon / "model.onnx")
    weights["mean"] = content["baselines"]["mean"]["weight"]
    total = np.sum([weights[name] * graphs[name](sample)["return"] for name in graphs], axis=0)
    assert served(sample)["return"] == pytest.approx(total, abs=1e-6)
    newest = Dataset(refitted / DATASETS / horizon / "newest.parquet")
    upcoming = forecasts(refitted, horizon, known=False)
    assert upcoming["forecast"].to_numpy().tobytes() == served(newest.x)["return"].tobytes()


@pytest.mark.parametrize("horizon", datasets.HORIZONS)
def test_its_interval_comes_from_folds_and_hold_out_together(refitted: Path, horizon: str) -> None:
    content = card(refitted, horizon)
    assert content["scale"]["kind"] == content["evaluated"]["scale"]["kind"]
    assert content["interval"]["level"] == 0.9
    held_out = forecasts(refitted, horizon, known=True)
    error = np.abs((held_out["target"] - held_out["forecast"]).to_numpy())
    data = Dataset(refitted / DATASETS / horizon / "test.parquet")
    now = Session(refitted / MODELS / horizon / "model.onnx")(data.x)["scale"].mean()
    # With the hold-out among what it has learned from, the scale is closer to what came.
    before = float(held_out["scale"].mean())  # type: ignore[arg-type]
    assert abs(now - error.mean()) < abs(before - error.mean())


def test_a_second_run_gives_the_same_bytes(refitted: Path, tmp_path: Path) -> None:
    own = copy(refitted, tmp_path / "own", train={"refit": True})
    datasets.stage(own, "evaluate", "short")
    assert datasets.outputs(own) == datasets.outputs(refitted)


def test_models_of_each_symbol_are_fitted_again(tmp_path: Path) -> None:
    rows = datasets.made_up(
        ["A", "B"], 1000, lambda x, rng: 0.006 * x[:, 0] + rng.normal(0, 0.02, len(x))
    )
    changes = {"refit": True, "scope": "per_symbol"}
    datasets.write_params(tmp_path, horizons={"short": 1}, train=changes)
    held_out = rows["date"].sort()[1600]
    datasets.write_dataset(tmp_path, "short", rows, held_out)
    datasets.write_sessions(tmp_path, rows["date"].max())  # type: ignore[arg-type]
    for name in datasets.SMALL_MODELS:
        datasets.stage(tmp_path, "train", "short", name)
    datasets.stage(tmp_path, "evaluate", "short")
    graph = onnx.load(tmp_path / MODELS / "short" / "model.onnx")
    assert [entry.name for entry in graph.graph.input] == ["features", "symbol"]
    assert card(tmp_path, "short")["training"]["rows"] == rows.height - 2
