"""All numbers by which a challenger is judged against the champion, for one horizon."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from monitor import evidence as evidences
from monitor.evidence import Evidence
from monitor.retraining import paired_rows, paired_scores
from monitor.retraining.paired_rows import Side
from monitor.retraining.paired_scores import Difference
from stages.forecast.scoring.scores import rank_ic
from stages.monitor_params import GateParams

MOST_RESTATED = 0.05
"""Share of the common hold-out that may have another target now. Beyond it the champion's scores
belong to a past that no longer exists, and only live forecasts count."""

GUARDS = 4
"""Gates on noisy scores that can fail an equal challenger (Brier, recall, AUC, coverage): they
share the error."""

LEAST_SYMBOLS = 3
"""A rank correlation needs so many symbols of a day."""


@dataclass(frozen=True)
class Measured:
    """What does not follow from rows of forecasts; None is not known.

    Attributes:
        due, labelled: live forecasts of the champion whose target session has passed, and how many
            of them have a label.
        oos_r2: of the challenger on its hold-out.
        quality: of its data, in percent.
        inference_ms: median time of one row, on this machine.
        graph_mb: size of its graph.
    """

    due: int
    labelled: int
    oos_r2: float | None
    quality: float | None
    inference_ms: float | None
    graph_mb: float | None


@dataclass(frozen=True)
class HeadToHead:
    """Champion against challenger.

    Attributes:
        horizon, sessions, level: of both.
        score: the primary score, `crps` or `squared_error`.
        held_out, live, restated: rows of each kind; restated ones are not compared.
        first, last: the dates of the rows compared.
        last_target: the newest session that either fit was trained on.
        loss: the primary score of both.
        gain_bounds: one-sided bounds of the mean daily gain on the hold-out, at half the error.
        better, worse: evidence that the challenger is, on the hold-out and then live.
        no_worse: evidence of live rows that it loses less than the margin.
        f1, recall, auc, brier, coverage, distance: scores of both; `distance` is that of the
            coverage from its level.
        shift: mean distance of the forecasts in standard deviations of the outcome.
        rank_ic: of the challenger on these rows; None with fewer than three symbols.
        measured: what came from elsewhere.
    """

    horizon: str
    sessions: int
    level: float
    score: str
    held_out: int
    live: int
    restated: int
    first: date | None
    last: date | None
    last_target: date | None
    loss: Difference
    gain_bounds: tuple[float, float] | None
    better: Evidence
    worse: Evidence
    no_worse: Evidence
    f1: Difference
    recall: Difference
    auc: Difference
    brier: Difference
    coverage: Difference
    distance: Difference
    shift: float | None
    rank_ic: float | None
    measured: Measured

    @property
    def restated_share(self) -> float:
        """Of the rows that both have in their hold-out."""
        return self.restated / max(1, self.restated + self.held_out)

    def numbers(self) -> dict[str, Any]:
        """Every number, for the record of a decision."""
        return {name: _plain(value) for name, value in vars(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Difference):
        return value.numbers()
    if isinstance(value, Evidence | Measured):
        return {name: _plain(each) for name, each in vars(value).items()}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, date) else value


@dataclass(frozen=True)
class Horizon:
    """Name, length in sessions, and level of the interval."""

    name: str
    sessions: int
    level: float


def compare(
    horizon: Horizon,
    sides: Mapping[str, Side],
    live: pl.DataFrame,
    measured: Measured,
    params: GateParams,
) -> HeadToHead:
    """Compare both on every row that neither was trained on.

    Args:
        horizon: which.
        sides: `champion` and `challenger`.
        live: their live forecasts with labels, as `LiveRows.read` gives them.
        measured: what comes from elsewhere.
        params: error and margin.
    """
    champion, challenger = sides["champion"], sides["challenger"]
    held_out, restated = paired_rows.held_out(champion, challenger)
    common = held_out.height + restated
    if restated > MOST_RESTATED * common:
        held_out = held_out.clear()
    live = paired_rows.live(live, champion, challenger)
    rows = pl.concat([held_out, live]).sort("date", "symbol")
    gains = paired_scores.gains(rows)
    half = params.error / 2
    hold_out_gains = paired_scores.gains(held_out)["gain"].to_numpy()
    level = horizon.level

    def scored(score: paired_scores.Score) -> Difference:
        return paired_scores.compare(rows, score, horizon.sessions, params.error / GUARDS)

    def distance(rows: pl.DataFrame, side: str) -> float | None:
        covered = paired_scores.coverage(rows, side)
        return None if covered is None else abs(covered - level)

    first, last = paired_rows.dates(rows)
    targets = [side.last_target for side in (champion, challenger)]
    known = [day for day in targets if day is not None]
    return HeadToHead(
        horizon=horizon.name,
        sessions=horizon.sessions,
        level=level,
        score=paired_rows.score_name(champion, challenger),
        held_out=held_out.height,
        live=live.height,
        restated=restated,
        first=first,
        last=last,
        last_target=max(known) if len(known) == len(targets) else None,
        loss=scored(paired_scores.loss),
        gain_bounds=paired_scores.bounds(hold_out_gains, horizon.sessions, half),
        better=evidences.evidence(gains, horizon.sessions),
        worse=evidences.evidence(gains.with_columns(-pl.col("gain")), horizon.sessions),
        no_worse=evidences.evidence(paired_scores.gains(live, params.margin), horizon.sessions),
        f1=scored(paired_scores.f1),
        recall=scored(paired_scores.recall),
        auc=scored(paired_scores.area),
        brier=scored(paired_scores.brier),
        coverage=scored(paired_scores.coverage),
        distance=scored(distance),
        shift=_shift(rows),
        rank_ic=_rank_ic(rows),
        measured=measured,
    )


def _shift(rows: pl.DataFrame) -> float | None:
    if rows.height < 2:  # noqa: PLR2004  # one row has no spread
        return None
    gap = (rows["challenger_forecast"] - rows["champion_forecast"]).abs().to_numpy()
    spread = float(np.std(rows["target"].to_numpy()))
    return float(gap.mean()) / spread if spread > 0 else None


def _rank_ic(rows: pl.DataFrame) -> float | None:
    counts = rows.group_by("date").len()["len"]
    if rows.is_empty() or int(counts.to_numpy().max()) < LEAST_SYMBOLS:
        return None
    # A forecast that is the same for all symbols ranks none of them.
    return rank_ic(rows.select("date", "target", forecast="challenger_forecast")) or 0.0
