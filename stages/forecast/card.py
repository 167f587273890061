"""The model card, beside the graph: what a served forecast is, and how it was made."""

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from stages.common import tables
from stages.forecast.combine import Chosen
from stages.forecast.rounding import rounded
from stages.forecast.training.graphs import Spread
from stages.forecast.training.train_params import BASELINES


@dataclass(frozen=True)
class Recipe:
    """How a forecast was made.

    Attributes:
        horizon, sessions: its name and length.
        as_of: the newest session that the pipeline knew.
        scale: the feature that scales the interval.
        scope: `pooled`, or `per_symbol` with one model each.
        level: share of outcomes that the interval is to hold.
    """

    horizon: str
    sessions: int
    as_of: date
    scale: str
    scope: str
    level: float


@dataclass(frozen=True)
class Training:
    """The training rows: their file, and the columns that are not features."""

    path: Path
    features: list[str]
    rows: pl.DataFrame

    @classmethod
    def read(cls, path: Path) -> "Training":
        """Read the keys of a dataset; its features are only named."""
        keys = list(tables.dataset_contract([]))
        rows = tables.read(path, keys)
        return cls(path, list(pl.read_parquet_schema(path))[len(keys) :], rows)

    @property
    def symbols(self) -> list[str]:
        """The symbols in the order in which a graph of one model per symbol counts them."""
        return self.rows["symbol"].unique().sort().to_list()

    @property
    def md5(self) -> str:
        """Of the file, as `dvc.lock` has it."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest()


@dataclass(frozen=True)
class Stack:
    """The served forecast: its weights, its fold rows, and how wrong it was on them."""

    chosen: Chosen
    folds: pl.DataFrame
    residuals: Spread


def fold_skill(chosen: Chosen) -> float:
    """Out-of-sample R2 of the combination on folds that its weights had not seen.

    What to compare experiments by: chosen by their scores on the hold-out, they would fit it.
    """
    return 1 - chosen.errors[chosen.method] / chosen.errors["mean"]


def card(recipe: Recipe, stack: Stack, train: Training) -> dict[str, Any]:
    """The model card: all that a server or a reader must know beside the graph."""
    chosen, folds, residuals = stack.chosen, stack.folds, stack.residuals
    base = float(((folds["target"] - folds["mean"]) ** 2).mean())  # type: ignore[arg-type]
    errors = {
        name: float(((folds["target"] - folds[name]) ** 2).mean())  # type: ignore[arg-type]
        for name in (*BASELINES, *chosen.weights)
    }
    skill = {
        name: {"fold_rmse": rounded(error**0.5), "fold_oos_r2": rounded(1 - error / base)}
        for name, error in errors.items()
    }
    mean_only = chosen.method == "mean" or chosen.weights["mean"] == 1
    return {
        "horizon": recipe.horizon,
        "sessions": recipe.sessions,
        "as_of": str(recipe.as_of),
        "features": train.features,
        "scale": recipe.scale,
        "scope": recipe.scope,
        "symbols": train.symbols,
        "method": chosen.method,
        "verdict": (
            "no combination beat the historical mean on the folds: the mean is served"
            if mean_only
            else f"the {chosen.method} combination beat the historical mean on the folds"
        ),
        "fold_oos_r2": rounded(fold_skill(chosen)),
        "method_rmse": {name: rounded(error**0.5) for name, error in chosen.errors.items()},
        "candidates": {
            name: {"weight": rounded(weight), **skill[name]}
            for name, weight in chosen.weights.items()
            if name not in BASELINES
        },
        "baselines": {
            "zero": skill["zero"],
            "mean": {"weight": rounded(chosen.weights["mean"]), **skill["mean"]},
        },
        "interval": {
            "level": recipe.level,
            "lower_quantile": rounded(residuals.lower),
            "upper_quantile": rounded(residuals.upper),
        },
        "residual_quantiles": [
            rounded(value) for value in residuals.grid[:: len(residuals.grid) // 20]
        ],
        "training": {
            "rows": train.rows.height,
            "first": str(train.rows["date"].min()),
            "last": str(train.rows["date"].max()),
            "last_target": str(train.rows["target_date"].max()),
            "data_md5": train.md5,
        },
    }


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)
