"""An empty FastAPI handler with the schema of `POST /predict/short`: the cost of any handler."""

from datetime import UTC, date, datetime

from fastapi import FastAPI

from serve.answer_schemas import ForecastingModel, Interval, Prediction
from serve.request_schemas import PredictRequest

app = FastAPI()

ANSWER = Prediction(
    id="01a21103-3861-714c-ae0b-af6c66045a6d",
    symbol="AAPL",
    horizon="short",
    sessions=1,
    as_of=date(2012, 12, 31),
    target_date=date(2013, 1, 2),
    last_close=532.1729,
    predicted_return=-0.00036914614611305296,
    predicted_close=531.9764504248992,
    probability_of_rise=0.48417848348617554,
    interval=Interval(
        level=0.9,
        lower_return=-0.0378817580640316,
        upper_return=0.03808658942580223,
        lower_close=512.013254953966,
        upper_close=552.4415507458385,
    ),
    model=ForecastingModel(
        revision="cc5419f3dc41c6f874488feaffd7d7c1c3d93e59",
        md5="ed5b4089ceefaf3453cf3a4ac1bbc987",
        version=None,
    ),
    created_at=datetime(2012, 12, 31, 22, tzinfo=UTC),
    logged_to="database",
)


@app.post("/predict/short", response_model_exclude_unset=True)
async def predict(body: PredictRequest) -> Prediction:
    """Answer the same to everyone."""
    del body
    return ANSWER
