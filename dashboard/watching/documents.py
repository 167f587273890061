"""The newest documents of the monitor: health, drift and performance of each horizon."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.settings import MonitorError

Document = dict[str, Any]


def document(path: Path) -> Document | None:
    """A document; None if the monitor has not written it yet.

    Raises:
        MonitorError: it cannot be read.
    """
    try:
        content: Document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise MonitorError(
            f"{path}: cannot be read; the next `python -m monitor check` writes it again"
        ) from None
    return content


def by_horizon(folder: Path) -> dict[str, Document]:
    """The documents of a folder by horizon, such as `var/monitor/drift`.

    Raises:
        MonitorError: one cannot be read.
    """
    # Evidently's distances are beside the documents.
    paths = [path for path in sorted(folder.glob("*.json")) if "." not in path.stem]
    return {path.stem: each for path in paths if (each := document(path)) is not None}


def written_at(health: Document) -> datetime:
    """When a health document was made."""
    return datetime.fromisoformat(health["at"])
