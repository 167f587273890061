"""Good files, changed as exporters and hands change them: no wrong number comes through unnoticed.

Whatever is done to a file, each bar that clean keeps has the numbers that it had before; else the
run stops, or the bar is rejected.
"""

import csv
import io
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars.cleaning import actions
from stages.bars.cleaning.clean_bars import clean
from stages.common import tables
from stages.common.errors import StageError
from stages.ingest import ingest
from stages.sources import SourceParams
from tests.exchange import days, new_york, rules

pytestmark = pytest.mark.usefixtures("elsewhere")

COUNT = 40
HEADER = ["date", "open", "high", "low", "close", "volume"]
Table = list[list[str]]
Change = Callable[[Table, random.Random], Table]


def base() -> Table:
    """Bars that move by up to 4 % a day, as text."""
    walk, close, table = random.Random(7), 31.0, []  # noqa: S311  # the same on every run
    for day in days()[:COUNT]:
        opened = round(close * walk.uniform(0.98, 1.02), 2)
        close = round(opened * walk.uniform(0.98, 1.02), 2)
        high, low = max(opened, close) + 0.25, min(opened, close) - 0.25
        numbers = [f"{number:.2f}" for number in (opened, high, low, close)]
        table.append([str(day), *numbers, str(walk.randrange(900_000, 1_400_000))])
    return table


RIGHT = {row[0]: tuple(map(float, row[1:])) for row in base()}


def scaled(row: Sequence[str], by: float) -> list[str]:
    return [row[0], *(f"{float(price) * by:.6f}" for price in row[1:5]), row[5]]


def some(table: Table, chance: random.Random) -> int:
    return chance.randrange(1, len(table) - 1)


def shuffled(table: Table, chance: random.Random) -> Table:
    return chance.sample(table, len(table))


def repeated(table: Table, chance: random.Random) -> Table:
    at = some(table, chance)
    return [*table[:at], table[at], *table[at:]]


def contradicted(table: Table, chance: random.Random) -> Table:
    at = some(table, chance)
    return [*table, scaled(table[at], 1.01)]


def with_a_gap(table: Table, chance: random.Random) -> Table:
    at = some(table, chance)
    return [*table[:at], *table[at + 3 :]]


def with_a_day_in_another_unit(table: Table, chance: random.Random) -> Table:
    at, by = some(table, chance), chance.choice([100, 0.01, 10, 1000, 83.2])
    return [scaled(row, by) if row is table[at] else row for row in table]


def in_another_unit_from_a_day_on(table: Table, chance: random.Random) -> Table:
    at, by = some(table, chance), chance.choice([100, 0.01, 10, 1000, 83.2])
    return [row if number < at else scaled(row, by) for number, row in enumerate(table)]


def with_a_cell_in_another_unit(table: Table, chance: random.Random) -> Table:
    at, cell = some(table, chance), chance.randrange(1, 5)
    row = [*table[at]]
    row[cell] = f"{float(row[cell]) * chance.choice([100, 0.01, -1]):.4f}"
    return [*table[:at], row, *table[at + 1 :]]


def with_a_bad_cell(table: Table, chance: random.Random) -> Table:
    at, cell = some(table, chance), chance.randrange(6)
    row = [*table[at]]
    row[cell] = chance.choice(["", "-", "n/a", "halted", "inf", "0", "1,5", "£31.20", "12%"])
    return [*table[:at], row, *table[at + 1 :]]


def with_high_and_low_swapped(table: Table, _: random.Random) -> Table:
    return [[row[0], row[1], row[3], row[2], *row[4:]] for row in table]


def moved(day: str, by: int) -> str:
    return str(date.fromisoformat(day[:10]) + timedelta(days=by)) + day[10:]


def a_day_early_or_late(table: Table, chance: random.Random) -> Table:
    by = chance.choice([-1, 1])
    return [[moved(row[0], by), *row[1:]] for row in table]


def at_midnight_of_mumbai(table: Table, _: random.Random) -> Table:
    return [[f"{moved(row[0][:10], -1)} 18:30:00+00:00", *row[1:]] for row in table]


def at_midnight_of_new_york(table: Table, _: random.Random) -> Table:
    # Winter: the 40 sessions end in February.
    return [[f"{row[0][:10]} 05:00:00+00:00", *row[1:]] for row in table]


def in_dollars(table: Table, _: random.Random) -> Table:
    return [[row[0], *(f"${price}" for price in row[1:5]), row[5]] for row in table]


def with_a_decimal_comma(table: Table, _: random.Random) -> Table:
    return [[cell.replace(".", ",") for cell in row] for row in table]


def with_american_dates(table: Table, _: random.Random) -> Table:
    return [["/".join([*row[0].split("-")[1:], row[0][:4]]), *row[1:]] for row in table]


OF_BARS: list[Change] = [
    *(shuffled, repeated, with_a_gap, with_high_and_low_swapped),
    *(with_a_day_in_another_unit, in_another_unit_from_a_day_on, with_a_cell_in_another_unit),
    a_day_early_or_late,
]
OF_TEXT: list[Change] = [
    *(with_a_bad_cell, at_midnight_of_mumbai, at_midnight_of_new_york, in_dollars),
    *(with_a_decimal_comma, with_american_dates),
    # Last: of two bars that differ by a hundredth, one that stands alone is as good as the other.
    contradicted,
]


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """The file after up to three changes of its table, written in one way or another."""
    chance = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311  # the same on every run
    table = base()
    for changes, most in ((OF_BARS, 2), (OF_TEXT, 1)):
        for change in draw(st.lists(st.sampled_from(changes), max_size=most, unique=True)):
            table = change(table, chance)
    order = draw(st.permutations(range(6)))
    rows = [[row[at] for at in order] for row in [HEADER, *table]]
    if draw(st.integers(0, 9)) == 0:
        twin = draw(st.integers(0, 5))
        rows = [[*row, rows[0][twin] if at == 0 else row[1]] for at, row in enumerate(rows)]
    text = io.StringIO()
    text.write(draw(st.sampled_from(["", "", "# ACME\n\n", "Symbol,ACME\n"])))
    writer = csv.writer(
        text,
        delimiter=draw(st.sampled_from([",", ",", ",", ";", "\t"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        lineterminator="",
    )
    end = draw(st.sampled_from(["\n", "\r\n", ",\n"]))
    for row in rows:
        writer.writerow(row)
        text.write(end)
    text.write(draw(st.sampled_from(["", "", "\n", "Total,,,,,99\n", "Average,1,1,1,1,1\n"])))
    return text.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])))


def bars_in(content: bytes) -> dict[str, tuple[float, ...]]:
    """The bars that clean keeps, by their dates.

    Raises:
        StageError: ingest stops, or clean would.
    """
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "inbox").mkdir()
        (folder / "raw").mkdir()
        (folder / "inbox" / "ACME.csv").write_bytes(content)
        params = SourceParams.model_validate(
            {
                "source": "csv",
                "path": folder / "inbox",
                "as_of": "2012-12-31",
                "calendar": "XNYS",
                "extra_sessions": [],
                "symbols": [],
                "market": [],
                "sources": {"csv": {}},
            }
        )
        ingest(params, folder / "raw")
        bars = tables.read(folder / "raw" / "daily" / "ACME.parquet")
    finally:
        shutil.rmtree(folder)
    cleaned = clean(bars, tables.empty(actions.ACTION), new_york(), rules())
    if cleaned.moves["explained"].null_count():
        raise StageError("a jump has no explanation")
    return {str(row[0]): row[1:] for row in cleaned.bars.select(HEADER).iter_rows()}


@given(files())
def test_a_bar_that_is_kept_has_the_numbers_that_it_had(content: bytes) -> None:
    try:
        bars = bars_in(content)
    except StageError:
        return
    wrong = {day: bar for day, bar in bars.items() if bar != RIGHT.get(day)}
    assert wrong == {}


def test_the_file_as_it_is_comes_through_whole() -> None:
    text = "\n".join(",".join(row) for row in [HEADER, *base()])
    assert bars_in(text.encode()) == RIGHT


@pytest.mark.parametrize(
    "change",
    [
        in_another_unit_from_a_day_on,
        with_high_and_low_swapped,
        a_day_early_or_late,
        with_american_dates,
    ],
)
def test_a_change_of_every_bar_stops(change: Change) -> None:
    rows = [HEADER, *change(base(), random.Random(1))]  # noqa: S311  # the same on every run
    try:
        assert bars_in("\n".join(",".join(row) for row in rows).encode()) == {}
    except StageError:
        return
