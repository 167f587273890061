import hashlib
import json
import logging
import math
import os
import shutil
import signal
from datetime import date
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import onnx
import polars as pl
import pytest
from sklearn import metrics

from stages import evaluate, params, train
from stages.common import tables
from stages.common.errors import InputError, ParamsError
from stages.common.paths import CANDIDATES, DATASETS, METRICS, MODELS, SESSIONS
from stages.forecast import dataset_params
from stages.forecast.contract import FORECAST_OUTPUTS
from stages.forecast.evaluation import combine, fold_rows
from stages.forecast.evaluation.contestants import DISTRIBUTIONS, STACK
from stages.forecast.rounding import rounded
from stages.forecast.scoring import scores
from stages.forecast.scoring.distribution import REGIMES
from stages.forecast.session import Session
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.train_params import BASELINES
from tests import datasets
from tests.messages import facts

NAMES = list(datasets.SMALL_MODELS)
HORIZONS = pytest.mark.parametrize("horizon", list(datasets.HORIZONS))
SPLIT = date(2003, 6, 1)

ON_ONE_CORE = """
import os, sys
if hasattr(os, "sched_setaffinity"):  # Linux
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from stages import evaluate, train
horizon, *names = sys.argv[1:]
for name in names:
    sys.argv[1:] = [horizon, name]
    train.main()
sys.argv[1:] = [horizon]
evaluate.main()
"""

KILLED = """
import os, signal, sys
from stages import evaluate
module, name, count = {module}, {name!r}, {count}
original = getattr(module, name)
def until(*given):
    global count
    original(*given)
    count -= 1
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, until)
evaluate.main()
"""


@pytest.fixture(scope="module")
def project(trained: Path) -> Path:
    """The real sample, trained and evaluated, which no test changes."""
    return trained


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    for part in (DATASETS, MODELS, METRICS):
        shutil.copytree(project / part, tmp_path / part)
    shutil.copy(project / "params.yaml", tmp_path)
    return tmp_path


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def card(folder: Path, horizon: str = "short") -> dict[str, Any]:
    return read_json(folder / MODELS / horizon / "card.json")


def all_scores(folder: Path, horizon: str = "short") -> pl.DataFrame:
    return pl.read_csv(folder / METRICS / horizon / "scores.csv")


def run(folder: Path, rows: pl.DataFrame, **changes: Any) -> None:
    """Train all and evaluate on made-up rows."""
    datasets.write_params(folder, horizons={"short": 1}, **changes)
    datasets.write_dataset(folder, "short", rows, SPLIT)
    datasets.write_sessions(folder, date(2003, 9, 26))
    for name in NAMES:
        datasets.stage(folder, "train", "short", name)
    datasets.stage(folder, "evaluate", "short")


# --- what it leaves


@HORIZONS
def test_it_leaves_what_it_says(project: Path, horizon: str) -> None:
    outputs = datasets.outputs(project, MODELS / horizon, METRICS / horizon)
    assert sorted(outputs) == [
        *(f"metrics/{horizon}/{name}.csv" for name in ("calibration", "coverage")),
        *(f"metrics/{horizon}/{name}.csv" for name in ("fold_forecast", "folds")),
        *(f"metrics/{horizon}/{name}.csv" for name in ("forecast", "forecasts", "importance")),
        *(f"metrics/{horizon}/{name}.csv" for name in ("pit", "residuals", "scores")),
        *(f"models/{horizon}/{name}" for name in ("card.json", "forecasts.parquet", "model.onnx")),
        f"models/{horizon}/scores.json",
    ]
    beside = [*(project / MODELS).iterdir(), *(project / METRICS).iterdir()]
    assert not [path for path in beside if path.name.startswith(".")]


@HORIZONS
def test_the_scores_for_serving_are_those_of_the_table(project: Path, horizon: str) -> None:
    served = read_json(project / MODELS / horizon / "scores.json")
    table = pl.read_csv(project / METRICS / horizon / "scores.csv").filter(model="stack")
    assert (
        list(served)
        == table["symbol"].to_list()
        == ["all", *read_json(project / MODELS / horizon / "card.json")["symbols"]]
    )
    for row in table.iter_rows(named=True):
        assert served[row["symbol"]] == {name: row[name] for name in scores.COLUMNS}


@HORIZONS
def test_the_forecasts_are_those_of_the_graph_to_the_bit(project: Path, horizon: str) -> None:
    rows = tables.read(project / MODELS / horizon / "forecasts.parquet")
    assert rows.equals(rows.sort("symbol", "date"))
    session = Session(project / MODELS / horizon / "model.onnx")
    for part, known in (("test", True), ("newest", False)):
        data = Dataset(project / DATASETS / horizon / f"{part}.parquet")
        outputs = session(data.x)
        mine = rows.filter(pl.col("target").is_not_null() == known)
        assert mine.select("symbol", "date", "target_date", "close", "target").equals(
            data.rows.select("symbol", "date", "target_date", "close", "target")
        )
        for name, output in (
            ("forecast", "return"),
            *((n, n) for n in FORECAST_OUTPUTS[1:]),
        ):
            assert mine[name].to_numpy().tobytes() == outputs[output].tobytes()
    # One row alone, as a server asks, gives the same but for the last bit.
    data = Dataset(project / DATASETS / horizon / "test.parquet")
    for i in range(0, len(data.y), 501):
        alone = session(data.x[i : i + 1])
        row = rows.filter(pl.col("target").is_not_null()).row(i, named=True)
        assert alone["return"][0] == pytest.approx(row["forecast"], abs=1e-7)
        assert alone["probability"][0] == pytest.approx(row["probability"], abs=1e-6)


@HORIZONS
def test_the_graph_is_the_weighted_sum_of_the_candidates(project: Path, horizon: str) -> None:
    recipe = card(project, horizon)
    weights = {name: part["weight"] for name, part in recipe["candidates"].items()}
    weights["mean"] = recipe["baselines"]["mean"]["weight"]
    data = Dataset(project / DATASETS / horizon / "test.parquet")
    mean = tables.read(project / DATASETS / horizon / "train.parquet")["target"].mean()
    assert isinstance(mean, float)
    parts = [np.full(len(data.y), weights["mean"] * mean)] + [
        weights[name]
        * Session(project / CANDIDATES / horizon / name / "model.onnx")(data.x)["return"]
        for name in NAMES
    ]
    graph = onnx.load(project / MODELS / horizon / "model.onnx")
    onnx.checker.check_model(graph, full_check=True)
    returns = Session(graph)(data.x)["return"]
    assert returns == pytest.approx(np.sum(parts, axis=0), abs=1e-6)
    inside = {node.name.split("/")[0] for node in graph.graph.node} | {
        tensor.name.split("/")[0] for tensor in graph.graph.initializer
    }
    for name, weight in weights.items():
        assert (name in inside) == (weight != 0), name


@HORIZONS
def test_the_metrics_are_flat_and_rounded(project: Path, horizon: str) -> None:
    metrics = read_json(project / METRICS / f"{horizon}.json")
    assert list(metrics) == ["rows", "fold_oos_r2", *scores.COLUMNS[1:]]
    assert isinstance(metrics["rows"], int)
    for name, value in metrics.items():
        assert value is None or isinstance(value, float | int), name
        if isinstance(value, float):
            assert value == float(f"{value:.6g}"), name
    stack = all_scores(project, horizon).row(0, named=True)
    assert (stack["symbol"], stack["model"]) == ("all", STACK)
    for name in scores.COLUMNS:
        assert stack[name] == (None if metrics[name] is None else pytest.approx(metrics[name])), (
            name
        )
    assert metrics["fold_oos_r2"] == card(project, horizon)["fold_oos_r2"]


@HORIZONS
def test_the_metrics_are_those_of_the_forecasts(project: Path, horizon: str) -> None:
    """From the written forecasts alone, by scikit-learn."""
    summary = read_json(project / METRICS / f"{horizon}.json")
    rows = tables.read(project / MODELS / horizon / "forecasts.parquet").drop_nulls("target")
    actual, point, low, high, chance = (
        rows[name].to_numpy().astype(np.float64)
        for name in ("target", "forecast", "lower", "upper", "probability")
    )
    mean = Dataset(project / DATASETS / horizon / "train.parquet").y.mean()
    rose = actual > 0
    expected = {
        "rows": len(actual),
        "mae": metrics.mean_absolute_error(actual, point),
        "rmse": metrics.root_mean_squared_error(actual, point),
        "r2": metrics.r2_score(actual, point),
        "oos_r2": 1 - ((actual - point) ** 2).sum() / ((actual - mean) ** 2).sum(),
        "direction": ((point > 0) == rose).mean(),
        "auc": metrics.roc_auc_score(rose, chance),
        "f1": metrics.f1_score(rose, chance > 0.5),
        "precision": metrics.precision_score(rose, chance > 0.5),
        "recall": metrics.recall_score(rose, chance > 0.5),
        "brier": metrics.brier_score_loss(rose, chance),
        "coverage": ((low <= actual) & (actual <= high)).mean(),
        "width": (high - low).mean(),
    }
    assert {name: summary[name] for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-6)


@HORIZONS
def test_the_table_has_all_models_pooled_and_per_symbol(project: Path, horizon: str) -> None:
    table = all_scores(project, horizon)
    assert table.columns == ["symbol", "model", *scores.COLUMNS]
    assert table.select("symbol", "model").rows() == [
        (symbol, model)
        for symbol in ("all", "AAPL", "GOOG", "IBM", "MSFT")
        for model in (STACK, *BASELINES, *DISTRIBUTIONS, *NAMES)
    ]
    pooled = table.filter(symbol="all")
    assert pooled["rows"].n_unique() == 1
    assert table.filter(model="mean", symbol="all")["oos_r2"].item() == 0
    assert table.filter(model="mean")["p_value"].null_count() == 5
    # The better baseline of the distribution saves nothing against itself, the other one less.
    skill = [table.filter(model=name, symbol="all")["crps_skill"].item() for name in DISTRIBUTIONS]
    assert max(skill) == 0 > min(skill)
    assert table.filter(model="zero")["p_value"].null_count() == 5
    assert table.filter(model="ridge", symbol="all")["p_value"].is_between(0, 1).all()


@HORIZONS
def test_the_plots_are_sane(project: Path, horizon: str) -> None:
    plots = {
        name: pl.read_csv(project / METRICS / horizon / f"{name}.csv")
        for name in (
            "forecast",
            "fold_forecast",
            "residuals",
            "calibration",
            "pit",
            "coverage",
            "importance",
            "folds",
        )
    }
    for frame in plots.values():
        assert frame.null_count().sum_horizontal().item() == 0
    held_out = tables.read(project / DATASETS / horizon / "test.parquet", ["date"])
    assert plots["forecast"].height == held_out["date"].n_unique()
    on_folds = plots["fold_forecast"]
    assert on_folds["date"].to_list()[-1] < plots["forecast"]["date"].to_list()[0]
    assert on_folds.filter(~pl.col("forecast").is_between("lower", "upper")).is_empty()
    inside = on_folds.filter(pl.col("outcome").is_between("lower", "upper"))
    assert 0.75 < inside.height / on_folds.height < 1
    assert plots["residuals"]["share"].sum() == pytest.approx(1, abs=1e-4)
    assert plots["calibration"]["forecast"].is_between(0, 1).all()
    assert plots["importance"].height == len(card(project, horizon)["features"])
    assert plots["pit"]["share"].mean() == pytest.approx(1, abs=1e-4)
    assert plots["coverage"]["part"].to_list() == ["2010", "2011", "2012", *REGIMES]
    assert plots["importance"]["importance"].sum() == pytest.approx(1, abs=1e-3)
    # The scale's own columns move no forecast.
    of_scale = pl.col("feature").str.contains("^(range_|ewma_vol_)")
    assert plots["importance"].filter(of_scale)["importance"].to_list() == [0.0] * 5
    folds = plots["folds"]
    assert folds.filter(model=STACK)["fold"].to_list() == [2, 3, 4, 5]
    for name in (*BASELINES, *NAMES):
        assert folds.filter(model=name)["fold"].to_list() == [1, 2, 3, 4, 5]


@HORIZONS
def test_the_card_says_what_the_model_is(project: Path, horizon: str) -> None:
    content = card(project, horizon)
    settings = params.load(project / "params.yaml")
    path = project / DATASETS / horizon / "train.parquet"
    rows = tables.read(path)
    assert content["horizon"] == horizon
    assert content["sessions"] == datasets.HORIZONS[horizon]
    assert content["as_of"] == str(settings.data.as_of)
    # The sample has no hourly bars.
    names = dataset_params.columns(settings.dataset, settings.feature_names)
    selected = [name for name in names if name != "hourly_volatility"]
    assert content["features"] == selected
    assert content["features"] == rows.columns[len(tables.dataset_contract([])) :]
    assert content["scope"] == "pooled"
    assert content["scale"]["kind"] == min(content["scale_scores"], key=content["scale_scores"].get)
    scaled = [
        name for name in selected if name.startswith(("vol_", "ewma_vol_", "rel_atr_", "range_"))
    ]
    assert list(content["scale_scores"]) == ["constant", *scaled, "har"]
    assert set(content["scale"]["exponents"]) <= set(scaled)
    # What is served is what was evaluated.
    assert content["evaluated"] == {name: content[name] for name in content["evaluated"]}
    assert content["symbols"] == ["AAPL", "GOOG", "IBM", "MSFT"]
    assert content["training"] == {
        "rows": rows.height,
        "first": str(rows["date"].min()),
        "last": str(rows["date"].max()),
        "last_target": str(rows["target_date"].max()),
        "data_md5": {"train": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()},
    }
    assert list(content["candidates"]) == NAMES
    assert list(content["baselines"]) == list(BASELINES)
    mean = content["baselines"]["mean"]
    weights = [part["weight"] for part in (mean, *content["candidates"].values())]
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    assert min(weights) >= 0
    for name, part in content["candidates"].items():
        folds = tables.read(project / CANDIDATES / horizon / name / "folds.parquet")
        error = float(np.square(folds["prediction"].to_numpy() - folds["target"].to_numpy()).mean())
        assert part["fold_rmse"] == pytest.approx(math.sqrt(error), rel=1e-5)
    ridge = content["candidates"]["ridge"]
    assert ridge["fold_oos_r2"] == pytest.approx(
        1 - (ridge["fold_rmse"] / mean["fold_rmse"]) ** 2, abs=1e-4
    )
    assert mean["fold_oos_r2"] == 0
    assert len(content["residual_quantiles"]) == 21
    assert content["residual_quantiles"] == sorted(content["residual_quantiles"])
    interval = content["interval"]
    assert interval["level"] == settings.evaluate.level
    assert content["residual_quantiles"][1] == pytest.approx(interval["lower_quantile"], rel=0.01)
    assert content["residual_quantiles"][-2] == pytest.approx(interval["upper_quantile"], rel=0.01)
    errors = content["method_rmse"]
    assert set(errors) == set(combine.METHODS)
    assert errors[content["method"]] == min(errors.values())
    best = min(errors["average"], errors["learned"])
    assert content["fold_oos_r2"] == pytest.approx(1 - (best / errors["mean"]) ** 2, abs=1e-4)
    served_mean = mean["weight"] == 1
    assert served_mean == ("the mean is served" in content["verdict"])
    # Nothing of the hold-out is in it.
    assert not {"test", "rows_held_out", "oos_r2"} & set(content)


def test_the_newest_forecasts_are_for_the_right_session(project: Path) -> None:
    sessions = exchange_calendars.get_calendar(
        "XNYS", start="2012-12-01", end="2013-12-31"
    ).sessions
    for horizon, ahead in datasets.HORIZONS.items():
        forecasts = pl.read_csv(project / METRICS / horizon / "forecasts.csv", try_parse_dates=True)
        assert forecasts["symbol"].to_list() == ["AAPL", "GOOG", "IBM", "MSFT"]
        assert forecasts["date"].unique().to_list() == [date(2012, 12, 31)]
        after = [day.date() for day in sessions if day.date() > date(2012, 12, 31)]
        assert forecasts["target_date"].unique().to_list() == [after[ahead - 1]]
        assert (forecasts["lower"] < forecasts["forecast"]).all()
        assert (forecasts["forecast"] < forecasts["upper"]).all()
        assert forecasts["probability"].is_between(0, 1).all()


def test_each_newest_bar_counts_its_own_sessions() -> None:
    rows = pl.DataFrame(
        {
            "symbol": ["gone", "held", "new", "odd"],
            "date": [date(2012, 3, 1), date(2012, 3, 8), date(2012, 3, 9), date(2012, 3, 4)],
            "target_date": pl.Series([None] * 4, dtype=pl.Date),
            "target": pl.Series([None] * 4, dtype=pl.Float64),
        }
    )
    sessions = [f"2012-03-{day:02}" for day in (2, 5, 6, 7, 8, 9, 12)]
    forecasts = evaluate.newest_forecasts(rows, 2, sessions)
    assert forecasts.columns == ["symbol", "date", "target_date", "stale"]
    assert not forecasts["stale"].any()
    # The calendar ends before the last one's; a Sunday counts from the Monday.
    assert forecasts["target_date"].to_list() == [
        date(2012, 3, 5),
        date(2012, 3, 12),
        None,
        date(2012, 3, 6),
    ]
    assert evaluate.newest_forecasts(rows, 2, [])["target_date"].to_list() == [None] * 4
    assert evaluate.newest_forecasts(rows.clear(), 2, sessions).height == 0


def test_a_forecast_from_the_last_bar_of_a_symbol_that_ended_is_stale() -> None:
    rows = pl.DataFrame(
        {
            "symbol": ["gone", "held", "new"],
            "date": [date(2012, 11, 30), date(2012, 12, 1), date(2012, 12, 31)],
            "target": pl.Series([None] * 3, dtype=pl.Float64),
        }
    )
    # 31 days before the newest, and 30.
    assert evaluate.newest_forecasts(rows, 1, [])["stale"].to_list() == [True, False, False]


def test_it_says_what_it_did(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="stages")
    datasets.stage(own, "evaluate", "short")
    metrics = read_json(own / METRICS / "short.json")
    assert caplog.messages == [
        f"evaluate short: {card(own)['method']} of {len(NAMES)} candidates, "
        f"{metrics['rows']:,} held-out rows, "
        "out-of-sample R2 {} (p {}) -> models/short".format(
            *("-" if metrics[k] is None else f"{metrics[k]:.4f}" for k in ("oos_r2", "p_value"))
        )
    ]


def test_skill_that_may_be_chance_is_not_served(own: Path, project: Path) -> None:
    before = card(project)
    assert before["baselines"]["mean"]["weight"] < 1
    assert f"(p {before['fold_p_value']:.2g})" in before["verdict"]
    datasets.write_params(own, evaluate={"significance": 1e-9})
    datasets.stage(own, "evaluate", "short")
    after = card(own)
    assert after["method"] == "mean"
    assert after["baselines"]["mean"]["weight"] == 1
    for fact in (before["method"], "chance", "the mean is served", f"{after['fold_p_value']:.2g}"):
        assert fact in after["verdict"]
    # What the candidates are worth is as it was, so that experiments can still be compared.
    for name in ("fold_oos_r2", "fold_p_value", "method_rmse"):
        assert after[name] == before[name]
    served = tables.read(own / MODELS / "short" / "forecasts.parquet")["forecast"]
    assert served.n_unique() == 1


# --- the same bytes everywhere


def test_a_second_run_gives_the_same_bytes(own: Path, project: Path) -> None:
    datasets.stage(own, "evaluate", "short")
    assert datasets.outputs(own) == datasets.outputs(project)


def test_one_core_gives_the_same_bytes(own: Path, project: Path) -> None:
    for part in (MODELS / "long", CANDIDATES / "long", METRICS / "long"):
        shutil.rmtree(own / part)
    ran = datasets.python(own, ON_ONE_CORE, "long", *NAMES)
    assert ran.returncode == 0, ran.stderr
    assert datasets.outputs(own) == datasets.outputs(project)


# --- no leak


@HORIZONS
def test_outcomes_of_the_hold_out_change_no_model_and_no_card(
    own: Path, project: Path, horizon: str
) -> None:
    path = own / DATASETS / horizon / "test.parquet"
    rows = tables.read(path)
    tables.write(rows.with_columns(pl.col("target").shuffle(seed=1)), path)
    datasets.stage(own, "evaluate", horizon)
    for name in ("model.onnx", "card.json"):
        mine, theirs = (folder / MODELS / horizon / name for folder in (own, project))
        assert mine.read_bytes() == theirs.read_bytes()
    forecasts, former_forecasts = (
        tables.read(folder / MODELS / horizon / "forecasts.parquet").drop("target")
        for folder in (own, project)
    )
    assert forecasts.equals(former_forecasts)
    for name in ("forecasts", "importance", "folds"):
        mine_csv, theirs_csv = (
            folder / METRICS / horizon / f"{name}.csv" for folder in (own, project)
        )
        assert mine_csv.read_bytes() == theirs_csv.read_bytes()
    before, after = (read_json(folder / METRICS / f"{horizon}.json") for folder in (project, own))
    assert before["rank_ic"] != after["rank_ic"] or before["auc"] != after["auc"]
    assert before["fold_oos_r2"] == after["fold_oos_r2"]


def test_shuffled_training_targets_leave_no_skill(own: Path) -> None:
    path = own / DATASETS / "short" / "train.parquet"
    rows = tables.read(path)
    tables.write(rows.with_columns(pl.col("target").shuffle(seed=0)), path)
    for name in NAMES:
        datasets.stage(own, "train", "short", name)
    datasets.stage(own, "evaluate", "short")
    metrics = read_json(own / METRICS / "short.json")
    assert metrics["oos_r2"] < 0.002
    assert metrics["fold_oos_r2"] < 0.002
    learned = all_scores(own).filter(pl.col("model").is_in(NAMES), symbol="all")
    assert (learned["oos_r2"] < 0.002).all()
    assert learned["auc"].is_between(0.45, 0.55).all()


def test_noise_has_no_skill_and_the_card_says_so(tmp_path: Path) -> None:
    rows = datasets.made_up(["A", "B", "C"], 1000, lambda x, rng: rng.normal(0, 0.02, len(x)))
    run(tmp_path, rows)
    metrics = read_json(tmp_path / METRICS / "short.json")
    assert metrics["oos_r2"] < 0.005
    assert metrics["p_value"] is None or metrics["p_value"] > 0.05
    assert card(tmp_path)["baselines"]["mean"]["weight"] > 0.5
    # The interval holds what it says: 339 outcomes at 90 percent, four standard deviations.
    assert abs(metrics["coverage"] - 0.9) < 4 * math.sqrt(0.09 / metrics["rows"])
    assert abs(metrics["brier"] - 0.25) < 0.01


def test_skill_that_is_there_is_found(tmp_path: Path) -> None:
    rows = datasets.made_up(
        ["A", "B", "C"], 1000, lambda x, rng: 0.006 * x[:, 0] + rng.normal(0, 0.02, len(x))
    )
    run(tmp_path, rows)
    metrics = read_json(tmp_path / METRICS / "short.json")
    # 0.006 squared of 0.006 squared and 0.02 squared is 8 percent; some of it is lost.
    assert 0.04 < metrics["oos_r2"] < 0.11
    assert metrics["fold_oos_r2"] > 0.04
    assert metrics["p_value"] < 1e-4
    assert metrics["auc"] > 0.55
    assert metrics["rank_ic"] > 0.05
    assert abs(metrics["coverage"] - 0.9) < 4 * math.sqrt(0.09 / metrics["rows"])
    importance = pl.read_csv(tmp_path / METRICS / "short" / "importance.csv")
    assert importance["feature"][0] == "mom_0"
    assert "beat the historical mean" in card(tmp_path)["verdict"]


# --- symbols that training did not know


@pytest.mark.parametrize("scope", ["pooled", "per_symbol"])
def test_a_symbol_unknown_to_training(
    tmp_path: Path, scope: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="stages")
    counts = {"A": 1000, "B": 1000, "late": 60, "later": 1}
    rows = datasets.made_up(
        counts, 1000, lambda x, rng: 0.006 * x[:, 0] + rng.normal(0, 0.02, len(x))
    )
    run(tmp_path, rows, train={"scope": scope})
    forecasts = tables.read(tmp_path / MODELS / "short" / "forecasts.parquet")
    upcoming = pl.read_csv(tmp_path / METRICS / "short" / "forecasts.csv")
    content = card(tmp_path)
    assert (content["scope"], content["symbols"]) == (scope, ["A", "B"])
    warning = (
        "evaluate short: late, later: no training row and so no model; "
        "left out of scores and forecasts"
    )
    known = ["A", "B"] if scope == "per_symbol" else ["A", "B", "late", "later"]
    assert (warning in caplog.messages) == (scope == "per_symbol")
    assert forecasts["symbol"].unique().sort().to_list() == known
    assert upcoming["symbol"].to_list() == known
    scored = all_scores(tmp_path)["symbol"].unique(maintain_order=True).to_list()
    # The last one has no outcome yet.
    assert scored == ["all", *(name for name in known if name != "later")]

    graph = Session(tmp_path / MODELS / "short" / "model.onnx")
    data = Dataset(tmp_path / DATASETS / "short" / "test.parquet", ["A", "B"], only_named=True)
    again = graph(data.x, data.symbol.reshape(-1, 1))
    mine = forecasts.filter(pl.col("symbol").is_in(["A", "B"])).drop_nulls("target")
    assert mine["forecast"].to_numpy().tobytes() == again["return"].tobytes()
    if scope == "per_symbol":
        swapped = graph(data.x, 1 - data.symbol.reshape(-1, 1))
        assert not np.array_equal(swapped["return"], again["return"])


# --- what stops it, and what does not


@pytest.mark.parametrize(
    ("module", "name", "count"),
    [
        pytest.param("evaluate.graphs", "save", 1, id="the graph"),
        pytest.param("evaluate", "_write_csv", 1, id="the table"),
        pytest.param("evaluate", "_write_json", 2, id="the metrics"),
    ][slice(None) if os.environ.get("CI_FULL") == "1" else slice(-1, None)],
)
def test_killed_while_writing_it_leaves_the_former_outputs(
    own: Path, module: str, name: str, count: int
) -> None:
    before = datasets.outputs(own)
    datasets.write_params(own, evaluate={"level": 0.5})
    code = KILLED.format(module=module, name=name, count=count)
    ran = datasets.python(own, code, "short")
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    after = {
        path: content
        for path, content in datasets.outputs(own).items()
        if not any(part.startswith(".") for part in Path(path).parts)
    }
    assert after == before

    datasets.stage(own, "evaluate", "short")
    done = datasets.outputs(own)
    assert done.keys() == before.keys()
    assert done["metrics/short.json"] != before["metrics/short.json"]
    assert done["models/short/card.json"] != before["models/short/card.json"]


def test_only_rows_that_every_candidate_predicted_are_compared(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own / CANDIDATES / "short" / "ridge" / "folds.parquet"
    rows = tables.read(path)
    tables.write(rows.filter(pl.col("symbol") != "IBM"), path)
    before = len(rows)
    monkeypatch.chdir(own)
    candidates = fold_rows.load_candidates("short", NAMES)
    assert candidates.folds.height == rows.filter(pl.col("symbol") != "IBM").height < before
    assert candidates.folds.columns == [
        *(name for name in train.FOLDS_CONTRACT if name != "prediction"),
        *NAMES,
    ]
    assert candidates.folds.null_count().sum_horizontal().item() == 0


def test_a_candidate_that_is_not_there_is_named(own: Path) -> None:
    shutil.rmtree(own / CANDIDATES / "short" / "xgboost")
    with pytest.raises(InputError) as caught:
        datasets.stage(own, "evaluate", "short")
    assert facts(str(caught.value)) == facts(
        "models/candidates/short/xgboost/folds.parquet: no such file; run `dvc repro` or `dvc pull`"
    )


def test_sessions_that_are_not_there_are_named(own: Path) -> None:
    (own / SESSIONS).unlink()
    before = datasets.outputs(own)
    with pytest.raises(InputError) as caught:
        datasets.stage(own, "evaluate", "short")
    assert facts(str(caught.value)) == facts(
        "models/sessions.json: no such file; run `dvc repro` or `dvc pull`"
    )
    assert datasets.outputs(own) == before


def test_a_model_cannot_be_called_as_a_column_is(tmp_path: Path) -> None:
    reserved = [STACK, "feature", *train.FOLDS_CONTRACT]
    for name in reserved:
        more = datasets.SMALL_MODELS | {name: {"kind": "ridge"}}
        datasets.write_params(tmp_path, models=more)
        with pytest.raises(ParamsError) as caught:
            params.load(tmp_path / "params.yaml")
        assert facts(str(caught.value)) == facts(
            f"models.{name}: the name is taken; choose another"
        )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.123456789, 0.123457),
        (-1234567.8, -1234570.0),
        (0.0, 0.0),
        (None, None),
        (math.inf, None),
        (math.nan, None),
    ],
)
def test_a_number_for_git_has_six_digits(value: float | None, expected: float | None) -> None:
    assert rounded(value) == expected
