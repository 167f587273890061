"""A window of live features against the table that their model was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from monitor.drift import calibration, histogram, ks_distance, prepared_reference, relations
from monitor.drift.histogram import Histogram
from monitor.drift.ks_distance import Floats
from monitor.drift.prepared_reference import Prepared

LEAST = 30
"""Rows of a window at least: fewer say little about a distribution."""

MISSING = 0.05
"""A feature with a greater share of missing values has drifted: training rows have none."""


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
        level: a feature whose adjusted p-value is at most this has drifted.
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


def compare(prepared: Prepared, inputs: pl.DataFrame, seed: int) -> Comparison:
    """Compare a window with its reference.

    Args:
        prepared: for windows of its shape.
        inputs: the features of the live rows.
        seed: of the sample, where the window is large.
    """
    missing = _missing(inputs, prepared.features)
    if prepared.share < 1:
        inputs = inputs.filter(prepared_reference.sample(inputs.height, prepared.share, seed))
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
    """The places of the features that do not fit the others.

    A broken feature disturbs the residuals of all features that it explains. So the worst is
    replaced first by what the others predict, until no residual is beyond the level.
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
    return histogram.of(window, reference) if len(window) >= LEAST else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
