"""What the monitor does with a log: `python -m benchmarks.monitor_actions NAME FOLDER`.

It imports nothing but what an action needs, so that its memory is that of the monitor.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from monitor import due_labels, live_forecasts
from monitor.live_forecasts import Window
from monitor.settings import Settings
from monitor.store import records

NEWEST = 200
"""Forecasts of a drift window, by `monitor.drift.window` of params.yaml."""


FEATURES = tuple(f"feature_{number:02}" for number in range(35))
HORIZON = "short"


def _labels(settings: Settings) -> None:
    with records.opened(settings) as engine:
        due_labels.store(engine, settings)


def _forecasts(settings: Settings) -> None:
    with records.opened(settings, read_only=True) as engine:
        live_forecasts.read(engine, Window(HORIZON))


def _inputs(settings: Settings) -> None:
    with records.opened(settings, read_only=True) as engine:
        live_forecasts.read_inputs(engine, Window(HORIZON), FEATURES)


def _newest(settings: Settings) -> None:
    with records.opened(settings, read_only=True) as engine:
        live_forecasts.read_inputs(engine, Window(HORIZON, newest=NEWEST), FEATURES)


ACTIONS: Mapping[str, tuple[str, Callable[[Settings], None]]] = {
    "labels": ("store the label of each", _labels),
    "again": ("look for labels again", _labels),
    "forecasts": ("read all, with labels", _forecasts),
    "inputs": (f"read all, with {len(FEATURES)} inputs", _inputs),
    "newest": (f"read the newest {NEWEST}, with inputs", _newest),
}
"""By name: what it does, and how; in this order on one log."""


if __name__ == "__main__":
    _, act = ACTIONS[sys.argv[1]]
    act(Settings(var=Path(sys.argv[2]) / "var"))
