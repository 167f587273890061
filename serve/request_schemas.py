"""Requests as pydantic models: the contract that the OpenAPI document shows."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
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


class Strict(BaseModel):
    """Base of requests: an unknown field is refused, never ignored."""

    model_config = ConfigDict(extra="forbid")


class PredictRequest(Strict):
    """Which bar to forecast from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"symbol": "AAPL"}, {"symbol": "IBM"}]}
    )

    symbol: Symbol | None = Field(None, description="By default the first of params.yaml.")
    as_of: Day | None = Field(
        None, description="Forecast from the newest bar up to this day; by default the newest."
    )
    explain: StrictBool = Field(
        False, description="Whether the answer says what each feature contributes."
    )


class LabelRequest(Strict):
    """The outcome of a prediction: its return, or the close that gives it."""

    model_config = ConfigDict(
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
    def _has_come(cls, moment: datetime | None) -> datetime | None:
        if moment is None:
            return moment
        if moment > datetime.now(UTC) + CLOCKS:
            raise PydanticCustomError(
                "moment", "{moment} has not come yet", {"moment": str(moment)}
            )
        if moment < OLDEST:
            raise PydanticCustomError(
                "moment",
                "{moment} is before {oldest}",
                {"moment": str(moment), "oldest": str(OLDEST.date())},
            )
        return moment

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if self.actual_close is None and self.actual_return is None:
            raise ValueError("send actual_close, actual_return or both")
        return self


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
    def _unexplained(cls, body: Any) -> Any:
        if isinstance(body, dict) and "explain" in body:
            raise PydanticCustomError(
                "explain",
                "explain: there are explanations of forecasts from bars of the revision alone; "
                "ask GET /predict/{symbol}?explain=true, or leave it out",
            )
        return body


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
