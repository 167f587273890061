"""The newest decision of the monitor, from the files in git: they are there without a database."""

import json
from pathlib import Path

from monitor.retraining.decision import FOLDER, Decision, parse


def read(root: Path = Path()) -> Decision | None:
    """The newest decision; None if nothing was decided."""
    newest = max((root / FOLDER).glob("*.json"), default=None)
    return None if newest is None else parse(json.loads(newest.read_bytes()))
