"""A window of live features against the table that their model was trained on."""

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

LEAST = 30
"""Rows of a window at least: fewer say little about a distribution."""

LEAST_WINDOWS = 4
"""Windows that must fit side by side into a reference, or it cannot say what windows look like."""

MOST = 2_000
"""Rows of a window that are compared; of a larger one a sample of so many, and of the reference
the same share. The rows of a session move together, so that more of them add next to nothing."""

MOST_REFERENCE = 100_000
"""Rows of a reference that are compared, by the same rule."""

MISSING = 0.05
"""Share of missing values from which on a feature has drifted: training rows have none."""


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


BINS = 20
"""Of a histogram."""

TAILS = 0.01
"""Share of values on each side, one at least, by which the bins of a histogram do not reach."""


@dataclass(frozen=True)
class Histogram:
    """How the values of a feature are spread, in `BINS` bins of the same width.

    Attributes:
        low, high: ends of the bins; what lies beyond is counted in the outer ones.
        reference, window: rows of each bin.
    """

    low: float
    high: float
    reference: tuple[int, ...]
    window: tuple[int, ...]


@dataclass(frozen=True)
class Feature:
    """One feature of a window.

    Attributes:
        distance: of its values from those of the reference; None if too few are known.
        p: the chance of such a distance in a window without drift.
        relation: the distance of what the other features do not explain; None as above.
        relation_p: its chance.
        level: how far the mean is from what the means of the others explain; beyond 1 it is drift;
            None as above.
        level_p: at most the chance that any feature is as far.
        missing: share of the rows without a value.
        drifted: whether one of the three is beyond what was calibrated, or too much is missing.
        histogram: of both; None if too few values are known.
    """

    name: str
    distance: float | None
    p: float
    relation: float | None
    relation_p: float
    level: float | None
    level_p: float
    missing: float
    drifted: bool
    histogram: Histogram | None = None


@dataclass(frozen=True)
class Comparison:
    """A window against its reference.

    Attributes:
        features: in the order of the reference.
        p: at most this share of the windows without drift differs as much.
        level: of the adjusted p-values, from which on a feature has drifted.
        independent: how many such windows fit side by side into the reference.
    """

    features: tuple[Feature, ...]
    p: float
    level: float
    independent: float

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that drifted."""
        return tuple(feature.name for feature in self.features if feature.drifted)


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
    # New symbols alone: windows of all that there are say most about them.
    own = own if own.any() else ~own
    symbols = min(len(window.symbols), reference["symbol"].filter(own).n_unique())
    share = min(1.0, MOST / window.rows, MOST_REFERENCE / reference.height)
    if share < 1:
        chosen = _sample(reference.height, share, params.seed)
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


def compare(prepared: Prepared, inputs: pl.DataFrame, seed: int) -> Comparison:
    """Compare a window with its reference.

    Args:
        prepared: for windows of its shape.
        inputs: the features of the live rows.
        seed: of the sample, where the window is large.
    """
    missing = _missing(inputs, prepared.features)
    if prepared.share < 1:
        inputs = inputs.filter(_sample(inputs.height, prepared.share, seed))
    values = inputs.select(prepared.features).to_numpy().astype(np.float64)
    known = np.isfinite(values)
    distances = _distances(values, known, prepared.values)
    standard = relations.standardised(values, prepared.mean, prepared.deviation)
    standard = standard[known.all(axis=1)]
    related = _related(prepared, standard)
    p = prepared.calibration.p_values(np.concatenate([distances, related]))
    adjusted = calibration.adjusted(p)
    level, count = prepared.calibration.level, len(prepared.features)
    beyond = (adjusted[:count] <= level) | (missing > MISSING)
    beyond[_broken(prepared, standard, p[:count])] = True
    levels = np.full(count, np.nan)
    if len(standard) >= LEAST:
        means = standard.mean(axis=0)
        levels = prepared.levels.residuals(means)
        beyond[prepared.levels.drifted(means, np.flatnonzero(beyond).tolist())] = True
    features = tuple(
        Feature(
            name,
            _number(distances[place]),
            float(p[place]),
            _number(related[place]),
            float(p[count + place]),
            _number(levels[place]),
            prepared.levels.share_as_different(float(levels[place])),
            float(missing[place]),
            bool(beyond[place]),
            _histogram(values[known[:, place], place], prepared.values[:, place]),
        )
        for place, name in enumerate(prepared.features)
    )
    return Comparison(
        features,
        min(
            1.0,
            2 * prepared.calibration.share_as_different(float(adjusted.min())),
            2 * prepared.levels.share_as_different(float(levels.max())),
        ),
        level,
        prepared.calibration.independent,
    )


def _broken(prepared: Prepared, standard: Floats, own: Floats) -> list[int]:
    """Numbers of the features that do not fit to the others.

    A broken feature disturbs the residuals of all that are explained by it. So the worst is taken
    first and set to what the others make of it, until no residual is left beyond the level.
    """
    broken: list[int] = []
    values, count = standard, len(own)
    while len(broken) < count:
        related = _related(prepared, values)
        p = prepared.calibration.p_values(np.concatenate([np.full(count, np.nan), related]))
        p[:count] = own
        worst = int(np.argmin(p[count:]))
        if worst in broken or calibration.adjusted(p)[count + worst] > prepared.calibration.level:
            break
        broken.append(worst)
        values = relations.without(standard, prepared.coefficients, broken)
    return broken


def _related(prepared: Prepared, standard: Floats) -> Floats:
    residuals = standard @ prepared.coefficients
    return _distances(residuals, np.isfinite(residuals), prepared.residuals)


def _sample(rows: int, share: float, seed: int) -> pl.Series:
    """Which rows of a table are compared; of a sorted one, of each session the same share."""
    chosen = np.zeros(rows, bool)
    chosen[np.random.default_rng(seed).choice(rows, max(1, round(rows * share)), replace=False)] = (
        True
    )
    return pl.Series(chosen)


def _missing(inputs: pl.DataFrame, features: Sequence[str]) -> Floats:
    """Share of missing values of each feature."""
    known = inputs.select(pl.col(features).is_finite().fill_null(value=False).mean())
    result: Floats = 1 - known.to_numpy()[0].astype(np.float64)
    return result


def _distances(values: Floats, known: np.ndarray, ordered: Floats) -> Floats:
    return np.array(
        [
            ks_distance.distance(column[usable], reference) if usable.sum() >= LEAST else np.nan
            for column, usable, reference in zip(values.T, known.T, ordered.T, strict=True)
        ]
    )


def _histogram(window: Floats, reference: Floats) -> Histogram | None:
    if len(window) < LEAST:
        return None
    low = min(float(np.quantile(part, TAILS, method="higher")) for part in (window, reference))
    high = max(float(np.quantile(part, 1 - TAILS, method="lower")) for part in (window, reference))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = [
        tuple(np.histogram(np.clip(part, low, high), BINS, (low, high))[0].tolist())
        for part in (reference, window)
    ]
    return Histogram(low, high, *counts)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
