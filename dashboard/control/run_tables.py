"""Runs and stages as frames, for tables and charts."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl

from dashboard.charts.pipeline_chart import SIGNS, Box
from dashboard.control import pipeline_state
from dashboard.control.pipeline_state import StageState
from dashboard.number_text import NOTHING
from versions.runs.run_record import Run, StageRun

Zoned = Callable[[datetime], str]

DRAWN = 12
"""Runs of a chart; the table has all."""

RUN_SIGNS = {
    "running": "▶ running",
    "succeeded": "✓ succeeded",
    "failed": "✗ failed",
    "stopped": "■ stopped",
    "killed": "✗ killed",
    "ended": "○ ended",
}
"""State of a run as a sign and a word."""


def took(seconds: float | None) -> str:
    """Seconds as people say them: `4.6 s`, `12 min 3 s`, `2 h 5 min`; `-` if not known."""
    if seconds is None:
        return NOTHING
    if seconds < 60:  # noqa: PLR2004  # seconds of a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def seconds(run: Run, now: datetime | None = None) -> float | None:
    """How long a run took: up to now while it runs, to its last stage if its end is not known."""
    if run.ended is not None:
        return (run.ended - run.began).total_seconds()
    if run.state == "running":
        return ((now or datetime.now(UTC)) - run.began).total_seconds()
    ends = [stage.began.timestamp() + stage.seconds for stage in run.stages if stage.seconds]
    return max(ends) - run.began.timestamp() if ends else None


def stages(states: Iterable[StageState], zoned: Zoned) -> pl.DataFrame:
    """A row per stage: its state, what has changed, and its last run on record."""
    columns = ("stage", "state", "why", "last took", "last ran")
    rows = [
        (
            each.name,
            f"{SIGNS[each.state][1]} {each.state}",
            each.why,
            took(each.last.seconds if each.last else None),
            zoned(each.last.began) if each.last else NOTHING,
        )
        for each in states
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def boxes(states: Sequence[StageState]) -> dict[str, Box]:
    """A box per stage of `dvc.yaml`; the states of a `matrix` are counted."""
    families: dict[str, list[StageState]] = {}
    for each in states:
        families.setdefault(each.family, []).append(each)
    return {name: _box(members) for name, members in families.items()}


def _box(members: Sequence[StageState]) -> Box:
    state = pipeline_state.worst(members)
    if len(members) == 1:
        return Box(state, state)
    count = sum(each.state == state for each in members)
    return Box(state, f"{count} of {len(members)} {state}")


def runs(every: Iterable[Run], zoned: Zoned) -> pl.DataFrame:
    """A row per run."""
    columns = ("what", "state", "took", "who", "began", "stages", "error")
    rows = [
        (
            run.title,
            RUN_SIGNS[run.state],
            took(seconds(run)),
            run.who if run.source == "dashboard" else f"{run.who} (terminal)",
            zoned(run.began),
            str(len(run.stages)),
            run.error,
        )
        for run in every
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def ran(every: Iterable[StageRun], zoned: Zoned) -> pl.DataFrame:
    """A row per stage of one run, in the order in which they ran."""
    columns = ("stage", "began", "took", "exit status", "error")
    rows = [
        (
            each.name,
            zoned(each.began),
            took(each.seconds),
            NOTHING if each.status is None else str(each.status),
            each.error,
        )
        for each in every
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def durations(every: Iterable[Run], order: Sequence[str], zone: ZoneInfo) -> pl.DataFrame:
    """A row per stage of the newest runs: run, family, seconds; see `charts.run_durations`.

    Args:
        every: newest first.
        order: of the families.
        zone: of the times by which runs are named.
    """
    newest = [run for run in every if any(stage.seconds for stage in run.stages)][:DRAWN]
    names = [f"{run.began.astimezone(zone):%m-%d %H:%M:%S}" for run in newest]
    rows = [
        (name, stage.name.partition("@")[0], stage.seconds)
        for name, run in zip(names, newest, strict=True)
        for stage in run.stages
        if stage.seconds is not None
    ]
    frame = pl.DataFrame(
        rows, schema={"run": pl.String, "family": pl.String, "seconds": pl.Float64}, orient="row"
    )
    known = [*order, *(family for family in frame["family"] if family not in order)]
    rank = {family: number for number, family in enumerate(dict.fromkeys(known))}
    return (
        frame.with_row_index("row")
        .with_columns(
            pl.col("family").replace_strict(rank, return_dtype=pl.Int64).alias("rank"),
            pl.col("row").min().over("run").alias("newest"),
        )
        .sort("newest", "rank", maintain_order=True)
        .select("run", "family", "seconds")
    )
