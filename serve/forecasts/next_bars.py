"""Forecasts from the caller's own bars; training computes features by the same function."""

import asyncio
from itertools import pairwise

import polars as pl

from serve.checkout.bundle import Model
from serve.forecasts import bar_rules
from serve.forecasts.forecast_errors import InvalidInputError
from serve.forecasts.forecaster import Forecaster, Row, not_future
from serve.forecasts.prediction import Forecast
from serve.request_schemas import Bar, BarsRequest
from stages.common import tables
from stages.common.errors import few
from stages.indicators.feature_table import features


async def forecasts(forecaster: Forecaster, request: BarsRequest) -> list[Forecast]:
    """Forecast from the last of the bars, for one horizon or all.

    Raises:
        InvalidInputError: the bars are out of order, contradict themselves, break a rule of clean,
            or are too few.
        UnknownNameError: there is no such horizon.
    """
    names = [request.horizon] if request.horizon else list(forecaster.bundle.models)
    models = [forecaster.model(name) for name in names]
    bundle = forecaster.bundle
    table = checked(request.symbol, request.bars)
    bar_rules.check_sessions([bar.date for bar in request.bars], bundle.sessions)
    adjusted = [bar.adj_close is not None for bar in request.bars]
    wanted = {name for model in models for name in model.card.features}

    def compute() -> pl.DataFrame:
        bar_rules.check_jumps(table, adjusted, request.genuine, bundle.max_gap)
        return features(
            table, bundle.market, None, bundle.features, levels=bundle.levels, only=wanted
        ).tail(1)

    # Other requests go on during these milliseconds of arithmetic.
    last = await asyncio.to_thread(compute)

    def row(model: Model) -> Row:
        absent = [name for name in model.card.features if name not in last.columns]
        if absent:
            raise InvalidInputError(
                f"{request.symbol}: {few(absent)} is made of values that cannot be sent with bars "
                "(data.symbol_levels); send the features with their values to /batch-predict",
                "no-levels",
            )
        columns = last.select(model.card.features)
        values = columns.cast(pl.Float32).fill_null(float("nan")).to_numpy()[0]
        return Row(
            symbol=request.symbol,
            bar=int(last["date"].to_physical()[0]),
            close=float(last["close"][0]),
            features=values,
            source="bars",
        )

    return [await forecaster.soon(model, row(model)) for model in models]


def checked(symbol: str, bars: list[Bar]) -> pl.DataFrame:
    """Bars in the columns of `tables.CLEAN_DAILY`.

    Raises:
        InvalidInputError: dates are out of order, repeated or in the future, or prices of a bar
            contradict each other.
    """
    for before, after in pairwise(bars):
        if after.date <= before.date:
            raise InvalidInputError(
                f"bars: {after.date} comes after {before.date}; send them oldest first, "
                "one a session",
                "bars-out-of-order",
            )
    not_future(bars[-1].date, "bars:")
    for bar in bars:
        if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
            raise InvalidInputError(
                f"bars: {bar.date}: open and close must lie between low and high", "bars-contradict"
            )
    same = {"symbol": symbol, "filled": False}
    rows = [{**bar.model_dump(), "adj_close": bar.adj_close or bar.close, **same} for bar in bars]
    return pl.DataFrame(rows, schema=dict(tables.CLEAN_DAILY))
