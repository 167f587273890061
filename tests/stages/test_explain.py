"""The stage explain: explanations that sum to the forecasts that evaluate wrote."""

import json
import logging
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from stages import explain
from stages.common import tables
from stages.common.errors import DataError, InputError
from stages.common.paths import CANDIDATES, DATASETS, METRICS, MODELS
from tests import datasets
from tests.messages import facts

SPLIT = date(2003, 6, 1)
FEATURES = ["mom_0", "mom_1", "mom_2"]

ON_ONE_CORE = """
import os, sys
if hasattr(os, "sched_setaffinity"):  # Linux
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from stages import explain
explain.main()
"""

OUTPUTS = (
    MODELS / "short" / "explanations.parquet",
    METRICS / "short" / "explanations.csv",
)


def signal(x: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The first feature moves the target most, the last not at all."""
    return 0.02 * x[:, 0] + 0.01 * np.abs(x[:, 1]) + rng.normal(0, 0.01, len(x))


def explained_project(folder: Path, target: datasets.Target, **changes: Any) -> Path:
    """A project of made-up rows, trained and evaluated."""
    datasets.write_params(folder, horizons={"short": 1}, **changes)
    rows = datasets.made_up(["A", "B"], 1000, target)
    datasets.write_dataset(folder, "short", rows, SPLIT)
    datasets.write_sessions(folder, date(2003, 9, 26))
    for name in changes.get("models", datasets.SMALL_MODELS):
        datasets.stage(folder, "train", "short", name)
    datasets.stage(folder, "evaluate", "short")
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that is explained too; no test changes it."""
    folder = explained_project(tmp_path_factory.mktemp("explained"), signal)
    datasets.stage(folder, "explain", "short")
    return folder


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    shutil.copytree(project, tmp_path / "own")
    return tmp_path / "own"


def explanations(folder: Path) -> pl.DataFrame:
    return tables.read(folder / OUTPUTS[0])


def sizes(folder: Path) -> dict[str, float]:
    table = pl.read_csv(folder / OUTPUTS[1])
    return dict(zip(table["feature"], table["contribution"], strict=True))


def check(folder: Path) -> None:
    """Every forecast that evaluate wrote is explained, and each explanation sums to it."""
    table = explanations(folder)
    wanted = tables.read(folder / MODELS / "short" / "forecasts.parquet")
    assert table.columns == ["symbol", "date", "forecast", "base", *FEATURES]
    assert table.select("symbol", "date", "forecast").equals(
        wanted.select("symbol", "date", "forecast")
    )
    total = table.select("base", *FEATURES).cast(pl.Float64).sum_horizontal()
    assert (total - table["forecast"]).abs().max() < 1e-6  # type: ignore[operator]


def test_every_forecast_is_explained(project: Path) -> None:
    check(project)
    card = json.loads((project / MODELS / "short" / "card.json").read_text(encoding="utf-8"))
    assert card["method"] != "mean"
    # One mean of the training rows for all.
    assert explanations(project)["base"].n_unique() == 1


def test_the_plot_has_the_mean_size_of_each_feature(project: Path) -> None:
    plot = sizes(project)
    assert list(plot) == FEATURES
    for name, size in plot.items():
        mean = explanations(project)[name].cast(pl.Float64).abs().mean()
        assert size == pytest.approx(mean, rel=1e-5)


def test_a_shuffled_column_contributes_next_to_nothing(project: Path, tmp_path: Path) -> None:
    """`f0` moves the forecasts most, until training sees its values in another order."""
    assert sizes(project)["mom_0"] > 5 * sizes(project)["mom_2"]
    shutil.copytree(project, tmp_path / "shuffled")
    folder = tmp_path / "shuffled"
    path = folder / DATASETS / "short" / "train.parquet"
    rows = tables.read(path)
    tables.write(rows.with_columns(pl.col("mom_0").shuffle(seed=0)), path)
    for name in datasets.SMALL_MODELS:
        datasets.stage(folder, "train", "short", name)
    datasets.stage(folder, "evaluate", "short")
    datasets.stage(folder, "explain", "short")
    check(folder)
    assert sizes(folder)["mom_0"] < 0.1 * sizes(project)["mom_0"]


def test_with_a_model_per_symbol_each_has_a_base_of_its_own(tmp_path: Path) -> None:
    train = {"scope": "per_symbol"}
    folder = explained_project(tmp_path, signal, train=train, models={"ridge": {}, "xgboost": {}})
    datasets.stage(folder, "explain", "short")
    check(folder)
    assert explanations(folder).select("symbol", "base").n_unique() == 2
    assert explanations(folder)["base"].n_unique() == 2


@pytest.mark.parametrize("scope", ["pooled", "per_symbol"])
def test_each_forecast_is_explained_by_the_fit_that_made_it(tmp_path: Path, scope: str) -> None:
    once, again = (
        explained_project(
            tmp_path / str(refit),
            signal,
            train={"scope": scope, "refit": refit},
            models={"ridge": {}, "xgboost": {"n_estimators": 20}},
        )
        for refit in (False, True)
    )
    for folder in (once, again):
        datasets.stage(folder, "explain", "short")
        check(folder)
    newest = pl.col("date") == pl.col("date").max().over("symbol")
    before, after = explanations(once), explanations(again)
    assert after.filter(~newest).equals(before.filter(~newest))
    assert not after.filter(newest)["base"].equals(before.filter(newest)["base"])


def test_where_the_mean_is_served_nothing_contributes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def noise(x: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float64]:
        return rng.normal(0, 0.02, len(x))

    folder = explained_project(tmp_path, noise, models={"ridge": {}})
    card = json.loads((folder / MODELS / "short" / "card.json").read_text(encoding="utf-8"))
    assert card["baselines"]["mean"]["weight"] == 1
    caplog.set_level(logging.INFO, logger="stages")
    datasets.stage(folder, "explain", "short")
    check(folder)
    assert set(sizes(folder).values()) == {0.0}
    assert "explain short: " in caplog.messages[-1]
    assert "no feature" in caplog.messages[-1]


def test_outcomes_of_the_hold_out_change_nothing(own: Path, project: Path) -> None:
    path = own / DATASETS / "short" / "test.parquet"
    rows = tables.read(path)
    tables.write(rows.with_columns(pl.col("target").shuffle(seed=1)), path)
    datasets.stage(own, "explain", "short")
    assert datasets.outputs(own, *(path.parent for path in OUTPUTS)) == datasets.outputs(
        project, *(path.parent for path in OUTPUTS)
    )


def test_one_core_gives_the_same_bytes(own: Path, project: Path) -> None:
    for path in OUTPUTS:
        (own / path).unlink()
    ran = datasets.python(own, ON_ONE_CORE, "short")
    assert ran.returncode == 0, ran.stderr
    for path in OUTPUTS:
        assert (own / path).read_bytes() == (project / path).read_bytes()


def test_of_a_long_hold_out_the_newest_bars_are_explained(
    own: Path, project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(explain, "MOST", 20)
    datasets.stage(own, "explain", "short")
    # Ten held-out sessions of two symbols, and the newest bar of each.
    newest = explanations(project).group_by("symbol", maintain_order=True).tail(11)
    assert explanations(own).equals(newest)
    held_out = explanations(project).height - 2
    assert facts(caplog.messages[0]) == {str(held_out - 20)}


def test_candidates_of_another_run_are_refused(own: Path) -> None:
    before = datasets.outputs(own)
    shutil.copy(
        own / CANDIDATES / "short" / "random_forest" / "model.onnx",
        own / CANDIDATES / "short" / "ridge" / "model.onnx",
    )
    with pytest.raises(DataError) as caught:
        datasets.stage(own, "explain", "short")
    rows = explanations(own).height
    assert {str(rows), "`dvc repro`"} < facts(str(caught.value))
    for path in OUTPUTS:
        assert (own / path).read_bytes() == before[str(path)]


@pytest.mark.parametrize(
    "path",
    [
        "models/short/card.json",
        "models/short/forecasts.parquet",
        "models/candidates/short/ridge/model.onnx",
    ],
)
def test_a_missing_input_is_named(own: Path, path: str) -> None:
    (own / path).unlink()
    with pytest.raises(InputError, match=rf"^{path}: no such file; run `dvc repro`"):
        datasets.stage(own, "explain", "short")
