"""The rows of every table: the served forecast, what it must beat, and each candidate alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import polars as pl

from stages.forecast.evaluation import scale
from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.scale import CONSTANT, Errors, LogScale
from stages.forecast.scoring.spread import Spread, spread
from stages.forecast.training.train_params import BASELINES, EvaluateParams

STACK = "stack"
"""The name of the served forecast in every table."""

DISTRIBUTIONS = ("mean_constant", "mean_ewma")
"""What a forecast of the distribution must beat: the historical mean with a spread that never
changes, and with an exponential average of squared returns."""

EWMA = "ewma_vol_"


@dataclass(frozen=True)
class Contestant:
    """How a row of the tables forecasts.

    Attributes:
        weights: of candidates and baselines.
        column: of its predictions in the fold rows.
        kind: of its scale.
    """

    weights: Mapping[str, float]
    column: str
    kind: str


def contestants(
    weights: Mapping[str, float], models: Sequence[str], columns: Sequence[str], kind: str
) -> dict[str, Contestant]:
    """Every row of the tables, by its name.

    Args:
        weights: of the served forecast.
        models: the candidates.
        columns: of the scale; the first exponential average among them is that of `mean_ewma`.
        kind: of the scale that was chosen.
    """
    averages = [name for name in columns if name.startswith(EWMA)]
    spreads = dict(zip(DISTRIBUTIONS, [CONSTANT, *averages[:1]], strict=False))
    return {
        STACK: Contestant(weights, STACK, kind),
        **{name: Contestant({name: 1.0}, name, kind) for name in BASELINES},
        **{name: Contestant({"mean": 1.0}, "mean", own) for name, own in spreads.items()},
        **{name: Contestant({name: 1.0}, name, kind) for name in models},
    }


@dataclass(frozen=True)
class Fit:
    """A forecast that was fitted.

    Attributes:
        graph: the whole of it.
        scale, spread: what its intervals are made of.
    """

    graph: onnx.ModelProto
    scale: LogScale
    spread: Spread


def fit(
    graphs: Mapping[str, onnx.ModelProto],
    contestant: Contestant,
    errors: Errors,
    features: Sequence[str],
    params: EvaluateParams,
) -> Fit:
    """Fit scale and distribution to errors, and make the graph of the whole forecast.

    Args:
        graphs: of candidates and baselines, by name.
        contestant: the weights, and the kind of scale.
        errors: of its forecasts on rows that they had not seen.
        features: the columns that graphs take, in order.
        params: the shrinkage of the scale, and the share of outcomes that an interval is to hold.
    """
    fitted = scale.fit(contestant.kind, errors, params.scale_shrinkage)
    scaled = spread(errors.error / fitted(errors.logs), params.level)
    graph = forecast_graph(graphs, contestant.weights, fitted, scaled, features)
    return Fit(graph, fitted, scaled)


def against_baselines(held_out: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Add `mean` and `base_crps`, what each row's forecast and distribution must beat.

    The baseline of the distribution is the one with the smaller loss on these very rows, so that it
    cannot be beaten by a bad choice.
    """
    losses = {name: held_out[name]["crps"] for name in DISTRIBUTIONS if name in held_out}
    better = min(losses, key=lambda name: float(losses[name].sum()))
    return {
        name: rows.with_columns(mean=held_out["mean"]["forecast"], base_crps=losses[better])
        for name, rows in held_out.items()
    }
