"""Finish or undo what was stopped: called before every command that changes something."""

from pathlib import Path

from monitor.retraining import progress_file, waiting
from monitor.settings import Settings
from monitor.settings import thresholds as of_params
from stages.monitor_params import MonitorParams


def recover(
    settings: Settings, thresholds: MonitorParams | None = None, root: Path | None = None
) -> str | None:
    """Finish or undo the run that was stopped.

    Returns:
        The id of its decision; None if none was stopped.

    Raises:
        MonitorError: another run is at work.
    """
    stopped = progress_file.unfinished(settings)
    if stopped is None:
        return None
    with waiting.running(settings, thresholds or of_params(), "recovery", root):
        return stopped.id
