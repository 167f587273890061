"""Daily and hourly bars, splits and dividends from Yahoo Finance, by way of yfinance.

Yahoo divides every price, and every dividend, by the splits that have followed since: the whole
history changes with each split. Here they are multiplied back, so that a bar is what was traded
that day, whenever it is fetched, and new bars continue the former ones.
"""

import atexit
import logging
import re
import shutil
from collections.abc import Iterator
from datetime import date
from functools import cache
from http import HTTPStatus
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import NonNegativeFloat, PositiveInt

from stages.common import tables
from stages.common.errors import SourceError
from stages.sources import Request, Series

if TYPE_CHECKING:
    import pandas as pd

    from stages.common.tables import Kind

_PRECISION = 2.0**-24
"""How far off, as a fraction, the 32-bit floats are that Yahoo sends: six digits and most of a
seventh are true."""

_LONGEST_PAUSE = 60

_HOURLY_LIMIT = "within the last 730 days"
"""What Yahoo says when older hourly bars are asked for."""

_HISTORY = {
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "volume": "Volume",
    "ratio": "Stock Splits",
    "dividend": "Dividends",
}


class _Empty(Exception):  # noqa: N818  # a reason to try again
    """Yahoo answered with no bars."""


def fetch(
    request: Request,
    *,
    hourly: bool = False,
    retries: PositiveInt = 4,
    backoff: NonNegativeFloat = 1.0,
) -> Iterator[Series]:
    """Fetch every bar up to now, or from the newest known bar on; `ingest` cuts at `as_of`.

    Bars are fetched up to now because the splits since then are needed to undo them.

    Args:
        request: what is wanted; symbols are Yahoo's tickers (`TCS.NS`, `^NSEI`).
        hourly: also hourly bars, of which Yahoo keeps the last 730 days.
        retries: how often Yahoo is asked before giving up.
        backoff: seconds before the second try, doubled before each further one.

    Raises:
        SourceError: no network, no answer, or no such ticker.
    """
    if not request.symbols:
        raise SourceError(
            "yahoo: data.symbols is empty; name the tickers, for example TCS.NS or AAPL"
        )
    wanted: list[tuple[Kind, str]] = []
    for symbol in sorted(request.symbols):
        wanted += [("daily", symbol), ("hourly", symbol)] if hourly else [("daily", symbol)]
    wanted += [("market", name) for name in sorted(request.market)]
    _prepare()
    for kind, symbol in wanted:
        contract = tables.RAW_HOURLY if kind == "hourly" else tables.RAW_DAILY
        known = request.known.get((kind, symbol))
        if known is not None and known >= request.as_of:
            yield Series(kind, symbol, tables.empty(contract), partial=True)
            continue
        history = _history(symbol, known, retries, backoff, hourly=kind == "hourly")
        bars, actions = traded(history, symbol)
        yield Series(
            kind,
            symbol,
            bars.select(list(contract)),
            None if kind == "hourly" else actions,
            partial=known is not None,
        )


def traded(history: pl.DataFrame, symbol: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Undo Yahoo's adjustment by the splits that follow each bar.

    Args:
        history: `date` (the day at the exchange), `timestamp` (UTC), `open`, `high`, `low`,
            `close`, `volume` as Yahoo adjusts them, `ratio` (0 where no split) and `dividend` (0
            where none) by ex-date; every split up to now must be there.
        symbol: whose history it is.

    Returns:
        Bars with the columns of `tables.RAW_DAILY` and `timestamp`, and actions with those of
        `tables.ACTIONS`. A bar of a split's own day is already in new shares.
    """
    splits = history.filter(pl.col("ratio") > 0).sort("date")
    # later[i] is the product of the splits from the i-th on; after the last there is none.
    later = np.append(np.cumprod(splits["ratio"].to_numpy()[::-1])[::-1], 1.0)
    following = np.searchsorted(
        splits["date"].to_physical().to_numpy(), history["date"].to_physical().to_numpy(), "right"
    )
    factor = pl.lit(pl.Series(later[following]))
    whole = history.with_columns(
        pl.lit(symbol).alias("symbol"),
        *(_shortest(pl.col(name).mul(factor)) for name in (*tables.PRICES, "dividend")),
        pl.lit(None, dtype=pl.Float64).alias("adj_close"),
        pl.col("volume").truediv(factor).round(),
    )
    # A gap of Yahoo is not a bar, and yfinance adds a row for an ex-date without one.
    bars = whole.filter(pl.any_horizontal(pl.col(*tables.PRICES).is_not_null()))
    actions = whole.filter((pl.col("ratio") > 0) | (pl.col("dividend") > 0)).with_columns(
        pl.when(pl.col("ratio") > 0).then("ratio").otherwise(1.0).alias("ratio")
    )
    return (
        bars.select("timestamp", *tables.RAW_DAILY),
        actions.select(list(tables.ACTIONS)),
    )


def _shortest(value: pl.Expr) -> pl.Expr:
    """The price as Yahoo rounded it: to six digits if these are near enough, else to seven."""
    value = value.fill_nan(None)
    six = value.round_sig_figs(6)
    near = (six - value).abs() <= value.abs() * (_PRECISION * 1.001)
    return pl.when(near).then(six).otherwise(value.round_sig_figs(7))


@cache
def _prepare() -> None:
    """Set yfinance up, once: it opens its caches only once."""
    import yfinance

    # The stage itself reports an error, in one line.
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)
    yfinance.config.debug.hide_exceptions = False
    # Nothing is kept beyond this run.
    folder = mkdtemp(prefix="yfinance-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    yfinance.set_tz_cache_location(folder)


def _history(
    symbol: str, start: date | None, retries: int, backoff: float, *, hourly: bool
) -> pl.DataFrame:
    """One symbol's history as `traded` takes it; asks again and again where that may help.

    Raises:
        SourceError: there is none, or no answer after all tries.
    """
    from tenacity import (
        Retrying,
        retry_if_exception,
        stop_after_attempt,
        wait_exponential,
    )

    again = Retrying(
        stop=stop_after_attempt(retries),
        wait=wait_exponential(multiplier=backoff, max=_LONGEST_PAUSE),
        retry=retry_if_exception(lambda error: not _is_unknown(error)),
        reraise=True,
    )
    try:
        answer = again(_hourly, symbol, start) if hourly else again(_ask, symbol, "1d", start)
    except Exception as error:  # noqa: BLE001  # any failure is retried
        if _is_unknown(error):
            raise SourceError(
                f"yahoo: {symbol}: Yahoo has no such bars ({_reason(error)}); correct the "
                "ticker (those of the NSE end in .NS, of the BSE in .BO) or take it out of "
                "params.yaml"
            ) from None
        tries = f"{retries} {'try' if retries == 1 else 'tries'}"
        raise SourceError(
            f"yahoo: {symbol}: no answer after {tries} ({_reason(error)}); check the network, "
            "or set data.source to sample"
        ) from None
    return _table(answer)


def _hourly(symbol: str, start: date | None) -> "pd.DataFrame":
    from yfinance.exceptions import YFPricesMissingError

    try:
        return _ask(symbol, "1h", start)
    except YFPricesMissingError as error:
        if start is None or _HOURLY_LIMIT not in str(error):
            raise
        # The former bars end before those that Yahoo still has: take all of these.
        return _ask(symbol, "1h", None)


def _ask(symbol: str, interval: str, start: date | None) -> "pd.DataFrame":
    import yfinance
    from yfinance.data import YfData

    # yfinance would remember an answer that went wrong.
    YfData.cache_get.cache_clear()
    span: dict[str, Any] = {"period": "max"} if start is None else {"start": start}
    ticker = yfinance.Ticker(symbol)
    answer: pd.DataFrame = ticker.history(
        interval=interval, auto_adjust=False, actions=True, **span
    )
    if answer.empty:
        raise _Empty("an answer without bars")
    return answer


def _is_unknown(error: BaseException) -> bool:
    """Whether Yahoo itself said that it has no such ticker or bars: asking again would not help."""
    from yfinance.exceptions import YFPricesMissingError, YFTzMissingError

    if isinstance(error, YFPricesMissingError):
        return error.yahoo_reason is not None
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, YFTzMissingError) or status == HTTPStatus.NOT_FOUND


def _table(answer: "pd.DataFrame") -> pl.DataFrame:
    index: Any = answer.index
    local = index.tz_localize(None).to_numpy()
    instant = index.tz_convert("UTC").tz_localize(None).to_numpy()
    return pl.DataFrame(
        {
            "date": pl.Series(local).cast(pl.Date),
            "timestamp": pl.Series(instant).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            **{
                ours: pl.Series(answer[theirs].to_numpy(np.float64))
                for ours, theirs in _HISTORY.items()
            },
        }
    )


def _reason(error: BaseException) -> str:
    """What went wrong, without the duration and the link that curl adds."""
    text = " ".join(str(error).split())
    if not text:
        return type(error).__name__
    curl = re.search(r"curl: \(\d+\) (.+?)\.? See https://curl", text)
    if curl:
        text = curl[1]
    text = re.sub(r" after \d+ ms", "", text).rstrip(".")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
