"""What one run of the monitor holds: settings, log, project and lock."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import Engine

from monitor.retraining import decisions
from monitor.retraining.decisions import Decision
from monitor.retraining.training_clone import TrainingClone
from monitor.settings import Settings
from monitor.store import records
from stages.monitor_params import MonitorParams


@dataclass(frozen=True)
class Run:
    """One run of the monitor that may change the champion.

    Attributes:
        settings, thresholds, engine: of the monitor.
        root: of the project.
        lock: the open file that other runs wait for.
    """

    settings: Settings
    thresholds: MonitorParams
    engine: Engine
    root: Path
    lock: IO[str]

    def clone(self, name: str) -> TrainingClone:
        """The clone of a decision; it need not be there."""
        return TrainingClone(
            self.settings.folder.resolve() / "workspaces" / name, self.root, self.lock
        )

    def former(self) -> list[Decision]:
        """Every decision so far."""
        with self.engine.connect() as connection:
            return decisions.listed(connection)

    def record(self, decision: Decision) -> Decision:
        """Store a decision as a row, without a file."""
        with records.writing(self.engine, self.settings) as rows:
            decisions.store(rows, decision)
        return decision
