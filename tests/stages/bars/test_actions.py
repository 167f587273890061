"""The hand-kept corporate actions, the source's own, and lines that would explain a jump."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bars.cleaning.actions import (
    combine,
    doubtful,
    line,
    nearest_ratio,
    read_hand_kept,
    suggested,
    unexplained,
)
from stages.bars.cleaning.adjust import MOVE
from stages.bars.cleaning.jumps import RATIOS
from stages.common import tables
from stages.common.errors import DataError, InputError
from tests.exchange import ex_dates
from tests.messages import facts
from tests.panels import examples

DAY = date(2017, 9, 7)


def written(folder: Path, text: str) -> Path:
    path = folder / "actions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def moves(
    *rows: tuple[str, date, float, float, float],
    doubt: str | None = None,
    since: date | None = None,
) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (symbol, day, previous, opened, opened, step, doubt, since, None)
            for symbol, day, previous, opened, step in rows
        ],
        schema=dict(MOVE),
        orient="row",
    )


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    text = """# what the source does not know
symbol,date,ratio,dividend

RELIANCE, 2017-09-07, 2
ACME,2012-05-03,1,0.5
ACME,2012-05-04,1
# an index that is wild
^VIX,,1
"""
    actions = read_hand_kept(written(tmp_path, text))
    assert actions.schema == dict(tables.ACTIONS)
    assert actions.rows() == [
        ("RELIANCE", DAY, 2.0, 0.0),
        ("ACME", date(2012, 5, 3), 1.0, 0.5),
        ("ACME", date(2012, 5, 4), 1.0, 0.0),
        ("^VIX", None, 1.0, 0.0),
    ]


def test_the_file_of_the_project_holds_no_actions(repo_root: Path) -> None:
    assert (repo_root / "data" / "actions.csv").read_bytes() == b"symbol,date,ratio\n"
    assert read_hand_kept(repo_root / "data" / "actions.csv").is_empty()


def test_no_file_is_no_actions(tmp_path: Path) -> None:
    assert read_hand_kept(tmp_path / "actions.csv").equals(tables.empty(tables.ACTIONS))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("ACME,2017-09-07", "has 2 fields under 3 columns"),
        ("ACME,2017-09-07,2,0,1", "has 5 fields under 3 columns"),
        (",2017-09-07,2", "has no symbol"),
        ("ACME,07.09.2017,2", "'07.09.2017' is no date such as 2017-09-07"),
        ("ACME,2017-09-31,2", "'2017-09-31' is no date such as 2017-09-07"),
        ("ACME,2017-09-07,two", "a ratio must be a number above 0, not 'two'"),
        ("ACME,2017-09-07,0", "a ratio must be a number above 0, not '0'"),
        ("ACME,2017-09-07,nan", "a ratio must be a number above 0, not 'nan'"),
        ("ACME,2017-09-07,", "a ratio must be a number above 0, not ''"),
        ("ACME,,2", "has no date, which only a ratio of 1 may lack"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, entry: str, problem: str) -> None:
    path = written(tmp_path, f"symbol,date,ratio\n\n# a remark\n{entry}\n")
    with pytest.raises(InputError) as caught:
        read_hand_kept(path)
    assert facts(str(caught.value)) == facts(
        f"{path}: line 4: {problem}; write it as ACME,2017-09-07,2"
    )


def test_a_bad_dividend(tmp_path: Path) -> None:
    path = written(tmp_path, "symbol,date,ratio,dividend\nACME,2017-09-07,1,-2\n")
    with pytest.raises(InputError) as caught:
        read_hand_kept(path)
    assert facts(str(caught.value)) == facts(
        f"{path}: line 2: a dividend must be a number not below 0, not '-2'; "
        "write it as ACME,2017-09-07,2"
    )


@pytest.mark.parametrize("header", ["", "symbol,date\n", "Symbol,Date,Ratio\n", "A,2017-09-07,2\n"])
def test_a_missing_header(tmp_path: Path, header: str) -> None:
    path = written(tmp_path, header)
    with pytest.raises(InputError) as caught:
        read_hand_kept(path)
    assert facts(str(caught.value)) == facts(
        f"{path}: line 1: should be the header symbol,date,ratio or symbol,date,ratio,dividend, "
        f"not {header.strip()!r}"
    )


def test_two_lines_that_contradict_each_other(tmp_path: Path) -> None:
    path = written(tmp_path, "symbol,date,ratio\nACME,2017-09-07,2\n\nACME,2017-09-07,3\n")
    with pytest.raises(InputError) as caught:
        read_hand_kept(path)
    assert facts(str(caught.value)) == facts(
        f"{path}: line 4: says of ACME what line 2 says already, or contradicts it; "
        "keep one of the two"
    )


def test_a_genuine_rest_may_stand_beside_a_split(tmp_path: Path) -> None:
    path = written(tmp_path, "symbol,date,ratio\nACME,2017-09-07,2\nACME,2017-09-07,1\n")
    assert read_hand_kept(path)["ratio"].to_list() == [2.0, 1.0]


def test_text_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "actions.csv"
    path.write_bytes("symbol,date,ratio\nMÜNCH,2017-09-07,2\n".encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read_hand_kept(path)
    assert facts(str(caught.value)) == facts(f"{path}: is no text in UTF-8; save it as UTF-8")


def test_a_hand_kept_line_adds_and_takes_the_place_of_the_sources() -> None:
    both = ex_dates(
        source=[("ACME", DAY, 3.0, 0.5), ("ACME", date(2018, 1, 2), None, 0.5)],
        hand=[("ACME", DAY, 2.0, 0.0), ("BOLT", DAY, 1.0, 0.0)],
    )
    assert both.rows() == [
        ("ACME", DAY, 2.0, 0.0, True, False),
        ("ACME", date(2018, 1, 2), 1.0, 0.5, False, False),
        ("BOLT", DAY, 1.0, 0.0, True, True),
    ]


def test_an_impossible_action_of_the_source() -> None:
    with pytest.raises(DataError) as caught:
        ex_dates(source=[("ACME", DAY, 0.0, 0.0), ("BOLT", DAY, 1.0, -2.0)])
    assert facts(str(caught.value)) == facts(
        "data/raw/actions.parquet: a ratio must be above 0, a dividend not below: ACME 2017-09-07 "
        "(ratio 0, dividend 0), BOLT 2017-09-07 (ratio 1, dividend -2); mend the source"
    )


@pytest.mark.parametrize(
    ("previous", "opened", "ratio"),
    [
        (1645.40, 823.0, 2),
        (11393.30, 1153.90, 10),
        (158.75, 133.95, 1.2),
        (683.70, 458.0, 1.5),
        (10.0, 7.4, 4 / 3),
        (1.0, 10.2, 0.1),
        (3.0, 6.1, 0.5),
    ],
)
def test_the_nearest_simple_ratio(previous: float, opened: float, ratio: float) -> None:
    assert nearest_ratio(previous, opened) == pytest.approx(ratio, rel=1e-12)


@examples(200)
@given(st.sampled_from(RATIOS), st.floats(0.1, 1e5), st.floats(-0.04, 0.04))
def test_a_split_is_recognised_through_a_move_of_the_market(
    ratio: float, previous: float, move: float
) -> None:
    nearest = nearest_ratio(previous, previous / ratio * (1 + move))
    # 6:5 and 5:4 are 4 % apart: between two such, the nearest is one of them.
    assert nearest == pytest.approx(ratio, rel=0.08)


def test_a_line_reads_back_as_it_was_meant(tmp_path: Path) -> None:
    lines = [line("M&M", DAY, 4 / 3), line('A,"B', DAY, 0.01), line("ACME", DAY, 100.0)]
    assert lines == ["M&M,2017-09-07,1.333333", '"A,""B",2017-09-07,0.01', "ACME,2017-09-07,100"]
    read = read_hand_kept(written(tmp_path, "\n".join(["symbol,date,ratio", *lines])))
    assert read["symbol"].to_list() == ["M&M", 'A,"B', "ACME"]


def test_one_jump_is_told_with_the_lines_that_would_explain_it() -> None:
    error = unexplained(
        moves(("RELIANCE", DAY, 1645.40, 823.0, 1.0)),
        Path("data/actions.csv"),
        Path("var/actions.suggested.csv"),
    )
    assert str(error) == (
        "RELIANCE: 2017-09-07: opened at 823.00 after a close of 1645.40 (-50.0 %) and no action "
        'explains it; if it is a split or bonus add "RELIANCE,2017-09-07,2" to data/actions.csv, '
        'if it is genuine add "RELIANCE,2017-09-07,1"; if these prices are adjusted for splits '
        "already, as yfinance writes them by default, set clean.adjustment to none"
    )


def test_a_jump_that_an_action_leaves() -> None:
    error = unexplained(
        moves(("RELIANCE", DAY, 1645.40, 823.0, 3.0)),
        Path("data/actions.csv"),
        Path("var/actions.suggested.csv"),
    )
    assert str(error).startswith(
        "RELIANCE: 2017-09-07: opened at 823.00 after a close of 1645.40 and the action of that "
        'day (a ratio of 3) leaves +50.1 %; set it right by "RELIANCE,2017-09-07,2" in '
        'data/actions.csv, or if the rest is genuine by the two lines "RELIANCE,2017-09-07,3" and '
        '"RELIANCE,2017-09-07,1"'
    )


def test_an_action_on_a_day_without_a_jump_is_to_be_cancelled() -> None:
    error = unexplained(moves(("ACME", DAY, 10.0, 10.1, 2.0)), Path("a.csv"), Path("s.csv"))
    assert 'leaves +102.0 %; set it right by "ACME,2017-09-07,1" in a.csv' in str(error)


def test_many_jumps_are_counted_and_their_lines_are_in_a_file(tmp_path: Path) -> None:
    jumps = moves(
        ("ACME", DAY, 10.0, 5.0, 1.0),
        *(("^VIX", date(2017, 1, day), 12.0, 15.0, 1.0) for day in range(2, 8)),
    )
    path = tmp_path / "suggested.csv"
    error = str(unexplained(jumps, Path("actions.csv"), path))
    assert error.startswith(
        "7 jumps have no explanation: ACME: 2017-09-07: opened at 5.00 after a close of 10.00"
    )
    assert error.count("opened at") == 3
    for fact in (f"; and 4 more; {path} ", "actions.csv", '"^VIX,,1"', "clean.adjustment to none"):
        assert fact in error
    text = suggested(jumps)
    assert text.splitlines()[:3] == [
        "# 10.00 -> 5.00 (-50.0 %)",
        "ACME,2017-09-07,2",
        "# 12.00 -> 15.00 (+25.0 %)",
    ]
    ledger = written(tmp_path, "symbol,date,ratio\n" + text)
    assert read_hand_kept(ledger).height == jumps.height


def test_a_jump_of_a_market_series_is_never_offered_as_a_split() -> None:
    jumps = moves(("^VIX", DAY, 12.0, 24.0, 1.0), ("ACME", DAY, 10.0, 5.0, 1.0))
    lines = suggested(jumps, ["^VIX"]).splitlines()
    assert lines[1::2] == ["^VIX,2017-09-07,1", "ACME,2017-09-07,2"]
    alone = str(unexplained(jumps.head(1), Path("a.csv"), Path("s.csv"), ["^VIX"]))
    assert '"^VIX,2017-09-07,1"' in alone
    assert '"^VIX,,1"' in alone
    assert '"^VIX,2017-09-07,0.5"' not in alone
    assert "clean.adjustment" not in alone


def test_the_remedy_for_prices_that_are_adjusted_already_is_on_the_page(repo_root: Path) -> None:
    text = " ".join((repo_root / "docs" / "data.md").read_text(encoding="utf-8").split())
    adjusted = "If they are adjusted already, as `yfinance` writes them by default, set"
    assert f"{adjusted} `clean.adjustment: none`" in text


@pytest.mark.parametrize(
    ("doubt", "opened", "step", "message"),
    [
        ("unit", 5.09, 1.0, "5.09, 509.90, -99.0 %, by a factor near 1/100"),
        ("unit", 509.9 * 1000, 1.0, "509900.00, 509.90, +99900.0 %, 1000"),
        ("unit", 509.9 * 83.2, 1.0, "42423.68, 509.90, +8220.0 %, 83.2"),
        ("factor", 509.9, 37.4, "509.90, +3640.0 %, 37.4"),
        ("returned", 637.0, 1.0, "637.00, 509.90, +24.9 %, 2017-09-04"),
        ("quiet", 255.0, 1.0, "255.00, 509.90, -50.0 %, RELIANCE,2017-09-07,2"),
    ],
)
def test_a_jump_that_no_market_made_is_told_with_its_day(
    doubt: str, opened: float, step: float, message: str
) -> None:
    row = ("RELIANCE", DAY, 509.9, opened, step)
    error = str(doubtful(moves(row, doubt=doubt, since=date(2017, 9, 4)), Path("data/actions.csv")))
    expected = facts(f"RELIANCE: 2017-09-07: {message}; RELIANCE,2017-09-07,1 data/actions.csv")
    assert expected <= facts(error)
    assert "mend the source" in error


def test_every_day_of_many_such_jumps_is_named() -> None:
    days = [date(2017, 1, day) for day in range(2, 12)]
    rows = [("ACME", day, 500.0, 5.0, 1.0) for day in days]
    error = str(doubtful(moves(*rows, doubt="unit"), Path("data/actions.csv")))
    assert error.startswith("10 jumps are not moves of a market: ACME: 2017-01-02: ")
    assert all(str(day) in error for day in days)
    assert error.endswith('; "ACME,,1" declares every move of ACME genuine')


def test_combining_nothing_gives_nothing() -> None:
    nothing = tables.empty(tables.ACTIONS)
    assert combine(nothing, nothing).is_empty()
