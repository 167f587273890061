"""Compute an answer again, and compare each value with the one that was logged, bit for bit."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serve.checkout.bundle import Model
from serve.forecasts import stream
from serve.forecasts.forecast_errors import ForecastError
from serve.replay.logged import Logged, ReplayError
from stages.forecast.contract import FORECAST_OUTPUTS, SCALE


@dataclass(frozen=True)
class Value:
    """One output of one row, as logged and as computed again.

    Attributes:
        row: its place in the batch, from 0.
        name: of the output.
        same: whether both have the same bits.
    """

    row: int
    name: str
    logged: float
    replayed: float
    same: bool


@dataclass(frozen=True)
class Comparison:
    """The result of a replay.

    Attributes:
        rows: how many were computed.
        different: number of values that differ, by output.
        values: those of the first row that differs, or of the first if all are the same.
    """

    rows: int
    different: dict[str, int]
    values: tuple[Value, ...]

    @property
    def same(self) -> bool:
        """Whether every value is the same to the last bit."""
        return not any(self.different.values())


def compare(logged: Logged, model: Model) -> Comparison:
    """Run a model on logged inputs, and compare its outputs with the logged ones.

    Raises:
        ReplayError: the model takes other inputs than were logged, or refuses them.
    """
    names: list[str] = []
    then: list[npt.NDArray[np.float32]] = []
    now: list[npt.NDArray[np.float32]] = []
    for block in logged.blocks(model.card.features, model.card.symbols):
        columns = block.select(block.schema.names[: -len(FORECAST_OUTPUTS)])
        try:
            inputs = stream.inputs(columns, model, sum(len(rows) for rows in then))
        except ForecastError as error:
            raise ReplayError(f"the logged rows cannot be computed: {error}") from None
        scale = block.column(SCALE).to_numpy().reshape(-1, 1)
        computed = model.session(inputs.features, inputs.symbol, scale)
        names = [name for name in FORECAST_OUTPUTS if name in computed]
        then.append(np.column_stack([block.column(name).to_numpy() for name in names]))
        now.append(np.column_stack([computed[name] for name in names]))
    before, after = np.concatenate(then), np.concatenate(now)
    differs = before.view(np.uint32) != after.view(np.uint32)
    row = int(np.argmax(differs.any(axis=1)))
    values = zip(names, before[row], after[row], differs[row], strict=True)
    return Comparison(
        len(before),
        dict(zip(names, differs.sum(axis=0).tolist(), strict=True)),
        tuple(
            Value(row, name, float(one), float(other), same=not differ)
            for name, one, other, differ in values
        ),
    )
