"""A training table, ready for windows of one shape: calibrated by windows drawn from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from monitor.drift import calibration, ks_distance, reference_folds, relations, window_means
from monitor.drift.calibration import Calibration
from monitor.drift.ks_distance import Floats, Rows
from monitor.drift.reference_folds import Fold
from monitor.drift.window_means import Levels
from monitor.settings import MonitorError
from stages.monitor_params import DriftParams

LEAST_WINDOWS = 4
"""Windows that must fit side by side into a reference, or it cannot say what windows look like."""

MOST = 2_000
"""Rows of a window that are compared: of a larger one a sample of so many, and of the reference
the same share. The rows of a session move together, so more of them add next to nothing."""

MOST_REFERENCE = 100_000
"""Rows of a reference that are compared, by the same rule."""


@dataclass(frozen=True)
class Shape:
    """What windows of the reference must have in common with the live one.

    Attributes:
        symbols: of the forecasts.
        rows: of the window.
        sessions: of its bars.
    """

    symbols: tuple[str, ...]
    rows: int
    sessions: int


@dataclass(frozen=True)
class Prepared:
    """A reference, ready for windows of one shape.

    Attributes:
        share: of the rows that are compared.
        values: of the features, each column ascending; rows x features.
        mean, deviation: of the features.
        coefficients: of the residuals.
        residuals: each column ascending; rows x features.
        levels: the regression of the means of windows.
        calibration: the features' own statistics first, then those of the residuals.
    """

    features: tuple[str, ...]
    share: float
    values: Floats
    mean: Floats
    deviation: Floats
    coefficients: Floats
    residuals: Floats
    levels: Levels
    calibration: Calibration


def shape(keys: pl.DataFrame) -> Shape:
    """The shape of a window.

    Args:
        keys: `symbol` and `as_of` of its rows.
    """
    symbols = tuple(sorted(keys["symbol"].unique()))
    return Shape(symbols, keys.height, keys["as_of"].n_unique())


def prepare(reference: pl.DataFrame, window: Shape, params: DriftParams) -> Prepared:
    """Calibrate a reference for windows of a shape.

    Args:
        reference: `symbol, date` and the features, sorted by date and symbol.
        window: the shape of the live window.
        params: how many windows are drawn, and how often they may raise an alarm.

    Raises:
        MonitorError: the reference is too short for windows of this shape.
    """
    features = tuple(reference.columns[2:])
    own = reference["symbol"].is_in(window.symbols)
    # If all symbols are new, windows of all known ones say most about them.
    own = own if own.any() else ~own
    symbols = min(len(window.symbols), reference["symbol"].filter(own).n_unique())
    share = min(1.0, MOST / window.rows, MOST_REFERENCE / reference.height)
    if share < 1:
        chosen = sample(reference.height, share, params.seed)
        reference, own = reference.filter(chosen), own.filter(chosen)
    places = np.flatnonzero(own.to_numpy())
    length = max(1, round(window.sessions * symbols * share))
    size = min(max(1, round(window.rows * share)), length)
    independent = len(places) / length
    if independent < LEAST_WINDOWS:
        sessions = reference["date"].filter(own).n_unique()
        raise MonitorError(
            f"a window of {window.sessions} sessions cannot be calibrated by a training table of "
            f"{sessions}, which must be {LEAST_WINDOWS} times as long; lower monitor.drift.window "
            f"(now {params.window}) or train on a longer history"
        )
    windows = places[calibration.draw(len(places), length, size, params.resamples, params.seed)]
    values = reference.select(features).to_numpy().astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    standard = relations.standardised(values, mean, deviation)
    parts = reference_folds.split(reference["date"].rle_id().to_numpy().astype(np.int64))
    residuals = relations.residuals(standard, parts)
    middle = windows[:, windows.shape[1] // 2]
    fold = np.searchsorted([part.own.start for part in parts], middle, "right") - 1
    # Each of both tests has half of the false alarms.
    half = params.false_alarms / 2
    return Prepared(
        features,
        share,
        np.sort(values, axis=0),
        mean,
        deviation,
        relations.coefficients(standard),
        np.sort(residuals, axis=0),
        window_means.calibrate(
            window_means.of(standard, windows),
            window_means.outside(windows, parts),
            fold,
            independent,
            half,
        ),
        calibration.calibrate(
            *_distances_of(np.hstack([values, residuals]), windows, parts, fold),
            fold,
            independent,
            half,
        ),
    )


def _distances_of(
    values: Floats, windows: Rows, parts: Sequence[Fold], own: Rows
) -> tuple[Floats, Floats]:
    """Of each drawn window, from the rest of the reference, and from it without its fold."""
    distances, held_out = np.empty((2, len(windows), values.shape[1]))
    for column, each in enumerate(values.T):
        ranked = ks_distance.Ranked(each)
        distances[:, column] = ranked.from_rest(windows)
        for number in np.unique(own):
            chosen = own == number
            others = parts[number].others
            held_out[chosen, column] = ranked.from_others(windows[chosen], others)
    return distances, held_out


def sample(rows: int, share: float, seed: int) -> pl.Series:
    """Which rows of a table are compared; of a sorted one, about the same share of each session."""
    chosen = np.zeros(rows, bool)
    chosen[np.random.default_rng(seed).choice(rows, max(1, round(rows * share)), replace=False)] = (
        True
    )
    return pl.Series(chosen)
