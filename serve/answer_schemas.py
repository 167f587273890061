"""Answers as pydantic models: the contract that the OpenAPI document shows."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Return = Annotated[float, Field(description="A return over the horizon, as a fraction.")]


class Bounds(BaseModel):
    """Where an interval begins and ends."""

    lower_return: Return
    upper_return: Return
    lower_close: float | None
    upper_close: float | None


class OtherBounds(Bounds):
    """The same interval before or after the monitor's correction."""

    updated_to: date = Field(description="Newest session whose outcome is in the correction.")


class Interval(Bounds):
    """The prediction interval."""

    level: float = Field(description="Share of outcomes that it should hold.", examples=[0.9])
    adapted: OtherBounds | None = Field(
        None,
        description="As the monitor has corrected it; only with SERVE_ADAPTIVE_INTERVALS=show.",
    )
    own: OtherBounds | None = Field(
        None,
        description="As the model gave it, where the bounds are the corrected ones; only with "
        "SERVE_ADAPTIVE_INTERVALS=serve.",
    )


class ModelReference(BaseModel):
    """Which model made a forecast."""

    revision: str = Field(description="The commit that is checked out.")
    md5: str = Field(description="Of the model's file, as dvc.lock has it.")
    version: str | None = Field(description="Its release, if it has one.", examples=["v1.1.0"])


class ForecastingModel(ModelReference):
    """Which model made this forecast."""

    revision: str = Field(description="The commit that is checked out; with a role, see there.")
    role: Literal["shadow", "canary"] | None = Field(
        None,
        description="Only where it is not an answer of the revision that is checked out: `canary` "
        "is one of a challenger, `shadow` a forecast that was logged beside an answer; `revision` "
        "is then the commit of the model that made it.",
    )


class Prediction(BaseModel):
    """One forecast, as it is in the prediction log."""

    id: str = Field(description="UUIDv7; ground truth is sent to /labels under it.")
    symbol: str = Field(examples=["AAPL"])
    horizon: str = Field(examples=["short"])
    sessions: int = Field(description="Length of the horizon.", examples=[1])
    as_of: date | None = Field(
        description="Session of the bar that it was made from; null if the caller did not say."
    )
    target_date: date | None = Field(
        description="Session that it is for; null if as_of is null, or the calendar of the "
        "revision ends before."
    )
    last_close: float | None = Field(
        description="Close of that bar, as traded; null if the caller did not say, and then all "
        "closes are null."
    )
    predicted_return: Return
    predicted_close: float | None
    probability_of_rise: float = Field(ge=0, le=1)
    interval: Interval
    model: ForecastingModel
    created_at: datetime
    logged_to: Literal["database"] = Field(description="Where it is durable.")


class Label(BaseModel):
    """Ground truth, as it is stored."""

    prediction_id: str
    actual_return: float
    actual_close: float | None
    observed_at: datetime | None
    created_at: datetime
    client: str | None = Field(description="Name of the key that sent it.")


class FormerLabel(Label):
    """Ground truth that was corrected."""

    replaced_at: datetime


class LoggedPrediction(Prediction):
    """A forecast of the log, with its outcome."""

    source: Literal["latest", "bars", "rows"] = Field(
        description="From a bar of the revision, the caller's bars, or the caller's features."
    )
    client: str | None = Field(description="Name of the key that asked.")
    request_id: str
    label: Label | None


class PredictionInputs(LoggedPrediction):
    """A forecast of the log, with its inputs."""

    former_labels: list[FormerLabel] = Field(description="Those corrected, the oldest first.")
    inputs: dict[str, float] = Field(description="The features by name.")
    scale: float = Field(description="By which the interval is scaled, in units of return.")


class LoggedPredictions(BaseModel):
    """A page of the log, newest first."""

    predictions: list[LoggedPrediction]
    next: str | None = Field(description="The `cursor` of the next page; null if this is the last.")


class Predictions(BaseModel):
    """Several forecasts, in the order of the request."""

    predictions: list[Prediction]


_Stale = Annotated[
    bool,
    Field(
        description="Whether the symbol's newest bar is more than 21 sessions behind the newest of "
        "all."
    ),
]


class Unseen(BaseModel):
    """What was forecast from a bar by a fit that had not seen it."""

    predicted_return: Return
    lower_return: Return
    upper_return: Return
    probability_of_rise: float = Field(ge=0, le=1)


class Explanation(BaseModel):
    """Why a forecast is what it is; see docs/forecasting.md."""

    forecast: Return = Field(description="What is explained: the forecast that evaluate wrote.")
    base: Return = Field(description="The mean forecast of the training rows.")
    contributions: dict[str, float] = Field(
        description="What each feature adds to the base, the largest first; together they are the "
        "forecast less the base."
    )


class HorizonPrediction(Prediction):
    """A forecast from a bar of the revision."""

    stale: _Stale
    in_sample: bool = Field(
        description="Whether the model was trained on this bar and its outcome, as it is on every "
        "bar whose outcome was known."
    )
    out_of_sample: Unseen | None = Field(
        description="In sample, what the evaluated fit forecast, which had not seen the bar; null "
        "before the hold-out."
    )
    explanation: Explanation | None = Field(
        None, description="Only in answers to requests with `explain`."
    )


class Scores(BaseModel):
    """Scores of a forecast on bars that no model had seen; see docs/forecasting.md."""

    rows: int
    mae: float | None
    rmse: float | None
    r2: float | None
    oos_r2: float | None
    p_value: float | None
    direction: float | None
    auc: float | None
    f1: float | None
    precision: float | None
    recall: float | None
    brier: float | None
    coverage: float | None
    width: float | None
    rank_ic: float | None
    interval_score: float | None
    crps: float | None
    crps_skill: float | None
    crps_p_value: float | None
    pinball_05: float | None
    pinball_25: float | None
    pinball_50: float | None
    pinball_75: float | None
    pinball_95: float | None


class Scored(HorizonPrediction):
    """A forecast, with the scores of such forecasts."""

    scores: Scores | None = Field(
        description="Of this symbol on the hold-out; null if it has no bars of the symbol."
    )


class SymbolPredictions(BaseModel):
    """Every horizon's forecast of one symbol."""

    symbol: str
    stale: _Stale
    predictions: list[Scored]


class Batch(BaseModel):
    """An Arrow stream that was answered, as it is kept."""

    id: str = Field(description="UUIDv7.")
    created_at: datetime
    horizon: str
    sessions: int
    level: float = Field(description="Share of outcomes that an interval should hold.")
    rows: int
    columns: list[str] = Field(description="Of its Parquet file, in order.")
    size: int = Field(description="Bytes of its Parquet file.")
    model: ModelReference
