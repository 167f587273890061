"""The model card, beside the graph: what a served forecast is, and how it was made."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from stages.common import tables
from stages.forecast.evaluation.combine import Chosen
from stages.forecast.evaluation.scale import LogScale
from stages.forecast.rounding import rounded
from stages.forecast.scoring.spread import Spread
from stages.forecast.training.arrays import Dataset
from stages.forecast.training.train_params import BASELINES


@dataclass(frozen=True)
class Recipe:
    """How a forecast was made.

    Attributes:
        horizon, sessions: its name and length.
        as_of: the newest session that the pipeline knew.
        scope: `pooled`, or `per_symbol` with one model each.
        level: share of outcomes that the interval is to hold.
    """

    horizon: str
    sessions: int
    as_of: date
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


def training(parts: Sequence[Training | Dataset]) -> dict[str, Any]:
    """What a fit was trained on; `data_md5` of its files, as `dvc.lock` has them."""
    rows = pl.concat([part.rows.select("date", "target_date") for part in parts])
    md5 = {}
    for part in parts:
        with part.path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        md5[part.path.stem] = digest.hexdigest()
    return {
        "rows": rows.height,
        "first": str(rows["date"].min()),
        "last": str(rows["date"].max()),
        "last_target": str(rows["target_date"].max()),
        "data_md5": md5,
    }


@dataclass(frozen=True)
class FitRecord:
    """One fit of the forecast: the parts of its interval, and what it was trained on."""

    scale: LogScale
    spread: Spread
    training: Mapping[str, Any]

    def described(self, level: float) -> dict[str, Any]:
        """For the card."""
        scale, spread = self.scale, self.spread
        return {
            "scale": {
                "kind": scale.kind,
                "intercept": rounded(scale.intercept),
                "exponents": {
                    name: rounded(float(value))
                    for name, value in zip(scale.names, scale.slope, strict=True)
                    if value
                },
            },
            "interval": {
                "level": level,
                "lower_quantile": rounded(spread.lower),
                "upper_quantile": rounded(spread.upper),
            },
            "residual_quantiles": [
                rounded(value) for value in spread.grid[:: len(spread.grid) // 20]
            ],
            "training": dict(self.training),
        }


@dataclass(frozen=True)
class Stack:
    """The served forecast: its weights, its fold rows, and the scales that competed."""

    chosen: Chosen
    folds: pl.DataFrame
    scales: Mapping[str, float]


def fold_skill(chosen: Chosen) -> float:
    """Out-of-sample R2 of the best combination on folds that its weights had not seen.

    Whether it is served or the mean is. What to compare experiments by: chosen by their scores on
    the hold-out, they would fit it.
    """
    best = min(error for name, error in chosen.errors.items() if name != "mean")
    return 1 - best / chosen.errors["mean"]


def verdict(chosen: Chosen) -> str:
    """In one line, what is served and why."""
    if chosen.best == "mean" or (chosen.method != "mean" and chosen.weights["mean"] == 1):
        return "no combination beat the historical mean on the folds: the mean is served"
    gain = f"the {chosen.best} combination beat the historical mean on the folds"
    p_value = "-" if chosen.p_value is None else f"{chosen.p_value:.2g}"
    if chosen.method == "mean":
        return f"{gain}, which may be chance (p {p_value}): the mean is served"
    return f"{gain} (p {p_value})"


def card(
    recipe: Recipe, stack: Stack, train: Training, served: FitRecord, evaluated: FitRecord
) -> dict[str, Any]:
    """The model card: all that a server or a reader must know beside the graph.

    Every score in it belongs to the fit that was evaluated, which is not the one that is served
    where it was fitted again.
    """
    chosen, folds = stack.chosen, stack.folds
    base = float(((folds["target"] - folds["mean"]) ** 2).mean())  # type: ignore[arg-type]
    errors = {
        name: float(((folds["target"] - folds[name]) ** 2).mean())  # type: ignore[arg-type]
        for name in (*BASELINES, *chosen.weights)
    }
    skill = {
        name: {"fold_rmse": rounded(error**0.5), "fold_oos_r2": rounded(1 - error / base)}
        for name, error in errors.items()
    }
    return {
        "horizon": recipe.horizon,
        "sessions": recipe.sessions,
        "as_of": str(recipe.as_of),
        "features": train.features,
        "scope": recipe.scope,
        "symbols": train.symbols,
        "method": chosen.method,
        "verdict": verdict(chosen),
        "fold_oos_r2": rounded(fold_skill(chosen)),
        "fold_p_value": rounded(chosen.p_value),
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
        "scale_scores": {name: rounded(score) for name, score in stack.scales.items()},
        **served.described(recipe.level),
        "evaluated": evaluated.described(recipe.level),
    }
