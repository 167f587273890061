"""How far a retraining, a promotion or a roll back has come: `var/monitor/journal.json`.

It is written before the first step and after each one, whole and on the disk, with all that is
needed to finish the run or to undo it.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monitor.settings import MonitorError, Settings
from stages.common import tables


@dataclass
class Progress:
    """One run.

    Attributes:
        id: of its decision.
        path: of the file.
        step: the last step that was reached.
        known: what the steps so far have found out, in values of JSON.
    """

    id: str
    path: Path
    step: str = "begun"
    known: dict[str, Any] = field(default_factory=dict)

    def reached(self, step: str, **known: Any) -> None:
        """Note a step, and what it found out."""
        self.step = step
        self.known |= known
        content = {name: value for name, value in asdict(self).items() if name != "path"}
        with tables.replacing(self.path) as partial, partial.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def end(self) -> None:
        """Remove the journal: nothing is left to finish or to undo."""
        self.path.unlink(missing_ok=True)


def begin(settings: Settings, name: str, **known: Any) -> Progress:
    """Start the journal of a run."""
    progress = Progress(name, journal(settings))
    progress.reached("begun", **known)
    return progress


def journal(settings: Settings) -> Path:
    """Where the journal is."""
    return settings.folder / "journal.json"


def unfinished(settings: Settings) -> Progress | None:
    """The run that was stopped, if one was.

    Raises:
        MonitorError: the file is not a journal.
    """
    path = journal(settings)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Progress(content["id"], path, content["step"], content["known"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise MonitorError(
            f"{path} is not a journal; move it away, and see by `git log` and `make versions` that "
            "the model that is served is the one in production"
        ) from None
