"""A model that sees some of the columns, like one that was given these alone."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from stages.common import tables
from stages.common.errors import DataError
from stages.forecast.attribution.graph_walk import Rows, combined
from stages.forecast.contract import Matrix, Vector
from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.refit import refitted
from stages.forecast.evaluation.scale import LogScale
from stages.forecast.scoring.spread import Spread
from stages.forecast.session import Session
from stages.forecast.training import graphs, models, train_params
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.fitted import Fit, Fitted, of_columns
from tests import datasets

NAMES = ["return_lag1", "return_lag2", "mom_7", "vol_14", "vol_63"]

OPTIONS = {"ridge": {}, "lightgbm": {"n_estimators": 5}, "lstm": {"epochs": 1}}


def rows() -> tuple[Matrix, Vector]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, len(NAMES))).astype(np.float32)
    return x, 0.01 * x[:, 1].astype(np.float64) + rng.normal(0, 0.01, 600)


def fit_of(kind: str, features: list[str] | None, **options: object) -> Fit:
    entry = {"kind": kind, "features": features, **OPTIONS[kind], **options}
    return train_params.fit_of(train_params._models({"named": entry}), "named", NAMES, NAMES, 0)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_model_of_some_columns_is_that_of_these_alone(kind: str) -> None:
    x, y = rows()
    columns = [0, 1, 3, 4]
    some = fit_of(kind, ["vol_*", "return_lag?"])(x, y)
    named = {"features": [NAMES[i] for i in columns]} if kind == "lstm" else {}
    alone = models.load(kind)(x.take(columns, axis=1), y, 0, **OPTIONS[kind], **named)
    assert (some.predict(x) == alone.predict(x.take(columns, axis=1))).all()
    assert some.importance[columns].tolist() == alone.importance.tolist()
    assert some.importance[2] == 0
    graph = some.to_onnx()
    onnx.checker.check_model(graph, full_check=True)
    (served,) = Session(graph)(x).values()
    assert (served == Session(alone.to_onnx())(x.take(columns, axis=1))["return"]).all()
    other = x.copy()
    other[:, 2] = 1e6
    assert (some.predict(other) == some.predict(x)).all()
    assert (Session(graph)(other)["return"] == served).all()


def test_models_of_different_columns_stand_in_one_graph() -> None:
    x, y = rows()
    fitted: dict[str, Fitted] = {
        "some": fit_of("lstm", ["return_lag*"])(x, y),
        "other": fit_of("ridge", ["mom_7", "vol_63"])(x, y),
        "every": fit_of("ridge", None)(x, y),
    }
    spread = Spread(np.linspace(-2, 2, 21), -1.5, 1.5)
    weights = {"some": 0.2, "other": 0.3, "every": 0.5}
    candidates = {name: model.to_onnx() for name, model in fitted.items()}
    scale = LogScale("constant", [], np.empty(0), -4.0)
    whole = forecast_graph(candidates, weights, scale, spread, NAMES)
    onnx.checker.check_model(whole, full_check=True)
    expected = sum(weights[name] * model.predict(x) for name, model in fitted.items())
    assert Session(whole)(x)["return"] == pytest.approx(expected, abs=1e-7)
    symbols = graphs.by_symbol([candidates["some"], candidates["other"]])
    symbol = np.arange(len(x)).reshape(-1, 1) % 2
    served = Session(symbols)(x, symbol=symbol)["return"]
    assert served[::2] == pytest.approx(fitted["some"].predict(x)[::2], abs=1e-7)
    assert served[1::2] == pytest.approx(fitted["other"].predict(x)[1::2], abs=1e-7)


def test_a_model_that_sees_every_column_has_the_graph_that_it_had() -> None:
    x, y = rows()
    every = fit_of("ridge", ["*"])(x, y).to_onnx()
    assert every == models.ridge(x, y, 0).to_onnx()
    assert of_columns(lambda x, y: models.ridge(x, y, 0), [0])(x, y).to_onnx() != every


def test_a_dataset_without_what_a_model_sees_is_named() -> None:
    # A symbol without volume: dataset has left its columns out.
    with pytest.raises(DataError) as caught:
        fit_of("ridge", ["relative_volume_*"])
    message = str(caught.value)
    assert message.startswith("models.named.features: ")
    assert "5 features" in message
    assert "return_lag1" in message


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_explanation_gives_nothing_to_a_column_that_is_not_seen(kind: str) -> None:
    x, y = rows()
    model = fit_of(kind, ["return_lag*", "vol_63"])(x, y)
    every = Rows(x, np.zeros(len(x), dtype=np.int64))
    first = Rows(x[:50], every.symbol[:50])
    contributions = combined({"some": model.to_onnx()}, {"some": 0.5}, first, every, 0)
    assert (contributions.added[:, [2, 3]] == 0).all()
    expected = 0.5 * model.predict(x[:50])
    assert contributions.base + contributions.added.sum(axis=1) == pytest.approx(expected, abs=1e-6)


def test_a_refitted_model_still_sees_its_own_columns(tmp_path: Path) -> None:
    frame = datasets.made_up(["A", "B"], 200, lambda x, _: 0.01 * x.sum(axis=1))
    tables.write(frame, tmp_path / "train.parquet")
    data = Dataset(tmp_path / "train.parquet")
    candidates = train_params._models({"some": {"kind": "ridge", "features": ["mom_1"]}})
    settings = train_params.TrainParams(
        scope="pooled", folds=5, first_fold=0.4, embargo=0, seed=0, refit=True
    )
    graph = refitted({"some": 0.5}, (data,), data.features, candidates, settings)["some"]
    other = data.x.copy()
    other[:, [0, 2]] = 7
    served, changed = (Session(graph)(x)["return"] for x in (data.x, other))
    assert (served == changed).all()
    assert np.ptp(served) > 0
