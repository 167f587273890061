import json
import logging
import shutil
from datetime import date, timedelta
from pathlib import Path

import exchange_calendars
import numpy as np
import polars as pl
import pytest

from stages import latest, params
from stages.common import tables
from stages.common.errors import InputError
from stages.common.paths import CLEAN, FEATURES, FEATURES_DAILY, LATEST, METRICS, SESSIONS
from stages.indicators.definitions import lookback
from stages.indicators.feature_table import features
from tests import datasets
from tests.messages import facts

SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
MARKET = ["nasdaq", "sp500"]


@pytest.fixture(scope="module")
def project(prepared: Path) -> Path:
    """The real sample, which no test changes."""
    return prepared


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A copy of its clean bars and features, to change."""
    for part in (CLEAN, FEATURES, METRICS):
        shutil.copytree(project / part, tmp_path / part)
    shutil.copy(project / "params.yaml", tmp_path)
    return tmp_path


def settings(folder: Path) -> params.Params:
    return params.load(folder / "params.yaml")


def sessions(folder: Path) -> list[str]:
    days: list[str] = json.loads((folder / SESSIONS).read_text(encoding="utf-8"))["sessions"]
    return days


def cut(folder: Path, symbol: str, last: date) -> None:
    """Let a symbol trade no more after a day."""
    gone = (pl.col("symbol") == symbol) & (pl.col("date") > last)
    for path in (folder / CLEAN / "daily.parquet", folder / FEATURES_DAILY):
        groups = [group.filter(~gone) for group in tables.row_groups(path)]
        with tables.replacing(path) as partial, tables.Writer(partial) as writer:
            for group in groups:
                writer.append(group)


def test_the_newest_bars_of_each_series_with_their_features(project: Path) -> None:
    rows = tables.read(project / LATEST)
    params = settings(project)
    count = lookback(params.features, params.data.market)
    # The traded volume is a feature and a column of the bars.
    others = [name for name in params.feature_names if name != "volume"]
    assert rows.columns == [*tables.CLEAN_DAILY, *others, "market"]
    bars = tables.read(project / CLEAN / "daily.parquet")
    table = tables.read(project / FEATURES_DAILY)
    for symbol in SYMBOLS:
        mine = rows.filter(symbol=symbol)
        assert mine.height == count
        assert not mine["market"].any()
        assert mine.select(list(tables.CLEAN_DAILY)).equals(bars.filter(symbol=symbol).tail(count))
        assert mine.select(others).equals(table.filter(symbol=symbol).tail(count).select(others))
    market = tables.read(project / CLEAN / "market.parquet")
    for name in MARKET:
        mine = rows.filter(symbol=name)
        assert mine.height == count
        assert mine["market"].all()
        assert mine.select(list(tables.CLEAN_DAILY)).equals(market.filter(symbol=name).tail(count))
        assert mine.select(others).null_count().min_horizontal().item() == count
    assert set(rows["symbol"]) == {*SYMBOLS, *MARKET}


def test_the_newest_features_can_be_computed_from_it_alone(project: Path) -> None:
    rows = tables.read(project / LATEST)
    params = settings(project)
    contract = list(tables.CLEAN_DAILY)
    bars = rows.filter(~pl.col("market")).select(contract)
    market = {
        name: rows.filter(pl.col("market"), symbol=name).select(contract)
        for name in params.data.market
    }
    table = features(bars, market, None, params.features)
    bars_of_symbols = rows.filter(~pl.col("market"))
    for symbol in SYMBOLS:
        again = table.filter(symbol=symbol).tail(1)
        before = bars_of_symbols.filter(symbol=symbol).tail(1)
        assert again["date"].item() == before["date"].item()
        for name in params.feature_names:
            expected = before[name].item()
            if name == "hourly_volatility":
                assert expected is None
                continue
            assert expected is not None, name
            assert again[name].item() == pytest.approx(expected, rel=1e-6, abs=1e-9), name


def test_the_features_of_a_bar_that_follows_can_be_computed_from_it(project: Path) -> None:
    """What serving does: one more bar after the kept ones, against the whole history."""
    rows = tables.read(project / LATEST)
    params = settings(project)
    contract = list(tables.CLEAN_DAILY)

    def with_more(bars: pl.DataFrame) -> pl.DataFrame:
        last = bars.group_by("symbol", maintain_order=True).last().select(contract)
        prices = ("open", "high", "low", "close", "adj_close")
        more = last.with_columns(
            pl.col("date") + timedelta(days=2), *(pl.col(name) * 1.01 for name in prices)
        )
        return pl.concat([bars.select(contract), more]).sort("symbol", "date")

    whole = with_more(tables.read(project / CLEAN / "daily.parquet"))
    longer = with_more(rows.filter(~pl.col("market")))
    every = with_more(tables.read(project / CLEAN / "market.parquet"))
    market = {name: every.filter(symbol=name) for name in params.data.market}
    short = {
        name: with_more(rows.filter(symbol=name).select(contract)) for name in params.data.market
    }
    expected = features(whole, market, None, params.features).group_by("symbol").last()
    table = features(longer, short, None, params.features).group_by("symbol").last()
    names = [name for name in params.feature_names if name != "hourly_volatility"]
    for name in names:
        one, other = (frame.sort("symbol")[name].to_numpy() for frame in (table, expected))
        assert np.isfinite(one).all(), name
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9), name


def test_the_sessions_are_those_of_the_exchange_from_the_oldest_bar(project: Path) -> None:
    content = json.loads((project / SESSIONS).read_text(encoding="utf-8"))
    assert content["calendar"] == "XNYS"
    first = tables.read(project / LATEST).filter(~pl.col("market"))["date"].min()
    calendar = exchange_calendars.get_calendar("XNYS", start=str(first), end="2014-12-31")
    days = [str(day.date()) for day in calendar.sessions]
    # Up to the newest bar, then the longest horizon and a year.
    assert content["sessions"] == days[: days.index("2012-12-31") + 1 + 63 + 252]


def test_a_symbol_that_trades_no_more_leaves_the_others_their_sessions(own: Path) -> None:
    last = date(2010, 3, 1)
    cut(own, "GOOG", last)
    datasets.stage(own, "latest")
    rows = tables.read(own / LATEST)
    assert rows.filter(symbol="GOOG")["date"].max() == last
    assert rows.filter(symbol="IBM")["date"].max() == date(2012, 12, 31)
    coming = sessions(own)
    first = rows.filter(symbol="GOOG")["date"].min()
    calendar = exchange_calendars.get_calendar("XNYS", start=str(first), end="2014-12-31")
    days = [str(day.date()) for day in calendar.sessions]
    assert coming == days[: len(coming)]
    # Enough for the longest horizon and a year, from the newest bar of all.
    assert sum(day > "2012-12-31" for day in coming) >= 63 + 252


def test_each_symbol_keeps_what_it_has(own: Path) -> None:
    cut(own, "GOOG", date(2004, 10, 1))
    datasets.stage(own, "latest")
    rows = tables.read(own / LATEST)
    bars = tables.read(own / CLEAN / "daily.parquet").filter(symbol="GOOG")
    assert 0 < bars.height < 100
    assert rows.filter(symbol="GOOG").select(list(tables.CLEAN_DAILY)).equals(bars)


def test_without_market_series_there_are_none(own: Path) -> None:
    datasets.write_params(own, data={"market": []}, dataset={"features": ["mom_*"]})
    datasets.stage(own, "params")
    datasets.stage(own, "latest")
    rows = tables.read(own / LATEST)
    assert rows["symbol"].unique().sort().to_list() == SYMBOLS
    assert not rows["market"].any()


def test_newest_takes_the_last_rows_in_their_order() -> None:
    bars = pl.DataFrame({"symbol": ["a"] * 3 + ["b"] + ["c"] * 2, "date": [1, 2, 3, 1, 5, 6]})
    assert latest.newest(bars, 2).rows() == [("a", 2), ("a", 3), ("b", 1), ("c", 5), ("c", 6)]
    assert latest.newest(bars, 9).equals(bars)


def test_a_second_run_gives_the_same_bytes(
    own: Path, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="stages")
    datasets.stage(own, "latest")
    for path in (LATEST, SESSIONS):
        assert (own / path).read_bytes() == (project / path).read_bytes()
    params = settings(own)
    count = lookback(params.features, params.data.market)
    assert caplog.messages == [
        f"latest: the newest {count} bars of 6 series, 315 sessions to come -> "
        "models/latest.parquet, models/sessions.json"
    ]


def test_bars_that_are_not_there_are_named(own: Path) -> None:
    shutil.rmtree(own / FEATURES)
    with pytest.raises(InputError) as caught:
        datasets.stage(own, "latest")
    assert facts(str(caught.value)) == facts(
        "data/features/daily.parquet: no such file; run `dvc repro` or `dvc pull`"
    )
    assert not (own / LATEST).exists()
