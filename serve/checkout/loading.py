"""Load a bundle from `models/`, checked against dvc.lock.

A bundle is read whole or not at all: each file is read once, the md5 of its bytes compared with
the lock, and only those bytes are used. In the middle of a checkout the error names the first file
that is missing or of another revision. A loaded bundle needs no file any more.
"""

import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ValidationError

from serve.checkout import bundle_files, model_checks, provenance
from serve.checkout.bundle import Bundle, Card, Model, Rows
from serve.checkout.bundle_files import BundleError, Files
from stages.common import tables
from stages.common.errors import StageError
from stages.common.paths import LATEST, MODELS, SESSIONS
from stages.forecast.session import Session
from stages.indicators.feature_params import FeatureParams
from versions.repository import lock as locks
from versions.repository.lock import LOCK_FILE, Lock


def load(root: Path, named: str = "") -> Bundle:
    """Read and check everything, and predict once with every model.

    Args:
        root: the project, or a folder that holds `models/` and `dvc.lock`.
        named: what to call the revision where there is no git.

    Raises:
        BundleError: one line that names the file and what is wrong with it.
    """
    text = bundle_files.read_lock(root)
    try:
        lock = locks.parse(text)
    except StageError as error:
        raise BundleError(f"{LOCK_FILE}: {bundle_files.reason(error)}") from None
    files = Files(root, lock)
    params = _params(lock)
    models = {name: _model(name, sessions, files) for name, sessions in params.horizons.items()}
    latest = files.table(LATEST)
    own, market = (latest.filter(pl.col("market") == is_market) for is_market in (False, True))
    if own.is_empty():
        raise BundleError(f"{LATEST}: has no bars of a symbol")
    for model in models.values():
        model_checks.check_features(model.card, own, MODELS / model.name / "card.json")
    rows = rows_of(own, models)
    sessions = files.json(SESSIONS)["sessions"]
    md5s = {name: model.md5 for name, model in models.items()}
    contract = list(tables.CLEAN_DAILY)
    bundle = Bundle(
        revision=provenance.of(root, text, md5s, named),
        lock_md5=bundle_files.md5_of(text),
        as_of=params.as_of,
        models=models,
        rows=rows,
        bars=own.select(contract),
        latest=own,
        market={
            name: market.filter(pl.col("symbol") == name).select(contract) for name in params.market
        },
        levels=params.levels,
        sessions=np.array(sessions, dtype="datetime64[D]").astype(np.int32).tolist(),
        max_gap=params.max_gap,
        features=params.features,
        symbols=tuple(name for name in params.symbols if name in rows) or tuple(rows),
        files=files.read,
        loaded_at=time.time(),
    )
    bundle_files.check_lock(root, text)
    # None is served that cannot predict.
    for name, model in models.items():
        model_checks.check_forecast(model, MODELS / name / "model.onnx")
    return bundle


class _Params(BaseModel):
    """The params of the run that made the bundle, as dvc.lock recorded them."""

    as_of: date
    features: FeatureParams
    horizons: dict[str, int]
    levels: list[str]
    market: list[str]
    max_gap: float
    symbols: list[str]


def _params(lock: Lock) -> _Params:
    try:
        latest = lock.stages["latest"].params
        features = lock.stages["features"].params
        data = lock.stages["ingest"].params["data"]
        return _Params.model_validate(
            {
                "as_of": data["as_of"],
                "features": features["features"],
                "horizons": latest["horizons"],
                # A revision from before there were levels has none.
                "levels": features.get("data.levels", []),
                "market": latest["data.market"],
                "max_gap": lock.stages["clean"].params["clean"]["max_gap"],
                "symbols": data["symbols"],
            }
        )
    except KeyError as error:
        raise BundleError(
            f"{LOCK_FILE}: has no params of {error.args[0]}; run `dvc repro`"
        ) from None
    except ValidationError as error:
        raise BundleError(f"{LOCK_FILE}: params: {bundle_files.mistake(error)}") from None


def _model(name: str, sessions: int, files: Files) -> Model:
    folder = MODELS / name
    path = folder / "card.json"
    document = files.json(path)
    card = bundle_files.parsed(path, document, Card.model_validate)
    model_checks.check_horizon(card, name, sessions, path)
    graph = folder / "model.onnx"
    session = files.parsed(graph, Session)
    model_checks.check_width(session, card, graph, path)
    forecasts, explanations = folder / "forecasts.parquet", folder / "explanations.parquet"
    # Not yet made, or of the forecasts of former models.
    explained = files.made_from(explanations, forecasts)
    return Model(
        name=name,
        card=card,
        document=document,
        scores=files.json(folder / "scores.json"),
        forecasts=files.table(forecasts),
        explanations=_by_symbol(files.table(explanations)) if explained else None,
        session=session,
        md5=files.md5(graph),
    )


def _by_symbol(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {part["symbol"][0]: part for part in table.partition_by("symbol", maintain_order=True)}


def rows_of(latest: pl.DataFrame, models: Mapping[str, Model]) -> dict[str, Rows]:
    """The bars of each symbol as inputs of models, by symbol in alphabetical order.

    `latest` has the bars, with every feature of the models.
    """
    rows = {}
    for part in latest.partition_by("symbol", maintain_order=True):
        matrices: dict[tuple[str, ...], npt.NDArray[np.float32]] = {}
        features = {}
        for name, model in models.items():
            columns = tuple(model.card.features)
            if columns not in matrices:
                # NaN where a feature is not known.
                filled = part.select(columns).cast(pl.Float32).fill_null(float("nan"))
                matrices[columns] = np.ascontiguousarray(filled.to_numpy())
            features[name] = matrices[columns]
        rows[part["symbol"][0]] = Rows(
            days=part["date"].to_physical().to_numpy(),
            closes=part["close"].to_numpy(),
            features=features,
        )
    return dict(sorted(rows.items()))
