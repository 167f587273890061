"""The newest report of `python -m monitor health`, as the monitor stored it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.health.health_check import REPORT
from monitor.settings import Settings


@dataclass(frozen=True)
class StoredHealth:
    """A report.

    Attributes:
        at: when the monitor looked, in UTC.
        checks: name, tags, status, value, threshold, sentence and remedy of each.
    """

    at: datetime
    checks: Sequence[Mapping[str, Any]]

    def of(self, *names: str) -> list[Mapping[str, Any]]:
        """The checks of these names."""
        return [check for check in self.checks if check["name"] in names]


def read(settings: Settings) -> StoredHealth | None:
    """The report; None if the monitor never looked, or is writing the first one."""
    try:
        content = json.loads((settings.folder / REPORT).read_bytes())
        return StoredHealth(datetime.fromisoformat(content["at"]), content["checks"])
    except (OSError, ValueError, KeyError):
        return None
