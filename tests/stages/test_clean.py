"""Clean bars: filled, adjusted, counted, and what stops the stage."""

import importlib.util
import json
import logging
import math
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import clean, ingest, params
from stages.bars import calendars
from stages.bars.cleaning import clean_bars, raw_files
from stages.bars.cleaning.adjust import Mode
from stages.bars.cleaning.clean_bars import FACTOR, Cleaned, clean_hourly
from stages.bars.cleaning.clean_params import CleanParams
from stages.common import tables
from stages.common.errors import DataError, InputError
from stages.indicators.feature_table import realised_volatility
from tests.exchange import days, ex_dates, hours, new_york, raw, raw_hourly, rules, write_raw
from tests.messages import facts
from tests.panels import examples, write_params

NOTHING = ex_dates()
SATURDAY = date(2012, 1, 7)
SUNDAY = date(2012, 1, 8)


def cleaned(bars: pl.DataFrame, actions: pl.DataFrame = NOTHING, **changes: Any) -> Cleaned:
    return clean_bars.clean(bars, actions, new_york(), rules(**changes))


def cleaned_hourly(
    bars: pl.DataFrame,
    actions: pl.DataFrame = NOTHING,
    daily: pl.DataFrame | None = None,
    **changes: Any,
) -> Cleaned:
    factors = tables.empty(FACTOR) if daily is None else cleaned(daily, actions).factors
    return clean_hourly(bars, actions, factors, new_york(), rules(**changes))


# One group of symbols


def test_clean_bars_have_the_columns_of_the_contract() -> None:
    done = cleaned(raw("ACME", [10.0, 11.0, None]))
    assert done.bars.schema == dict(tables.CLEAN_DAILY)
    assert done.rejected.schema == dict(tables.REJECTED)
    assert done.bars["adj_close"].to_list() == [10.0, 11.0]
    assert done.rejected.select("kind", "symbol", "date", "timestamp", "reason").rows() == [
        ("daily", "ACME", days()[2], None, "missing_value")
    ]


def test_what_is_counted_of_a_symbol() -> None:
    bars = raw("ACME", [10.0, 10.0, 5.0, math.nan], [days()[at] for at in (1, 0, 3, 6)])
    counts = cleaned(bars, ex_dates([("ACME", days()[3], 2.0, 0.0)])).counts
    assert counts.to_dicts() == [
        {
            "symbol": "ACME",
            "read": 4,
            "first": days()[0],
            "last": days()[6],
            "kept": 3,
            "newest": days()[3],
            "missing_sessions": 1,
            "actions": 1,
            "out_of_order": 1,
            "filled_sessions": 0,
        }
    ]


def test_runs_of_missing_sessions_are_filled_up_to_the_limit() -> None:
    sessions = [0, 2, 5, 9]
    bars = raw("ACME", [10.0, 11.0, 12.0, 13.0], [days()[at] for at in sessions])
    other = raw("BOLT", [5.0], [days()[20]])
    done = cleaned(pl.concat([bars, other]), fill_limit=2)
    mine = done.bars.filter(pl.col("symbol") == "ACME")
    assert mine["date"].to_list() == [days()[at] for at in (0, 1, 2, 3, 4, 5, 9)]
    assert mine["filled"].to_list() == [False, True, False, True, True, False, False]
    assert mine.filter("filled").drop("symbol", "date", "filled").rows() == [
        (10.0, 10.0, 10.0, 10.0, 10.0, 0.0),
        (11.0, 11.0, 11.0, 11.0, 11.0, 0.0),
        (11.0, 11.0, 11.0, 11.0, 11.0, 0.0),
    ]
    assert done.counts["missing_sessions"].to_list() == [6, 0]
    assert done.counts["filled_sessions"].to_list() == [3, 0]


def test_a_filled_session_is_in_units_of_the_bar_before() -> None:
    bars = raw("ACME", [10.0, 5.0, 5.0], [days()[at] for at in (0, 2, 4)])
    actions = ex_dates([("ACME", days()[1], 2.0, 0.0)])
    done = cleaned(bars, actions, fill_limit=1)
    assert done.bars["close"].to_list() == [10.0, 10.0, 5.0, 5.0, 5.0]
    assert done.bars["adj_close"].to_list() == [10.0] * 5


def test_the_session_of_a_rejected_bar_is_missing() -> None:
    bars = raw("ACME", [10.0, 10.0, 10.0], volume=[1.0, 0.0, 1.0])
    done = cleaned(bars, fill_limit=1)
    assert done.bars["filled"].to_list() == [False, True, False]
    assert done.rejected["reason"].to_list() == ["zero_volume"]


def test_a_market_series_is_not_filled_and_keeps_its_own_days() -> None:
    bars = raw("nasdaq", [10.0, 10.0, 10.0], [days()[0], SATURDAY, days()[9]], volume=[0.0] * 3)
    done = clean_bars.clean(bars, NOTHING, new_york(), rules(fill_limit=9), "market")
    assert done.bars["date"].to_list() == [days()[0], SATURDAY, days()[9]]
    assert done.counts["missing_sessions"].to_list() == [8]
    assert done.rejected.is_empty()


def test_a_market_series_must_explain_its_jumps_too() -> None:
    done = clean_bars.clean(raw("nasdaq", [10.0, 5.0]), NOTHING, new_york(), rules(), "market")
    assert done.moves["explained"].to_list() == [None]


@pytest.mark.parametrize("mode", ["auto", "adj_close", "actions", "none"])
def test_a_level_may_jump_and_is_never_adjusted(mode: Mode) -> None:
    values = [20.0, 40.0, 4.0, 400.0, 0.0, -3.0]
    bars = raw("vix", values, adj_close=[5.0, None, 4.0, 1.0, None, 7.0])
    actions = ex_dates([("vix", days()[1], 2.0, 0.5)])
    done = clean_bars.clean(bars, actions, new_york(), rules(adjustment=mode), "market", level=True)
    assert done.bars["adj_close"].to_list() == done.bars["close"].to_list() == values
    assert done.rejected.is_empty()
    assert done.moves.is_empty()
    assert done.counts["actions"].to_list() == [0]


def test_adj_close_is_needed_where_params_say_so() -> None:
    bars = raw("ACME", [10.0, 10.0], adj_close=[None, 9.0])
    done = cleaned(bars, adjustment="adj_close")
    assert done.rejected["reason"].to_list() == ["missing_value"]
    assert cleaned(bars, adjustment="none").rejected.is_empty()


def test_no_good_bar_at_all() -> None:
    done = cleaned(raw("ACME", [None, None]), fill_limit=3)
    assert done.bars.is_empty()
    assert done.counts.select("kept", "newest", "missing_sessions").rows() == [(0, None, 0)]


def test_hours_take_the_factor_of_their_session() -> None:
    daily = raw("ACME", [10.0, 10.0, 5.0], adj_close=[5.0, 5.0, 5.0])
    times = [time for day in days()[:4] for time in hours(day, 2)]
    hourly = raw_hourly("ACME", list(zip(times, [10.0] * 4 + [5.0] * 4, strict=True)))
    done = cleaned_hourly(hourly, daily=daily)
    assert done.bars.schema == dict(tables.CLEAN_HOURLY)
    assert done.bars["date"].to_list() == [day for day in days()[:4] for _ in range(2)]
    # The fourth session has no daily bar: the last known factor stands.
    assert done.bars["adj_close"].to_list() == [10.0] * 8
    assert done.moves.is_empty()


def test_hours_before_the_first_daily_bar_are_in_its_units() -> None:
    daily = raw("ACME", [10.0, 5.0], days()[1:3], adj_close=[5.0, 5.0])
    times = [hours(day, 1)[0] for day in days()[:3]]
    hourly = raw_hourly("ACME", list(zip(times, [10.0, 10.0, 5.0], strict=True)))
    assert cleaned_hourly(hourly, daily=daily).bars["adj_close"].to_list() == [10.0] * 3


def test_hours_of_a_symbol_without_daily_bars_are_adjusted_by_actions() -> None:
    times = [time for day in days()[:2] for time in hours(day, 2)]
    bars = pl.concat(
        [
            raw_hourly(symbol, list(zip(times, [10.0, 10.0, 5.0, 5.0], strict=True)))
            for symbol in ("ACME", "BOLT", "COIL")
        ]
    )
    actions = ex_dates([("ACME", days()[1], 2.0, 0.0)])
    daily = raw("BOLT", [10.0, 5.0], adj_close=[10.0, 5.0])
    done = cleaned_hourly(bars, actions, daily=daily)
    assert done.bars["symbol"].to_list() == ["ACME"] * 4 + ["BOLT"] * 4 + ["COIL"] * 4
    assert done.bars["adj_close"].to_list() == [10.0] * 4 + [10.0, 10.0, 5.0, 5.0] * 2
    assert done.moves.select("symbol", "explained").rows() == [
        ("ACME", "actions"),
        ("COIL", None),
    ]
    assert done.counts["actions"].to_list() == [1, 0, 0]


def test_a_session_of_hours_in_another_unit_than_the_daily_bars() -> None:
    daily = raw("ACME", [500.0, 500.0, 250.0], adj_close=[250.0] * 3)
    times = [time for day in days()[:3] for time in hours(day, 2)]
    closes = [500.0] * 2 + [5.0] * 2 + [250.0] * 2
    hourly = raw_hourly("ACME", list(zip(times, closes, strict=True)))
    done = cleaned_hourly(hourly, daily=daily)
    assert done.moves.select("date", "doubt", "explained").rows() == [
        (days()[1], "unit", None),
        (days()[2], "unit", None),
    ]
    genuine = ex_dates(hand=[("ACME", None, 1.0, 0.0)])
    assert cleaned_hourly(hourly, genuine, daily=daily).moves.is_empty()


def test_what_a_line_settles_of_the_daily_bars_is_settled_for_the_hours() -> None:
    closes = [500.0, 5.0, 500.0, 6.0]
    daily = raw("ACME", closes)
    times = [time for day in days()[:4] for time in hours(day, 2)]
    hourly = raw_hourly(
        "ACME", list(zip(times, [close for close in closes for _ in range(2)], strict=True))
    )
    ratios = zip(days()[1:4], [100.0, 0.01, 83.0], strict=True)
    lines = ex_dates(hand=[("ACME", day, ratio, 0.0) for day, ratio in ratios])
    assert cleaned(daily, lines).moves["explained"].to_list() == ["actions"] * 3
    moves = cleaned_hourly(hourly, lines, daily=daily).moves
    assert moves["explained"].null_count() == 0


def test_hours_without_a_volume_count_where_the_price_has_moved() -> None:
    # As Yahoo has the NSE: no volume with the first hour of nearly every session.
    times = [time for day in days()[:3] for time in hours(day, 3)]
    opened = [10.0, 10.2, 10.1, 10.4, 10.1, 10.0, 10.3, 10.3, 10.3]
    closed = [10.2, 10.1, 10.3, 10.1, 10.0, 10.3, 10.3, 10.3, 10.4]
    prices = {
        "open": opened,
        "high": list(map(max, opened, closed)),
        "low": list(map(min, opened, closed)),
    }
    #     a first hour of two, one that moved over night only, and one that did not move
    volume = [0.0, 5.0, 5.0, 0.0, 5.0, 5.0, 5.0, 0.0, 5.0]
    closed[3] = opened[3] = prices["high"][3] = prices["low"][3] = 10.4
    rows = list(zip(times, closed, strict=True))
    silent = cleaned_hourly(raw_hourly("ACME", rows, volume=volume, **prices))
    traded = cleaned_hourly(raw_hourly("ACME", rows, volume=[5.0] * 9, **prices))
    assert silent.rejected.select("timestamp", "reason").rows() == [(times[7], "zero_volume")]
    daily = clean_bars.clean(raw("ACME", [10.0] * 3), NOTHING, new_york(), rules()).bars
    np.testing.assert_array_equal(
        realised_volatility(daily, silent.bars), realised_volatility(daily, traded.bars)
    )
    hourly = raw_hourly("ACME", rows, volume=volume, **prices)
    assert cleaned_hourly(hourly, zero_volume="keep").rejected.is_empty()


def test_a_first_hour_of_all_that_did_not_move_and_has_no_volume() -> None:
    times = hours(days()[0], 2)
    bars = pl.concat(
        [
            raw_hourly("ACME", [(time, 10.0) for time in times], volume=[5.0, 5.0]),
            raw_hourly("BOLT", [(time, 11.0) for time in times], volume=[0.0, 5.0]),
        ]
    )
    assert cleaned_hourly(bars).rejected.select("symbol", "timestamp").rows() == [
        ("BOLT", times[0])
    ]


def test_missing_sessions_of_hours() -> None:
    times = [time for at in (0, 3) for time in hours(days()[at], 2)]
    done = cleaned_hourly(raw_hourly("ACME", [(time, 10.0) for time in times]))
    assert done.counts.select("kept", "missing_sessions", "filled_sessions").rows() == [(4, 2, 0)]


# Laws


def random_raw(seed: int) -> pl.DataFrame:
    """Two symbols with gaps, splits, doubles, wrong bars, in any order."""
    rng = np.random.default_rng(seed)
    parts = []
    for symbol in ("ACME", "BOLT"):
        dates = [day for day in [*days()[:25], SATURDAY] if rng.random() < 0.7]
        count = len(dates)
        factor = np.cumprod(rng.choice([1, 1, 1, 1, 1.01, 2], count))
        close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, count))) / factor
        bars = raw(
            symbol,
            close.tolist(),
            dates,
            volume=rng.choice([1000.0, 500.0, 0.0, -1.0], count, p=[0.5, 0.4, 0.07, 0.03]),
            high=close * rng.choice([1, 1.01, 0.9], count, p=[0.5, 0.45, 0.05]),
            adj_close=(close * factor).round(6) if rng.random() < 0.5 else [None] * count,
        )
        extra = bars.sample(min(3, count), with_replacement=True, seed=seed % 1000)
        twice = extra.with_columns(volume=pl.col("volume") + (0.0 if rng.random() < 0.5 else 7.0))
        parts.append(pl.concat([bars, twice]).sample(fraction=1, shuffle=True, seed=seed % 1001))
    return pl.concat(parts)


SEEDS = st.integers(0, 2**32)
MODES = st.sampled_from(["auto", "actions", "none"])
LIMITS = st.sampled_from([0, 1, 3])


@examples(40)
@given(SEEDS, MODES, LIMITS)
def test_no_row_is_lost_or_made_but_by_filling(seed: int, mode: Mode, limit: int) -> None:
    bars = random_raw(seed)
    done = cleaned(bars, adjustment=mode, fill_limit=limit)
    accepted = done.bars.filter(~pl.col("filled"))
    assert accepted.height + done.rejected.height == bars.height
    assert done.counts["read"].sum() == bars.height
    assert done.counts["kept"].sum() == accepted.height
    assert done.counts["filled_sessions"].sum() == done.bars.height - accepted.height
    same = ["symbol", "date", *tables.PRICES]
    every = pl.concat([accepted.select(same), done.rejected.select(same)])
    assert every.sort(same).equals(bars.select(same).sort(same), null_equal=True)
    keys = done.bars.select("symbol", "date").rows()
    assert keys == sorted(set(keys))
    assert done.bars.null_count().sum_horizontal().item() == 0


@examples(40)
@given(SEEDS, MODES, LIMITS)
def test_every_session_between_is_there_or_missing(seed: int, mode: Mode, limit: int) -> None:
    done = cleaned(random_raw(seed), adjustment=mode, fill_limit=limit)
    for row in done.counts.iter_rows(named=True):
        mine = done.bars.filter(pl.col("symbol") == row["symbol"])
        own_days: list[date] = mine.filter(~pl.col("filled"))["date"].to_list()
        spanned = [day for day in days() if own_days[0] <= day <= own_days[-1]]
        assert row["missing_sessions"] == len(spanned) - len(own_days)
        runs = [list(run) for there, run in groupby(spanned, own_days.__contains__) if not there]
        expected = [day for run in runs if len(run) <= limit for day in run]
        assert mine.filter("filled")["date"].to_list() == expected


@examples(40)
@given(SEEDS, MODES, LIMITS)
def test_what_is_clean_stays_as_it_is(seed: int, mode: Mode, limit: int) -> None:
    done = cleaned(random_raw(seed), adjustment=mode, fill_limit=limit)
    again = cleaned(
        done.bars.filter(~pl.col("filled")).select(list(tables.RAW_DAILY)), fill_limit=limit
    )
    assert again.rejected.is_empty()
    exact = pl.exclude("adj_close")
    assert again.bars.select(exact).equals(done.bars.select(exact))
    np.testing.assert_allclose(again.bars["adj_close"], done.bars["adj_close"], rtol=1e-9)


@examples(40)
@given(SEEDS, MODES, LIMITS, st.sampled_from(days()[:26]), st.data())
def test_the_future_changes_nothing(
    seed: int, mode: Mode, limit: int, day: date, data: st.DataObject
) -> None:
    bars = random_raw(seed)
    ex_days = data.draw(st.lists(st.sampled_from(days()[:26]), max_size=4))
    actions = ex_dates([("ACME", day, 2.0, 1e-5) for day in ex_days])
    changes = {"adjustment": mode, "fill_limit": limit}
    whole = cleaned(bars, actions, **changes)
    part = cleaned(bars.filter(pl.col("date") <= day), actions, **changes)
    assert part.rejected.equals(whole.rejected.filter(pl.col("date") <= day), null_equal=True)
    # A session is filled once its run has ended, so up to the last bar that is known.
    for symbol in ("ACME", "BOLT"):
        mine = part.bars.filter(pl.col("symbol") == symbol)
        then = whole.bars.filter((pl.col("symbol") == symbol) & (pl.col("date") <= day))
        newest = mine["date"].max()
        assert mine.equals(then.filter(pl.col("date") <= newest) if newest else then.clear())
        assert then.filter(pl.col("date") > (newest or date.min))["filled"].all()


# The stage


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Callable[[], dict[str, Any]]]:
    """A folder with raw bars and params, as the stage finds them; gives a way to run it."""

    def build(
        *, data: dict[str, Any] | None = None, lines: str = "", **frames: Any
    ) -> Callable[[], dict[str, Any]]:
        monkeypatch.chdir(tmp_path)
        # Frames of three bars, of which one is bad.
        clean_params = {"max_rejected": 1.0} | frames.pop("params", {})
        write_params(tmp_path, data=data or {}, clean=clean_params)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "actions.csv").write_text(
            f"symbol,date,ratio\n{lines}", encoding="utf-8"
        )
        write_raw(tmp_path / "data" / "raw", **frames)

        def run() -> dict[str, Any]:
            clean.main()
            report: dict[str, Any] = json.loads(Path("metrics/clean.json").read_text("utf-8"))
            return report

        return run

    return build


Project = Callable[..., Callable[[], dict[str, Any]]]


@pytest.fixture(autouse=True)
def _with_info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "stages"):
        yield


def test_a_folder_of_everything(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    times = hours(days()[0], 3)
    run = project(
        daily=[raw("M&M", [10.0, 11.0, 12.0]), raw("ACME", [10.0, 5.0, 0.0])],
        hourly=[raw_hourly("ACME", [(times[0] - timedelta(hours=2), 1.0), (times[0], 10.0)])],
        market=[raw("nasdaq", [100.0, 101.0])],
        lines=f"ACME,{days()[1]},2\n",
    )
    report = run()
    folder = Path("data/clean")
    assert sorted(path.name for path in folder.iterdir()) == [
        "daily.parquet",
        "hourly.parquet",
        "market.parquet",
        "rejected.parquet",
    ]
    daily = tables.read(folder / "daily.parquet")
    assert daily.schema == dict(tables.CLEAN_DAILY)
    assert daily["symbol"].to_list() == ["ACME", "ACME", "M&M", "M&M", "M&M"]
    assert daily["adj_close"].to_list() == [10.0, 10.0, 10.0, 11.0, 12.0]
    assert tables.read(folder / "hourly.parquet").schema == dict(tables.CLEAN_HOURLY)
    assert tables.read(folder / "market.parquet").schema == dict(tables.CLEAN_DAILY)
    assert tables.read(folder / "rejected.parquet").select("kind", "symbol", "reason").rows() == [
        ("daily", "ACME", "non_positive_price"),
        ("hourly", "ACME", "outside_session"),
    ]
    assert report["totals"]["daily"] == {
        "symbols": 2,
        "read": 6,
        "kept": 5,
        "out_of_order": 0,
        "missing_sessions": 0,
        "filled_sessions": 0,
        "actions": 1,
        "rejected": {"non_positive_price": 1},
        "large_moves": {"actions": 1},
    }
    assert [(record["kind"], record["symbol"]) for record in report["symbols"]] == [
        ("daily", "ACME"),
        ("daily", "M&M"),
        ("hourly", "ACME"),
        ("market", "nasdaq"),
    ]
    assert report["symbols"][0]["large_moves"] == [
        {"date": str(days()[1]), "gap": -0.5, "step": 2.0, "explained": "actions"}
    ]
    assert caplog.messages == [
        f"ACME: its newest bar, {days()[2]}, was rejected (non_positive_price); the newest is now "
        f"{days()[1]}",
        "clean: 6 daily, 2 hourly, 2 market bars of 4 series read, 2 rejected "
        "(non_positive_price 1, outside_session 1), 0 sessions missing, 0 filled, 1 action "
        "applied, 1 large move (actions 1) -> data/clean",
    ]


def test_the_report_is_one_line_a_symbol(project: Project) -> None:
    project(daily=[raw("B", [10.0]), raw("A", [10.0])])()
    text = Path("metrics/clean.json").read_text("utf-8")
    assert len(re.findall(r'^  \{"kind": "daily".*\},?$', text, re.MULTILINE)) == 2


def test_daily_bars_alone(project: Project) -> None:
    project(daily=[raw("ACME", [10.0])])()
    assert sorted(path.name for path in Path("data/clean").iterdir()) == [
        "daily.parquet",
        "rejected.parquet",
    ]
    assert tables.read(Path("data/clean/rejected.parquet")).equals(tables.empty(tables.REJECTED))


def test_hourly_bars_alone(project: Project) -> None:
    project(hourly=[raw_hourly("ACME", [(time, 10.0) for time in hours(days()[0])])])()
    assert tables.read(Path("data/clean/daily.parquet")).equals(tables.empty(tables.CLEAN_DAILY))
    assert tables.read(Path("data/clean/hourly.parquet")).height == 7


def test_groups_do_not_change_what_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = pl.concat(
        [random_raw(seed).with_columns(symbol=pl.col("symbol") + str(seed)) for seed in range(4)]
    )
    frames = bars.partition_by("symbol")
    run = project(daily=frames, market=frames[:2], params={"max_gap": 1e4, "fill_limit": 2})
    run()
    first = {path.name: tables.read(path) for path in Path("data/clean").iterdir()}
    report = Path("metrics/clean.json").read_bytes()
    assert tables.count_row_groups(Path("data/clean/daily.parquet")) == 1
    cut_groups = raw_files.groups
    monkeypatch.setattr(raw_files, "groups", lambda files: cut_groups(files, 40))
    run()
    groups = list(tables.row_groups(Path("data/clean/daily.parquet")))
    assert len(groups) > 3
    # Whole symbols in every group
    assert sum(group["symbol"].n_unique() for group in groups) == len(frames)
    for name, table in first.items():
        assert tables.read(Path("data/clean") / name).equals(table, null_equal=True)
    assert Path("metrics/clean.json").read_bytes() == report


def test_two_runs_write_the_same_bytes(project: Project) -> None:
    frames = random_raw(5).partition_by("symbol")
    run = project(daily=frames, params={"max_gap": 1e4})

    def content() -> dict[str, bytes]:
        run()
        files = [*Path("data/clean").iterdir(), Path("metrics/clean.json")]
        return {path.name: path.read_bytes() for path in files}

    assert content() == content()


def test_an_unexplained_jump_stops_the_stage_and_leaves_the_former_output(
    project: Project,
) -> None:
    project(daily=[raw("ACME", [10.0, 10.0])])()
    former = Path("data/clean/daily.parquet").read_bytes()
    jump = raw(
        "RELIANCE",
        [1645.40, 824.0],
        open=[1640.0, 823.0],
        low=[1640.0, 820.0],
        high=[1650.0, 830.0],
    )
    run = project(daily=[jump])
    with pytest.raises(DataError) as caught:
        run()
    assert facts(str(caught.value)) == facts(
        "RELIANCE: 2012-01-04: opened at 823.00 after a close of 1645.40 (-50.0 %) and no action "
        'explains it; if it is a split or bonus add "RELIANCE,2012-01-04,2" to data/actions.csv, '
        'if it is genuine add "RELIANCE,2012-01-04,1"; if adjusted set clean.adjustment to none'
    )
    assert Path("data/clean/daily.parquet").read_bytes() == former
    assert sorted(path.name for path in Path("data").iterdir()) == ["actions.csv", "clean", "raw"]
    suggestions = Path("var/actions.suggested.csv")
    assert suggestions.read_text("utf-8") == (
        "# 1645.40 -> 823.00 (-50.0 %)\nRELIANCE,2012-01-04,2\n"
    )

    split = project(daily=[jump], lines="RELIANCE,2012-01-04,2\n")()
    assert split["symbols"][0]["large_moves"][0]["explained"] == "actions"
    assert tables.read(Path("data/clean/daily.parquet"))["adj_close"].to_list() == [1645.40, 1648.0]
    assert not suggestions.exists()

    genuine = project(daily=[jump], lines="RELIANCE,2012-01-04,1\n")()
    assert genuine["symbols"][0]["large_moves"][0]["explained"] == "declared"
    assert tables.read(Path("data/clean/daily.parquet"))["adj_close"].to_list() == [1645.40, 824.0]


def test_levels_among_market_series_jump_freely_and_no_others(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["a_index", "b_vix", "c_index", "d_mood"]
    frames = [raw(name, [20.0, 20.0]) for name in names]
    frames[1], frames[3] = raw("b_vix", [20.0, 40.0]), raw("d_mood", [0.5, -0.5])
    data = {"market": names, "levels": ["b_vix", "d_mood"]}
    symbol = [raw("ACME", [10.0, 10.0])]
    report = project(daily=symbol, market=frames, data=data, lines="b_vix,,1\n")()
    assert report["totals"]["market"]["large_moves"] == {}
    assert report["totals"]["market"]["rejected"] == {}
    bars = tables.read(Path("data/clean/market.parquet"))
    assert bars.select("symbol", "adj_close").rows() == [
        (name, value)
        for name, values in zip(names, (frame["close"] for frame in frames), strict=True)
        for value in values
    ]
    (line,) = [line for line in caplog.messages if "data.levels" in line]
    assert facts(line) >= {"data/actions.csv", "b_vix"}
    assert not Path("var/actions.suggested.csv").exists()

    frames[2] = raw("c_index", [20.0, 40.0])
    with pytest.raises(DataError, match=r"^c_index: 2012-01-04: opened at 40\.00"):
        project(daily=symbol, market=frames, data=data)()


def test_the_suggested_lines_explain_every_jump(project: Project) -> None:
    frames = [raw(f"S{at}", [12.0, 12.0 / ratio]) for at, ratio in enumerate((2, 5, 1.5, 0.1))]
    run = project(daily=frames, market=[raw("index", [9.0, 3.0])])
    with pytest.raises(DataError, match=r"^5 jumps have no explanation: S0: 2012-01-04: opened"):
        run()
    lines = Path("var/actions.suggested.csv").read_text("utf-8")
    report = project(daily=frames, market=[raw("index", [9.0, 3.0])], lines=lines)()
    assert report["totals"]["daily"]["large_moves"] == {"actions": 4}
    assert report["totals"]["market"]["large_moves"] == {"actions": 1}


PENCE = [514.1, 509.9, 5.12, 511.2, 508.3]


@pytest.mark.parametrize("params", [{}, {"adjustment": "none"}])
def test_a_day_in_another_unit_stops_though_adj_close_shares_it(
    project: Project, params: dict[str, Any]
) -> None:
    adjusted = [round(0.969 * close, 4) for close in PENCE]
    bars = raw("ACME.L", PENCE, adj_close=adjusted)
    run = project(daily=[bars], params=params)
    with pytest.raises(DataError) as caught:
        run()
    there, back = days()[2], days()[3]
    assert {f"{there}", f"{back}", "100", "data/actions.csv"} <= facts(str(caught.value))
    assert not Path("data/clean").exists()
    assert not Path("var/actions.suggested.csv").exists()

    lines = f"ACME.L,{there},1\nACME.L,{back},1\n"
    report = project(daily=[bars], params=params, lines=lines)()
    assert report["totals"]["daily"]["large_moves"] == {"declared": 2}


def test_rows_out_of_order_are_told(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    bars = raw("ACME", [10.0, 10.1, 10.2, 10.3, 10.4])
    project(daily=[bars[[4, 3, 2, 1, 0]][:4], raw("BOLT", [1.0, 1.0])[[1, 0]]])()
    assert caplog.messages[:2] == [
        "ACME: 3 rows out of date order were sorted",
        "BOLT: 1 row out of date order was sorted",
    ]
    assert tables.read(Path("data/clean/daily.parquet"))["close"].to_list() == [
        10.1, 10.2, 10.3, 10.4, 1.0, 1.0,
    ]  # fmt: skip


def test_two_rows_for_one_day_are_told_if_they_disagree(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    twice = [days()[0], days()[1], days()[1], days()[2]]
    newest_twice = [days()[0], days()[1], days()[2], days()[2]]
    report = project(
        daily=[raw("SAME", [10.0] * 4, newest_twice), raw("OTHER", [10.0, 10.0, 10.1, 10.0], twice)]
    )()
    assert caplog.messages[0] == (
        "OTHER: 2 rows of 2012-01-04 disagree and were rejected (conflict)"
    )
    assert len(caplog.messages) == 2
    assert [record["rejected"] for record in report["symbols"]] == [
        {"conflict": 2},
        {"duplicate": 1},
    ]


def test_nan_in_the_last_bar_is_told(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    dates = [date(2012, 12, 27), date(2012, 12, 28), date(2012, 12, 31)]
    report = project(daily=[raw("ACME", [10.0, 10.0, math.nan], dates)])()
    assert caplog.messages[0] == (
        "ACME: its newest bar, 2012-12-31, was rejected (missing_value); the newest is now "
        "2012-12-28"
    )
    assert report["symbols"][0]["rejected"] == {"missing_value": 1}


def test_hours_are_told_as_hours(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    times = hours(days()[0], 3)
    bars = raw_hourly("ACME", [(times[1], 1.0), (times[0], 1.0), (times[2], math.nan)])
    project(hourly=[bars])()
    assert caplog.messages[:2] == [
        "ACME (hourly): 1 row out of date order was sorted",
        "ACME (hourly): its newest bar, 2012-01-03 16:30 UTC, was rejected (missing_value); the "
        "newest is now 2012-01-03 15:30 UTC",
    ]


def test_a_trouble_of_many_symbols_is_told_of_a_few(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project(daily=[raw(f"S{at}", [1.0, math.nan]) for at in range(8)])()
    assert len(caplog.messages) == 7
    assert caplog.messages[5] == "and 3 more such lines; metrics/clean.json counts them"


def test_days_on_which_most_symbols_traded_are_named(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    with_it = raw("A", [1.0, 1.0, 1.0], [days()[2], SATURDAY, days()[4]])
    without = raw("C", [1.0, 1.0], [days()[2], days()[4]])
    before = [raw(f"X{at}", [1.0, 1.0]) for at in range(5)]
    frames = [
        with_it,
        with_it.with_columns(symbol=pl.lit("B")),
        without,
        without.with_columns(symbol=pl.lit("D")),
    ]
    project(daily=[*frames, *before])()
    assert caplog.messages[0] == (
        "data.calendar: XNYS has no session on '2012-01-07', yet at least half of the symbols have "
        "a bar: if the exchange was open, add this date to data.extra_sessions"
    )
    caplog.clear()
    report = project(daily=frames, data={"extra_sessions": ["2012-01-07"]})()
    assert len(caplog.messages) == 1
    assert report["totals"]["daily"]["rejected"] == {}
    assert report["totals"]["daily"]["missing_sessions"] == 6


def test_a_day_on_which_few_symbols_traded_is_not_named(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    odd = raw("A", [1.0, 1.0, 1.0], [days()[2], SATURDAY, days()[4]])
    plain = [raw(name, [1.0, 1.0], [days()[2], days()[4]]) for name in ("B", "C")]
    project(daily=[odd, *plain])()
    assert len(caplog.messages) == 1


def test_a_line_for_a_symbol_that_is_not_there(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project(daily=[raw("ACME", [1.0])], lines="ZOO,2012-01-04,2\n")()
    assert caplog.messages[0] == (
        "data/actions.csv: no bars of ZOO; what it says of them has no effect"
    )


def test_a_symbol_without_a_good_bar(project: Project) -> None:
    bars = raw("ACME", [1.0, 1.0, math.nan], volume=[0.0, 0.0, 1.0])
    run = project(daily=[bars, raw("BOLT", [1.0])])
    with pytest.raises(DataError) as caught:
        run()
    assert facts(str(caught.value)) == facts(
        "no bar is left of ACME (3 daily rows: missing_value 1, zero_volume 2); mend them at the "
        "source, relax clean: in params.yaml, or take the symbol out of data.symbols or data.market"
    )
    assert not Path("data/clean").exists()


def with_bad(symbol: str, bad: int, count: int = 40, **columns: Any) -> pl.DataFrame:
    """Bars of which the first ones lack their close."""
    return raw(symbol, [None] * bad + [10.0] * (count - bad), **columns)


def test_an_unusual_share_that_is_rejected(project: Project) -> None:
    run = project(daily=[with_bad("USUAL", 2), with_bad("ACME", 3), with_bad("BOLT", 20)])
    write_params(Path())
    with pytest.raises(DataError) as caught:
        run()
    assert facts(str(caught.value)) == facts(
        "more than clean.max_rejected (0.05) is rejected: 7.5% of ACME (40 daily rows: "
        "missing_value 3), 50.0% of BOLT (40 daily rows: missing_value 20); mend the bars at the "
        "source, or raise clean.max_rejected"
    )
    assert not Path("data/clean").exists()
    write_params(Path(), clean={"max_rejected": 0.5})
    assert run()["totals"]["daily"]["rejected"] == {"missing_value": 25}


@pytest.mark.parametrize(
    ("frames", "remedy"),
    [
        ({"daily": [raw("ACME", [1.0] * 9, volume=[0.0] * 4 + [5.0] * 5)]}, "clean.zero_volume"),
        (
            {"daily": [raw("A", [1.0] * 4, [days()[2], SATURDAY, SUNDAY, days()[4]])]},
            "data.calendar",
        ),
        (
            {
                "hourly": [
                    raw_hourly("ACME", [(time - timedelta(hours=5), 1.0) for time in hours(day, 7)])
                    for day in days()[:1]
                ]
            },
            "time zone",
        ),
        ({"market": [with_bad("nasdaq", 20)], "daily": [raw("ACME", [1.0] * 40)]}, "nasdaq"),
    ],
)
def test_the_remedy_for_many_rejected_rows(
    project: Project, frames: dict[str, Any], remedy: str
) -> None:
    run = project(**frames, params={"max_rejected": 0.05})
    with pytest.raises(DataError, match=rf"clean\.max_rejected.*{re.escape(remedy)}"):
        run()


def test_a_single_row_is_no_unusual_share(project: Project) -> None:
    report = project(daily=[with_bad("ACME", 1, 3)], params={"max_rejected": 0.05})()
    assert report["totals"]["daily"]["rejected"] == {"missing_value": 1}


def test_rows_of_which_nothing_is_lost_are_no_unusual_share(project: Project) -> None:
    bars = raw("ACME", [1.0] * 10)
    times = [hours(days()[0], 1)[0] + timedelta(hours=hour) for hour in range(-5, 11)]
    report = project(
        daily=[pl.concat([bars, bars])],
        hourly=[raw_hourly("ACME", [(time, 1.0) for time in times])],
        params={"max_rejected": 0.0},
    )()
    assert report["totals"]["daily"]["rejected"] == {"duplicate": 10}
    assert report["totals"]["hourly"]["rejected"] == {"outside_session": 9}


def test_a_market_series_that_ends_early(project: Project) -> None:
    ends = raw("^VIX", [20.0] * 30)
    fresh = raw("index", [20.0] * 35)
    run = project(daily=[raw("ACME", [10.0] * 40)], market=[ends, fresh])
    with pytest.raises(DataError) as caught:
        run()
    assert facts(str(caught.value)) == facts(
        f"data.market: a series ends before the newest bar of the symbols, {days()[39]}: "
        f"^VIX on {days()[29]}; 7 days; data.market"
    )
    assert (days()[39] - days()[34]).days == 7
    project(daily=[raw("ACME", [10.0] * 40)], market=[raw("^VIX", [20.0] * 36), fresh])()


def test_symbols_that_ended_long_before_the_others_are_told(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project(daily=[raw("ACME", [10.0] * 40), raw("BOLT", [10.0] * 20), raw("COIL", [10.0] * 18)])()
    assert (days()[39] - days()[19]).days == 29
    assert facts(caplog.messages[0]) == facts(
        f"bars end more than 30 days before the newest, {days()[39]}: COIL on {days()[17]}; "
        "their forecasts are stale: bring newer bars, or take them out of data.symbols"
    )
    assert "BOLT" not in caplog.text


def test_an_empty_folder(project: Project) -> None:
    with pytest.raises(InputError) as caught:
        project()()
    assert facts(str(caught.value)) == facts("data/raw: holds no bars; run `dvc repro ingest`")


def test_a_calendar_that_ends_before_as_of(project: Project) -> None:
    run = project(daily=[raw("ACME", [1.0])], data={"calendar": "XHKG", "as_of": "2050-12-31"})
    with pytest.raises(DataError, match=r"^data\.calendar: .* XHKG only up to 2049-12-31, but"):
        run()


# Real bars


def test_the_real_sample_needs_no_line(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = project()
    ingest.main()
    report = run()
    assert caplog.messages[-1] == (
        "clean: 11,794 daily, 7,042 market bars of 6 series read, 0 rejected, 0 sessions missing, "
        "0 filled, 92 actions applied, 5 large moves (adj_close 5) -> data/clean"
    )
    assert {record["symbol"]: record["actions"] for record in report["symbols"]} == {
        "AAPL": 4,
        "GOOG": 0,
        "IBM": 51,
        "MSFT": 37,
        "nasdaq": 0,
        "sp500": 0,
    }
    bars = tables.read(tmp_path / "data/clean/daily.parquet")
    returns = bars.select(
        "symbol",
        "date",
        change=(pl.col("adj_close") / pl.col("adj_close").shift(1) - 1).over("symbol"),
    ).drop_nulls()
    worst = returns.sort("change").head(1)
    assert worst.select("symbol", "date").row(0) == ("AAPL", date(2000, 9, 29))
    assert worst["change"].item() == pytest.approx(-0.519, abs=0.001)
    # No other day of twelve years comes near it: the splits are gone.
    assert returns["change"].abs().sort()[-2] < 0.3


def eurusd() -> pl.DataFrame:
    spec = importlib.util.find_spec("gym_anytrading")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "datasets" / "data" / "FOREX_EURUSD_1H_ASK.csv"
    table = pl.read_csv(path).rename(str.lower)
    time = pl.col("time").str.to_datetime("%d.%m.%Y %H:%M:%S%.3f", time_unit="us", time_zone="UTC")
    return table.select(
        pl.lit("EURUSD").alias("symbol"),
        time.alias("timestamp"),
        *tables.PRICES,
        pl.lit(None, dtype=pl.Float64).alias("adj_close"),
        "volume",
    )


def test_real_hours_of_a_currency() -> None:
    bars = eurusd()
    sessions = calendars.sessions("24/5", date(2016, 12, 31), date(2017, 12, 31))
    done = clean_hourly(bars, NOTHING, tables.empty(FACTOR), sessions, rules())
    assert bars.height == 6225
    assert done.bars.height == 6225 - 137
    assert done.moves.is_empty()
    assert done.counts.select("missing_sessions", "out_of_order").rows() == [(0, 0)]
    # The week of currencies opens on Sunday evening, that of the calendar at midnight.
    reasons = done.rejected.group_by("reason", pl.col("date").dt.weekday()).len()
    assert reasons.rows() == [("not_a_session", 7, 137)]
    assert done.rejected["timestamp"].dt.hour().unique().sort().to_list() == [21, 22, 23]
    assert done.bars["date"].n_unique() == 260
    assert done.bars["adj_close"].equals(done.bars["close"], check_names=False)


def test_params_and_the_default_of_the_project(repo_root: Path) -> None:
    shipped = params.load(repo_root / "params.yaml").clean
    assert shipped == CleanParams(
        max_gap=0.18, fill_limit=0, zero_volume="reject", adjustment="auto"
    )
