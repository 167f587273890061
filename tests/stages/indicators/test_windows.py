"""Moving statistics against exact arithmetic, and what of a series they may depend on."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common import tables
from stages.indicators import feature_table, windows
from stages.indicators.panel import Panel
from tests.panels import Bars, bits, examples, panels, small

VALUES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=80)
WINDOWS = st.integers(2, 40)
EPS = 2.0**-52


def exact(values: list[float]) -> tuple[Fraction, Fraction]:
    """Mean and sum of squared deviations without any rounding."""
    numbers = [Fraction(value) for value in values]
    mean = sum(numbers, Fraction(0)) / len(numbers)
    return mean, sum(((number - mean) ** 2 for number in numbers), Fraction(0))


@given(VALUES, WINDOWS)
@examples(50)
def test_the_maximum_is_that_of_the_rows(values: list[float], window: int) -> None:
    largest = windows.maximum(np.array(values), window)
    rows = range(len(values))
    expected = [
        max(values[row - window + 1 : row + 1]) if row >= window - 1 else math.nan for row in rows
    ]
    np.testing.assert_array_equal(largest, expected)


@given(VALUES, WINDOWS)
@examples(100)
def test_mean_and_deviation_are_those_of_exact_arithmetic(values: list[float], window: int) -> None:
    series = np.array(values)
    means, deviations = windows.mean(series, window), windows.std(series, window)
    for row in range(len(values)):
        if row < window - 1:
            assert math.isnan(means[row])
            assert math.isnan(deviations[row])
            continue
        own = values[row - window + 1 : row + 1]
        mean, squares = exact(own)
        scale = max(map(abs, own))
        assert abs(means[row] - float(mean)) <= 8 * EPS * scale
        # As good as two passes over the window would be: the means are rounded, nothing more.
        deviation = math.sqrt(squares / (window - 1))
        assert abs(deviations[row] - deviation) <= 16 * EPS * (deviation + scale)


@given(VALUES, VALUES, WINDOWS)
@examples(50)
def test_what_was_before_a_window_moves_no_bit(
    values: list[float], before: list[float], window: int
) -> None:
    for statistic in (windows.mean, windows.std, windows.maximum):
        alone = statistic(np.array(values), window)[window - 1 :]
        after = statistic(np.array(before + values), window)[len(before) + window - 1 :]
        assert alone.tobytes() == after.tobytes()


@given(VALUES, WINDOWS, st.data())
@examples(50)
def test_an_unknown_row_spoils_its_windows_and_no_other(
    values: list[float], window: int, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(values) - 1))
    series = np.array(values)
    unknown = series.copy()
    unknown[row] = np.nan
    for statistic in (windows.mean, windows.std, windows.maximum):
        expected = statistic(series, window)
        expected[row : row + window] = np.nan
        np.testing.assert_array_equal(statistic(unknown, window), expected)


@pytest.mark.parametrize("window", range(2, 70))
def test_flat_prices_have_no_spread_whatever_they_were_before(window: int) -> None:
    series = np.array([1000.0, 0.1, *[1 / 3] * window])
    assert windows.std(series, window)[-1] == 0
    assert windows.mean(series, window)[-1] == pytest.approx(1 / 3, rel=EPS)


def test_a_window_of_one_row_is_the_row() -> None:
    assert windows.mean(np.array([3.0, 1.0]), 1).tolist() == [3.0, 1.0]


def test_inputs_stay_as_they_are() -> None:
    series = np.array([1.0, 4.0, 2.0, 8.0])
    for statistic, window in (
        (windows.mean, 1),
        (windows.mean, 3),
        (windows.std, 3),
        (windows.maximum, 1),
    ):
        statistic(series, window)
        assert series.tolist() == [1.0, 4.0, 2.0, 8.0]


@given(bars=panels(symbols=(1, 5)), rows=st.integers(1, 60), threads=st.sampled_from([1, 2, 5]))
@examples(20)
def test_blocks_and_threads_move_no_bit(bars: Bars, rows: int, threads: int) -> None:
    whole = bars.features(small())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_table, "BLOCK_ROWS", rows)
        assert bits(bars.features(small(), threads)) == bits(whole)
    blocks = [block for block, _ in Panel.of(bars.daily, {}).blocks(rows)]
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == bars.daily.height
    for block in blocks[:-1]:
        assert block.stop - block.start >= rows
        assert bars.daily["symbol"][block.stop - 1] != bars.daily["symbol"][block.stop]


def test_no_bars_have_no_blocks() -> None:
    assert list(Panel.of(tables.empty(tables.CLEAN_DAILY), {}).blocks(1)) == []
