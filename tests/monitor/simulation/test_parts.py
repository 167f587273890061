"""The parts of a simulation: its plan, its faulty bars, its table, its picture."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from rich.console import Console

from monitor.live_forecasts import SCHEMA
from monitor.settings import MonitorError
from monitor.simulation import faulty_bars, simulation_plot, timeline
from monitor.simulation.plan import Fault, Plan
from monitor.simulation.timeline import Event, Timeline
from stages.common import tables
from tests.monitor import live

DAY = date(2020, 1, 1)


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    raw_bars = live.bars(sessions=300, spread=0.02).with_columns(
        high=pl.col("close") * 1.01, low=pl.col("close") * 0.98
    )
    return faulty_bars.adjusted(raw_bars)


# The plan


def test_periods_and_days_of_faults() -> None:
    days = [DAY + timedelta(days=number) for number in range(100)]
    plan = Plan(
        first=days[10],
        last=days[99],
        step=21,
        faults=("drift", "bad-challenger", f"restated@{days[50]}"),
    )
    periods = plan.periods(days)
    assert [len(period) for period in periods] == [21, 21, 21, 21, 6]
    assert (periods[0][0], periods[-1][-1]) == (days[10], days[99])
    assert plan.faulty(periods) == [
        Fault("drift", periods[1][0]),
        Fault("bad-challenger", periods[2][0]),
        Fault("restated", days[50]),
    ]


@pytest.mark.parametrize(
    ("span", "step", "message"),
    [
        ((0, 50), 10, "the bars are from 2020-01-01 to 2020-04-09; choose --from after"),
        ((1, 100), 10, "the bars are from 2020-01-01 to 2020-04-09; choose --from after"),
        ((1, 10), 10, "10 sessions from 2020-01-02 to 2020-01-11 are fewer than two periods of 10"),
    ],
)
def test_a_span_that_cannot_be_simulated_is_one_line(
    span: tuple[int, int], step: int, message: str
) -> None:
    days = [DAY + timedelta(days=number) for number in range(100)]
    first, last = (DAY + timedelta(days=number) for number in span)
    with pytest.raises(MonitorError) as raised:
        Plan(first=first, last=last, step=step).periods(days)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("faults", "message"),
    [(("drfit",), "no fault 'drfit'; there is drift, "), (("drift@soon",), "drift@soon: ")],
)
def test_an_unknown_fault_or_day_is_refused(faults: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Plan(first=DAY, last=DAY, faults=faults)


# What the source gives


def test_without_a_fault_the_source_gives_what_it_has(bars: pl.DataFrame) -> None:
    later = [Fault("restated", date(2030, 1, 1)), Fault("bad-challenger", DAY)]
    assert faulty_bars.with_faults(bars, later, date(2020, 6, 1), 21).equals(bars)


def test_a_drift_is_a_volume_that_grows_for_two_periods(bars: pl.DataFrame) -> None:
    days = bars["date"].unique().sort().to_list()
    day = days[200]
    faulty = faulty_bars.with_faults(bars, [Fault("drift", day)], day, 21)
    assert faulty.drop("volume").equals(bars.drop("volume"))
    for symbol in live.SYMBOLS:
        before, after = (
            frame.filter(pl.col("symbol") == symbol)["volume"].to_numpy()
            for frame in (bars, faulty)
        )
        growth = after / before
        np.testing.assert_allclose(growth[:200], 1)
        np.testing.assert_allclose(growth[200:242], 1.15 ** np.arange(1, 43))
        np.testing.assert_allclose(growth[242:], 1.15**42)


def test_a_broken_feed_repeats_and_is_mended_after_a_period(bars: pl.DataFrame) -> None:
    days = bars["date"].unique().sort().to_list()
    fault = [Fault("broken-feed", days[100])]
    for today, broken in ((days[99], False), (days[105], True), (days[110], False)):
        faulty = faulty_bars.with_faults(bars, fault, today, 10)
        own = faulty.filter(
            (pl.col("symbol") == "AAA") & pl.col("date").is_between(days[99], today)
        )
        assert (own["close"].n_unique() == 1) == (broken or own.height == 1)
        others = pl.col("symbol") != "AAA"
        assert faulty.filter(others).equals(bars.filter(others))
        assert faulty.equals(bars) != broken


def test_a_restated_past_changes_one_symbol_before_its_day_alone(bars: pl.DataFrame) -> None:
    day = date(2020, 9, 1)
    fault = [Fault("restated", day)]
    assert faulty_bars.with_faults(bars, fault, day - timedelta(days=1), 21).equals(bars)
    faulty = faulty_bars.with_faults(bars, fault, day, 21)
    differs = faulty["close"] != bars["close"]
    changed = bars.filter(differs)
    assert changed["symbol"].unique().to_list() == ["BBB"]
    assert changed.height == faulty_bars.RESTATED_SESSIONS
    assert changed["date"].max() < day  # type: ignore[operator]
    assert faulty.filter(differs).filter(pl.col("high") < pl.col("close")).is_empty()


def test_the_new_series_know_a_little_of_the_next_session_and_then_mislead() -> None:
    bars = faulty_bars.adjusted(live.bars(sessions=4000, start=date(2004, 1, 1)))
    days = bars["date"].unique().sort()
    turn = days[3000]
    series = faulty_bars.series(bars, turn, seed=0)
    assert list(series) == ["SENTIMENT", "IMPLIED"]
    assert all(frame.columns == ["symbol", "date", "value"] for frame in series.values())
    ahead = (pl.col("close").shift(-1) / pl.col("close")).log().over("symbol")
    rows = bars.with_columns(ahead=ahead, size=ahead.abs())
    for name, target, least, most in (
        ("SENTIMENT", "ahead", 0.04, 0.1),
        ("IMPLIED", "size", 0.4, 0.8),
    ):
        frame = series[name]
        assert frame["value"].min() > 0  # type: ignore[operator]
        joined = rows.join(frame, on=["symbol", "date"]).drop_nulls("ahead")
        good, bad = (
            part.select(pl.corr(pl.col("value").log(), target)).item()
            for part in (
                joined.filter(pl.col("date") < turn),
                joined.filter(pl.col("date") >= turn),
            )
        )
        assert least < good < most
        assert -2 * most < bad < -least
    # R2 of a good model, not of a leak.
    again = faulty_bars.series(bars, turn, seed=0)
    assert all(again[name].equals(frame) for name, frame in series.items())


# What happened when


EVENTS = [
    Event(date(2011, 3, 1), "fault", "drift", "returns, doubled"),
    Event(date(2011, 3, 15), "drift", "short", "20 features have drifted"),
    Event(date(2011, 3, 15), "promoted", "retraining", 'lane refit: "all" passed'),
]


def test_events_are_told_and_written(tmp_path: Path) -> None:
    console = Console(width=200, record=True, color_system=None)
    new_timeline = Timeline(console=console)
    for event in EVENTS:
        new_timeline.add(event.day, event.kind, event.subject, f"{event.detail}\n")
    assert new_timeline.events == EVENTS
    lines = console.export_text().splitlines()
    assert lines[1] == "2011-03-15  drift        short: 20 features have drifted"
    new_timeline.write(tmp_path)
    read = pl.read_csv(tmp_path / "events.csv")
    assert read.rows()[2] == ("2011-03-15", "promoted", "retraining", 'lane refit: "all" passed')
    assert json.loads((tmp_path / "events.json").read_text("utf-8"))[0]["day"] == "2011-03-01"
    console.print(timeline.table(EVENTS))
    assert "20 features have drifted" in console.export_text()


def forecasts() -> pl.DataFrame:
    rows = live.forecasts(live.bars(sessions=60), scale=0.02)
    frames = [
        rows.with_columns(role=pl.lit(role, pl.String), model_md5=pl.lit(md5))
        for role, md5 in ((None, "c" * 32), ("shadow", "d" * 32))
    ]
    both = pl.concat(frames).rename({"target": "actual_return"})
    both = both.with_columns(labelled_at=pl.lit(None, tables.UTC))
    return both.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def test_the_rolling_loss_is_the_interval_score() -> None:
    rows = forecasts()
    rolling = simulation_plot.losses(rows, 21)
    assert rolling["model"].unique().sort().to_list() == ["cccccccc", "dddddddd"]
    mine = rows.drop_nulls("actual_return").filter(pl.col("role").is_null())
    scores = []
    for day in mine["as_of"].unique().sort():
        of_day = []
        for row in mine.filter(pl.col("as_of") == day).iter_rows(named=True):
            actual, lower, upper = row["actual_return"], row["lower"], row["upper"]
            beyond = max(lower - actual, actual - upper, 0)
            of_day.append(100 * (upper - lower + beyond * 2 / (1 - row["level"])))
        scores.append(np.mean(of_day))
    champion = rolling.filter(pl.col("role") == "champion")
    assert champion["loss"][-1] == pytest.approx(np.mean(scores[-21:]))
    assert champion.height == len(scores) - 4


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_picture_is_the_same_twice_and_also_without_a_forecast(
    tmp_path: Path, suffix: str
) -> None:
    drift = pl.DataFrame({"day": [date(2011, 3, 1), date(2011, 3, 15)], "share": [0.1, 0.6]})
    rolling = simulation_plot.losses(forecasts())
    contents = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.{suffix}"
        simulation_plot.draw(path, rolling, drift, EVENTS)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert len(contents[0]) > 5_000
    if suffix == "svg":
        assert b"promoted: retraining" in contents[0]
    path = tmp_path / f"empty.{suffix}"
    simulation_plot.draw(path, rolling.clear(), drift.clear(), [])
    assert path.exists()
