"""Challengers as the monitor leaves them for a server."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.forecast.evaluation.forecast_graph import forecast_graph
from stages.forecast.evaluation.scale import CONSTANT, LogScale
from stages.forecast.scoring.spread import Spread
from stages.forecast.training.graphs import linear

COMMIT = "c" * 40
FEATURES = ("sma_21", "return_lag1")
"""The champion does not take the first of them."""


def graph(features: Sequence[str] = FEATURES, intercept: float = 0.01, slope: float = 0.0) -> bytes:
    """A forecast of `intercept`, plus `slope` times the first feature."""
    slopes = np.zeros(len(features))
    slopes[0] = slope
    scale = LogScale(CONSTANT, list(features[:1]), np.zeros(1), float(np.log(0.02)))
    spread = Spread(grid=np.linspace(-2, 2, 11), lower=-1.6, upper=1.6)
    candidates = {"own": linear(slopes, intercept)}
    model = forecast_graph(candidates, {"own": 1.0}, scale, spread, features)
    content: bytes = model.SerializeToString()
    return content


def card(features: Sequence[str] = FEATURES, **changed: Any) -> dict[str, Any]:
    """The part of a model card that a server reads."""
    return {
        "horizon": "short",
        "sessions": 1,
        "as_of": "2012-12-31",
        "features": list(features),
        "symbols": ["AAPL", "GOOG", "IBM", "MSFT"],
        "interval": {"level": 0.9},
        "training": {"last": "2012-12-28"},
        **changed,
    }


def put(
    var: Path,
    content: bytes,
    document: dict[str, Any] | None = None,
    *,
    horizon: str = "short",
    **fields: Any,
) -> str:
    """Put a challenger in place of another, at once; returns the md5 of its model.

    Args:
        var: the server's own folder.
        content: of `model.onnx`.
        document: its card.
        horizon: that it is of.
        fields: changes of `challenger.json`; None leaves a field out.
    """
    md5 = hashlib.md5(content).hexdigest()  # noqa: S324
    announcement = {
        "commit": COMMIT,
        "model_md5": md5,
        "version": None,
        "mode": "shadow",
        "share": 0.5,
        "decision_id": "d",
        **fields,
    }
    folder = var / "challengers"
    new, target = folder / f".new-{horizon}", folder / horizon
    new.mkdir(parents=True)
    (new / "model.onnx").write_bytes(content)
    (new / "card.json").write_text(json.dumps(card() if document is None else document), "utf-8")
    (new / "challenger.json").write_text(json.dumps(announcement), encoding="utf-8")
    take(var, horizon)
    new.rename(target)
    return md5


def take(var: Path, horizon: str = "short") -> None:
    """Take a challenger away, at once."""
    folder = var / "challengers" / horizon
    if folder.exists():
        away = folder.with_name(f".away-{horizon}")
        folder.rename(away)
        shutil.rmtree(away)
