"""A number for each symbol, and when it was published, from the inbox to features."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from stages import clean, features, ingest, latest, params, validate
from stages.bars.ingestion import publication
from stages.common import tables
from stages.common.errors import DataError, StageError
from stages.common.paths import CLEAN_MARKET, FEATURES_DAILY, LATEST, RAW, REVISIONS
from stages.indicators.panel import Panel
from stages.sources import SourceParams
from tests.messages import facts
from tests.panels import PARAMS, bits, daily, feature_params, write_params
from tests.stages.test_levels import AS_OF, OPEN_DAYS, write_csv

MOOD = ["MOOD_level", "MOOD_change_lag1"]

DATA: dict[str, Any] = {
    "source": "csv",
    "as_of": str(AS_OF),
    "symbols": ["A", "B"],
    "market": ["INDEX", "VIX"],
    "levels": ["VIX"],
    "symbol_levels": ["MOOD"],
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# The session from which a value is known


@pytest.mark.parametrize(
    ("published", "calendar", "known"),
    [
        ("2012-01-05T20:59", "XNYS", date(2012, 1, 5)),
        ("2012-01-05T21:00", "XNYS", date(2012, 1, 5)),
        ("2012-01-05T21:01", "XNYS", date(2012, 1, 6)),
        ("2012-01-06T03:00", "XNYS", date(2012, 1, 6)),
        # In summer New York closes an hour earlier in UTC, and on the day after Thanksgiving at 13.
        ("2012-07-05T20:01", "XNYS", date(2012, 7, 6)),
        ("2012-11-23T18:00", "XNYS", date(2012, 11, 23)),
        ("2012-11-23T18:01", "XNYS", date(2012, 11, 26)),
        # A weekend and a holiday.
        ("2012-01-13T21:01", "XNYS", date(2012, 1, 17)),
        ("2012-01-16T15:00", "XNYS", date(2012, 1, 17)),
        ("2012-01-05T10:00", "XBOM", date(2012, 1, 5)),
        ("2012-01-05T10:01", "XBOM", date(2012, 1, 6)),
        # After the newest session.
        ("2012-12-31T21:01", "XNYS", date(2013, 1, 1)),
        ("2013-05-01T12:00", "XNYS", date(2013, 1, 1)),
        # Before the first session that the calendar knows.
        ("1995-01-05T12:00", "XBOM", date(1995, 1, 5)),
    ],
)
def test_a_value_is_known_from_the_session_that_closes_after_it_was_published(
    published: str, calendar: str, known: date
) -> None:
    dates = pl.Series([None, date(2012, 1, 14)], dtype=pl.Date)
    stamps = pl.Series([utc(published), None], dtype=tables.UTC)
    days = publication.dated(dates, stamps, calendar, date(2012, 12, 31))
    assert days.to_list() == [known, date(2012, 1, 14)]


def test_an_extra_session_takes_what_was_published_before_its_close() -> None:
    holiday = date(2012, 1, 16)
    stamps = pl.Series([utc("2012-01-16T21:00"), utc("2012-01-16T21:01")], dtype=tables.UTC)
    dates = pl.Series([None, None], dtype=pl.Date)
    days = publication.dated(dates, stamps, "XNYS", AS_OF, [holiday])
    assert days.to_list() == [holiday, date(2012, 1, 17)]


def test_two_values_of_one_session_are_refused_and_those_of_the_future_are_not() -> None:
    times = ["2012-01-13T22:00", "2012-01-16T15:00", "2013-01-01T00:00", "2013-01-02T00:00"]
    stamps = pl.Series([utc(time) for time in times], dtype=tables.UTC)
    dates = pl.Series([None] * 4, dtype=pl.Date)
    with pytest.raises(DataError) as caught:
        publication.dated(dates, stamps, "XNYS", AS_OF)
    message = "2; 2012-01-17; 2012-01-13 22:00 UTC, 2012-01-16 15:00 UTC"
    assert facts(str(caught.value)) == facts(message)
    assert publication.dated(dates[1:], stamps[1:], "XNYS", AS_OF)[0] == date(2012, 1, 17)


# From the inbox to features


def settings(folder: Path, as_of: date = AS_OF, *, same_session: bool = True, **data: Any) -> None:
    windows = feature_params(
        market_lags=[1, 2], market_same_session=same_session, lags=[1], volatility=[2]
    )
    write_params(
        folder,
        data=DATA | {"as_of": str(as_of), **data},
        features=windows.model_dump(),
        dataset={"features": ["return_lag1", "*_level", "*_change_lag*"], "scale": ["vol_2"]},
    )


def write_numbers(folder: Path, name: str, lines: Sequence[str]) -> Path:
    file = folder / "data" / "inbox" / "levels" / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def moods(until: date = date.max) -> dict[tuple[str, date], str]:
    """When the mood of each symbol was published: at noon in New York, each in its own way."""
    return {
        (symbol, day): f"{symbol},{day} 12:00:00-05:00,{number + (at * at) % 7}"
        for number, symbol in enumerate(("A", "B"))
        for at, day in enumerate(OPEN_DAYS)
        if day <= until
    }


def write_inbox(folder: Path, values: Mapping[Any, str], until: date = date.max) -> None:
    inbox = folder / "data" / "inbox"
    for number, name in enumerate(("A", "B", "INDEX")):
        closes = {day: 50.0 + number + at % 3 for at, day in enumerate(OPEN_DAYS) if day <= until}
        write_csv(inbox, name, closes, "100")
    days = [day for day in OPEN_DAYS if day <= until]
    # VIX is published in the evening, after the close of its day.
    lines = [f"{day}T18:00:00-05:00,{20 + at % 5}" for at, day in enumerate(days)]
    write_numbers(folder, "VIX", ["published_at,value", *lines])
    write_numbers(folder, "MOOD", ["symbol,published_at,value", *values.values()])
    (folder / "data" / "actions.csv").write_text("symbol,date,ratio\n", encoding="utf-8")


def feature_table(folder: Path, as_of: date = AS_OF, **data: Any) -> pl.DataFrame:
    """The features that the stages make of the inbox of a folder."""
    settings(folder, as_of, **data)
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage"])
        for stage in (params, ingest, clean, features):
            stage.main()
        return tables.read(FEATURES_DAILY)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moods")
    write_inbox(folder, moods())
    feature_table(folder)
    return folder


def test_each_symbol_has_its_own_level_and_its_changes(project: Path) -> None:
    rows = tables.read(project / FEATURES_DAILY)
    assert [name for name in rows.columns if name.startswith("MOOD")] == [
        *["MOOD_level", "MOOD_change_lag1", "MOOD_change_lag2"]
    ]
    for number, symbol in enumerate(("A", "B")):
        own = rows.filter(symbol=symbol)
        levels = [number + (at * at) % 7 for at in range(len(OPEN_DAYS))]
        assert own["MOOD_level"].to_list() == levels
        assert own["MOOD_change_lag1"][:4].to_list() == [None, 1, 3, -2]
        assert own["MOOD_change_lag2"][:4].to_list() == [None, None, 1, 3]
        # What is published in the evening is known a session later.
        assert own["VIX_level"][:4].to_list() == [None, 20, 21, 22]


def test_a_minute_across_the_close_moves_a_value_by_a_session(
    project: Path, tmp_path: Path
) -> None:
    before, (day, after) = tables.read(project / FEATURES_DAILY), OPEN_DAYS[9:11]
    assert before.filter(symbol="A", date=day)["MOOD_level"].item() == 4
    days = []
    for minute in ("16:00", "16:01"):
        # The next value goes, for a session has one.
        values = {key: line for key, line in moods().items() if key != ("A", after)}
        values["A", day] = f"A,{day} {minute}:00-05:00,4"
        write_inbox(tmp_path, values)
        days.append(feature_table(tmp_path))
    at_close, late = (rows.filter(symbol="A") for rows in days)
    assert at_close.filter(date=day)["MOOD_level"].item() == 4
    assert late.filter(date=day)["MOOD_level"].item() == 1
    assert late.filter(date=after)["MOOD_level"].item() == 4
    differs = at_close["MOOD_level"] != late["MOOD_level"]
    assert at_close.filter(differs)["date"].to_list() == [day]
    assert days[0].filter(symbol="B").equals(before.filter(symbol="B"))


@pytest.mark.parametrize("place", [0, 10, 30])
def test_what_comes_after_a_day_moves_no_feature_up_to_it(
    project: Path, tmp_path: Path, place: int
) -> None:
    day = OPEN_DAYS[place]
    whole = tables.read(project / FEATURES_DAILY).filter(pl.col("date") <= day)
    write_inbox(tmp_path, moods(until=day), until=day)
    # VIX of the first session was published after its close.
    series = {"market": ["INDEX"], "levels": []} if place == 0 else {}
    cut = feature_table(tmp_path, as_of=day, **series)
    assert cut.height == 2 * (place + 1)
    assert bits(cut) == bits(whole.select(cut.columns))
    # Values of the future in the files change nothing either.
    write_inbox(tmp_path, moods())
    assert bits(feature_table(tmp_path, as_of=day, **series)) == bits(cut)


def test_a_value_of_a_symbol_is_known_on_its_day_wherever_the_market_closes(
    tmp_path: Path,
) -> None:
    values = {key: f"{key[0]},{key[1]},{at}" for at, key in enumerate(moods())}
    write_inbox(tmp_path, values)
    write_numbers(tmp_path, "MOOD", ["symbol,date,value", *values.values()])
    write_numbers(tmp_path, "VIX", ["date,value", *(f"{day},{day.day}" for day in OPEN_DAYS)])
    rows = feature_table(tmp_path, same_session=False).filter(symbol="A")
    assert rows["MOOD_level"].to_list() == list(range(len(OPEN_DAYS)))
    assert rows["VIX_level"].to_list() == [None, *(day.day for day in OPEN_DAYS[:-1])]


def test_parquet_with_stamps_of_a_zone_gives_the_same(project: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "data" / "inbox"
    write_inbox(tmp_path, moods())
    for file in sorted(inbox.rglob("*.csv")):
        table = pl.read_csv(file, try_parse_dates=True)
        if "published_at" in table.columns:
            table = table.with_columns(pl.col("published_at").cast(pl.Datetime("ns", "UTC")))
            assert table["published_at"].dt.hour().unique().to_list() in ([17], [23])
        table.write_parquet(file.with_suffix(".parquet"))
        file.unlink()
    columns = {name: name for name in ("date", *tables.PRICES, "volume")}
    rows = feature_table(tmp_path, source="parquet", sources={"parquet": {"columns": columns}})
    assert bits(rows) == bits(tables.read(project / FEATURES_DAILY))


def test_the_example_of_the_docs(tmp_path: Path, repo_root: Path) -> None:
    text = (repo_root / "docs" / "data.md").read_text(encoding="utf-8")
    section = text.split("### A number for each symbol")[1].split("\n## ")[0]
    ((numbers,), (example,)) = (
        re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("", "yaml")
    )
    days = [date(2021, 4, 26) + timedelta(days=n) for n in (0, 1, 2, 3, 4, 7)]
    for name in ("RELIANCE", "TCS"):
        write_csv(tmp_path / "data" / "inbox", name, dict.fromkeys(days, 50.0), "100")
    (tmp_path / "data" / "actions.csv").write_text("symbol,date,ratio\n", encoding="utf-8")
    write_numbers(tmp_path, "SENTIMENT", numbers.splitlines())
    plain: dict[str, Any] = {"symbols": [], "market": [], "levels": [], "calendar": "XBOM"}
    # As in the example of bars.
    plain["sources"] = {"csv": {"date_format": "%Y-%m-%d", "thousands": ","}}
    rows = feature_table(tmp_path, days[-1], **plain, **yaml.safe_load(example)["data"])
    levels = rows.group_by("symbol", maintain_order=True).agg("SENTIMENT_level")
    assert [[None if v is None else round(v, 2) for v in own] for _, own in levels.rows()] == [
        [None, None, 0.42, -0.1, -0.1, -0.1],
        [None, None, 0.05, 0.05, 0.05, 0.3],
    ]


NOON = "12:00-05:00"


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        (
            "MOOD",
            ["symbol,date,value", "A,2012-01-05,1", "B,2012-01-05,1", "A,2012-01-05,2"],
            "csv: MOOD of A; 2; 2012-01-05",
        ),
        (
            "MOOD",
            ["symbol,date,value", "A,2012-01-05,1"],
            "csv: MOOD of B; 2012-02-29; data.symbol_levels",
        ),
        (
            "MOOD",
            ["symbol,date,value", "A,2012-01-05,1", "B,2012-03-01,1"],
            "csv: MOOD of B; 2012-02-29; data.symbol_levels",
        ),
        (
            "MOOD",
            ["symbol,published_at,value", f"A,2012-01-05 {NOON},1", "B,2012-01-05 12:00,1"],
            "{file}; column published_at; 3; 2012-01-05 12:00; 2021-03-05 16:30:00+05:30; "
            "data.sources.csv.timezone",
        ),
        (
            "MOOD",
            ["symbol,published_at,value", "B,2012-01-05,1"],
            "{file}; column published_at; 2; 2012-01-05",
        ),
        (
            "MOOD",
            ["symbol,published_at,value", "B,,1"],
            "{file}; column published_at; 2",
        ),
        (
            "MOOD",
            ["symbol,date,value", "B,2012-01-05 12:00,1"],
            "{file}; column date; published_at",
        ),
        ("MOOD", ["symbol,date,value", ",2012-01-05,1"], "{file}; column symbol; 2"),
        ("MOOD", ["symbol,date,value", "A,2012-01-05,x"], "{file}; column value; 2; 'x'"),
        ("MOOD", ["symbol,date,value", "A,2012-01-05,1,2"], "{file}; 2; 3"),
        ("MOOD", ["date,value", "2012-01-05,1"], "{file}; column symbol"),
        ("MOOD", ["symbol,value", "A,1"], "{file}; column date; published_at"),
        (
            "MODE",
            ["symbol,date,value", "A,2012-01-05,1"],
            "{folder}; MOOD; data.symbol_levels; MODE",
        ),
        (
            "VIX",
            ["symbol,date,value", "A,2012-01-05,1"],
            "{file}; column symbol; data.market; VIX; data.symbol_levels",
        ),
    ],
)
def test_numbers_that_are_wrong_stop_with_one_line(
    tmp_path: Path, name: str, lines: list[str], message: str
) -> None:
    write_inbox(tmp_path, moods())
    if name == "MODE":
        (tmp_path / "data" / "inbox" / "levels" / "MOOD.csv").unlink()
    file = write_numbers(tmp_path, name, lines).relative_to(tmp_path)
    data = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))["data"] | DATA
    with chdir(tmp_path), pytest.raises(StageError) as caught:
        ingest.ingest(SourceParams.model_validate(data), RAW)
    assert "\n" not in str(caught.value)
    expected = message.format(file=file, folder=file.parent)
    assert facts(str(caught.value)) >= facts(expected)
    assert not (tmp_path / RAW).exists()


def test_the_zone_of_the_source_is_that_of_stamps_without_one(tmp_path: Path) -> None:
    write_inbox(tmp_path, moods())
    at = {"A": "2012-01-05 16:00", "B": "2012-01-05 16:01"}
    lines = [f"{symbol},{time},7" for symbol, time in at.items()]
    write_numbers(tmp_path, "MOOD", ["symbol,published_at,value", *lines])
    settings(tmp_path, sources={"csv": {"timezone": "America/New_York"}})
    with chdir(tmp_path):
        ingest.ingest(params.load().data, RAW)
        raw = [tables.read(RAW / "market" / f"MOOD of {symbol}.parquet") for symbol in at]
    assert [bars["date"].to_list() for bars in raw] == [[date(2012, 1, 5)], [date(2012, 1, 6)]]


def test_the_date_counts_where_the_publication_is_empty(tmp_path: Path) -> None:
    write_inbox(tmp_path, moods())
    lines = ["A,2012-01-05,2012-01-05T21:01:00Z,1", "A,2012-01-09,,2", "B,2012-01-07,,3"]
    write_numbers(tmp_path, "MOOD", ["symbol,date,published_at,value", *lines])
    settings(tmp_path)
    with chdir(tmp_path):
        ingest.ingest(params.load().data, RAW)
        raw = {name: tables.read(RAW / "market" / f"MOOD of {name}.parquet") for name in "AB"}
    assert {name: bars.select("date", "close").rows() for name, bars in raw.items()} == {
        "A": [(date(2012, 1, 6), 1.0), (date(2012, 1, 9), 2.0)],
        "B": [(date(2012, 1, 7), 3.0)],
    }


def test_a_source_without_such_files_says_that_it_has_no_values(tmp_path: Path) -> None:
    settings(tmp_path, source="sample", symbols=["IBM"], market=["sp500"], levels=[])
    with chdir(tmp_path), pytest.raises(StageError) as caught:
        ingest.ingest(params.load().data, RAW)
    assert facts(str(caught.value)) == facts("MOOD of IBM; 2012-02-29; MOOD; data.symbol_levels")


def test_a_series_has_a_number_for_each_symbol_or_one_for_all() -> None:
    data = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))["data"]
    SourceParams.model_validate(data | {"symbol_levels": ["MOOD"]})
    with pytest.raises(ValueError, match=r"symbol_levels: sp500 .*market"):
        SourceParams.model_validate(data | {"symbol_levels": ["sp500"]})


# After ingest


def test_values_may_end_with_their_symbol_and_not_before(tmp_path: Path) -> None:
    until = {"A": OPEN_DAYS[-1], "B": OPEN_DAYS[20]}
    write_inbox(tmp_path, {key: line for key, line in moods().items() if key[1] <= until[key[0]]})
    with pytest.raises(DataError) as caught:
        feature_table(tmp_path)
    assert {"data.symbol_levels", str(OPEN_DAYS[20])} <= facts(str(caught.value))
    assert "MOOD of B" in str(caught.value)
    closes = {day: 51.0 + at % 3 for at, day in enumerate(OPEN_DAYS[:21])}
    write_csv(tmp_path / "data" / "inbox", "B", closes, "100")
    assert feature_table(tmp_path).filter(symbol="B")["MOOD_level"].null_count() == 0


def test_numbers_are_judged_as_levels_and_their_features_go_to_the_server(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    report = json.loads(Path("metrics/clean.json").read_text(encoding="utf-8"))
    assert report["totals"]["market"]["large_moves"] == {}
    assert report["totals"]["market"]["rejected"] == {}
    data = params.load().data
    parts = {part.name: part for part in validate.with_levels(validate.clean_parts(), data)}
    bars = tables.read(CLEAN_MARKET)
    for name, symbols in (
        ("clean/market", {"INDEX"}),
        ("clean/levels", {"VIX", "MOOD of A", "MOOD of B"}),
    ):
        rows = parts[name].rows
        assert rows is not None
        assert set(bars.filter(rows)["symbol"]) == symbols
    latest.main()
    latest_rows, whole = tables.read(LATEST), tables.read(FEATURES_DAILY)
    assert set(latest_rows.filter("market")["symbol"]) == {"INDEX", "VIX"}
    for symbol in ("A", "B"):
        own = latest_rows.filter(symbol=symbol)
        assert own.height > 1
        assert own.select(MOOD).equals(whole.filter(symbol=symbol).tail(own.height).select(MOOD))


def test_a_number_that_is_revised_is_named(tmp_path: Path) -> None:
    write_inbox(tmp_path, moods())
    feature_table(tmp_path)
    day = OPEN_DAYS[5]
    write_inbox(tmp_path, moods() | {("A", day): f"A,{day} {NOON},9"})
    feature_table(tmp_path)
    revisions = pl.read_csv(tmp_path / REVISIONS).filter(column="close")
    assert revisions.select("symbol", "date", "held", "given").rows() == [
        ("MOOD of A", str(day), 4.0, 9.0)
    ]


def test_blocks_of_symbols_keep_each_symbol_with_its_values() -> None:
    days = OPEN_DAYS[:3]
    symbols = ["A", "B", "C"]
    bars = pl.concat([daily(symbol, [5.0] * 3, days) for symbol in symbols])
    values = {
        ("MOOD", symbol): daily("MOOD", [number, 10.0 + number], [days[0], days[2]])
        for number, symbol in enumerate(symbols)
    }
    panel = Panel.of(bars, {}, None, values)
    whole = panel.symbol_level("MOOD")
    assert whole.tolist() == [0, 0, 10, 1, 1, 11, 2, 2, 12]
    for size in (1, 4):
        parts = [part.symbol_level("MOOD") for _, part in panel.blocks(size)]
        assert len(parts) > 1
        assert np.concatenate(parts).tolist() == whole.tolist()
