"""data/raw/ as clean reads it: which files, in which groups."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars.cleaning import raw_files
from stages.bars.cleaning.raw_files import RawFile
from stages.common import tables
from stages.common.errors import DataError, InputError
from tests.exchange import days, raw, raw_hourly, write_raw
from tests.messages import facts
from tests.panels import examples


def test_files_are_sorted_by_symbol_whatever_their_names(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[raw("A.B", [1.0]), raw("AB", [1.0, 2.0]), raw("^X", [1.0] * 3)])
    files = raw_files.catalogue(tmp_path / "daily", "date")
    assert [(file.symbol, file.rows, file.first, file.last) for file in files] == [
        ("A.B", 1, days()[0], days()[0]),
        ("AB", 2, days()[0], days()[1]),
        ("^X", 3, days()[0], days()[2]),
    ]
    bars = raw_files.read(files, tables.RAW_DAILY)
    assert bars["symbol"].to_list() == ["A.B", "AB", "AB", "^X", "^X", "^X"]


def test_hours_have_days_in_utc(tmp_path: Path) -> None:
    night = datetime(2012, 1, 4, 23, 30, tzinfo=UTC)
    bars = raw_hourly("ACME", [(night, 1.0), (night + timedelta(hours=1), 1.0)])
    write_raw(tmp_path, hourly=[bars])
    (file,) = raw_files.catalogue(tmp_path / "hourly", "timestamp")
    assert (file.first, file.last) == (date(2012, 1, 4), date(2012, 1, 5))


def test_files_of_other_writers_need_no_statistics(tmp_path: Path) -> None:
    bars = raw("ACME", [1.0, 2.0])
    bars.write_parquet(tmp_path / "a.parquet", statistics=False)
    bars.with_columns(symbol=pl.lit("BOLT")).write_parquet(tmp_path / "b.parquet")
    files = raw_files.catalogue(tmp_path, "date")
    assert [(file.symbol, file.rows, file.last) for file in files] == [
        ("ACME", 2, days()[1]),
        ("BOLT", 2, days()[1]),
    ]


def test_no_folder_is_no_files(tmp_path: Path) -> None:
    assert raw_files.catalogue(tmp_path / "hourly", "timestamp") == []


def test_a_truncated_file(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[raw("ACME", [1.0, 2.0])])
    path = tmp_path / "daily" / "99.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"99\.parquet: cannot be read as Parquet"):
        raw_files.catalogue(tmp_path / "daily", "date")


def test_a_file_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[raw("ACME", [1.0, 2.0]), raw("BOLT", [1.0] * 200)])
    path = tmp_path / "daily" / "98.parquet"
    files = raw_files.catalogue(tmp_path / "daily", "date")
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"98\.parquet: cannot be read as Parquet"):
        raw_files.read(files, tables.RAW_DAILY)


def test_a_file_without_a_column(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[raw("ACME", [1.0]).drop("volume")])
    files = raw_files.catalogue(tmp_path / "daily", "date")
    with pytest.raises(DataError) as caught:
        raw_files.read(files, tables.RAW_DAILY)
    assert facts(str(caught.value)) == facts(
        f"{tmp_path}/daily/99.parquet: no column volume; it has symbol, date, open, high, low, "
        "close, adj_close"
    )


def test_a_file_without_a_symbol(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[raw("ACME", [1.0]).select("date", "close")])
    with pytest.raises(DataError) as caught:
        raw_files.catalogue(tmp_path / "daily", "date")
    assert facts(str(caught.value)) == facts(
        f"{tmp_path}/daily/99.parquet: no column symbol; it has date, close"
    )


def test_a_file_of_no_bars(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[raw("ACME", [])])
    with pytest.raises(DataError) as caught:
        raw_files.catalogue(tmp_path / "daily", "date")
    assert facts(str(caught.value)) == facts(
        f"{tmp_path}/daily/99.parquet: holds no bars; remove the file, or run ingest again"
    )


def test_a_file_of_two_symbols(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[pl.concat([raw("ACME", [1.0]), raw("BOLT", [1.0])])])
    with pytest.raises(DataError) as caught:
        raw_files.catalogue(tmp_path / "daily", "date")
    assert facts(str(caught.value)) == facts(
        f"{tmp_path}/daily/99.parquet: holds bars of ACME and of BOLT; a raw file is of one "
        "symbol, run ingest again"
    )


def test_two_files_of_one_symbol(tmp_path: Path) -> None:
    write_raw(tmp_path, daily=[raw("ACME", [1.0]), raw("ACME", [1.0])])
    with pytest.raises(DataError) as caught:
        raw_files.catalogue(tmp_path / "daily", "date")
    assert facts(str(caught.value)) == facts(
        f"{tmp_path}/daily/98.parquet and 99.parquet both hold ACME; remove one of them, or run "
        "ingest again"
    )


@examples(100)
@given(st.lists(st.integers(1, 30), max_size=12), st.integers(1, 40))
def test_groups_hold_every_file_in_order_and_are_as_large_as_may_be(
    lengths: list[int], room: int
) -> None:
    files = [
        RawFile(Path(str(at)), str(at), rows, days()[0], days()[1])
        for at, rows in enumerate(lengths)
    ]
    groups = raw_files.groups(files, room)
    assert [file for group in groups for file in group] == files
    sizes = [sum(file.rows for file in group) for group in groups]
    assert all(size <= room or len(group) == 1 for size, group in zip(sizes, groups, strict=True))
    assert all(
        size + following[0].rows > room for size, following in zip(sizes, groups[1:], strict=False)
    )
