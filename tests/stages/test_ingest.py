"""Ingest: the folder that it leaves, what it continues, and that a failing run leaves no mark."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from stages import ingest as stage
from stages import sources
from stages.bars.ingestion.raw_folder import file_name
from stages.common import tables
from stages.common.errors import DataError, ParamsError, SourceError, StageError
from stages.ingest import continued, ingest, sessions, summary
from stages.sources import SourceParams
from tests.messages import facts

pytestmark = pytest.mark.usefixtures("elsewhere")

AS_OF = date(2012, 12, 31)


def data(
    as_of: date = AS_OF,
    source: str = "sample",
    symbols: Sequence[str] = ("AAPL", "GOOG", "IBM", "MSFT"),
    market: Sequence[str] = ("sp500", "nasdaq"),
    *,
    path: Path = Path("data/inbox"),
    options: Mapping[str, Any] | None = None,
    calendar: str = "XNYS",
    start: date | None = None,
) -> SourceParams:
    return SourceParams.model_validate(
        {
            "source": source,
            "path": path,
            "as_of": as_of,
            "start": start,
            "calendar": calendar,
            "extra_sessions": [],
            "symbols": list(symbols),
            "market": list(market),
            "sources": {source: dict(options or {})},
        }
    )


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def failure(params: SourceParams, raw: Path) -> str:
    with pytest.raises(StageError) as caught:
        ingest(params, raw)
    return str(caught.value)


def write_csv(folder: Path, name: str, days: Sequence[date | str], price: float = 10) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{day},{price},{price},{price},{price},5\n" for day in days)
    (folder / f"{name}.csv").write_text("date,open,high,low,close,volume\n" + rows)


DAYS = [date(2020, 1, 1) + timedelta(days=n) for n in range(10)]


def test_the_default_run(tmp_path: Path) -> None:
    raw = tmp_path / "data" / "raw"
    done = ingest(data(), raw)
    assert sorted(content(raw)) == [
        "actions.parquet",
        "daily/AAPL.parquet",
        "daily/GOOG.parquet",
        "daily/IBM.parquet",
        "daily/MSFT.parquet",
        "market/nasdaq.parquet",
        "market/sp500.parquet",
        "source.json",
    ]
    for file in (*raw.glob("daily/*.parquet"), *raw.glob("market/*.parquet")):
        bars = tables.conform(tables.read(file), tables.RAW_DAILY, file.name)
        assert bars["symbol"].unique().to_list() == [file.stem]
        assert bars["date"].max() == AS_OF
    actions = tables.conform(tables.read(raw / "actions.parquet"), tables.ACTIONS, "actions")
    assert actions.is_empty()
    assert json.loads((raw / "source.json").read_text()) == {"source": "sample", "options": {}}
    assert summary(data(), done) == (
        "ingest: sample: 4 symbols, 11,794 daily bars to 2012-12-31, 2 market series -> data/raw"
    )


def test_rows_are_the_sources_own_up_to_as_of(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    write_csv(inbox, "A", [DAYS[2], DAYS[0], DAYS[2], DAYS[5], DAYS[1]])
    ingest(data(DAYS[2], "csv", [], [], path=inbox), raw)
    bars = tables.read(raw / "daily" / "A.parquet")
    assert bars["date"].to_list() == [DAYS[2], DAYS[0], DAYS[2], DAYS[1]]


def test_moving_as_of_gives_the_bytes_of_a_fresh_ingest(tmp_path: Path) -> None:
    raw, early, late = tmp_path / "raw", tmp_path / "early", tmp_path / "late"
    ingest(data(date(2010, 6, 30)), raw)
    ingest(data(date(2010, 6, 30)), early)
    assert content(raw) == content(early)
    ingest(data(), raw)
    ingest(data(), late)
    assert content(raw) == content(late) != content(early)
    ingest(data(date(2010, 6, 30)), raw)
    assert content(raw) == content(early)


def test_symbols_taken_out_disappear(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    ingest(data(), raw)
    ingest(data(symbols=["IBM"], market=[]), raw)
    assert sorted(content(raw)) == ["actions.parquet", "daily/IBM.parquet", "source.json"]


def test_a_source_may_have_every_name_that_a_symbol_can_have(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "all.csv", tmp_path / "raw"
    symbols = [
        "M&M",
        "BAJAJ-AUTO",
        "TCS.NS",
        "^GSPC",
        "EUR/USD",
        "../up",
        ".dot",
        "a b",
        "50%",
        "ÖMV",
    ]
    rows = "".join(f"{name},2020-01-02,1,1,1,1,1\n" for name in symbols)
    inbox.write_text("symbol,date,open,high,low,close,volume\n" + rows)
    options = {"columns": {"symbol": "symbol"}}
    ingest(data(DAYS[-1], "csv", [], [], path=inbox, options=options), raw)
    ingested = {
        unquote(file.stem): tables.read(file)["symbol"].to_list()
        for file in (raw / "daily").iterdir()
    }
    assert ingested == {name: [name] for name in symbols}


# Bars before the first session

OLD = [date(1996, 12, 30), date(1996, 12, 31), date(1997, 1, 1), date(1997, 1, 2)]


def remarks_of(params: SourceParams, done: stage.Ingested) -> list[str]:
    return list(stage.remarks(params, done))


def test_bars_before_the_calendar_are_set_aside(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    for name in ("A", "B"):
        write_csv(inbox, name, OLD)
    params = data(date(1997, 1, 2), "csv", [], [], path=inbox, calendar="XBOM")
    done = ingest(params, raw)
    assert tables.read(raw / "daily" / "A.parquet")["date"].to_list() == OLD[2:]
    [line] = remarks_of(params, done)
    assert {"4", "1997-01-01", "XBOM", "A", "B"} <= facts(line)


@pytest.mark.parametrize("source", ["sample", "csv"])
def test_bars_before_data_start_are_set_aside_whatever_the_source(
    tmp_path: Path, source: str
) -> None:
    start, raw = date(2010, 6, 1), tmp_path / "raw"
    days = [date(2010, 5, 28), start, date(2010, 6, 2)]
    write_csv(tmp_path / "inbox", "AAPL", days)
    params = data(date(2010, 6, 2), source, ["AAPL"], [], path=tmp_path / "inbox", start=start)
    done = ingest(params, raw)
    assert tables.read(raw / "daily" / "AAPL.parquet")["date"].to_list() == days[1:]
    [line] = remarks_of(params, done)
    assert {"data.start", "2010-06-01", "AAPL"} <= facts(line)
    earlier = data(date(2010, 6, 2), source, ["AAPL"], [], path=tmp_path / "inbox")
    ingest(earlier, raw)
    assert days[0] in tables.read(raw / "daily" / "AAPL.parquet")["date"].to_list()


def test_a_symbol_that_ends_before_the_first_session(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    write_csv(inbox, "A", OLD)
    write_csv(inbox, "GONE", OLD[:2])
    params = data(date(1997, 1, 2), "csv", ["A", "GONE"], [], path=inbox, calendar="XBOM")
    assert {"GONE", "1996-12-31", "1997-01-01", "XBOM", "data.symbols"} <= facts(
        failure(params, tmp_path / "raw")
    )
    every = data(date(1997, 1, 2), "csv", [], [], path=inbox, calendar="XBOM")
    assert ingest(every, tmp_path / "raw").symbols["daily"] == ["A"]


def test_a_first_session_after_the_newest_one_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"start: 2013-01-01 is after data\.as_of"):
        data(start=date(2013, 1, 1))


# Daily bars that are stamped with instants

WEEK = [date(2024, 3, day) for day in (1, 4, 5, 6, 7, 11, 12)]
"""In Mumbai Friday the 8th was a holiday; in New York clocks go forward on Sunday the 10th."""


def stamped(day: date, zone: str, hour: int = 0, minute: int = 0, *, clocks: str = "UTC") -> str:
    """An instant of a day on the clocks of a zone, as text on other clocks."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone))
    return str(local.astimezone(ZoneInfo(clocks)))


MUMBAI = [stamped(day, "Asia/Kolkata") for day in WEEK]


@pytest.mark.parametrize(
    ("calendar", "stamps", "options"),
    [
        ("XBOM", MUMBAI, {}),
        ("XBOM", [text.replace(" ", "T").replace("+00:00", "Z") for text in MUMBAI], {}),
        ("XBOM", [text.removesuffix("+00:00") for text in MUMBAI], {"timezone": "UTC"}),
        ("XBOM", [stamped(day, "Asia/Kolkata", 15, 30) for day in WEEK], {}),
        ("XBOM", [stamped(day, "Asia/Kolkata", clocks="Asia/Kolkata") for day in WEEK], {}),
        ("XNYS", [stamped(day, "America/New_York") for day in WEEK], {}),
        ("XNYS", [stamped(day, "America/New_York", 16) for day in WEEK], {}),
        ("XNYS", [stamped(day, "America/New_York", 18) for day in WEEK], {}),
        ("XNYS", [f"{day} 16:00:00" for day in WEEK], {}),
        ("XNYS", [f"{day}T00:00:00.000Z" for day in WEEK], {}),
        ("XNYS", [f"{day} 23:59:59+00:00" for day in WEEK], {}),
        ("XLON", [stamped(day, "Europe/London") for day in [*WEEK, date(2024, 4, 2)]], {}),
    ],
)
@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_an_instant_is_dated_by_the_clocks_of_the_exchange(
    tmp_path: Path, source: str, calendar: str, stamps: list[str], options: dict[str, Any]
) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    write_csv(inbox, "A", stamps)
    if source == "parquet":
        texts = pl.read_csv(inbox / "A.csv")
        texts.with_columns(
            pl.Series("date", [datetime.fromisoformat(text) for text in stamps])
        ).write_parquet(inbox / "A.parquet")
    params = data(
        date(2024, 12, 31), source, [], [], path=inbox, options=options, calendar=calendar
    )
    ingest(params, raw)
    assert tables.read(raw / "daily" / "A.parquet")["date"].to_list() == [
        *WEEK,
        *([date(2024, 4, 2)] if calendar == "XLON" else []),
    ]


@pytest.mark.parametrize(
    ("calendar", "stamps"),
    [
        ("XBOM", [text.removesuffix("+00:00") for text in MUMBAI]),
        ("XNYS", MUMBAI),
        ("XBOM", [str(day - timedelta(1)) for day in WEEK]),
    ],
)
def test_an_instant_of_another_zone_is_refused(
    tmp_path: Path, calendar: str, stamps: list[str]
) -> None:
    write_csv(tmp_path / "inbox", "A", stamps)
    params = data(date(2024, 12, 31), "csv", [], [], path=tmp_path / "inbox", calendar=calendar)
    message = failure(params, tmp_path / "raw")
    assert message.startswith("csv: A: ")
    assert "another zone" in message
    assert {calendar, "data.calendar"} <= facts(message)


# A source of the user's own


@pytest.fixture
def own_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new source is one function in one module; this one says what it was asked."""
    folder = tmp_path / "own"
    folder.mkdir()
    file = folder / "own.py"
    file.write_text(
        "from datetime import date, timedelta\n"
        "import polars as pl\n"
        "from stages.common import tables\n"
        "from stages.sources import Series\n"
        "ASKED = []\n"
        "def bars(symbol, first, last, price, contract=tables.RAW_DAILY):\n"
        "    days = pl.date_range(first, last, eager=True)\n"
        "    values = {'symbol': symbol, 'date': days, 'adj_close': None, 'volume': 1.0}\n"
        "    return pl.DataFrame({**values, **dict.fromkeys(tables.PRICES, price)},\n"
        "                        schema=dict(contract))\n"
        "def actions(symbol, *rows):\n"
        "    return pl.DataFrame([(symbol, *row) for row in rows],\n"
        "                        schema=dict(tables.ACTIONS), orient='row')\n"
        "def fetch(request, *, mode: str = 'plain', price: float = 1.0):\n"
        "    known = {name: request.known.get(('daily', name)) for name in request.symbols}\n"
        "    ASKED.append((known, sorted(request.known)))\n"
        "    first, last = date(2020, 1, 1), date(2020, 1, 10)\n"
        "    for name in request.symbols:\n"
        "        since = known[name]\n"
        "        whole = bars(name, since or first, last, price)\n"
        "        split = actions(name, *[(day, 2.0, 0.0) for day in (first, last)\n"
        "                                if day >= (since or first)])\n"
        "        if mode == 'twice':\n"
        "            yield Series('daily', name, whole)\n"
        "        if mode == 'wrong':\n"
        "            whole = whole.drop('volume')\n"
        "        if mode == 'undated':\n"
        "            whole = whole.with_columns(pl.lit(None, dtype=pl.Date).alias('date'))\n"
        "        if mode != 'silent':\n"
        "            yield Series('daily', name, whole, split, partial=since is not None)\n"
    )
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "stages.sources.own", raising=False)
    return file


def requests_made() -> list[Any]:
    requests: list[Any] = sys.modules["stages.sources.own"].ASKED
    return requests


@pytest.mark.usefixtures("own_source")
def test_what_is_held_is_continued_and_only_from_the_same_source(tmp_path: Path) -> None:
    raw, fresh = tmp_path / "raw", tmp_path / "fresh"

    def own(as_of: date, price: float) -> SourceParams:
        return data(as_of, "own", ["EUR/USD"], [], options={"price": price})

    ingest(own(DAYS[4], 1), raw)
    assert requests_made() == [({"EUR/USD": None}, [])]
    ingest(own(DAYS[9], 1), raw)
    assert requests_made()[1] == ({"EUR/USD": DAYS[4]}, [("daily", "EUR/USD")])
    ingest(own(DAYS[9], 1), fresh)
    assert content(raw) == content(fresh)
    actions = tables.read(raw / "actions.parquet")
    assert actions["date"].to_list() == [DAYS[0], DAYS[9]]
    ingest(own(DAYS[9], 2), raw)
    assert requests_made()[3] == ({"EUR/USD": None}, [])
    assert set(tables.read(raw / "daily" / "EUR%2FUSD.parquet")["close"]) == {2.0}


@pytest.mark.usefixtures("own_source")
def test_actions_after_as_of_are_not_known_yet(tmp_path: Path) -> None:
    done = ingest(data(DAYS[8], "own", ["A"], []), tmp_path / "raw")
    actions = tables.read(tmp_path / "raw" / "actions.parquet")
    assert actions.rows() == [("A", DAYS[0], 2.0, 0.0)]
    assert summary(data(source="own"), done) == (
        "ingest: own: 1 symbol, 9 daily bars to 2020-01-09, 1 corporate action -> data/raw"
    )


@pytest.mark.usefixtures("own_source")
@pytest.mark.parametrize(
    ("mode", "kind", "message"),
    [
        ("twice", SourceError, "own: A: came twice as daily"),
        (
            "wrong",
            DataError,
            "own: A: no column volume; it has symbol, date, open, high, low, close, adj_close",
        ),
        ("undated", DataError, "own: A: 10 bars have no date"),
        ("silent", SourceError, "own: gave no bars of A; correct data.symbols and data.market"),
    ],
)
def test_a_source_that_breaks_its_contract(
    tmp_path: Path, mode: str, kind: type[StageError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        ingest(data(DAYS[9], "own", ["A"], [], options={"mode": mode}), tmp_path / "raw")
    assert facts(str(caught.value)) == facts(message)


# Revisions


def revisions_of(raw: Path, params: SourceParams, **options: bool) -> list[tuple[Any, ...]]:
    """What an ingest says of the bars held, and that it says so while they still stand."""
    revisions: list[tuple[Any, ...]] = []
    before = content(raw)

    def tell(revised: pl.DataFrame) -> None:
        assert content(raw) == before
        revisions.extend(revised.select("symbol", "date", "change", "given").rows())

    ingest(params, raw, tell, **options)
    return revisions


def test_a_source_that_says_something_else_of_the_past(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    write_csv(inbox, "A", DAYS)
    params = data(DAYS[5], "csv", [], [], path=inbox)
    later = params.model_copy(update={"as_of": DAYS[8]})
    assert (
        revisions_of(raw, params)
        == revisions_of(raw, params)
        == revisions_of(raw, later)
        == revisions_of(raw, params)
        == []
    )
    text = (inbox / "A.csv").read_text()
    (inbox / "A.csv").write_text(text.replace("2020-01-03,10,10,10,10", "2020-01-03,10,10,10,9.5"))
    assert revisions_of(raw, later) == [("A", DAYS[2], "changed", 9.5)]
    assert tables.read(raw / "daily" / "A.parquet")["close"].to_list()[2] == 9.5
    # Bars of other options or another source are others for a reason.
    (inbox / "A.csv").write_text(text)
    other = data(DAYS[8], "csv", [], [], path=inbox, options={"timezone": "Asia/Kolkata"})
    assert revisions_of(raw, other) == []


@pytest.mark.usefixtures("own_source")
def test_the_whole_past_is_asked_for_again_where_the_source_sends_what_follows(
    tmp_path: Path,
) -> None:
    raw = tmp_path / "raw"
    params = data(DAYS[5], "own", ["A"], [])
    ingest(params, raw)
    file = raw / "daily" / "A.parquet"
    other = tables.read(file).with_columns(
        pl.when(pl.col("date").is_in([DAYS[2], DAYS[5]]))
        .then(7.0)
        .otherwise("close")
        .alias("close")
    )
    tables.write(other, file)
    # The newest bar held is fetched again, the earlier one is taken for granted.
    later = params.model_copy(update={"as_of": DAYS[7]})
    assert revisions_of(raw, later) == [("A", DAYS[5], "changed", 1.0)]
    assert revisions_of(raw, later, whole=True) == [("A", DAYS[2], "changed", 1.0)]
    assert requests_made()[-1] == ({"A": None}, [])
    assert revisions_of(raw, later, whole=True) == []


# What stops


def test_as_of_before_the_first_bar(tmp_path: Path) -> None:
    assert facts(failure(data(date(2004, 8, 18)), tmp_path / "raw")) == facts(
        "data.as_of 2004-08-18 is before the first bar of GOOG (2004-08-19); move data.as_of to "
        "2004-08-19 or later, or take it out of data.symbols and data.market"
    )
    assert facts(failure(data(date(1999, 6, 1)), tmp_path / "raw")) == facts(
        "data.as_of 1999-06-01 is before the first bar of AAPL (2000-03-01), GOOG (2004-08-19), "
        "IBM (2000-03-01), MSFT (2000-03-01); move data.as_of to 2004-08-19 or later, or take them "
        "out of data.symbols and data.market"
    )


def test_a_failing_run_touches_nothing(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "data" / "raw"
    for name in ("A", "B"):
        write_csv(inbox, name, DAYS)
    params = data(DAYS[4], "csv", [], [], path=inbox)
    ingest(params, raw)
    before = content(tmp_path / "data")
    inode = raw.stat().st_ino
    with (inbox / "B.csv").open("a") as file:
        file.write("2020-01-11,1,1,1,delisted,1\n")
    assert facts(failure(params.model_copy(update={"as_of": DAYS[9]}), raw)) == facts(
        f"{inbox}/B.csv: column close, row 12: 'delisted' is not a number; "
        "correct the file (an empty cell stands for no value)"
    )
    assert content(tmp_path / "data") == before
    assert raw.stat().st_ino == inode
    assert names(tmp_path / "data") == ["raw"]


def test_an_unknown_calendar_with_hourly_bars() -> None:
    bars = pl.DataFrame({"timestamp": [datetime(2020, 1, 1, tzinfo=UTC)]})
    with pytest.raises(ParamsError) as caught:
        sessions(bars, "hourly", "NSE")
    assert facts(str(caught.value)) == facts(
        "data.calendar: exchange_calendars has no 'NSE'; XNYS is New York, XBOM Mumbai (NSE and "
        "BSE), 24/5 currencies"
    )


# Hours


def test_an_hour_belongs_to_its_day_on_the_clocks_of_the_exchange(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    inbox.mkdir()
    # 10:00 to 12:00 in Sydney on the 6th and the 7th is the UTC evening before.
    stamps = ["2020-01-05 23:00", "2020-01-06 00:00", "2020-01-06 23:00", "2020-01-07 00:00"]
    rows = "".join(f"{stamp},1,1,1,1,1\n" for stamp in stamps)
    (inbox / "BHP.csv").write_text("timestamp,open,high,low,close,volume\n" + rows)
    options = {"columns": {"timestamp": "timestamp"}}
    params = data(date(2020, 1, 6), "csv", [], [], path=inbox, options=options, calendar="XASX")
    done = ingest(params, raw)
    bars = tables.conform(tables.read(raw / "hourly" / "BHP.parquet"), tables.RAW_HOURLY, "BHP")
    assert bars["timestamp"].dt.hour().to_list() == [23, 0]
    assert sorted(content(raw)) == ["actions.parquet", "hourly/BHP.parquet", "source.json"]
    assert summary(params, done) == (
        "ingest: csv: 1 symbol, 2 hourly bars to 2020-01-06 -> data/raw"
    )


# Laws


@given(st.text(min_size=1, max_size=30))
def test_a_file_name_is_safe_and_tells_its_symbol(symbol: str) -> None:
    name = file_name(symbol)
    assert unquote(name.removesuffix(".parquet")) == symbol
    assert not name.startswith(".")
    assert not set('/\\:*?"<>|') & set(name)
    assert all(mark.isprintable() and ord(mark) < 128 for mark in name)


def test_common_symbols_keep_their_names() -> None:
    assert [file_name(name) for name in ("M&M", "TCS.NS", "^GSPC", "EUR/USD")] == [
        "M&M.parquet",
        "TCS.NS.parquet",
        "^GSPC.parquet",
        "EUR%2FUSD.parquet",
    ]


@given(st.integers(1, 10), st.integers(0, 9))
def test_continuing_anywhere_gives_the_whole(length: int, overlap_from: int) -> None:
    whole = pl.DataFrame({"date": DAYS, "close": [float(n) for n in range(10)]})
    # The last held bar was fetched while its session was open.
    former = whole.head(length).with_columns(
        pl.when(pl.col("date") == DAYS[length - 1]).then(-1.0).otherwise("close").alias("close")
    )
    new = whole.slice(min(overlap_from, length - 1))
    assert_frame_equal(continued(former, new, "date", new["date"].min()), whole)
    assert_frame_equal(continued(former, new.clear(), "date", None), former)


# As a program


def test_the_examples_of_the_docs_are_valid(repo_root: Path) -> None:
    text = (repo_root / "docs" / "data.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(data:.*?)```", text, re.DOTALL)
    assert len(examples) == 4
    usual = yaml.safe_load((repo_root / "params.yaml").read_text(encoding="utf-8"))["data"]
    for example in examples:
        params = SourceParams.model_validate({**usual, **yaml.safe_load(example)["data"]})
        assert params.source_options or params.levels or params.symbol_levels


def project(folder: Path, root: Path, **changes: Any) -> Path:
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"].update(changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def run(folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.ingest"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_what_it_did_in_one_line(
    tmp_path: Path,
    repo_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(project(tmp_path, repo_root, as_of=AS_OF.isoformat()))
    with caplog.at_level("INFO", "stages"):
        stage.main()
    assert [record.message for record in caplog.records] == [
        "ingest: sample: 4 symbols, 11,794 daily bars to 2012-12-31, 2 market series -> data/raw"
    ]
    assert names(tmp_path / "data") == ["raw"]


def test_the_command_says_what_changed_in_the_past(
    tmp_path: Path,
    repo_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_csv(tmp_path / "inbox", "A", DAYS)
    changes = {"source": "csv", "path": "inbox", "symbols": [], "market": [], "as_of": "2020-01-10"}
    monkeypatch.chdir(project(tmp_path, repo_root, **changes))
    stage.main()
    text = Path("inbox/A.csv").read_text()
    text = text.replace("2020-01-03,10,10,10,10,5", "2020-01-03,10,10,10,10,6")
    Path("inbox/A.csv").write_text(text.replace("2020-01-10,10", "2020-01-10,11"))
    with caplog.at_level("INFO", "stages"):
        stage.main()
    older, newest, summary = (record.message for record in caplog.records)
    assert "1 changed (volume 1): A 2020-01-03 volume 5 -> 6;" in older
    assert "var/revisions.csv" in older
    assert older.endswith(": dvc get . data/raw --rev HEAD -o var/former")
    assert "2020-01-10" in newest
    assert newest.endswith("1 changed (open 1): A 2020-01-10 open 10 -> 11")
    assert summary == "ingest: csv: 1 symbol, 10 daily bars to 2020-01-10 -> data/raw"
    assert Path("var/revisions.csv").read_text() == (
        "kind,symbol,date,timestamp,change,column,held,given,newest\n"
        "daily,A,2020-01-03,,changed,volume,5.0,6.0,false\n"
        "daily,A,2020-01-10,,changed,open,10.0,11.0,true\n"
    )
    stage.main()
    assert not Path("var/revisions.csv").exists()


def test_the_command_fails_with_one_line(tmp_path: Path, repo_root: Path) -> None:
    done = run(project(tmp_path, repo_root, source="csv", path="nowhere"), repo_root)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: nowhere: no such file or folder; set data.path to the one that holds your bars\n"
    )
    assert names(tmp_path / "data") == []


# What a user should know


def test_instants_of_many_symbols_in_one_file(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    inbox.mkdir()
    raw.mkdir()
    header = "symbol,date,open,high,low,close,volume\n"
    bars = "".join(f"{name},{text},1,1,1,1,1\n" for text in MUMBAI for name in ("A", "B"))
    (inbox / "stamped.csv").write_text(header + bars)
    (inbox / "plain.csv").write_text(header + "A,2024-02-29,1,1,1,1,1\n")
    options = {"columns": {"symbol": "symbol"}}
    params = data(date(2024, 12, 31), "csv", [], [], path=inbox, options=options, calendar="XBOM")
    ingest(params, raw)
    for name, before in (("A", [date(2024, 2, 29)]), ("B", [])):
        dates = tables.read(raw / "daily" / f"{name}.parquet")["date"].to_list()
        assert sorted(dates) == [*before, *WEEK]


def test_a_market_series_is_dated_by_the_same_clocks(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    write_csv(inbox, "A", WEEK)
    write_csv(inbox / "market", "NIFTY", MUMBAI)
    raw.mkdir()
    ingest(data(date(2024, 12, 31), "csv", [], ["NIFTY"], path=inbox, calendar="XBOM"), raw)
    assert tables.read(raw / "market" / "NIFTY.parquet")["date"].to_list() == WEEK


def test_short_bars_alone_are_named_with_their_length(tmp_path: Path) -> None:
    inbox, raw = tmp_path / "inbox", tmp_path / "raw"
    write_csv(inbox, "A", [f"2024-03-05 14:{minute:02}:00" for minute in range(30, 60, 5)])
    raw.mkdir()
    options = {"columns": {"timestamp": "date"}}
    params = data(date(2024, 12, 31), "csv", [], [], path=inbox, options=options)
    lengths, alone = remarks_of(params, ingest(params, raw))
    assert "A (5 minutes)" in lengths
    assert "columns.date" in facts(alone)
