"""Compute an answer again, and compare each value with the one that was logged, bit for bit."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from serve.checkout.bundle import Model
from serve.forecasts import stream
from serve.forecasts.forecast_errors import ForecastError
from serve.replay.logged import Logged, ReplayError
from serve.replay.origin import ModelFiles
from stages.common.text import first_line
from stages.forecast.contract import FORECAST_OUTPUTS, SYMBOL
from stages.forecast.session import Session


@dataclass(frozen=True)
class Value:
    """One output of one row, as logged and as computed again.

    Attributes:
        row: its place in the batch, from 0.
        name: of the output.
    """

    row: int
    name: str
    logged: float
    replayed: float

    @property
    def same(self) -> bool:
        """Whether both have the same bits."""
        return _bits(self.logged) == _bits(self.replayed)


@dataclass(frozen=True)
class Comparison:
    """The result of a replay.

    Attributes:
        rows: how many were computed.
        different: number of values that differ, by output.
        values: those of the first row, or of the first that differs.
    """

    rows: int
    different: dict[str, int]
    values: tuple[Value, ...]

    @property
    def same(self) -> bool:
        """Whether every value is the same to the last bit."""
        return not any(self.different.values())


def replay(logged: Logged, files: ModelFiles) -> Comparison:
    """Run a model on logged inputs, and compare its outputs with the logged ones.

    Raises:
        ReplayError: the model cannot be loaded, or takes other inputs than were logged.
    """
    model = _model(logged, files)
    blocks = logged.blocks(model.card.features, model.card.symbols)
    return compare(model, blocks)


def compare(model: Model, blocks: Iterable[pa.RecordBatch]) -> Comparison:
    """Compare blocks of logged rows with what a model computes from them now."""
    different = dict.fromkeys(FORECAST_OUTPUTS, 0)
    shown: tuple[Value, ...] = ()
    rows = 0
    for block in blocks:
        before = pa.RecordBatch.from_arrays(
            block.columns[: -len(FORECAST_OUTPUTS)],
            names=block.schema.names[: -len(FORECAST_OUTPUTS)],
        )
        try:
            inputs = stream.inputs(before, model, rows)
        except ForecastError as error:
            raise ReplayError(f"the logged rows cannot be computed: {error}") from None
        now = model.session(inputs.features, inputs.scale, inputs.symbol)
        then = {name: block.column(name).to_numpy() for name in FORECAST_OUTPUTS}
        wrong = {
            name: then[name].view(np.uint32) != now[name].view(np.uint32)
            for name in FORECAST_OUTPUTS
        }
        anywhere = np.logical_or.reduce(list(wrong.values()))
        if not shown or (anywhere.any() and not any(different.values())):
            place = int(np.argmax(anywhere))
            shown = tuple(
                Value(rows + place, name, float(then[name][place]), float(now[name][place]))
                for name in FORECAST_OUTPUTS
            )
        for name in FORECAST_OUTPUTS:
            different[name] += int(wrong[name].sum())
        rows += block.num_rows
    return Comparison(rows, different, shown)


def _model(logged: Logged, files: ModelFiles) -> Model:
    try:
        session = Session(files.graph)
    except Exception as error:  # noqa: BLE001  # onnxruntime raises classes of its own
        raise ReplayError(
            f"the model cannot be loaded by this onnxruntime: {first_line(error)}"
        ) from None
    return Model(
        name=logged.horizon,
        card=files.card,
        document={},
        scores={},
        forecasts=pl.DataFrame(),
        session=session,
        md5=logged.model_md5,
        per_symbol=SYMBOL in session.inputs,
    )


def _bits(value: float) -> bytes:
    return np.float32(value).tobytes()
