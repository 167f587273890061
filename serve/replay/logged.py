"""A logged answer by its id: a row of the prediction log, or the file of a batch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from predictions.engine import opened
from predictions.schema import prediction_logs
from serve.forecasts import batch_files, stream
from serve.forecasts.batch_files import Meta, Store
from serve.forecasts.forecaster import VALUES
from serve.server_settings import Settings
from stages.common.errors import StageError
from stages.common.text import first_line
from stages.forecast.contract import FORECAST_OUTPUTS

_SHARED = ("horizon", "revision", "model_md5")
"""What a batch and a row of the log name in the same way."""


class ReplayError(StageError):
    """A prediction cannot be replayed, or a value differs."""


@dataclass(frozen=True)
class Logged:
    """A logged answer.

    Attributes:
        kind: one row of the prediction log, or a batch.
        subject: its symbol and session, or its number of rows, for people.
        revision: the commit that answered, with `-dirty` if it had uncommitted changes.
        model_md5: of its `model.onnx`.
        model_version: the release of the model, if it has one.
        row: of the prediction log, by column; empty for a batch.
        path: of a batch's file.
    """

    id: str
    kind: Literal["prediction", "batch"]
    subject: str
    horizon: str
    created_at: str
    revision: str
    model_md5: str
    model_version: str | None
    row: Mapping[str, Any]
    path: Path | None = None

    def blocks(self, features: list[str], symbols: list[str]) -> Iterator[pa.RecordBatch]:
        """Its rows as a model takes them, with the outputs of that time.

        Args:
            features: in the order of the model card.
            symbols: those of a graph with one model per symbol, in its order.

        Raises:
            ReplayError: other features were logged, or the file of the batch is damaged.
        """
        if self.path is None:
            yield self._row(features, symbols)
            return
        names = pq.read_schema(self.path).names
        passed = [name for name in stream.PASSED if name in names]
        wanted = [*passed, *features, *FORECAST_OUTPUTS]
        _check(features, [name for name in names if name not in {*passed, *FORECAST_OUTPUTS}])
        try:
            yield from batch_files.read(self.path, wanted)
        except (OSError, pa.ArrowException) as error:
            raise ReplayError(f"{self.path}: cannot be read ({first_line(error)})") from None

    def _row(self, features: list[str], symbols: list[str]) -> pa.RecordBatch:
        inputs = json.loads(self.row["inputs"])
        _check(features, list(inputs))
        index = self.row["symbol_index"]
        symbol = self.row["symbol"] if index is None else symbols[index]
        values = {
            "symbol": pa.array([symbol]),
            **{name: _float32(inputs[name]) for name in features},
            **{
                output: _float32(self.row[name])
                for output, name in zip(FORECAST_OUTPUTS, VALUES, strict=True)
            },
        }
        return pa.RecordBatch.from_pydict(values)


def find(settings: Settings, identifier: str) -> Logged:
    """Look an id up among the batches and in the prediction log.

    Raises:
        ReplayError: it is not an id, or nothing was logged under it.
        LogError: the log is away.
    """
    try:
        name = str(UUID(identifier))
    except ValueError:
        raise ReplayError(
            f"{identifier!r} is not an id; an answer carries one, GET /predictions lists them"
        ) from None
    path = Store(settings.working_folder).path(name)
    return _batch(path) if path.exists() else _prediction(settings, name)


def _batch(path: Path) -> Logged:
    try:
        meta = Meta.of(pq.read_schema(path).metadata)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ReplayError(f"{path}: cannot be read as a batch ({first_line(error)})") from None
    return Logged(
        **meta.model_dump(include={"id", "created_at", *_SHARED}),
        kind="batch",
        subject=f"{meta.rows:,} rows",
        model_version=meta.model_version or None,
        row={},
        path=path,
    )


def _prediction(settings: Settings, name: str) -> Logged:
    with (
        opened(settings.log_url, settings.log_timeout, read_only=True) as engine,
        engine.connect() as connection,
    ):
        query = select(prediction_logs).where(prediction_logs.c.id == name)
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ReplayError(f"nothing was logged under {name}; GET /predictions lists what was")
    as_of = f", as of {row['as_of']}" if row["as_of"] else ""
    return Logged(
        id=name,
        kind="prediction",
        subject=f"{row['symbol']}{as_of}",
        created_at=row["created_at"].isoformat(timespec="milliseconds"),
        **{name: row[name] for name in ("model_version", *_SHARED)},
        row=dict(row),
    )


def _check(features: list[str], logged: list[str]) -> None:
    if sorted(features) != sorted(logged):
        odd = sorted(set(features) ^ set(logged))
        raise ReplayError(f"the model takes other features than were logged: {', '.join(odd)}")


def _float32(value: float) -> pa.Array:
    return pa.array([np.float32(value)], pa.float32())
