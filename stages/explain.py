"""What each feature contributes to each forecast of one horizon.

Reads the datasets, the candidates and what evaluate wrote for the horizon. Writes
models/<horizon>/explanations.parquet, the contributions to the forecast of every held-out and
newest bar, and metrics/<horizon>/explanations.csv, their mean size by feature. A forecast is
explained by the fit that made it: of the hold-out by the one that had not seen it, of the newest
bars by the one that is served.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import polars as pl

from stages.common import tables
from stages.common.errors import DataError
from stages.common.paths import CANDIDATES, DATASETS, METRICS, MODELS, REFITTED
from stages.common.running import arguments, log, run
from stages.common.sections import Sections, load
from stages.forecast import baselines
from stages.forecast.attribution.graph_walk import Rows, combined
from stages.forecast.rounding import DIGITS
from stages.forecast.training.arrays import Dataset, Joined

TOLERANCE = 1e-6
"""Largest difference between a forecast and the sum of its explanation, in units of return."""

BACKGROUND = 50_000
"""Of more training rows than this, a pooled model is compared with evenly spaced ones."""

MOST = 50_000
"""How many held-out bars are explained: the newest."""


class Seed(Sections):
    """The part of `train:` that explain obeys."""

    seed: int


class Settings(Sections):
    """What explain obeys."""

    train: Seed


@dataclass(frozen=True)
class Fit:
    """What made the forecasts.

    Attributes:
        graphs: of the candidates and of the historical mean, by name.
        weights: of their sum, by name.
        background: the training rows, or some of them.
    """

    graphs: Mapping[str, onnx.ModelProto]
    weights: Mapping[str, float]
    background: Rows


def fitted(
    card: Mapping[str, Any], graphs: Mapping[str, onnx.ModelProto], parts: Sequence[Dataset]
) -> Fit:
    """What evaluate combined, according to the model card.

    Args:
        card: of the horizon.
        graphs: by name; those of weight 0 may be missing, the historical mean is computed here.
        parts: the rows that they were trained on.
    """
    data = Joined(parts)
    rows = pl.concat([part.rows.select("symbol", "target") for part in parts])
    level = baselines.as_graphs(rows, card["symbols"], len(card["features"]), card["scope"])
    weights = {name: part["weight"] for name, part in card["candidates"].items()}
    weights = {"mean": card["baselines"]["mean"]["weight"], **weights}
    # A model of one symbol is compared with all of its rows: there may be few.
    step = max(1, len(data.x) // BACKGROUND) if card["scope"] == "pooled" else 1
    return Fit(
        graphs={**graphs, "mean": level["mean"]},
        weights={name: weight for name, weight in weights.items() if weight},
        background=Rows(data.x[::step], data.symbol[::step]),
    )


def explain(
    fit: Fit, keys: pl.DataFrame, rows: Rows, features: list[str], seed: int
) -> pl.DataFrame:
    """Explain the forecast of every row.

    Args:
        fit: what made the forecasts.
        keys: `symbol` and `date` of the rows.
        rows: to explain.
        features: their names.
        seed: of what is sampled.

    Returns:
        `symbol, date, base` and a float32 column for each feature. `base` is the mean forecast of
        the background, and the columns are what each feature adds to it.
    """
    contributions = combined(fit.graphs, fit.weights, rows, fit.background, seed)
    columns = zip(features, contributions.added.astype(np.float32).T, strict=True)
    return keys.select("symbol", "date").with_columns(
        pl.Series("base", contributions.base.astype(np.float32)),
        *(pl.Series(name, values) for name, values in columns),
    )


def with_forecasts(explained: pl.DataFrame, forecasts: pl.DataFrame) -> pl.DataFrame:
    """Add the column `forecast`, what each explanation sums to, and sort by symbol and date.

    Raises:
        DataError: some explanation does not sum to its forecast.
    """
    keys = ["symbol", "date"]
    known = forecasts.select(*keys, "forecast")
    joined = explained.join(known, on=keys, how="left", maintain_order="left")
    total = pl.sum_horizontal(pl.exclude(*keys, "forecast").cast(pl.Float64))
    apart = joined.select((total - pl.col("forecast")).abs().fill_null(np.inf)).to_series()
    wrong = int((apart > TOLERANCE).sum())
    if wrong:
        raise DataError(
            f"{wrong:,} of {len(apart):,} forecasts differ from the sum of their explanation, by "
            f"up to {float(apart.to_numpy().max()):.2g}: the candidates are not those of the "
            "forecasts; run `dvc repro`"
        )
    return joined.select(*keys, "forecast", pl.exclude(*keys, "forecast")).sort(keys)


def mean_size(explained: pl.DataFrame, features: list[str]) -> pl.DataFrame:
    """How much each feature moves a forecast on average.

    Returns:
        `feature, contribution`, the largest first.
    """
    return (
        explained.select(pl.col(features).cast(pl.Float64).abs().mean())
        .unpivot(variable_name="feature", value_name="contribution")
        .with_columns(pl.col("contribution").round_sig_figs(DIGITS))
        .sort("contribution", "feature", descending=[True, False])
    )


def main() -> None:
    """Explain the forecasts of the horizon that the command line names."""
    settings = load(Settings)
    (horizon,) = arguments("horizon")
    folder, path = MODELS / horizon, DATASETS / horizon
    card = json.loads(tables.file_bytes(folder / "card.json"))
    graphs = {
        name: onnx.load_from_string(tables.file_bytes(CANDIDATES / horizon / name / "model.onnx"))
        for name in card["candidates"]
    }
    symbols, only_named = card["symbols"], card["scope"] != "pooled"
    train, purged, held_out, newest = (
        Dataset(path / f"{part}.parquet", symbols, only_named=only_named)
        for part in ("train", "purged", "test", "newest")
    )
    evaluated = served = fitted(card, graphs, [train])
    if again := sorted((REFITTED / horizon).glob("*.onnx")):
        graphs = {file.stem: onnx.load(file) for file in again}
        served = fitted(card, graphs, [train, purged, held_out])
    recent = np.sort(np.argsort(held_out.dates, kind="stable")[-MOST:])
    features, seed = card["features"], settings.train.seed
    explained = with_forecasts(
        pl.concat(
            explain(fit, keys, rows, features, seed)
            for fit, keys, rows in (
                (
                    evaluated,
                    held_out.rows[recent],
                    Rows(held_out.x[recent], held_out.symbol[recent]),
                ),
                (served, newest.rows, Rows(newest.x, newest.symbol)),
            )
        ),
        tables.read(folder / "forecasts.parquet", ["symbol", "date", "forecast"]),
    )
    sizes = mean_size(explained, features)
    with ExitStack() as stack:
        table, plot = (
            stack.enter_context(tables.replacing(path))
            for path in (folder / "explanations.parquet", METRICS / horizon / "explanations.csv")
        )
        tables.write(explained, table)
        sizes.write_csv(plot)
    left = held_out.rows.height - len(recent)
    if left:
        log.warning(
            "explain %s: the oldest %s held-out bars are not explained", horizon, f"{left:,}"
        )
    log.info(
        "explain %s: %s forecasts, moved most by %s -> %s",
        horizon,
        f"{explained.height:,}",
        ", ".join(sizes.filter(pl.col("contribution") > 0)["feature"].head(3)) or "no feature",
        folder / "explanations.parquet",
    )


if __name__ == "__main__":
    run(main)
