"""The section `monitor:` of `params.yaml`: what the monitor checks, and what it then does.

docs/self-healing.md gives the reason of each default.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from stages.common.options import Options, Share

Seed = Annotated[int, Field(ge=0)]
Part = Annotated[float, Field(ge=0, le=1)]


class DriftParams(Options):
    """When a window of forecasts differs from what its model was trained on."""

    window: Annotated[int, Field(ge=30)]
    """How many of the newest distinct forecasts of a horizon are compared."""
    false_alarms: Share
    """Share of windows without drift that may raise an alarm."""
    resamples: Annotated[int, Field(ge=100)]
    """Windows drawn from the reference to calibrate the thresholds."""
    seed: Seed


class PerformanceParams(Options):
    """How labelled forecasts are scored, and when they are worse than they should be."""

    sessions: Annotated[int, Field(ge=2)]
    """How many of the newest sessions whose horizon has passed are scored."""
    error: Share
    """Chance that a model that did not degrade is ever called degraded, over all checks."""
    tolerance: Part
    """Share by which the CRPS, over that of the yardstick, may be greater than on the hold-out."""
    resamples: Annotated[int, Field(ge=100)]
    """Of the block bootstrap."""
    seed: Seed
    tracking: Part
    """Step of the online correction of intervals, in shares of their width; 0 switches it off."""


class AlertParams(Options):
    """The values at which alerts begin."""

    max_drifted_share: Part
    max_drifted: Annotated[int, Field(ge=0)]
    stale_features: PositiveInt
    """Sessions that the newest bar may be behind the exchange."""
    stale_model: PositiveInt
    """Sessions that the newest training row may be behind the newest bar, beyond the horizon."""
    min_quality: Annotated[float, Field(ge=0, le=100)]
    min_coverage: Part
    """Share of forecasts that are due and have a label."""
    min_free_disk: Part
    min_free_memory: Part
    quiet_checks: PositiveInt
    """Checks without a finding after which an alert ends, so that a flickering value is one."""
    retries: Annotated[int, Field(ge=0)]
    """How often a message is sent again before its channel is paused."""
    pause: PositiveInt
    """Seconds for which a channel that failed is paused."""


class RetrainingParams(Options):
    """When a challenger may be trained, and who decides about it."""

    cooldown_days: Annotated[int, Field(ge=0)]
    min_labels: Annotated[int, Field(ge=0)]
    min_coverage: Part
    approval: bool
    """Whether a person must approve what passed every gate."""


class GateParams(Options):
    """What a challenger must show against the champion; null switches a gate off.

    Differences are challenger less champion, as in `metrics/<horizon>.json`.
    """

    samples: PositiveInt
    """Rows that neither model was trained on."""
    coverage: Part
    """Share of due live forecasts that have a label."""
    error: Share
    """Chance that a challenger that is not better is found better."""
    margin: Share
    """Share of the champion's loss that a challenger may lose and still count as no worse."""
    f1_gain: Part | None
    brier_loss: Part | None
    recall_loss: Part | None
    auc_loss: Part | None
    interval_coverage: Part | None
    """Distance of the share of outcomes in the interval from its level."""
    inference_ms: PositiveFloat | None
    graph_mb: PositiveFloat | None
    max_oos_r2: PositiveFloat | None
    """Daily skill beyond this is a leak until proven otherwise."""
    max_rank_ic: PositiveFloat | None
    min_quality: Annotated[float, Field(ge=0, le=100)] | None
    max_shift: PositiveFloat | None
    """Mean distance of both forecasts on the same rows, in standard deviations of the outcome."""


class ChallengerParams(Options):
    """What a challenger may answer before it is promoted."""

    mode: Literal["shadow", "canary"]
    """`shadow`: nothing, its forecasts are only logged; `canary`: `share` of the requests."""
    share: Share


class RollbackParams(Options):
    """When a promoted model gives way to the former champion."""

    error: Share
    """Chance that a model that is not worse than the former champion is rolled back."""
    cooldown_days: Annotated[int, Field(ge=0)]


class ScheduleParams(Options):
    """When `python -m monitor run` does what."""

    check_minutes: PositiveInt
    refresh: Literal["daily", "never"]
    after_close: Annotated[int, Field(ge=0)]
    """Minutes from the close of the exchange to the refresh."""
    retrain: Literal["weekly", "monthly", "never"]


class MonitorParams(Options):
    """The whole section."""

    drift: DriftParams
    performance: PerformanceParams
    alerts: AlertParams
    retraining: RetrainingParams
    gates: GateParams
    challenger: ChallengerParams
    rollback: RollbackParams
    schedule: ScheduleParams
