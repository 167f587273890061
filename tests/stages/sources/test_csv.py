"""CSV files as users have them: every layout, mark and date, and every way to be unreadable."""

import csv
import gzip
import importlib.util
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from stages.common import tables
from stages.common.errors import InputError, SourceError
from stages.common.options import validated
from stages.sources import Request, Series
from stages.sources import _files as files
from stages.sources import csv as source
from stages.sources._date_formats import DAYS, STAMPS
from stages.sources._dates import _walls, stamps, walls
from stages.sources._numbers import numbers
from tests.messages import facts

HEADER = "date,open,high,low,close,volume\n"
ROW = "2020-01-02,10,12,9,11,1000\n"


def days(text: pl.Series, formats: Sequence[str], option: str) -> pl.Series:
    return walls(text, formats, option).dt.date()


def fetch(
    path: Path, symbols: Sequence[str] = (), market: Sequence[str] = (), **options: Any
) -> list[Series]:
    request = Request(tuple(symbols), tuple(market), date(2030, 1, 1), path)
    return list(source.fetch(request, **validated(source.fetch, options)))


def one(path: Path, **options: Any) -> pl.DataFrame:
    [series] = fetch(path, **options)
    return series.bars


def failure(path: Path, **options: Any) -> str:
    with pytest.raises((InputError, SourceError)) as caught:
        fetch(path, **options)
    return str(caught.value)


def test_one_file_per_symbol_is_named_after_it(tmp_path: Path) -> None:
    for name in ("M&M", "BAJAJ-AUTO", "TCS.NS", "^GSPC", "EUR%2FUSD"):
        (tmp_path / f"{name}.csv").write_text(HEADER + ROW)
    (tmp_path / "README.md").write_text("not bars")
    (tmp_path / ".~lock.TCS.csv").write_text("not bars")
    series = fetch(tmp_path)
    assert [s.symbol for s in series] == ["BAJAJ-AUTO", "EUR/USD", "M&M", "TCS.NS", "^GSPC"]
    assert {s.kind for s in series} == {"daily"}
    expected = pl.DataFrame(
        [("M&M", date(2020, 1, 2), 10.0, 12.0, 9.0, 11.0, None, 1000.0)],
        schema=dict(tables.RAW_DAILY),
        orient="row",
    )
    assert_frame_equal(series[2].bars, expected)


def test_rows_come_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(
        "date,open,high,low,close,volume\n"
        "2020-01-03,10,8,9,-11,1000\n"
        "2020-01-02,,NaN,n/a,-,null\n"
        "2020-01-03,10,8,9,-11,1000\n"
    )
    bars = one(tmp_path)
    assert bars["date"].to_list() == [date(2020, 1, 3), date(2020, 1, 2), date(2020, 1, 3)]
    assert bars["close"].to_list() == [-11.0, None, -11.0]
    assert bars.row(1)[2:] == (None,) * 6


def test_columns_are_found_by_their_mapped_names(tmp_path: Path) -> None:
    # NSE writes a blank after each name, Excel a byte-order mark before the first.
    (tmp_path / "TCS.csv").write_text(
        "\ufeffDate ,series ,OPEN ,HIGH ,LOW ,ltp ,close ,Adj Close\n"
        "02-Jan-2020,EQ,10,12,9,11.5,11,10.5\n",
        encoding="utf-8",
    )
    columns = {
        "date": "Date",
        "open": "OPEN",
        "high": "HIGH",
        "low": "LOW",
        "close": "close",
        "adj_close": "Adj Close",
        "volume": None,
    }
    bars = one(tmp_path, columns=columns)
    assert bars.row(0) == ("TCS", date(2020, 1, 2), 10.0, 12.0, 9.0, 11.0, 10.5, None)


def test_thousands_and_decimals_as_a_german_export_writes_them(tmp_path: Path) -> None:
    (tmp_path / "SAP.csv").write_text(
        "date;open;high;low;close;volume\n31.12.2020;1.000,5;1.012;999,25;1.011,75;1.234.567\n"
    )
    bars = one(tmp_path, delimiter=";", thousands=".", decimal=",", date_format="%d.%m.%Y")
    assert bars.row(0)[1:] == (
        date(2020, 12, 31),
        *(1000.5, 1012.0, 999.25, 1011.75),
        None,
        1234567.0,
    )


def test_a_compressed_file_reads_alike(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "A.csv.gz", "wt") as file:
        file.write(HEADER + ROW)
    assert one(tmp_path)["symbol"].to_list() == ["A"]


def test_a_single_file_may_be_one_symbol(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(HEADER + ROW)
    assert one(tmp_path / "A.csv")["symbol"].to_list() == ["A"]


def test_lines_with_nothing_on_them_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(HEADER + "\n" + ROW + "\n,,,,,\n" + "2020-01-03,x,1,1,1,1\n")
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.csv: column open, row 6: 'x' is not a number; "
        "correct the file (an empty cell stands for no value)"
    )


def write_many(path: Path, rows: list[tuple[str, str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Ticker", "date", "open", "high", "low", "close", "volume"])
        writer.writerows([name, day, price, price, price, price, 1] for name, day, price in rows)


@pytest.mark.parametrize("group_rows", [1, 3, 1000])
def test_a_symbol_column_gathers_each_symbol_from_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int
) -> None:
    monkeypatch.setattr(files, "GROUP_ROWS", group_rows)
    write_many(tmp_path / "2019.csv", [("B", "2019-01-02", 1), ("A", "2019-01-02", 2)])
    write_many(
        tmp_path / "2020.csv",
        [("A", "2020-01-03", 3), ("IDX", "2020-01-02", 9), ("A", "2020-01-02", 4)],
    )
    columns = {"symbol": "Ticker"}
    series = fetch(tmp_path, market=["IDX"], columns=columns)
    closes = {(s.kind, s.symbol): s.bars["close"].to_list() for s in series}
    assert closes == {
        ("daily", "A"): [2.0, 3.0, 4.0],
        ("daily", "B"): [1.0],
        ("market", "IDX"): [9.0],
    }
    whole = fetch(tmp_path / "2020.csv", ["A"], columns=columns)
    assert whole[0].bars["close"].to_list() == [3.0, 4.0]


def test_a_row_without_its_symbol_is_refused(tmp_path: Path) -> None:
    write_many(tmp_path / "all.csv", [("A", "2020-01-02", 1), (" ", "2020-01-03", 1)])
    assert facts(failure(tmp_path, columns={"symbol": "Ticker"})) == facts(
        f"{tmp_path}/all.csv: column Ticker, row 3: is empty; a bar needs its symbol"
    )


def test_market_series_are_files_beside_the_symbols_or_in_their_own_folder(tmp_path: Path) -> None:
    for name in ("A", "NIFTY"):
        (tmp_path / f"{name}.csv").write_text(HEADER + ROW)
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "VIX.csv").write_text(HEADER + ROW)
    series = fetch(tmp_path, market=["NIFTY", "VIX"])
    assert sorted((s.kind, s.symbol) for s in series) == [
        ("daily", "A"),
        ("market", "NIFTY"),
        ("market", "VIX"),
    ]


def test_hourly_files_lie_in_their_own_folder_beside_daily_ones(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(HEADER + ROW)
    (tmp_path / "hourly").mkdir()
    (tmp_path / "hourly" / "A.csv").write_text(
        "time,open,high,low,close,volume\n2020-01-02 09:15,1,1,1,1,5\n"
    )
    daily, hourly = fetch(
        tmp_path, columns={"date": "date", "timestamp": "time"}, timezone="Asia/Kolkata"
    )
    assert (daily.kind, daily.bars.height) == ("daily", 1)
    assert hourly.kind == "hourly"
    assert hourly.bars.schema == dict(tables.RAW_HOURLY)
    assert hourly.bars["timestamp"].to_list() == [datetime(2020, 1, 2, 3, 45, tzinfo=UTC)]


def test_files_with_only_a_timestamp_hold_hourly_bars(tmp_path: Path) -> None:
    (tmp_path / "EURUSD.csv").write_text(
        "Time,Open,High,Low,Close,Volume\n"
        "01.01.2017 22:00:00.000,1.05236,1.05253,1.05221,1.05227,143539993.3\n"
    )
    [series] = fetch(
        tmp_path,
        columns={
            "date": None,
            "timestamp": "Time",
            **{name: name.capitalize() for name in ("open", "high", "low", "close", "volume")},
        },
        date_format="%d.%m.%Y %H:%M:%S.%f",
    )
    assert series.kind == "hourly"
    assert series.bars.row(0) == (
        "EURUSD",
        datetime(2017, 1, 1, 22, tzinfo=UTC),
        *(1.05236, 1.05253, 1.05221, 1.05227),
        None,
        143539993.3,
    )


def test_the_shipped_hourly_bars_all_come_in() -> None:
    spec = importlib.util.find_spec("gym_anytrading")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    file = folder / "datasets" / "data" / "FOREX_EURUSD_1H_ASK.csv"
    bars = one(
        file,
        columns={
            "timestamp": "Time",
            **{name: name.capitalize() for name in ("open", "high", "low", "close", "volume")},
        },
        date_format="%d.%m.%Y %H:%M:%S.%f",
    )
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert bars.height == len(rows) == 6225
    assert bars["close"].to_list() == [float(row["Close"]) for row in rows]
    assert bars["timestamp"].to_list() == [
        datetime.strptime(row["Time"], "%d.%m.%Y %H:%M:%S.%f").replace(tzinfo=UTC) for row in rows
    ]


# What is not there


def test_an_empty_folder(tmp_path: Path) -> None:
    message = failure(tmp_path)
    for fact in (f"{tmp_path}: ", "no .csv file", "data.path", f"git add {tmp_path}", "dvc add"):
        assert fact in message


def test_the_page_says_by_which_commands_git_knows_the_files(repo_root: Path) -> None:
    text = " ".join((repo_root / "docs" / "data.md").read_text(encoding="utf-8").split())
    section = text.partition("Let git know the files")[2].partition(" Then run ")[0]
    for fact in (
        "(`git add data/inbox`), or",
        "`dvc add data/inbox/*.csv`",
        "`--temp`",
        "`--queue`",
    ):
        assert fact in section


def test_a_path_that_is_missing(tmp_path: Path) -> None:
    assert facts(failure(tmp_path / "bars")) == facts(
        f"{tmp_path}/bars: no such file or folder; set data.path to the one that holds your bars"
    )


def test_a_symbol_that_is_not_there(tmp_path: Path) -> None:
    for name in ("INFY", "TCS", "WIPRO"):
        (tmp_path / f"{name}.csv").write_text(HEADER + ROW)
    assert facts(failure(tmp_path, symbols=["INFY", "tcs.ns", "X"])) == facts(
        f"{tmp_path}: no tcs.ns, X (data.symbols); did you mean TCS? it has INFY, TCS, WIPRO"
    )
    assert facts(failure(tmp_path, market=["NIFTY"])) == facts(
        f"{tmp_path}: no NIFTY (data.market); did you mean INFY? it has INFY, TCS, WIPRO"
    )


def test_a_folder_of_market_series_alone(tmp_path: Path) -> None:
    (tmp_path / "NIFTY.csv").write_text(HEADER + ROW)
    assert facts(failure(tmp_path, market=["NIFTY"])) == facts(
        f"{tmp_path}: holds market series only; add the bars of each symbol"
    )


def test_two_files_of_one_symbol(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(HEADER + ROW)
    (tmp_path / "A.csv.gz").write_bytes(gzip.compress((HEADER + ROW).encode()))
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.csv, {tmp_path}/A.csv.gz: both hold A; keep one of them"
    )


def test_a_missing_column(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("date,open,high,low,Close,qty\n2020-01-02,1,1,1,1,1\n")
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.csv: no column 'close', 'volume'; did you mean Close? it has date, open, "
        "high, low, Close, qty; name it in data.sources.csv.columns.close"
    )


def test_hourly_files_without_a_timestamp_column(tmp_path: Path) -> None:
    (tmp_path / "hourly").mkdir()
    (tmp_path / "hourly" / "A.csv").write_text(HEADER + ROW)
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/hourly/A.csv: is a hourly file, and data.sources.csv.columns.timestamp "
        "names no column"
    )


# What cannot be read


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as CSV (empty CSV); export it again as CSV in UTF-8"),
        (
            (HEADER + ROW + "2020-01-02,1,2,3,4,5,6,7\n").encode(),
            "row 3 has more fields than the 6 columns",
        ),
        (
            (HEADER + ROW + "Z\u00fcrich,1,2,3,4,5\n").encode("latin-1"),
            "row 3 is not UTF-8; in cp1252 it reads 'Z\u00fcrich,1,2,3,4,5': "
            "set data.sources.csv.encoding to cp1252",
        ),
    ],
)
def test_a_file_that_is_no_csv(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "A.csv").write_bytes(content)
    assert facts(failure(tmp_path)) == facts(f"{tmp_path}/A.csv: {reason}")


def test_a_truncated_archive(tmp_path: Path) -> None:
    whole = gzip.compress((HEADER + ROW * 1000).encode())
    (tmp_path / "A.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.csv.gz: cannot be read as CSV (unexpected end of file); "
        "export it again as CSV in UTF-8"
    )


def test_a_file_without_rows(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(HEADER)
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.csv: holds no bars; export it again or remove it"
    )


def test_text_in_a_price(tmp_path: Path) -> None:
    rows = "".join(
        f"2020-01-{day:02},10,12,9,{'halted' if day % 2 else 11},1\n" for day in range(2, 9)
    )
    (tmp_path / "A.csv").write_text(HEADER + rows)
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.csv: column close, row 3: 'halted' is not a number; "
        "correct the file (an empty cell stands for no value) (2 more rows like it)"
    )


@pytest.mark.parametrize(
    ("cell", "options", "remedy"),
    [
        (
            '"1,968.95"',
            {},
            "set data.sources.csv.thousands to ',' and data.sources.csv.decimal to '.' "
            "if these are thousands",
        ),
        (
            '"1.968,95"',
            {},
            "set data.sources.csv.thousands to '.' and data.sources.csv.decimal to ',' "
            "if these are thousands",
        ),
        ('"19,5"', {"thousands": ","}, "correct the file (an empty cell stands for no value)"),
        ('"19.5"', {"decimal": ","}, "correct the file (an empty cell stands for no value)"),
        ("inf", {}, "correct the file (an empty cell stands for no value)"),
        ("1_000", {}, "correct the file (an empty cell stands for no value)"),
    ],
)
def test_a_number_that_would_have_to_be_guessed(
    tmp_path: Path, cell: str, options: dict[str, Any], remedy: str
) -> None:
    (tmp_path / "A.csv").write_text(HEADER + f"2020-01-02,1,1,1,{cell},1\n")
    text = cell.strip('"')
    assert facts(failure(tmp_path, **options)) == facts(
        f"{tmp_path}/A.csv: column close, row 2: {text!r} is not a number; {remedy}"
    )


def test_one_mark_with_two_meanings(tmp_path: Path) -> None:
    assert facts(failure(tmp_path, thousands=",", decimal=",")) == facts(
        "data.sources.csv.thousands and data.sources.csv.decimal are both ','; "
        "a mark can only have one meaning"
    )


def test_a_bar_without_its_date(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(HEADER + ROW + ",1,1,1,1,1\n")
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.csv: column date, row 3: is empty; a bar needs its date"
    )


@pytest.mark.parametrize(
    ("texts", "formats", "message"),
    [
        (
            ["03/04/2020", "13/04/2020"],
            [],
            "row 2: '03/04/2020' is in no format that is safe to guess; set "
            "data.sources.csv.date_format to '%d/%m/%Y', which fits every row "
            "(1 more row like it)",
        ),
        (
            ["03/04/2020"],
            ["%Y-%m-%d"],
            "row 2: '03/04/2020' does not fit '%Y-%m-%d'; set data.sources.csv.date_format to the "
            "one that the exporter used: '%d/%m/%Y' or '%m/%d/%Y' (each fits every row)",
        ),
        (
            ["2020-01-02", "today"],
            ["%Y-%m-%d"],
            "row 3: 'today' does not fit '%Y-%m-%d'; correct the file, or set "
            "data.sources.csv.date_format to its own format, such as '%d/%m/%Y'",
        ),
        (
            ["13/04/2020", "03/04/2020"],
            ["%d/%m/%Y", "%m/%d/%Y"],
            "row 3: '03/04/2020' fits more than one format of data.sources.csv.date_format "
            "('%d/%m/%Y', '%m/%d/%Y'), and they disagree; keep the exporter's own",
        ),
        (
            ["01/02/20"],
            ["%d/%m/%Y"],
            "row 2: '01/02/20' does not fit '%d/%m/%Y'; set data.sources.csv.date_format to the "
            "one that the exporter used: '%d/%m/%y' or '%m/%d/%y' (each fits every row)",
        ),
        (
            ["2021-02-29"],
            [],
            "row 2: '2021-02-29' is in no format that is safe to guess; correct the file, or set "
            "data.sources.csv.date_format to its own format, such as '%d/%m/%Y'",
        ),
    ],
)
def test_a_date_that_would_have_to_be_guessed(
    tmp_path: Path, texts: list[str], formats: list[str], message: str
) -> None:
    (tmp_path / "A.csv").write_text(HEADER + "".join(f"{text},1,1,1,1,1\n" for text in texts))
    assert failure(tmp_path, date_format=formats) == f"{tmp_path}/A.csv: column date, {message}"


def test_several_formats_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(HEADER + "13/04/2020,1,1,1,1,1\n14-Apr-20,1,1,1,1,1\n")
    bars = one(tmp_path, date_format=["%d/%m/%Y", "%d-%b-%y"])
    assert bars["date"].to_list() == [date(2020, 4, 13), date(2020, 4, 14)]


def test_an_hour_that_the_clocks_show_twice(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("time,open,high,low,close\n2017-10-29 01:30:00,1,1,1,1\n")
    columns = {"timestamp": "time", "volume": None}
    assert facts(failure(tmp_path, columns=columns, timezone="Europe/London")) == facts(
        f"{tmp_path}/A.csv: column time, row 2: 2017-10-29 01:30:00 is shown twice or never by the "
        "clocks of Europe/London; give the stamps in UTC or with their offset"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"date_format": "YYYY-MM-DD"}, "'YYYY-MM-DD' does not hold year, month and day"),
        ({"date_format": ["%d/%m"]}, "'%d/%m' does not hold year, month and day"),
        ({"timezone": "Mumbai"}, "unknown time zone 'Mumbai'"),
        ({"columns": {"open": "close"}}, "close cannot be two of our columns at once"),
        ({"columns": {"opening": "open"}}, "Extra inputs are not permitted"),
        ({"decimal": ";"}, "Input should be '.' or ','"),
        ({"thousands": "''"}, "must be one character, got \"''\""),
        ({"delimiter": ""}, "must be one character, got ''"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        validated(source.fetch, options)


# Laws

DATES = st.dates(date(1970, 1, 1), date(2068, 12, 31))


@settings(max_examples=5)
@given(DATES)
def test_a_default_format_reads_every_day_as_any_other_default_does(day: date) -> None:
    moment = datetime(day.year, day.month, day.day, 15, 30, tzinfo=UTC)
    texts = pl.Series([moment.strftime(form) for form in DAYS])
    assert set(days(texts, [], "date_format")) == {day}
    for form in DAYS:
        assert set(_walls(texts, form).dt.date().drop_nulls()) == {day}


@given(
    DATES,
    st.sampled_from(["%d/%m/%Y", "%m-%d-%y", "%d.%m.%y", "%A, %d %B %Y", "%Y%j", "%d%m%Y", "%x"]),
)
def test_a_given_format_reads_what_strftime_wrote(day: date, form: str) -> None:
    assert days(pl.Series([day.strftime(form)]), [form], "date_format").to_list() == [day]


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001  # on some clocks
    st.sampled_from([0, 330, -300, 60]),
    st.sampled_from([form for form in STAMPS if "%S" in form]),
)
def test_a_stamp_is_the_instant_that_was_written(moment: datetime, minutes: int, form: str) -> None:
    moment = moment.replace(microsecond=0 if "%f" not in form else moment.microsecond)
    zone = "Asia/Kolkata"
    if "%z" in form:
        offset = timedelta(minutes=minutes)
        sign = "-" if minutes < 0 else "+"
        text = (
            moment.strftime(form.replace("%z", ""))
            + f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        )
    else:
        offset = timedelta(hours=5, minutes=30)
        text = moment.strftime(form)
    [read] = stamps(pl.Series([text]), [], "date_format", zone)
    assert read == (moment - offset).replace(tzinfo=UTC)


def test_a_stamp_in_utc_by_its_letter() -> None:
    [read] = stamps(pl.Series(["2020-01-02T03:45:00Z"]), [], "date_format", "Asia/Kolkata")
    assert read == datetime(2020, 1, 2, 3, 45, tzinfo=UTC)


def test_a_day_is_the_one_on_the_clocks_beside_it() -> None:
    text = pl.Series(["2020-01-02 00:00:00+05:30", "2020-01-02 23:00:00-05:00"])
    assert days(text, [], "date_format").to_list() == [date(2020, 1, 2)] * 2


def indian(value: int) -> str:
    """12,34,567: the last three digits, then twos."""
    head, tail = divmod(value, 1000)
    if not head:
        return str(value)
    groups = [f"{tail:03}"]
    while head >= 100:
        head, part = divmod(head, 100)
        groups.append(f"{part:02}")
    return ",".join([str(head), *reversed(groups)])


@given(st.integers(0, 10**13), st.integers(0, 99))
def test_grouped_numbers_are_the_numbers(value: int, cents: int) -> None:
    exact = value + cents / 100
    for text in (f"{value:,}.{cents:02}", f"{indian(value)}.{cents:02}", f"{value}.{cents:02}"):
        assert numbers(pl.Series([text]), thousands=",", decimal=".", option="").to_list() == [
            pytest.approx(exact, rel=1e-15)
        ]
    swapped = f"{value:,}.{cents:02}".translate(str.maketrans(",.", ".,"))
    assert numbers(pl.Series([swapped]), thousands=".", decimal=",", option="").to_list() == [
        pytest.approx(exact, rel=1e-15)
    ]


def test_a_letter_behind_a_number_is_its_unit() -> None:
    text = pl.Series(["2.3K", "1.10M", "2.5B", "1T", "7 k"])
    read = numbers(text, thousands="", decimal=".", option="").to_list()
    assert read == [2300.0, 1.1e6, 2.5e9, 1e12, 7000.0]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))))
def test_plain_numbers_keep_every_bit(values: list[float | None]) -> None:
    text = pl.Series([None if value is None else repr(value) for value in values], dtype=pl.String)
    assert numbers(text, thousands=",", decimal=".", option="").to_list() == values
