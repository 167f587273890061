"""Models whose forecasts are known beforehand, by the functions that training uses."""

from dataclasses import replace

import numpy as np
from onnx import ModelProto

from serve.checkout.bundle import Model
from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.scale import CONSTANT, LogScale
from stages.forecast.scoring.spread import Spread
from stages.forecast.session import Session
from stages.forecast.training.graphs import linear

CONSTANT_SCALE = 0.02


def forecasting(model: Model, candidate: ModelProto) -> Model:
    """A model that forecasts what a candidate predicts, with `CONSTANT_SCALE`."""
    names = model.card.features
    scale = LogScale(CONSTANT, names[:1], np.zeros(1), float(np.log(CONSTANT_SCALE)))
    spread = Spread(grid=np.linspace(-2, 2, 11), lower=-1.6, upper=1.6)
    session = Session(forecast_graph({"own": candidate}, {"own": 1.0}, scale, spread, names))
    return replace(model, session=session)


def steep(model: Model) -> Model:
    """A model that forecasts twice the first feature."""
    slope = np.zeros(len(model.card.features))
    slope[0] = 2
    return forecasting(model, linear(slope, 0.0))
