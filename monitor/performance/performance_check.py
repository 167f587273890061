"""The performance check of a horizon: its scores, whether it is degraded, and its intervals."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any

import polars as pl
from sqlalchemy import Engine

from monitor import live_forecasts
from monitor.live_forecasts import Window
from monitor.performance import (
    block_bootstrap,
    degradation,
    interval_tracker,
    judged_rows,
    live_scores,
    model_records,
)
from monitor.performance.block_bootstrap import Blocks
from monitor.performance.degradation import Degradation
from monitor.performance.interval_tracker import Tracked
from monitor.performance.judged_rows import Judged
from monitor.settings import Settings
from monitor.store import records
from stages.common import tables
from stages.common.errors import InputError
from stages.common.paths import CLEAN_DAILY
from stages.monitor_params import MonitorParams, PerformanceParams

_BARS: tables.Contract = {"symbol": pl.String, "date": pl.Date, "adj_close": pl.Float64}


@dataclass(frozen=True)
class Score:
    """One score: live with its interval, on the model's hold-out, and of the yardstick live."""

    live: float | None
    interval: tuple[float, float] | None
    held_out: float | None
    yardstick: float | None


@dataclass(frozen=True)
class Performance:
    """What the check found.

    Attributes:
        model_md5: the newest model with a label; null without any.
        rows, dates: forecasts that are scored, and sessions on which they were made.
        first, last: the first and the last of these sessions.
        scores: by name, as `live_scores.SHOWN`.
        degraded: whether the model is worse than its hold-out and the tolerance allow.
        evidence, needed: how strong the evidence for that is, and from where on it convinces.
        judged: dates that the evidence is made of.
        ratio, allowed: live CRPS over that of the yardstick, and what it may be.
        verdict: one sentence.
        remarks: what a reader of the scores must know.
        problem: why nothing could be judged, with the remedy; null if it could.
    """

    horizon: str
    model_md5: str | None = None
    rows: int = 0
    dates: int = 0
    first: date | None = None
    last: date | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    degraded: bool = False
    evidence: float = 1.0
    needed: float = 20.0
    judged: int = 0
    ratio: float | None = None
    allowed: float | None = None
    verdict: str = ""
    remarks: tuple[str, ...] = ()
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For files and `--json`: dates as text."""
        ends = {"first": self.first, "last": self.last}
        return {**asdict(self), **{name: day and day.isoformat() for name, day in ends.items()}}


def check(
    engine: Engine,
    settings: Settings,
    thresholds: MonitorParams,
    horizon: str,
    today: date,
) -> Performance:
    """Score the labelled forecasts of a horizon, and keep what was found.

    Writes `performance/<horizon>.json` and `intervals.json` in the folder of the monitor, and
    metrics.

    Args:
        engine: of the log.
        settings: of the monitor.
        thresholds: of params.yaml.
        horizon: whose forecasts.
        today: forecasts whose target session is after it are not judged.
    """
    params = thresholds.performance
    forecasts = live_forecasts.read(engine, Window(horizon, due=today))
    labelled = forecasts.drop_nulls("actual_return")
    if labelled.is_empty():
        performance = _nothing(horizon, forecasts, today, params)
        tracked = None
    else:
        # A horizon whose length was changed is another one.
        sessions = int(labelled["sessions"][-1])
        labelled = labelled.filter(pl.col("sessions") == sessions)
        bars, lacking = _bars()
        judged = judged_rows.judge(labelled, bars, partial(model_records.read, horizon))
        if lacking is not None:
            judged = replace(judged, problems=(lacking,))
        performance = _performance(horizon, judged, sessions, params)
        tracked = (
            interval_tracker.track(judged.rows, sessions, params.tracking, params.sessions)
            if params.tracking
            else None
        )
    _write(settings, performance)
    interval_tracker.write(settings.folder, horizon, tracked)
    _measure(engine, settings, performance, tracked)
    return performance


def _nothing(
    horizon: str, forecasts: pl.DataFrame, today: date, params: PerformanceParams
) -> Performance:
    problem = (
        f"{horizon}: none of the {forecasts.height:,} forecasts that are due has a label; "
        "`python -m monitor labels` stores what the bars know"
        if forecasts.height
        else f"{horizon}: no forecast is due by {today}; the first outcome is yet to come"
    )
    return Performance(horizon, needed=1 / params.error, verdict=problem, problem=problem)


def _bars() -> tuple[pl.DataFrame, str | None]:
    """The bars that the yardstick is made of, or why there are none."""
    try:
        return tables.read(CLEAN_DAILY, list(_BARS)), None
    except InputError as error:
        return tables.empty(_BARS), str(error)


def _performance(
    horizon: str,
    judged: Judged,
    sessions: int,
    params: PerformanceParams,
) -> Performance:
    dates = judged.rows["date"].unique().sort().tail(params.sessions)
    rows = judged.rows.filter(pl.col("date") >= dates[0])
    md5 = rows["model_md5"][-1]
    costs = degradation.excess(judged.rows, judged.ratios, params.tolerance)
    decided = degradation.judge(costs, sessions, params.error)
    problems = judged.problems
    problem = "; ".join(problems) if problems and decided.evidence.dates == 0 else None
    return Performance(
        horizon=horizon,
        model_md5=md5,
        rows=rows.height,
        dates=len(dates),
        first=dates[0],
        last=dates[-1],
        scores=_scores(rows, sessions, params, judged.held_out.get(md5, {})),
        degraded=decided.degraded,
        evidence=decided.evidence.greatest,
        needed=1 / params.error,
        judged=decided.evidence.dates,
        ratio=decided.ratio,
        allowed=decided.allowed,
        verdict=_verdict(horizon, md5, decided, params, problem),
        remarks=(*live_scores.remarks(rows), *(problems if problem is None else ())),
        problem=problem,
    )


def _scores(
    rows: pl.DataFrame,
    sessions: int,
    params: PerformanceParams,
    held_out: Mapping[str, float | None],
) -> dict[str, Score]:
    live, yardstick = live_scores.of_model(rows, sessions), live_scores.of_yardstick(rows, sessions)
    ends = block_bootstrap.intervals(rows, Blocks(sessions, params.resamples, params.seed))
    return {
        name: Score(live[name], ends.get(name), held_out.get(name), yardstick[name])
        for name in live_scores.SHOWN
    }


def _verdict(
    horizon: str, md5: str, decided: Degradation, params: PerformanceParams, problem: str | None
) -> str:
    if problem is not None:
        return f"{horizon}: cannot be judged: {problem}"
    called = "degraded" if decided.degraded else "not found degraded"
    evidence = decided.evidence
    return (
        f"{horizon}: model {md5[:8]} is {called}: since {decided.since} its CRPS is "
        f"{decided.ratio:.3f} times the yardstick's, {decided.allowed:.3f} is allowed; evidence "
        f"{evidence.greatest:.3g} of {1 / params.error:.3g} from {evidence.dates:,} dates"
    )


def _write(settings: Settings, performance: Performance) -> None:
    path = settings.folder / "performance" / f"{performance.horizon}.json"
    with tables.replacing(path) as new:
        new.write_text(json.dumps(performance.as_json(), indent=2) + "\n", encoding="utf-8")


def _measure(
    engine: Engine, settings: Settings, performance: Performance, tracked: Tracked | None
) -> None:
    if performance.model_md5 is None:
        return
    tags = {"horizon": performance.horizon, "model": performance.model_md5[:8]}
    judged = performance.problem is None
    with records.writing(engine, settings) as writer:
        for name, score in performance.scores.items():
            writer.metric(f"performance_{name}", score.live, tags)
        writer.metric("degraded", float(performance.degraded) if judged else None, tags)
        writer.metric("degradation_evidence", performance.evidence if judged else None, tags)
        if tracked is not None:
            writer.metric("tracked_coverage", tracked.coverage_after, tags)
            writer.metric("tracked_factor_lower", tracked.factor_lower, tags)
            writer.metric("tracked_factor_upper", tracked.factor_upper, tags)
