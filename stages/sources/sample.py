"""Real daily bars that come with two installed packages: a first run needs no network."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from stages.common import tables
from stages.common.errors import SourceError
from stages.sources import Request, Series
from stages.sources._names import check

_MARKET = ("nasdaq", "sp500")

_COLUMNS = {
    "date": "Date",
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "adj_close": "Adj Close",
    "volume": "Volume",
}


def fetch(request: Request) -> Iterator[Series]:
    """AAPL, FB, GOOG, IBM, MSFT (2000 to 2013-03-01); sp500, nasdaq (1999 to 2018) as market.

    Raises:
        SourceError: another name is asked for, or a package is missing.
    """
    stocks = _read("bokeh_sampledata", "_data/stocks.csv.gz", "%Y-%m-%d")
    known = stocks["Ticker"].unique().sort().to_list()
    check(request.symbols, known, "sample", "data.symbols")
    check(request.market, _MARKET, "sample", "data.market")
    for symbol in sorted(request.symbols or known):
        yield Series("daily", symbol, _bars(stocks.filter(pl.col("Ticker") == symbol), symbol))
    for name in sorted(request.market):
        index = _read("arch", f"data/{name}/{name}.csv.gz", "%m/%d/%Y")
        yield Series("market", name, _bars(index, name))


def _read(package: str, file: str, date_format: str) -> pl.DataFrame:
    # The packages themselves take a second to import, and only their files are wanted.
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(
            f"sample: the package {package.replace('_', '-')} is not installed; "
            "install requirements.txt"
        )
    path = Path(spec.submodule_search_locations[0]) / file
    table = pl.read_csv(path, infer_schema_length=None)
    return table.with_columns(pl.col("Date").str.to_date(date_format))


def _bars(table: pl.DataFrame, symbol: str) -> pl.DataFrame:
    return table.select(
        pl.lit(symbol).alias("symbol"),
        *(
            pl.col(theirs).cast(tables.RAW_DAILY[ours]).alias(ours)
            for ours, theirs in _COLUMNS.items()
        ),
    )
