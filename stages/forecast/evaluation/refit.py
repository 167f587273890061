"""Fit what was chosen again, on every row whose target is known.

Models are chosen and scored on rows that they have not seen, so they know nothing of the newest
years. The one that is served is fitted once more with the same params, and keeps its weights.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from onnx import ModelProto

from stages.common.running import progress
from stages.forecast import baselines
from stages.forecast.evaluation.scale import Errors
from stages.forecast.training import train_params
from stages.forecast.training.arrays import Dataset, Joined
from stages.forecast.training.fitting import fit_graph
from stages.forecast.training.train_params import Models, TrainParams


def refitted(
    weights: Mapping[str, float],
    parts: tuple[Dataset, ...],
    features: Sequence[str],
    models: Models,
    train: TrainParams,
) -> dict[str, ModelProto]:
    """Graphs of the historical mean and of each candidate that has a weight, by name.

    Args:
        weights: by candidate; those of weight 0 are not fitted.
        parts: every row whose target is known, in parts.
        features: the features that models may see.
        models: the candidates' options.
        train: the scope and the seed.
    """
    data = Joined(parts)
    rows = pl.concat([part.rows.select("symbol", "target") for part in parts])
    means = baselines.as_graphs(rows, data.names, data.x.shape[1], train.scope)
    graphs = {"mean": means["mean"]}
    used = [name for name, weight in weights.items() if weight != 0 and name in models]
    for name in progress(used, "refit"):
        fit = train_params.fit_of(models, name, features, parts[0].features, train.seed)
        graphs[name], _ = fit_graph(fit, data, train.scope, name)
    return graphs


def together(folds: Errors, held_out: Errors) -> Errors:
    """The errors of the folds and of the hold-out, none of which the models had seen."""
    return Errors(
        folds.names,
        np.concatenate([folds.logs, held_out.logs]),
        np.concatenate([folds.error, held_out.error]),
        np.concatenate([folds.fold, held_out.fold]),
        np.concatenate([folds.dates, held_out.dates]),
        np.concatenate([folds.target_dates, held_out.target_dates]),
    )
