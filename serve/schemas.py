"""Requests and answers as pydantic models: the contract that the OpenAPI document shows."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from serve.times import Day, ZonedMoment

MOST_ROWS = 10_000
"""Rows of a JSON batch, whatever the settings: all are read before the first is checked."""

CLOCKS = timedelta(minutes=5)
"""How far the clock of a caller may be ahead."""

OLDEST = datetime(1900, 1, 1, tzinfo=UTC)
"""No outcome is older, whatever the prediction was made from."""

Symbol = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
"""A name that every database can store: PostgreSQL takes no NUL."""

Price = Annotated[FiniteFloat, Field(gt=0, le=1e15)]
Return = Annotated[float, Field(description="A return over the horizon, as a fraction.")]


class Strict(BaseModel):
    """Base of requests: an unknown field is refused, never ignored."""

    model_config = ConfigDict(extra="forbid")


class PredictRequest(Strict):
    """Which bar to forecast from."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"symbol": "AAPL"}, {"symbol": "IBM"}]}
    )

    symbol: Symbol | None = Field(None, description="By default the first of params.yaml.")
    as_of: Day | None = Field(
        None, description="Forecast from the newest bar up to this day; by default the newest."
    )
    explain: StrictBool = Field(
        False, description="Whether the answer says what each feature contributes."
    )


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


class LabelRequest(Strict):
    """The outcome of a prediction: its return, or the close that gives it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"prediction_id": "0199d4a0-7c00-7000-8000-000000000000", "actual_close": 195.2}
            ],
            "anyOf": [{"required": ["actual_close"]}, {"required": ["actual_return"]}],
        },
    )

    prediction_id: UUID
    actual_close: Price | None = Field(None, description="Of the target session, as traded.")
    actual_return: Annotated[FiniteFloat, Field(ge=-1)] | None = Field(
        None,
        description="By default actual_close / last_close - 1. Send it if a split or a dividend "
        "came in between, or last_close is null.",
    )
    observed_at: ZonedMoment | None = Field(
        None,
        description="When it was known: not before the bar that the prediction was made from, and "
        "not in the future; null if the caller did not say.",
    )
    correction: StrictBool = Field(
        False,
        description="Whether it takes the place of the label that the prediction has, which is "
        "kept as a former one.",
    )

    @field_validator("observed_at")
    @classmethod
    def _has_come(cls, given: datetime | None) -> datetime | None:
        if given is None:
            return given
        if given > datetime.now(UTC) + CLOCKS:
            raise PydanticCustomError("moment", "{moment} has not come yet", {"moment": str(given)})
        if given < OLDEST:
            raise PydanticCustomError(
                "moment",
                "{moment} is before {oldest}",
                {"moment": str(given), "oldest": str(OLDEST.date())},
            )
        return given

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if self.actual_close is None and self.actual_return is None:
            raise ValueError("send actual_close, actual_return or both")
        return self


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


class Bar(Strict):
    """One daily bar of the caller's own."""

    date: Day = Field(examples=["2012-12-31"])
    open: Price = Field(examples=[189.2])
    high: Price = Field(examples=[191.93])
    low: Price = Field(examples=[188.5])
    close: Price = Field(examples=[191.55])
    volume: Annotated[FiniteFloat, Field(ge=0)] = Field(0.0, examples=[7047000])
    adj_close: Price | None = Field(
        None, description="Adjusted for splits and dividends; by default the close."
    )


class BarsRequest(Strict):
    """The caller's own bars, oldest first; features are computed as in training."""

    symbol: Symbol = "custom"
    horizon: str | None = Field(None, description="By default every horizon.")
    bars: list[Bar] = Field(min_length=1, max_length=5_000)
    genuine: list[Day] = Field(
        [],
        max_length=5_000,
        description="Days on which a jump is the market's own, and neither a split nor an error.",
    )

    @model_validator(mode="before")
    @classmethod
    def _unexplained(cls, given: Any) -> Any:
        if isinstance(given, dict) and "explain" in given:
            raise PydanticCustomError(
                "explain",
                "explain: there are explanations of forecasts from bars of the revision alone; "
                "ask GET /predict/{symbol}?explain=true, or leave it out",
            )
        return given


class BatchRow(Strict):
    """A bar of the revision, by `symbol` and `as_of`; or the caller's own `features`."""

    symbol: Symbol | None = Field(
        None, description="By default the first of params.yaml; with features, `custom`."
    )
    as_of: Day | None = Field(
        None,
        description="Forecast from the newest bar up to this day; with features, the session that "
        "they are of.",
    )
    features: dict[str, FiniteFloat] | None = Field(
        None,
        description="Every feature of the model card by name (GET /model/info).",
        # Documented here; checked with a message of its own.
        json_schema_extra={"minProperties": 1},
    )
    last_close: Price | None = Field(
        None, description="With features: the close from which predicted closes are computed."
    )


class BatchRequest(Strict):
    """Many rows in one request; all of them are answered, or none."""

    horizon: str = Field(examples=["short"])
    rows: list[BatchRow] = Field(
        description="At least one; answered in this order.",
        examples=[[{"symbol": "AAPL"}, {"symbol": "IBM"}]],
        max_length=MOST_ROWS,
        # Documented here; checked with a message of its own.
        json_schema_extra={"minItems": 1},
    )


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


_Explanation = Annotated[
    Explanation | None, Field(description="Only in answers to requests with `explain`.")
]


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
    explanation: _Explanation = None


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
    explanation: _Explanation = None


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
