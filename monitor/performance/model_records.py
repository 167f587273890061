"""What a model's own revision says of it: its distribution, its hold-out, what it was trained on.

The files are those of the checkout where the model is checked out, and else those of the commit
that its forecasts name, from git and from DVC's cache.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from monitor.settings import MonitorError
from stages.common.errors import VersionError
from stages.common.paths import MODELS
from stages.forecast.scoring.spread import Spread
from versions.repository import dvc_cache, git, lock

DIRTY = "-dirty"
"""What a server appends to the commit of a `dvc.lock` with uncommitted changes."""


@dataclass(frozen=True)
class ModelRecord:
    """A model, by the files of its revision.

    Attributes:
        md5: of its graph.
        graph: its bytes.
        card: its model card.
        held_out: the scores of its hold-out, pooled.
    """

    md5: str
    graph: bytes
    card: Mapping[str, Any]
    held_out: Mapping[str, float | None]

    @property
    def level(self) -> float:
        """The share of outcomes that its interval is to hold."""
        return float(self.card["interval"]["level"])

    @property
    def trained(self) -> tuple[date, date]:
        """The first and the last session of its training rows."""
        return _span(self.card["training"])

    @property
    def evaluated(self) -> tuple[date, date]:
        """The same of the fit that was scored on the hold-out."""
        return _span(self.card["evaluated"]["training"])

    @property
    def known(self) -> date:
        """The last session whose outcome the scored fit knew: the hold-out begins after it."""
        return date.fromisoformat(self.card["evaluated"]["training"]["last_target"])

    @property
    def as_of(self) -> date:
        """The newest session that its pipeline knew."""
        return date.fromisoformat(self.card["as_of"])

    @cached_property
    def spread(self) -> Spread:
        """The distribution of its errors, divided by their scale, as the graph has it.

        Raises:
            MonitorError: the graph holds none.
        """
        import onnx
        from onnx import numpy_helper

        model = onnx.load_model_from_string(self.graph)
        arrays = {
            part.name: numpy_helper.to_array(part).astype(np.float64).reshape(-1)
            for part in model.graph.initializer
            if part.name in {"grid", "steps", "lower_quantile", "upper_quantile"}
        }
        try:
            last = arrays["grid"][-1] + arrays["steps"][-1]
            lower, upper = arrays["lower_quantile"].item(), arrays["upper_quantile"].item()
            return Spread(np.append(arrays["grid"], last), lower, upper)
        except KeyError as error:
            raise MonitorError(f"the graph of model {self.md5[:8]} holds no {error}") from None


def _span(training: Mapping[str, Any]) -> tuple[date, date]:
    return date.fromisoformat(training["first"]), date.fromisoformat(training["last"])


def read(horizon: str, md5: str, revision: str, root: Path = Path()) -> ModelRecord:
    """The record of a model.

    Args:
        horizon: of the model.
        md5: of its graph.
        revision: the commit that its forecasts name.
        root: of the project.

    Raises:
        MonitorError: no revision has the model, or its files are missing.
    """
    path = MODELS / horizon
    files = [str(path / name) for name in ("model.onnx", "card.json", "scores.json")]
    try:
        graph, card, scores = _contents(files, md5, revision, root)
        return ModelRecord(md5, graph, json.loads(card), json.loads(scores)["all"])
    except (VersionError, OSError, KeyError, ValueError) as error:
        raise MonitorError(
            f"{horizon}: model {md5[:8]} of revision {revision[:12]} cannot be read ({error}); "
            "`git fetch --tags` and `dvc fetch --all-tags` bring former models"
        ) from None


def _contents(files: list[str], md5: str, revision: str, root: Path) -> list[bytes]:
    here = lock.read(root / lock.LOCK_FILE).outs
    if files[0] in here and here[files[0]].md5 == md5:
        return [(root / name).read_bytes() for name in files]
    there = lock.at(git.commit(revision.removesuffix(DIRTY), root), root).outs
    if files[0] not in there or there[files[0]].md5 != md5:
        raise VersionError(f"its {files[0]} has another md5")
    return [dvc_cache.path(there[name].md5, root).read_bytes() for name in files]
