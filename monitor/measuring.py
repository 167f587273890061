"""What each round measures before it checks: labels, drift, performance."""

from collections.abc import Callable, Mapping
from datetime import date

from sqlalchemy import Engine

from monitor import due_labels
from monitor.drift import drift_check
from monitor.performance import performance_check
from monitor.settings import Settings
from stages.common import sections
from stages.common.sections import Horizons, Sections
from stages.monitor_params import MonitorParams

Step = Callable[[Engine, Settings, MonitorParams, date], None]
"""Measures something and writes it to the table of metrics; `today` is the newest session that the
pipeline may know."""


class _Horizons(Sections):
    horizons: Horizons


def label(engine: Engine, settings: Settings, _: MonitorParams, today: date) -> None:
    """Store the labels that fell due."""
    due_labels.store(engine, settings, today)


def drift(
    engine: Engine,
    settings: Settings,
    thresholds: MonitorParams,
    today: date,
    *,
    with_report: bool = True,
) -> None:
    """Compare the newest forecasts of each horizon with what their model was trained on."""
    for horizon in sections.load(_Horizons).horizons:
        drift_check.check(engine, settings, thresholds, horizon, today, with_report=with_report)


def performance(engine: Engine, settings: Settings, thresholds: MonitorParams, today: date) -> None:
    """Score the labelled forecasts of each horizon."""
    for horizon in sections.load(_Horizons).horizons:
        performance_check.check(engine, settings, thresholds, horizon, today)


STEPS: Mapping[str, Step] = {"labels": label, "drift": drift, "performance": performance}
"""In this order; names are those of the commands that do the same."""
