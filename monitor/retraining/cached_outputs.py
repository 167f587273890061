"""Files of any revision, without a checkout: from the cache of DVC, by their md5."""

import json
from pathlib import Path
from typing import Any

from monitor.retraining.contestant import Contestant
from monitor.retraining.paired_rows import Side
from monitor.settings import MonitorError
from stages.common import tables
from versions.repository import dvc_cache


def path(root: Path, md5: str, name: str) -> Path:
    """Where a file is.

    Args:
        root: of the project.
        md5: of the file.
        name: what to call it in a message.

    Raises:
        MonitorError: the cache lacks it.
        VersionError: DVC does not know the project.
    """
    cached = dvc_cache.path(md5, root)
    if not cached.exists():
        raise MonitorError(
            f"{name} (md5 {md5}) is not in the cache here; `git checkout` its revision and "
            "`make pull`"
        )
    return cached


def file(contestant: Contestant, horizon: str, name: str) -> Path:
    """A file of the model of a horizon.

    Raises:
        MonitorError: the pipeline did not make it, or the cache lacks it.
    """
    md5 = contestant.md5(horizon, name)
    return path(contestant.root, md5, f"models/{horizon}/{name} of {contestant.commit[:7]}")


def card(contestant: Contestant, horizon: str) -> dict[str, Any]:
    """The model card of a horizon."""
    content: dict[str, Any] = json.loads(file(contestant, horizon, "card.json").read_bytes())
    return content


def side(contestant: Contestant, horizon: str) -> Side:
    """The forecasts of the hold-out of a horizon, with the model card."""
    forecasts = tables.read(file(contestant, horizon, "forecasts.parquet"))
    return Side(forecasts, card(contestant, horizon))
