"""Rows of the prediction log, and what of them is in a database."""

from typing import Any

import sqlalchemy as sa
from uuid_utils import uuid7

from predictions.schema import Row, moment, prediction_logs


def row(**values: Any) -> Row:
    return {
        "id": str(uuid7()),
        "created_at": moment(),
        "request_id": "r",
        "client": None,
        "source": "latest",
        "symbol": "AAPL",
        "horizon": "short",
        "sessions": 1,
        "as_of": "2012-12-31",
        "target_date": "2013-01-02",
        "last_close": 532.17,
        "predicted_return": 0.001,
        "lower": -0.03,
        "upper": 0.03,
        "level": 0.9,
        "probability": 0.51,
        "revision": "abc",
        "model_md5": "0" * 32,
        "model_version": None,
        "inputs": '{"return_lag1":0.1}',
        "scale": 0.02,
        "symbol_index": None,
        "role": None,
        **values,
    }


def ids(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        query = sa.select(prediction_logs.c.id).order_by(prediction_logs.c.id)
        return list(connection.scalars(query))
