"""Parquet files as users have them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.common import tables
from stages.common.errors import InputError, SourceError
from stages.common.options import validated
from stages.sources import Request, Series, parquet
from tests.messages import facts

BARS = pl.DataFrame(
    {
        "date": [date(2020, 1, 3), date(2020, 1, 2)],
        "open": [10.0, 11.0],
        "high": [12.0, 13.0],
        "low": [9.0, float("nan")],
        "close": [11.0, None],
        "volume": [1000, 2000],
    }
)


def fetch(
    path: Path, symbols: Sequence[str] = (), market: Sequence[str] = (), **options: Any
) -> list[Series]:
    request = Request(tuple(symbols), tuple(market), date(2030, 1, 1), path)
    return list(parquet.fetch(request, **validated(parquet.fetch, options)))


def failure(path: Path, **options: Any) -> str:
    with pytest.raises((InputError, SourceError)) as caught:
        fetch(path, **options)
    return str(caught.value)


def test_rows_come_as_they_are_in_the_types_of_the_contract(tmp_path: Path) -> None:
    BARS.write_parquet(tmp_path / "M&M.parquet")
    [series] = fetch(tmp_path)
    expected = BARS.with_columns(
        pl.lit("M&M").alias("symbol"),
        pl.lit(None, dtype=pl.Float64).alias("adj_close"),
        pl.col("volume").cast(pl.Float64),
    ).select(list(tables.RAW_DAILY))
    assert (series.kind, series.symbol) == ("daily", "M&M")
    assert_frame_equal(series.bars, expected)


@pytest.mark.parametrize(
    "dates",
    [
        pl.Series([datetime(2020, 1, 2)], dtype=pl.Datetime("ns")),  # noqa: DTZ001  # pandas' own
        pl.Series([datetime(2020, 1, 1, 18, 30, tzinfo=UTC)]).dt.convert_time_zone("Asia/Kolkata"),
        pl.Series(["2020-01-02"]),
        pl.Series(["02-Jan-2020"]),
    ],
)
def test_a_date_in_any_type(tmp_path: Path, dates: pl.Series) -> None:
    BARS.head(1).with_columns(dates.alias("date")).write_parquet(tmp_path / "A.parquet")
    [series] = fetch(tmp_path)
    assert series.bars["date"].to_list() == [date(2020, 1, 2)]


@pytest.mark.parametrize(
    "stamps",
    [
        pl.Series([datetime(2020, 1, 2, 9, 15)], dtype=pl.Datetime("ms")),  # noqa: DTZ001
        pl.Series([datetime(2020, 1, 2, 3, 45, tzinfo=UTC)], dtype=pl.Datetime("ns", "UTC")),
        pl.Series(["2020-01-02 09:15:00"]),
        pl.Series(["2020-01-01T22:45:00-05:00"]),
    ],
)
def test_a_timestamp_in_any_type(tmp_path: Path, stamps: pl.Series) -> None:
    BARS.head(1).with_columns(stamps.alias("date")).write_parquet(tmp_path / "A.parquet")
    [series] = fetch(tmp_path, columns={"timestamp": "date"}, timezone="Asia/Kolkata")
    assert series.kind == "hourly"
    assert series.bars.schema == dict(tables.RAW_HOURLY)
    assert series.bars["timestamp"].to_list() == [datetime(2020, 1, 2, 3, 45, tzinfo=UTC)]


def test_one_file_holds_all_symbols(tmp_path: Path) -> None:
    rows = pl.concat([BARS.with_columns(pl.lit(name).alias("code")) for name in ("B", "A", "IDX")])
    rows.write_parquet(tmp_path / "all.pq")
    series = fetch(tmp_path / "all.pq", market=["IDX"], columns={"symbol": "code"})
    assert [(s.kind, s.symbol, s.bars.height) for s in series] == [
        ("daily", "A", 2),
        ("daily", "B", 2),
        ("market", "IDX", 2),
    ]
    assert series[0].bars["date"].to_list() == BARS["date"].to_list()


def test_symbols_that_are_numbers(tmp_path: Path) -> None:
    BARS.with_columns(pl.lit(500325).alias("code")).write_parquet(tmp_path / "bse.parquet")
    [series] = fetch(tmp_path, ["500325"], columns={"symbol": "code"})
    assert series.bars["symbol"].to_list() == ["500325", "500325"]


def test_numbers_as_text(tmp_path: Path) -> None:
    text = BARS.with_columns(pl.Series("close", ["1,968.95", "-"]))
    text.write_parquet(tmp_path / "A.parquet")
    [series] = fetch(tmp_path, thousands=",")
    assert series.bars["close"].to_list() == [1968.95, None]


def test_a_truncated_file(tmp_path: Path) -> None:
    BARS.write_parquet(tmp_path / "A.parquet")
    whole = (tmp_path / "A.parquet").read_bytes()
    (tmp_path / "A.parquet").write_bytes(whole[: len(whole) // 2])
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.parquet: cannot be read as Parquet (parquet: File out of specification: "
        "The file must end with PAR1 or PARE); fetch or export the file again"
    )


def test_a_missing_column(tmp_path: Path) -> None:
    BARS.drop("low").write_parquet(tmp_path / "A.parquet")
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}/A.parquet: no column 'low'; it has date, open, high, close, volume; "
        "name it in data.sources.parquet.columns.low"
    )


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "close",
            ["1.5", "n.t."],
            "row 2: 'n.t.' is not a number; correct the file (an empty cell stands for no value)",
        ),
        ("close", [True, False], "row 1: Boolean is not a number; export the column as numbers"),
        ("high", [1.0, float("inf")], "row 2: inf is not a price or volume"),
        (
            "date",
            [True, False],
            "row 1: Boolean is neither a date nor text; export it as one",
        ),
        ("date", [date(2020, 1, 2), None], "row 2: is empty; a bar needs its date"),
    ],
)
def test_a_cell_that_cannot_be_read(
    tmp_path: Path, column: str, values: list[Any], message: str
) -> None:
    BARS.with_columns(pl.Series(column, values)).write_parquet(tmp_path / "A.parquet")
    assert failure(tmp_path) == f"{tmp_path}/A.parquet: column {column}, {message}"


def test_an_empty_folder(tmp_path: Path) -> None:
    assert facts(failure(tmp_path)) == facts(
        f"{tmp_path}: holds no .parquet file; put one file per symbol there, such as TCS.parquet, "
        "or set data.path to the folder or file that holds your bars; a clone, and an experiment "
        "in a folder of its own, have only files that git or DVC knows: "
        f"`git add {tmp_path}`, or `dvc add` each"
    )
