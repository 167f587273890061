"""Compute a decision again from what it pinned, and compare every number and answer."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from monitor.retraining import contestant, decisions, judgement, promoted_model
from monitor.retraining.decisions import Decision
from monitor.retraining.judgement import Match, Pinned
from monitor.settings import MonitorError, Settings
from stages.monitor_params import GateParams

CLOSE = 1e-9
"""Relative difference of two numbers that another machine may round differently."""


def differences(decision: Decision, settings: Settings, engine: Engine, root: Path) -> list[str]:
    """What comes out differently now; empty if all of it is the same.

    Args:
        decision: which.
        settings: where copies of live rows are.
        engine: of the log.
        root: of the project.

    Raises:
        MonitorError: nothing was measured for it, or what it pinned is lost.
    """
    if "promotion" in decision.document:
        return _of_rollback(decision, settings, engine, root)
    if "gates" not in decision.document:
        raise MonitorError(
            f"{decision.id} is {decision.outcome}: {decision.because}; nothing was compared for it"
        )
    document = decision.document
    match = Match(
        contestant.at(str(decision.champion), root),
        contestant.at(str(decision.challenger), root),
        "change" if decision.lane == "change" else "refit",
        document["lead"] or next(iter(document["windows"])),
        document["differences"],
    )
    windows = {
        name: Pinned.read(entry, judgement.windows_folder(settings))
        for name, entry in document["windows"].items()
    }
    params = GateParams.model_validate(document["thresholds"])
    again = judgement.judge(match, windows, params, root).document()
    return [
        *_compare(document["numbers"], again["numbers"], "numbers"),
        *_compare(document["gates"], again["gates"], "gates"),
    ]


def _of_rollback(decision: Decision, settings: Settings, engine: Engine, root: Path) -> list[str]:
    promotion = decisions.find(engine, str(decision.document["promotion"]), root)
    folder = judgement.windows_folder(settings)
    again = {
        name: dict(
            vars(promoted_model.worse(root, promotion, name, Pinned.read(entry, folder).rows))
        )
        for name, entry in decision.document["windows"].items()
    }
    return list(_compare(decision.document["worse"], again, "worse"))


def _compare(before: Any, after: Any, where: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in {**before, **after}:
            yield from _compare(before.get(name), after.get(name), f"{where}.{name}")
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        for place, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from _compare(one, other, f"{where}[{place}]")
        if len(before) != len(after):
            yield f"{where}: {len(before)} entries then, {len(after)} now"
    elif isinstance(before, float | int) and isinstance(after, float | int):
        if not math.isclose(before, after, rel_tol=CLOSE, abs_tol=CLOSE):
            yield f"{where}: {before:.10g} then, {after:.10g} now"
    elif before != after:
        yield f"{where}: {before!r} then, {after!r} now"
