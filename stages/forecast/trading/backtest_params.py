"""The section `backtest:` of `params.yaml`, and the part of `evaluate:` that a backtest reads."""

from typing import Annotated

from pydantic import Field, PositiveFloat

from stages.common.options import Options, Share
from stages.common.sections import Sections

BasisPoints = Annotated[float, Field(ge=0, le=1000)]


class BacktestParams(Options):
    """How the forecasts of the hold-out are traded (`backtest:`)."""

    delay: Annotated[int, Field(ge=0)]
    cost: BasisPoints
    slippage: BasisPoints
    cap: PositiveFloat
    volatility: PositiveFloat
    seed: Annotated[int, Field(ge=0)]

    @property
    def rate(self) -> float:
        """What a trade costs, as a share of the value traded."""
        return (self.cost + self.slippage) / 10_000


class IntervalParams(Sections):
    """How wide the intervals of the forecasts are (`evaluate.level`)."""

    level: Share
