import logging
import shutil
import signal
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages import params
from stages.common import tables
from stages.common.errors import DataError, InputError
from stages.common.paths import CANDIDATES, DATASETS
from stages.forecast import dataset_params
from stages.forecast.contract import Matrix, Vector
from stages.forecast.session import Session
from stages.forecast.training import graphs, models, train_params
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.fitted import Fit, Fitted
from stages.forecast.training.fitting import MIN_ROWS, check_parity
from stages.forecast.training.folds import Fold, walk_forward
from stages.train import FOLDS_CONTRACT, out_of_fold
from tests import datasets
from tests.messages import facts

KINDS = tuple(datasets.SMALL_MODELS)

KILLED_WHILE_WRITING = """
import os, signal, sys
from stages import train
from stages.forecast.training import graphs
save = graphs.save
def save_and_die(*given):
    save(*given)
    os.kill(os.getpid(), signal.SIGKILL)
graphs.save = save_and_die
train.main()
"""


@pytest.fixture(scope="module")
def project(trained: Path) -> Path:
    """The real sample with all its candidates, which no test changes."""
    return trained


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A copy of its datasets and candidates, to change."""
    for part in (DATASETS, CANDIDATES):
        shutil.copytree(project / part, tmp_path / part)
    shutil.copy(project / "params.yaml", tmp_path)
    return tmp_path


def linear(alpha: float = 1.0) -> Fit:
    return lambda x, y: models.ridge(x, y, 0, alpha=alpha)


def mean(x: Matrix, y: Vector) -> Fitted:
    """The mean of the training rows: a model whose fold predictions can be worked out by hand."""
    level = float(y.mean())
    slope = np.zeros(x.shape[1])
    return Fitted(
        lambda rows: np.full(len(rows), level), lambda: graphs.linear(slope, level), slope
    )


def folds_of(data: Dataset, count: int = 5, first: float = 0.4, embargo: int = 0) -> list[Fold]:
    return list(walk_forward(data.dates, data.target_dates, count, first, embargo))


def made_up(folder: Path, symbols: Mapping[str, int] | list[str], sessions: int = 800) -> Dataset:
    """A dataset of made-up rows; the target follows the first feature."""
    rows = datasets.made_up(
        symbols, sessions, lambda x, rng: 0.01 * x[:, 0] + rng.normal(0, 0.02, len(x))
    )
    tables.write(rows, folder / "train.parquet")
    return Dataset(folder / "train.parquet")


# --- the dataset


def test_a_dataset_is_its_file_as_arrays(project: Path) -> None:
    path = project / DATASETS / "long" / "train.parquet"
    rows = tables.read(path)
    data = Dataset(path)
    assert data.names == ["AAPL", "GOOG", "IBM", "MSFT"]
    settings = params.load(project / "params.yaml")
    selected = dataset_params.columns(settings.dataset, settings.feature_names)
    # The sample has no hourly bars.
    assert data.features == [name for name in selected if name != "hourly_volatility"]
    assert data.rows.equals(rows.select(list(tables.dataset_contract([]))))
    assert data.x.flags.c_contiguous
    assert data.x.dtype == np.float32
    for column, name in enumerate(data.features):
        assert (data.x[:, column] == rows[name].to_numpy()).all()
    assert (data.y == rows["target"].to_numpy()).all()
    assert [data.names[i] for i in data.symbol] == rows["symbol"].to_list()


def test_symbols_that_are_not_named_may_be_left_out(tmp_path: Path) -> None:
    every = made_up(tmp_path, {"A": 300, "B": 20, "C": 300, "D": 5})
    path = tmp_path / "train.parquet"
    known = Dataset(path, ["A", "C"])
    assert (known.names, known.left_out) == (["A", "C"], [])
    assert known.symbol.tolist() == [0] * 300 + [-1] * 20 + [1] * 300 + [-1] * 5
    only = Dataset(path, ["A", "C"], only_named=True)
    assert only.left_out == ["B", "D"]
    assert only.symbol.tolist() == [0] * 300 + [1] * 300
    named = np.isin(every.symbol, [0, 2])
    assert (only.x == every.x[named]).all()
    assert (only.y == every.y[named]).all()
    assert only.rows.equals(every.rows.filter(pl.Series(named)))


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    with pytest.raises(InputError) as caught:
        Dataset(path)
    assert facts(str(caught.value)) == facts(f"{path}: no such file; run `dvc repro` or `dvc pull`")


# --- out of fold


def test_each_fold_is_predicted_by_a_model_of_what_was_known(project: Path) -> None:
    """Against scikit-learn, the purge written out."""
    data = Dataset(project / DATASETS / "long" / "train.parquet")
    predictions = out_of_fold(linear(0.5), data, folds_of(data), "pooled", "")
    rows = tables.read(project / DATASETS / "long" / "train.parquet")
    assert predictions.schema == pl.Schema(dict(FOLDS_CONTRACT))
    assert predictions["fold"].unique().to_list() == [1, 2, 3, 4, 5]
    for (number,), part in predictions.group_by("fold"):
        begin, end = part["date"].min(), part["date"].max()
        known = rows.filter(pl.col("target_date") < begin)
        valid = rows.filter(pl.col("date").is_between(begin, end))
        wide = known.select(data.features).to_numpy().astype(np.float64)
        peer = make_pipeline(StandardScaler(), Ridge(alpha=0.5 * known.height))
        peer.fit(wide, known["target"].to_numpy())
        expected = peer.predict(valid.select(data.features).to_numpy().astype(np.float64))
        assert part["prediction"].to_numpy() == pytest.approx(expected, abs=1e-7), number
        keys = ["symbol", "date", "target_date", "target"]
        assert part.select(keys).equals(valid.select(keys))


@pytest.mark.parametrize("scope", ["pooled", "per_symbol"])
def test_a_fold_learns_nothing_that_was_not_known_when_it_began(
    project: Path, scope: str, tmp_path: Path
) -> None:
    path = project / DATASETS / "long" / "train.parquet"
    data = Dataset(path)
    before = out_of_fold(linear(), data, folds_of(data), scope, "")
    third = before.filter(pl.col("fold") == 3)
    begin = third["date"].min()
    rows = tables.read(path)
    unknown = pl.col("target_date") >= begin
    # As wrong as can be: whoever learns from one of these rows shows it.
    changed = rows.with_columns(
        target=pl.when(unknown).then(pl.lit(1e6)).otherwise(pl.col("target"))
    )
    tables.write(changed, tmp_path / "train.parquet")
    data = Dataset(tmp_path / "train.parquet")
    after = out_of_fold(linear(), data, folds_of(data), scope, "")
    upto = pl.col("fold") <= 3
    assert after.filter(upto)["prediction"].equals(before.filter(upto)["prediction"])
    assert not after.filter(~upto)["prediction"].equals(before.filter(~upto)["prediction"])
    # The last row that was known is learned from.
    newest = rows.filter(~unknown)["target_date"].max()
    nudged = rows.with_columns(
        target=pl.when(pl.col("target_date") == newest).then(1e6).otherwise(pl.col("target"))
    )
    tables.write(nudged, tmp_path / "train.parquet")
    data = Dataset(tmp_path / "train.parquet")
    moved = out_of_fold(linear(), data, folds_of(data), scope, "")
    assert not moved.filter(fold=3)["prediction"].equals(third["prediction"])


def test_one_model_per_symbol_learns_from_its_own_rows(tmp_path: Path) -> None:
    data = made_up(tmp_path, {"A": 800, "B": 500, "C": 700})
    predictions = out_of_fold(mean, data, folds_of(data), "per_symbol", "")
    for (fold, symbol), part in predictions.group_by("fold", "symbol"):
        begin = predictions.filter(fold=fold)["date"].min()
        known = data.rows.filter(pl.col("target_date") < begin, symbol=symbol)
        assert known.height >= MIN_ROWS
        expected = np.float32(known["target"].to_numpy().mean())
        assert (part["prediction"] == expected).all()
    # B had too few rows when the first folds began, and says nothing there.
    assert predictions.filter(symbol="B")["fold"].unique().to_list() == [2, 3, 4, 5]
    assert predictions.filter(symbol="A")["fold"].unique().to_list() == [1, 2, 3, 4, 5]


# --- the stage


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("horizon", list(datasets.HORIZONS))
def test_a_candidate_is_a_graph_its_folds_and_its_importances(
    project: Path, horizon: str, kind: str
) -> None:
    folder = project / CANDIDATES / horizon / kind
    assert sorted(path.name for path in folder.iterdir()) == [
        "folds.parquet",
        "importance.csv",
        "model.onnx",
    ]
    folds = tables.read(folder / "folds.parquet")
    assert folds.schema == pl.Schema(dict(FOLDS_CONTRACT))
    assert folds.equals(folds.sort("fold", "symbol", "date"))
    assert folds.select("symbol", "date").is_unique().all()
    assert folds["prediction"].is_finite().all()
    data = Dataset(project / DATASETS / horizon / "train.parquet")
    settings = params.load(project / "params.yaml")
    columns = dataset_params.chosen(settings.dataset.features, data.features)
    fit = train_params.fit_of(settings.models, kind, columns, data.features, settings.train.seed)
    final = fit(data.x, data.y)
    served = Session(folder / "model.onnx")(data.x)["return"]
    assert served == pytest.approx(final.predict(data.x), abs=1e-6)
    importance = pl.read_csv(folder / "importance.csv")
    assert importance["feature"].to_list() == data.features
    assert importance["importance"].to_numpy() == pytest.approx(final.importance, abs=1e-6)


def test_training_never_opens_the_hold_out(own: Path, project: Path) -> None:
    for part in ("test", "newest"):
        (own / DATASETS / "short" / f"{part}.parquet").write_bytes(b"nothing to read")
    shutil.rmtree(own / CANDIDATES)
    for kind in KINDS:
        datasets.stage(own, "train", "short", kind)
    folder = Path(CANDIDATES / "short")
    assert datasets.outputs(own, folder) == datasets.outputs(project, folder)


def test_a_stage_says_what_it_did(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="stages")
    datasets.stage(own, "train", "short", "ridge")
    assert len(caplog.messages) == 1
    rows = tables.read(own / DATASETS / "short" / "train.parquet", ["target"])
    folds = tables.read(own / CANDIDATES / "short" / "ridge" / "folds.parquet")
    error = float(np.sqrt(((folds["target"] - folds["prediction"]).to_numpy() ** 2).mean()))
    assert caplog.messages[0] == (
        f"train short ridge: {rows.height:,} rows, 35 features, 5 purged folds, "
        f"fold RMSE {error:.6f} -> models/candidates/short/ridge"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_model_per_symbol_from_end_to_end(own: Path, kind: str) -> None:
    datasets.write_params(own, train={"scope": "per_symbol"})
    datasets.stage(own, "train", "short", kind)
    data = Dataset(own / DATASETS / "short" / "train.parquet")
    settings = params.load(own / "params.yaml")
    columns = dataset_params.chosen(settings.dataset.features, data.features)
    fit = train_params.fit_of(settings.models, kind, columns, data.features, settings.train.seed)
    session = Session(own / CANDIDATES / "short" / kind / "model.onnx")
    served = session(data.x, symbol=data.symbol.reshape(-1, 1))["return"]
    shares = []
    for index in range(4):
        mine = data.symbol == index
        alone = fit(data.x[mine], data.y[mine])
        assert served[mine] == pytest.approx(alone.predict(data.x[mine]), abs=1e-6)
        shares.append(alone.importance)
    importance = pl.read_csv(own / CANDIDATES / "short" / kind / "importance.csv")
    expected = np.mean(shares, axis=0)
    assert importance["importance"].to_numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scope", ["pooled", "per_symbol"])
@pytest.mark.parametrize(
    ("kind", "columns"), [("lstm", ["return_lag1", "return_lag2"]), ("ridge", ["vol_14"])]
)
def test_a_candidate_sees_the_columns_that_its_entry_names(
    kind: str, columns: list[str], scope: str, tmp_path: Path
) -> None:
    names = ["return_lag1", "vol_14", "return_lag2"]
    rows = datasets.made_up(["A", "B"], 300, lambda x, _: 0.01 * x.sum(axis=1))
    rows = rows.rename(dict(zip(("mom_0", "mom_1", "mom_2"), names, strict=True)))
    models = {"some": {"kind": kind, "features": columns}}
    datasets.write_params(tmp_path, models=models, horizons={"short": 1}, train={"scope": scope})
    tables.write(rows, tmp_path / DATASETS / "short" / "train.parquet")
    datasets.stage(tmp_path, "train", "short", "some")
    folder = tmp_path / CANDIDATES / "short" / "some"
    importance = pl.read_csv(folder / "importance.csv")
    assert importance["feature"].to_list() == names
    assert importance.filter(importance=0)["feature"].to_list() == [
        name for name in names if name not in columns
    ]
    data = Dataset(tmp_path / DATASETS / "short" / "train.parquet")
    other = data.x.copy()
    other[:, [names.index(name) for name in names if name not in columns]] = 7
    session, symbol = Session(folder / "model.onnx"), data.symbol.reshape(-1, 1)
    served, changed = (session(x, symbol=symbol)["return"] for x in (data.x, other))
    assert (served == changed).all()
    assert np.ptp(served) > 0


def test_killed_while_writing_it_leaves_the_former_candidate(own: Path) -> None:
    datasets.write_params(own, models=datasets.SMALL_MODELS | {"ridge": {"alpha": 9.0}})
    candidate = Path(CANDIDATES / "short" / "ridge")
    former = datasets.outputs(own, candidate)
    ran = datasets.python(own, KILLED_WHILE_WRITING, "short", "ridge")
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert datasets.outputs(own, candidate) == former
    beside = [path.name for path in (own / candidate).parent.iterdir()]
    assert ".ridge.partial" in beside

    datasets.stage(own, "train", "short", "ridge")
    outputs = datasets.outputs(own, candidate)
    assert outputs.keys() == former.keys()
    assert outputs != former
    assert not [path for path in (own / candidate).parent.iterdir() if path.name.startswith(".")]
    shutil.rmtree(own / candidate)
    datasets.stage(own, "train", "short", "ridge")
    assert datasets.outputs(own, candidate) == outputs


# --- what stops it


def test_a_graph_unlike_its_model_is_refused() -> None:
    native = np.array([0.01, 0.02, 0.03, 0.04])
    check_parity(native, native + 0.9e-5, "ridge")
    with pytest.raises(DataError) as caught:
        check_parity(native, native + np.array([0, 0.25, -2e-5, 0]), "ridge")
    assert facts(str(caught.value)) == facts(
        "models.ridge: 2 of 4 predictions of the ONNX graph differ from the model's by up to 0.25; "
        "this is a fault of the conversion: report it, or take the model out of params.yaml"
    )
    with pytest.raises(DataError, match=r"^models.ridge: 1 of 4 predictions"):
        check_parity(native, np.array([0.01, np.nan, 0.03, 0.04]), "ridge")


@pytest.mark.parametrize("scope", ["pooled", "per_symbol"])
def test_a_wrong_graph_does_not_leave_the_stage(
    own: Path, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = graphs.linear
    monkeypatch.setattr(graphs, "linear", lambda slope, level: right(slope, level + 0.001))
    datasets.write_params(own, train={"scope": scope})
    former = datasets.outputs(own, CANDIDATES)
    rows = tables.read(own / DATASETS / "short" / "train.parquet", ["target"]).height
    with pytest.raises(DataError) as caught:
        datasets.stage(own, "train", "short", "ridge")
    assert facts(str(caught.value)) == facts(
        f"models.ridge: {rows} of {rows} predictions of the ONNX graph differ from the model's by "
        "up to 0.001; this is a fault of the conversion: report it, or take the model out of "
        "params.yaml"
    )
    assert datasets.outputs(own, CANDIDATES) == former


def write(folder: Path, rows: pl.DataFrame, horizons: dict[str, int], **changes: Any) -> None:
    datasets.write_params(folder, horizons=horizons, train=changes)
    (horizon,) = horizons
    tables.write(rows, folder / DATASETS / horizon / "train.parquet")


def test_without_a_fold_there_is_no_candidate(tmp_path: Path) -> None:
    rows = datasets.made_up(["A", "B"], 300, lambda x, _: 0.01 * x[:, 0], horizon=290)
    write(tmp_path, rows, {"slow": 290})
    with pytest.raises(DataError) as caught:
        datasets.stage(tmp_path, "train", "slow", "ridge")
    assert facts(str(caught.value)) == facts(
        "horizons.slow: no walk-forward fold has a training row after the purge of 290 sessions; "
        "shorten the horizon, raise train.first_fold or bring more history"
    )
    assert not (tmp_path / CANDIDATES).exists()


def test_a_symbol_with_too_few_rows_for_its_own_model_is_named(tmp_path: Path) -> None:
    counts = {"A": 400, "B": 99, "C": 400, "D": 7, "E": 100}
    rows = datasets.made_up(counts, 400, lambda x, _: 0.01 * x[:, 0])
    write(tmp_path, rows, {"short": 1}, scope="per_symbol")
    with pytest.raises(DataError) as caught:
        datasets.stage(tmp_path, "train", "short", "ridge")
    assert facts(str(caught.value)) == facts(
        "train.scope per_symbol: B, D: fewer than 100 training rows; take them out of data.symbols "
        "or set train.scope to pooled"
    )


def test_one_model_per_symbol_needs_one_fold_with_enough_rows(tmp_path: Path) -> None:
    # Each symbol has rows enough in all, but in no fold: they trade at different times.
    parts = [
        datasets.made_up(
            [symbol], 110, lambda x, _: 0.01 * x[:, 0], first=date(2001, 1, 1) + timedelta(days)
        )
        for symbol, days in (("A", 0), ("B", 20))
    ]
    write(tmp_path, pl.concat(parts), {"short": 1}, scope="per_symbol", folds=2, first_fold=0.2)
    with pytest.raises(DataError) as caught:
        datasets.stage(tmp_path, "train", "short", "ridge")
    assert facts(str(caught.value)) == facts(
        "train.scope per_symbol: in no fold has a symbol 100 training rows; raise "
        "train.first_fold, bring more history or set train.scope to pooled"
    )
