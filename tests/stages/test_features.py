"""What holds for every feature: nothing of the future, of another symbol or of the price level."""

import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import features as stage
from stages.common import tables
from stages.common.errors import DataError, InputError
from stages.common.paths import CLEAN_DAILY, CLEAN_HOURLY, CLEAN_MARKET, FEATURES_DAILY
from stages.indicators import feature_table
from stages.indicators.definitions import definitions
from stages.indicators.feature_params import FeatureParams
from stages.indicators.feature_table import features, market_bars, realised_volatility
from tests.messages import facts
from tests.panels import (
    SMALL,
    Bars,
    bits,
    daily,
    examples,
    feature_params,
    hourly,
    panels,
    project_params,
    random_bars,
    random_daily,
    sample,
    small,
    write_params,
)

DAY = date(2012, 3, 1)


# Nothing of the future


@given(bars=panels(wild=True), chosen=st.integers(0), same_session=st.booleans())
@examples(40)
def test_cutting_the_future_off_moves_no_bit(bars: Bars, chosen: int, same_session: bool) -> None:
    settings = small(market_same_session=same_session)
    dates = bars.daily["date"].unique().sort()
    day = dates[chosen % len(dates)]
    then = bars.until(day).features(settings)
    now = bars.features(settings).filter(pl.col("date") <= day)
    assert bits(then) == bits(now)


@given(bars=panels(wild=True), chosen=st.integers(0), seed=st.integers(0, 2**32))
@examples(20)
def test_another_future_moves_no_bit(bars: Bars, chosen: int, seed: int) -> None:
    dates = bars.daily["date"].unique().sort()
    day = dates[chosen % len(dates)]
    rng = np.random.default_rng(seed)

    def other(frame: pl.DataFrame) -> pl.DataFrame:
        columns = [*tables.PRICES, "adj_close", "volume"]
        factor = pl.Series(np.exp(rng.normal(0, 3, frame.height)))
        changed = [
            pl.when(pl.col("date") > day).then(pl.col(c) * factor).otherwise(c) for c in columns
        ]
        return frame.with_columns(changed)

    market = {name: other(series) for name, series in bars.market.items()}
    changed = Bars(other(bars.daily), market, other(bars.hourly))
    then, now = (
        panel.features(small()).filter(pl.col("date") <= day).drop("close", "adj_close")
        for panel in (bars, changed)
    )
    assert bits(then) == bits(now)


@given(bars=panels(wild=True), chosen=st.integers(0), same_session=st.booleans())
@examples(20)
def test_cutting_the_future_of_a_level_off_moves_no_bit(
    bars: Bars, chosen: int, same_session: bool
) -> None:
    settings = feature_params(market_lags=[1, 2], market_same_session=same_session)
    dates = bars.daily["date"].unique().sort()
    day = dates[chosen % len(dates)]
    then, now = (
        features(each.daily, each.market, None, settings, levels=["vix"])
        for each in (bars.until(day), bars)
    )
    assert {"vix_level", "vix_change_lag1", "index_return_lag2"} <= {*now.columns}
    assert "vix_return_lag1" not in now.columns
    assert bits(then) == bits(now.filter(pl.col("date") <= day))


def test_the_future_of_real_bars_moves_no_bit() -> None:
    settings, bars = project_params().features, sample()
    market = {"index": random_daily(np.random.default_rng(2), "index", 3270)}
    market["index"] = market["index"].with_columns(
        date=bars.filter(pl.col("symbol") == "IBM")["date"]
    )
    everything = Bars(bars, market, tables.empty(tables.CLEAN_HOURLY))
    table = everything.features(settings)
    # Days of splits, of a crash, and the first of a symbol.
    for day in (date(2000, 6, 20), date(2000, 9, 29), date(2003, 2, 17), date(2004, 8, 19)):
        then = everything.until(day).features(settings)
        assert bits(then) == bits(table.filter(pl.col("date") <= day)), day


# Nothing of another symbol


@given(bars=panels(symbols=(2, 5), wild=True), threads=st.sampled_from([1, 2, 8]))
@examples(20)
def test_a_symbol_alone_has_the_same_bits_as_among_others(bars: Bars, threads: int) -> None:
    together = bars.features(small(), threads)
    for (symbol,), rows in bars.daily.group_by("symbol", maintain_order=True):
        hours = bars.hourly.filter(pl.col("symbol") == symbol)
        alone = features(rows, bars.market, hours, small())
        assert bits(alone) == bits(together.filter(pl.col("symbol") == symbol))


@given(bars=panels(symbols=(2, 5)), cut=st.integers(1, 4))
@examples(15)
def test_neither_order_nor_grouping_of_symbols_matters(bars: Bars, cut: int) -> None:
    parts = [rows for _, rows in bars.daily.group_by("symbol", maintain_order=True)]
    groups = [pl.concat(part) for part in (parts[cut:], parts[:cut]) if part]
    grouped = [features(group, bars.market, bars.hourly, small()) for group in groups]
    assert bits(pl.concat(grouped).sort("symbol", "date")) == bits(bars.features(small()))


@given(bars=panels(symbols=(1, 5)), rows=st.integers(1, 60), threads=st.integers(1, 4))
@examples(30)
def test_blocks_of_any_size_and_any_number_of_threads_give_the_same_bits(
    bars: Bars, rows: int, threads: int
) -> None:
    whole = bars.features(small())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_table, "BLOCK_ROWS", rows)
        assert bits(bars.features(small(), threads)) == bits(whole)


# Nothing of the price level


def selected() -> list[str]:
    return project_params().selected_features


def scale_free(bars: pl.DataFrame, settings: FeatureParams) -> pl.DataFrame:
    """The columns that the default dataset selects, by their patterns."""
    content = project_params()
    chosen = content.model_copy(update={"features": settings}).selected_features
    table = features(bars, {}, None, settings)
    return table.select([name for name in chosen if name in table.columns])


LONG = panels(rows=(30, 120), symbols=(1, 3))


@given(bars=LONG, power=st.integers(-8, 8))
@examples(12)
def test_prices_in_other_units_move_no_bit(bars: Bars, power: int) -> None:
    """Powers of two, which floating point scales without rounding."""
    unit = pl.col(*tables.PRICES, "adj_close") * 2.0**power
    other = bars.daily.with_columns(unit)
    assert bits(scale_free(other, small())) == bits(scale_free(bars.daily, small()))


@given(bars=LONG, unit=st.floats(1e-3, 1e3))
@examples(12)
def test_prices_in_any_unit_move_no_selected_feature(bars: Bars, unit: float) -> None:
    other = bars.daily.with_columns(pl.col(*tables.PRICES, "adj_close") * unit)
    agree(scale_free(other, small()), scale_free(bars.daily, small()))


def agree(one: pl.DataFrame, other: pl.DataFrame, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Equal but for rounding; null in the same places."""
    assert one.columns == other.columns
    for name in one.columns:
        assert one[name].is_null().equals(other[name].is_null()), name
        left, right = (frame[name].drop_nulls().to_numpy() for frame in (one, other))
        np.testing.assert_allclose(left, right, rtol, atol, err_msg=name)


def test_the_default_dataset_selects_every_scale_free_family() -> None:
    families = ("return_lag1", "dist_sma_7", "dist_ema_12", "mom_7", "vol_14", "rsi_14")
    more = ("relative_volume_21", "rel_macd_12_26_9", "rel_macd_hist_12_26_9", "rel_atr_14")
    bands = ("bb_position_20", "bb_width_20", "sp500_return_lag1")
    assert {*families, *more, *bands} <= set(selected())
    levels = ("volume", "sma_7", "ema_12", "macd_12_26_9", "bb_upper_20", "atr_14")
    assert not {*levels} & set(selected())


@given(
    seed=st.integers(0, 2**32),
    ratio=st.sampled_from([2.0, 3.0, 1.5, 0.1, 10.0]),
    ago=st.integers(1, 50),
)
@examples(20)
def test_a_split_is_as_if_there_was_none(seed: int, ratio: float, ago: int) -> None:
    whole = random_daily(np.random.default_rng(seed), "S", 80)
    after = pl.int_range(pl.len()) >= pl.len() - ago
    shares = pl.when(after).then(ratio).otherwise(1.0)
    split = whole.with_columns(pl.col(*tables.PRICES) / shares, pl.col("volume") * shares)
    agree(scale_free(split, small()), scale_free(whole, small()))
    before, now = (features(bars, {}, None, small()) for bars in (whole, split))
    levels = [name for name in before.columns if name.startswith(LEVELS)]
    highest = whole["high"].to_numpy().max()
    agree(now.select(pl.col(levels) * shares), before.select(levels), atol=1e-6 * highest)
    assert now["volume"].to_list() == pytest.approx(split["volume"].to_list())


LEVELS = ("sma_", "ema_", "macd_", "bb_upper_", "bb_lower_", "atr_")


# Columns as params say

ONE_MORE: dict[str, tuple[Any, list[str]]] = {
    "lags": (9, ["return_lag9"]),
    "sma": (9, ["sma_9", "dist_sma_9"]),
    "ema": (9, ["ema_9", "dist_ema_9"]),
    "momentum": (9, ["mom_9"]),
    "volatility": (9, ["vol_9"]),
    "ewma_volatility": (9, ["ewma_vol_9"]),
    "range": (9, ["range_9"]),
    "high": (9, ["dist_high_9"]),
    "relative_volume": (9, ["relative_volume_9"]),
    "rsi": (9, ["rsi_9"]),
    "macd": (
        (3, 9, 4),
        ["macd_3_9_4", "macd_signal_3_9_4", "rel_macd_3_9_4", "rel_macd_hist_3_9_4"],
    ),
    "bollinger": (9, ["bb_upper_9", "bb_lower_9", "bb_position_9", "bb_width_9"]),
    "atr": (9, ["atr_9", "rel_atr_9"]),
    "market_lags": (9, ["index_return_lag9", "vix_return_lag9"]),
}
FIXED = list(tables.features_contract([]))


@pytest.mark.parametrize("family", ONE_MORE)
def test_a_list_grows_and_shrinks_the_columns_and_nothing_else(family: str) -> None:
    entry, columns = ONE_MORE[family]
    bars = random_bars(4, [40, 25])
    usual = bars.features(small())
    more = bars.features(small(**{family: [*SMALL[family], entry]}))
    assert set(more.columns) - set(usual.columns) == set(columns)
    assert bits(more.select(usual.columns)) == bits(usual)
    assert bits(more.select(columns)) == bits(
        bars.features(feature_params(**{family: [entry]})).select(columns)
    )
    without = bars.features(small(**{family: []}))
    assert set(usual.columns) > set(without.columns)
    assert bits(usual.select(without.columns)) == bits(without)
    assert bars.features(feature_params(**{family: [entry]})).columns == [
        *FIXED,
        "volume",
        *columns,
    ]


def test_calendar_and_hours_are_columns_by_choice() -> None:
    bars = random_bars(4, [10])
    assert bars.features(feature_params()).columns == [*FIXED, "volume"]
    assert bars.features(feature_params(calendar=["month", "quarter"])).columns[-2:] == [
        "month",
        "quarter",
    ]
    assert bars.features(feature_params(hourly_volatility=True)).columns[-1] == "hourly_volatility"


def test_the_columns_of_the_project_in_order() -> None:
    settings = project_params()
    assert settings.feature_names == [
        "volume",
        *[f"return_lag{lag}" for lag in (1, 2, 3, 4, 5)],
        *[f"mom_{window}" for window in (7, 21, 63, 252)],
        *["vol_14", "vol_63", "vol_252", "ewma_vol_94", "dist_high_252", "relative_volume_21"],
        *["sma_7", "dist_sma_7", "sma_21", "dist_sma_21"],
        *["ema_12", "dist_ema_12", "ema_26", "dist_ema_26", "rsi_14"],
        *["macd_12_26_9", "macd_signal_12_26_9", "rel_macd_12_26_9", "rel_macd_hist_12_26_9"],
        *["bb_upper_20", "bb_lower_20", "bb_position_20", "bb_width_20", "atr_14", "rel_atr_14"],
        *[f"range_{window}" for window in (1, 5, 21, 63)],
        *[f"{name}_return_lag{lag}" for name in ("sp500", "nasdaq") for lag in (1, 2, 5)],
        *["day_of_week", "month", "hourly_volatility"],
    ]


@given(bars=panels(wild=True))
@examples(20)
def test_columns_are_as_the_contract_says_and_no_value_is_nan_or_infinite(bars: Bars) -> None:
    table = bars.features(small())
    names = definitions(small(), list(bars.market))
    assert dict(table.schema) == dict(tables.features_contract(list(names)))
    assert table.select(FIXED).equals(bars.daily.select(FIXED))
    values = table.select(list(names))
    assert values.select(pl.all().is_nan().any()).row(0) == (False,) * len(names)
    assert values.select(pl.all().is_infinite().any()).row(0) == (False,) * len(names)


@given(bars=panels(wild=True))
@examples(20)
def test_a_value_is_unknown_at_the_start_of_a_symbol_only(bars: Bars) -> None:
    table = bars.features(small())
    row = pl.int_range(pl.len()).over("symbol")
    for name, feature in definitions(small(), list(bars.market)).items():
        if name == "hourly_volatility" or "_return_lag" in name:
            continue
        late = table.filter((row >= feature.memory) & pl.col(name).is_null())
        assert late.is_empty(), name
        known_again = table.filter(
            pl.col(name).is_null() & pl.col(name).shift(1).is_not_null().over("symbol")
        )
        assert known_again.is_empty(), name


@pytest.mark.parametrize("count", [0, 1, 2])
def test_symbols_of_hardly_any_bars(count: int) -> None:
    table = features(daily("S", [5.0] * count), {}, None, project_params().features)
    assert table.height == count
    assert table.columns == [*FIXED, *definitions(project_params().features, [])]
    assert table["volume"].to_list() == [1000.0] * count
    assert table["return_lag1"].to_list() == [None, 0.0][:count]


def test_constant_prices_without_a_trade() -> None:
    """A pegged currency, whose source gives no volume."""
    table = features(
        daily("S", [7.8] * 300, volume=[0.0] * 300), {}, None, project_params().features
    )
    newest = table.row(-1, named=True)
    unknown = {name for name, value in newest.items() if value is None}
    assert unknown == {"hourly_volatility"}
    zero = (
        *("return_lag1", "mom_252", "vol_14", "vol_252", "dist_high_252"),
        *("relative_volume_21", "bb_width_20", "rel_atr_14"),
    )
    assert {newest[name] for name in zero} == {0.0}
    assert (newest["rsi_14"], newest["bb_position_20"]) == (50.0, 0.5)
    assert newest["sma_21"] == pytest.approx(7.8)


# Realised volatility


def test_realised_volatility_worked_by_hand() -> None:
    bars = pl.concat(
        [daily("A", [1.0] * 3, [DAY, date(2012, 3, 2), date(2012, 3, 5)]), daily("B", [1.0], [DAY])]
    )
    hours = pl.concat(
        [
            # Opens at 100, then e^0.03 up, e^0.04 down, unchanged: a root of 9 + 16 + 0.
            hourly(
                "A",
                [
                    (
                        DAY,
                        100.0,
                        [100 * math.exp(0.03), 100 * math.exp(-0.01), 100 * math.exp(-0.01)],
                    ),
                    # The night before does not count, the first hour does.
                    (date(2012, 3, 2), 200.0, [200 * math.exp(-0.02)]),
                    # A day that is no daily bar.
                    (date(2012, 3, 3), 1.0, [2.0]),
                ],
            ),
            hourly("B", [(DAY, 5.0, [5.0])]),
        ]
    )
    volatility = realised_volatility(bars, hours)
    assert volatility[:2] == pytest.approx([0.05, 0.02])
    assert math.isnan(volatility[2])
    assert volatility[3] == 0


def test_a_split_between_sessions_does_not_reach_realised_volatility() -> None:
    days = [DAY, date(2012, 3, 2)]
    hours = hourly("A", [(days[0], 100.0, [102.0, 101.0]), (days[1], 50.5, [51.0])])
    carried = hours.with_columns(
        adj_close=pl.when(pl.col("date") == DAY).then("close").otherwise(pl.col("close") * 2)
    )
    bars = daily("A", [101.0, 51.0], days)
    expected = [math.hypot(math.log(1.02), math.log(101 / 102)), math.log(51 / 50.5)]
    assert realised_volatility(bars, hours) == pytest.approx(expected)
    assert realised_volatility(bars, carried) == pytest.approx(expected)


@given(bars=panels(rows=(1, 20)))
@examples(20)
def test_realised_volatility_agrees_with_pandas(bars: Bars) -> None:
    key = ["symbol", "date"]
    hours = bars.hourly.to_pandas()
    moves = np.log(hours["close"]).groupby([hours[k] for k in key]).diff()
    hours["squared"] = moves.fillna(np.log(hours["close"] / hours["open"])) ** 2
    sessions = np.sqrt(hours.groupby(key)["squared"].sum()).rename("volatility").reset_index()
    expected = bars.daily.select(key).to_pandas().merge(sessions, "left", key)["volatility"]
    volatility = realised_volatility(bars.daily, bars.hourly)
    np.testing.assert_allclose(volatility, expected, rtol=1e-9)


# Market series


def test_market_series_come_by_name_in_the_order_of_params(tmp_path: Path) -> None:
    path = tmp_path / "market.parquet"
    tables.write(pl.concat([daily("nasdaq", [1.0, 2.0]), daily("sp500", [3.0])]), path)
    series = market_bars(["sp500", "nasdaq"], path)
    assert list(series) == ["sp500", "nasdaq"]
    assert series["nasdaq"]["close"].to_list() == [1.0, 2.0]
    assert market_bars([], tmp_path / "none.parquet") == {}


def test_a_market_series_without_a_bar_is_named(tmp_path: Path) -> None:
    path = tmp_path / "market.parquet"
    tables.write(daily("sp500", [1.0]), path)
    with pytest.raises(DataError) as error:
        market_bars(["vix", "sp500"], path)
    assert facts(str(error.value)) == facts(
        f"{path}: no bar of vix, it has sp500; take it out of data.market, or bring its bars"
    )
    with pytest.raises(InputError, match="no such file; run `dvc repro`"):
        market_bars(["vix"], tmp_path / "none.parquet")


# The stage

SHORT: Mapping[str, Any] = {**SMALL, "macd": [list(spans) for spans in SMALL["macd"]]}


def write(folder: Path, **sections: Mapping[str, Any]) -> None:
    usual = {
        "features": SHORT,
        "data": {"market": ["index", "vix"]},
        "dataset": {"scale": ["vol_6"]},
    }
    write_params(folder, **usual | sections)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three symbols in two row groups, with two market series and some hours."""
    bars = random_bars(11, [30, 7, 12])
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    with tables.replacing(CLEAN_DAILY) as partial, tables.Writer(partial) as writer:
        writer.append(bars.daily.filter(pl.col("symbol") != "S2"))
        writer.append(bars.daily.filter(pl.col("symbol") == "S2"))
    tables.write(pl.concat(bars.market.values()), CLEAN_MARKET)
    tables.write(bars.hourly, CLEAN_HOURLY)
    return tmp_path


def test_the_stage_writes_what_the_function_computes(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        stage.main()
    table = tables.read(FEATURES_DAILY)
    bars, market, hours = (tables.read(path) for path in (CLEAN_DAILY, CLEAN_MARKET, CLEAN_HOURLY))
    series = {name: market.filter(pl.col("symbol") == name) for name in ("index", "vix")}
    assert bits(table) == bits(features(bars, series, hours, small()))
    assert table["hourly_volatility"].drop_nulls().len() > 0
    assert tables.count_row_groups(FEATURES_DAILY) == 2
    names = definitions(small(), ["index", "vix"])
    assert dict(table.schema) == dict(tables.features_contract(list(names)))
    assert caplog.messages == [
        f"features: 49 bars of 3 symbols, {len(names)} features -> data/features/daily.parquet"
    ]
    assert sorted(path.name for path in (project / "data").rglob("*features*")) == ["features"]


def test_the_stage_without_hours_and_market(project: Path) -> None:
    CLEAN_HOURLY.unlink()
    CLEAN_MARKET.unlink()
    selected = {"features": ["return_lag1"], "scale": []}
    write(project, data={"market": []}, dataset=selected)
    stage.main()
    table = tables.read(FEATURES_DAILY)
    assert table["hourly_volatility"].null_count() == table.height == 49
    assert not [name for name in table.columns if name.startswith(("index", "vix"))]


@pytest.mark.usefixtures("project")
def test_the_bytes_do_not_depend_on_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    written = set()
    for threads in (1, 1, 2, 7, None):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        stage.main()
        written.add(FEATURES_DAILY.read_bytes())
    assert len(written) == 1


def test_an_error_in_the_middle_leaves_the_former_output(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.main()
    former = FEATURES_DAILY.read_bytes()
    write(project, features={**SHORT, "sma": [4]})

    def fails(bars: pl.DataFrame, *others: Any, **named: Any) -> pl.DataFrame:
        if "S2" in bars["symbol"]:
            raise DataError("in the middle")
        return features(bars, *others, **named)

    monkeypatch.setattr(stage, "features", fails)
    with pytest.raises(DataError, match="in the middle"):
        stage.main()
    assert FEATURES_DAILY.read_bytes() == former
    assert [path.name for path in FEATURES_DAILY.parent.iterdir()] == ["daily.parquet"]
    assert sorted(path.name for path in (project / "data").iterdir()) == ["clean", "features"]


KILLED_IN_THE_SECOND_GROUP = """
import os, signal
from stages import features as stage

compute = stage.features

def kills(bars, *others, **named):
    if "S2" in bars["symbol"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(bars, *others, **named)

stage.features = kills
stage.main()
"""


def test_a_killed_stage_leaves_the_former_output_and_the_next_run_finishes(
    project: Path, repo_root: Path
) -> None:
    stage.main()
    former = FEATURES_DAILY.read_bytes()
    write(project, features={**SHORT, "lags": [1]})
    there = {**os.environ, "PYTHONPATH": str(repo_root)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_SECOND_GROUP], cwd=project, env=there, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert FEATURES_DAILY.read_bytes() == former
    done = subprocess.run(
        [sys.executable, "-m", "stages.features"],
        cwd=project,
        env=there,
        check=True,
        capture_output=True,
        text=True,
    )
    count = len(definitions(small(lags=[1]), ["index", "vix"]))
    assert done.stdout == ""
    assert done.stderr == (
        f"features: 49 bars of 3 symbols, {count} features -> data/features/daily.parquet\n"
    )
    assert FEATURES_DAILY.read_bytes() != former
    assert sorted(path.name for path in (project / "data").iterdir()) == ["clean", "features"]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_clean_table_that_cannot_be_read_is_named(damage: str) -> None:
    stage.main()
    former = FEATURES_DAILY.read_bytes()
    if damage == "missing":
        CLEAN_DAILY.unlink()
    else:
        CLEAN_DAILY.write_bytes(CLEAN_DAILY.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"^data/clean/daily\.parquet: "):
        stage.main()
    assert FEATURES_DAILY.read_bytes() == former
