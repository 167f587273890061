"""What a model must be before it is served: of its horizon, of its bars, and able to forecast."""

from pathlib import Path

import numpy as np
import polars as pl

from serve.checkout.bundle import Card, Model
from serve.checkout.bundle_files import BundleError
from stages.common.errors import few
from stages.common.paths import LATEST
from stages.forecast.contract import FORECAST_OUTPUTS
from stages.forecast.session import Session
from versions.repository.lock import LOCK_FILE


def check_horizon(card: Card, name: str, sessions: int, path: Path) -> None:
    """Check that a card is of a horizon.

    Raises:
        BundleError: it is of another one, or of another length.
    """
    if (card.horizon, card.sessions) != (name, sessions):
        raise BundleError(
            f"{path}: is of {card.horizon} over {card.sessions} sessions, "
            f"{LOCK_FILE} has {name} over {sessions}"
        )


def check_width(session: Session, card: Card, graph: Path, path: Path) -> None:
    """Check that a graph takes as many features as the card at `path` names.

    Raises:
        BundleError: it takes more or fewer.
    """
    if session.width != len(card.features):
        raise BundleError(
            f"{graph}: takes {session.width} features, {path} names {len(card.features)}"
        )


def check_features(card: Card, latest: pl.DataFrame, path: Path) -> None:
    """Check that the bars `latest` have every feature of the card at `path`.

    Raises:
        BundleError: a feature is missing.
    """
    missing = [name for name in card.features if name not in latest.columns]
    if missing:
        raise BundleError(f"{path}: names {few(missing)}, which {LATEST} does not have")


def check_forecast(model: Model, path: Path) -> None:
    """Predict once with a model, whose graph is at `path`.

    Raises:
        BundleError: the graph lacks an output, or gives none that is finite.
    """
    width = len(model.card.features)
    outputs = model.session(np.zeros((1, width), np.float32), np.zeros((1, 1), np.int64))
    missing = [name for name in FORECAST_OUTPUTS if name not in outputs]
    if missing:
        raise BundleError(f"{path}: does not give {few(missing)}")
    if not all(np.isfinite(outputs[name]).all() for name in FORECAST_OUTPUTS):
        raise BundleError(f"{path}: a row of zeros gives no finite forecast")
