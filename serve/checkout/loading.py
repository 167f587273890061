"""Load a bundle from `models/`, checked against dvc.lock.

A bundle is read whole or not at all: each file is read once, the md5 of its bytes compared with
the lock, and only those bytes are used. In the middle of a checkout the error names the first file
that is missing or of another revision. A loaded bundle needs no file any more.
"""

import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from serve.checkout import provenance
from serve.checkout.bundle import Bundle, Card, Model, Rows
from stages.common import tables
from stages.common.errors import StageError, few
from stages.common.paths import LATEST, MODELS, SESSIONS
from stages.common.text import first_line
from stages.forecast.contract import FORECAST_OUTPUTS, SYMBOL
from stages.forecast.session import Session
from stages.indicators.feature_params import FeatureParams
from versions.repository import lock as locks
from versions.repository.lock import LOCK_FILE, Lock

_T = TypeVar("_T")

REMEDY = "run `dvc checkout`, `dvc pull` or `dvc repro`, unless one is running"


class BundleError(StageError):
    """The files of `models/` are not those of dvc.lock, or contradict each other."""


def load(root: Path, named: str = "") -> Bundle:
    """Read and check everything, and predict once with every model.

    Args:
        root: the project, or a folder that holds `models/` and `dvc.lock`.
        named: what to call the revision where there is no git.

    Raises:
        BundleError: one line that names the file and what is wrong with it.
    """
    text = read_lock(root)
    try:
        lock = locks.parse(text)
    except StageError as error:
        raise BundleError(f"{LOCK_FILE}: {reason(error)}") from None
    files = _Files(root, lock)
    params = _params(lock)
    models = {name: _model(name, sessions, files) for name, sessions in params.horizons.items()}
    latest = files.table(LATEST)
    own, market = (latest.filter(pl.col("market") == is_market) for is_market in (False, True))
    if own.is_empty():
        raise BundleError(f"{LATEST}: has no bars of a symbol")
    for model in models.values():
        check_features(model.card, own, MODELS / model.name / "card.json")
    rows = rows_of(own, models)
    sessions = files.json(SESSIONS)["sessions"]
    md5s = {name: model.md5 for name, model in models.items()}
    contract = list(tables.CLEAN_DAILY)
    bundle = Bundle(
        revision=provenance.of(root, text, md5s, named),
        lock_md5=md5_of(text),
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
    check_lock(root, text)
    # None is served that cannot predict.
    for name, model in models.items():
        check_forecast(model, MODELS / name / "model.onnx")
    return bundle


def read_lock(root: Path) -> bytes:
    """The bytes of dvc.lock.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        return (root / LOCK_FILE).read_bytes()
    except OSError as error:
        raise BundleError(f"{LOCK_FILE}: {reason(error)}") from None


def checked(root: Path, path: Path, md5: str) -> bytes:
    """The bytes of a file.

    Raises:
        BundleError: it is missing, or its md5 is another.
    """
    try:
        content = (root / path).read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {reason(error)}; {REMEDY}") from None
    if (actual := md5_of(content)) != md5:
        raise BundleError(f"{path}: md5 is {actual}, {LOCK_FILE} has {md5}; {REMEDY}")
    return content


def check_lock(root: Path, text: bytes) -> None:
    """See that dvc.lock has not changed since it was read.

    A checkout writes dvc.lock before it moves HEAD: a HEAD that is read after a change would give
    the models of one commit the name of another.

    Raises:
        BundleError: it has changed.
    """
    if read_lock(root) != text:
        raise BundleError(f"{LOCK_FILE}: has changed while it was read")


class _Params(BaseModel):
    """The params of the run that made the bundle, as dvc.lock recorded them."""

    model_config = ConfigDict(extra="ignore")

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
        raise BundleError(f"{LOCK_FILE}: params: {mistake(error)}") from None


def mistake(error: ValidationError) -> str:
    """The first mistake of a document, in a line."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


class _Files:
    """The outputs that a bundle is made of, each read once and compared with its md5."""

    def __init__(self, root: Path, lock: Lock) -> None:
        self._root = root
        self._lock = lock
        self._outs = lock.outs
        self.read: dict[Path, str] = {}

    def md5(self, path: Path) -> str:
        entry = self._outs.get(path.as_posix())
        if entry is None:
            raise BundleError(f"{LOCK_FILE}: has no entry for {path}; run `dvc repro`")
        return entry.md5

    def made_from(self, path: Path, source: Path) -> bool:
        """Whether the stage that made a file read another one as it is now."""
        return any(
            entry.path == source.as_posix() and entry.md5 == self.md5(source)
            for stage in self._lock.stages.values()
            if any(out.path == path.as_posix() for out in stage.outs)
            for entry in stage.deps
        )

    def parsed(self, path: Path, parse: Callable[[bytes], _T]) -> _T:
        self.read[path] = self.md5(path)
        content = checked(self._root, path, self.read[path])
        try:
            return parse(content)
        except Exception as error:  # noqa: BLE001  # parsers raise classes of their own
            raise BundleError(f"{path}: cannot be read ({reason(error)})") from None

    def json(self, path: Path) -> dict[str, Any]:
        return self.parsed(path, json.loads)

    def table(self, path: Path) -> pl.DataFrame:
        return self.parsed(path, lambda content: pl.read_parquet(io.BytesIO(content)))


def _model(name: str, sessions: int, files: _Files) -> Model:
    folder = MODELS / name
    path = folder / "card.json"
    document = files.json(path)
    try:
        card = Card.model_validate(document)
    except ValidationError as error:
        raise BundleError(f"{path}: {mistake(error)}") from None
    check_horizon(card, name, sessions, path)
    graph = folder / "model.onnx"
    session = files.parsed(graph, Session)
    check_width(session, card, graph, path)
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
        per_symbol=SYMBOL in session.inputs,
    )


def check_horizon(card: Card, name: str, sessions: int, path: Path) -> None:
    """See that a card is of a horizon.

    Raises:
        BundleError: it is of another one, or of another length.
    """
    if (card.horizon, card.sessions) != (name, sessions):
        raise BundleError(
            f"{path}: is of {card.horizon} over {card.sessions} sessions, "
            f"{LOCK_FILE} has {name} over {sessions}"
        )


def check_width(session: Session, card: Card, graph: Path, path: Path) -> None:
    """See that a graph takes as many features as its card names.

    Args:
        session: of the graph.
        card: its card.
        graph, path: of the graph and the card.

    Raises:
        BundleError: it takes more or fewer.
    """
    if session.width != len(card.features):
        raise BundleError(
            f"{graph}: takes {session.width} features, {path} names {len(card.features)}"
        )


def _by_symbol(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {part["symbol"][0]: part for part in table.partition_by("symbol", maintain_order=True)}


def check_features(card: Card, latest: pl.DataFrame, path: Path) -> None:
    """See that bars have every feature of a card.

    Args:
        card: of the model.
        latest: the bars.
        path: of the card.

    Raises:
        BundleError: a feature is missing.
    """
    missing = [name for name in card.features if name not in latest.columns]
    if missing:
        raise BundleError(f"{path}: names {few(missing)}, which {LATEST} does not have")


def rows_of(latest: pl.DataFrame, models: Mapping[str, Model]) -> dict[str, Rows]:
    """The bars of each symbol as inputs of models, by symbol in alphabetical order.

    Args:
        latest: the bars, with every feature of the models.
        models: by horizon.
    """
    rows = {}
    for part in latest.partition_by("symbol", maintain_order=True):
        matrices: dict[tuple[str, ...], npt.NDArray[np.float32]] = {}
        features = {}
        for name, model in models.items():
            columns = tuple(model.card.features)
            if columns not in matrices:
                matrices[columns] = _floats(part.select(columns))
            features[name] = matrices[columns]
        rows[part["symbol"][0]] = Rows(
            days=part["date"].to_physical().to_numpy(),
            closes=part["close"].to_numpy(),
            features=features,
        )
    return dict(sorted(rows.items()))


def _floats(frame: pl.DataFrame) -> npt.NDArray[np.float32]:
    """A matrix of float32 in row order, NaN where a feature is not known."""
    filled = frame.cast(pl.Float32).fill_null(float("nan"))
    return np.ascontiguousarray(filled.to_numpy())


def check_forecast(model: Model, path: Path) -> None:
    """Predict once.

    Args:
        model: to predict with.
        path: of its graph.

    Raises:
        BundleError: the graph lacks an output, or gives none that is finite.
    """
    width = len(model.card.features)
    outputs = model.session(np.zeros((1, width), np.float32), np.zeros((1, 1), np.int64))
    missing = [name for name in FORECAST_OUTPUTS if name not in outputs]
    if missing:
        raise BundleError(f"{path}: does not give {few(missing)}")
    if not all(np.isfinite(outputs[name]).all() for name in FORECAST_OUTPUTS):
        raise BundleError(f"{path}: a row of zeros gives no finite forecast")


def md5_of(content: bytes) -> str:
    """The md5 of a file, as dvc.lock writes it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def reason(error: Exception) -> str:
    """Why something failed, in a line."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return first_line(error)
