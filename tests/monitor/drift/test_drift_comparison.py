"""Windows without drift stay silent, shifted features are found and named."""

from collections.abc import Callable

import polars as pl
import pytest

from monitor.drift import drift_comparison, prepared_reference
from monitor.drift.drift_comparison import Comparison
from monitor.settings import MonitorError
from tests.monitor.drift import drift_world

PARAMS = drift_world.drift_params()
SESSIONS = 30


def compared(rows: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Comparison:
    """The last sessions of some rows, changed, against those before."""
    size = SESSIONS * len(drift_world.SYMBOLS)
    reference, window = rows[:-size], rows[-size:]
    shape = prepared_reference.shape(window.select("symbol", as_of="date"))
    prepared = prepared_reference.prepare(reference, shape, PARAMS)
    return drift_comparison.compare(prepared, change(window).select(drift_world.FEATURES), 0)


def same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def moved(*names: str, by: float = 1.0) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        deviations = {"slow": 2.3, "quick": 1.0, "sum": 2.5, "level": 1.0, "constant": 1.0}
        return rows.with_columns(pl.col(name) + by * deviations[name] for name in names)

    return change


def test_alarms_without_drift_are_as_seldom_as_stated_and_shifts_are_found() -> None:
    false = hits = named = 0
    rounds = 60
    for seed in range(rounds):
        rows = drift_world.features(1_000, seed)
        false += bool(compared(rows, same).drifted)
        drifted = compared(rows, moved("slow", "quick", "level")).drifted
        hits += bool(drifted)
        named += {"quick", "level"} <= set(drifted)
    # Two standard deviations of a count with a chance of 5 %.
    assert false <= 0.05 * rounds + 2 * (0.05 * 0.95 * rounds) ** 0.5
    assert hits >= 0.95 * rounds
    assert named >= 0.9 * rounds


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return drift_world.features(1_000, 1)


def test_a_broken_relation_is_found_and_its_features_named(rows: pl.DataFrame) -> None:
    """`sum` is nearly `slow + quick`: which of the three is wrong cannot be told."""
    comparison = compared(rows, moved("sum", by=0.4))
    assert comparison.drifted
    # One by the residuals of rows, and one by those of means.
    assert len(comparison.drifted) <= 2
    assert set(comparison.drifted) <= {"slow", "quick", "sum"}
    for name in comparison.drifted:
        own = comparison.features[drift_world.FEATURES.index(name)]
        assert own.p > comparison.level
        assert own.relation_p < 1e-6
        assert own.level is not None
        assert own.level > 1
    assert comparison.p < 0.01


def test_a_constant_feature_is_no_drift_until_it_varies(rows: pl.DataFrame) -> None:
    assert not compared(rows, same).drifted
    comparison = compared(rows, moved("constant", by=0.01))
    assert comparison.drifted == ("constant",)
    assert comparison.features[4].distance == 1


def test_a_feature_stuck_at_one_value_is_found(rows: pl.DataFrame) -> None:
    comparison = compared(rows, lambda window: window.with_columns(quick=pl.lit(0.0, pl.Float32)))
    assert "quick" in comparison.drifted


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_missing_values_are_counted_and_the_rest_compared(
    rows: pl.DataFrame, value: float | None
) -> None:
    def lose(share: float) -> Comparison:
        first = int(share * SESSIONS * len(drift_world.SYMBOLS))
        lost = pl.int_range(pl.len()) < first
        return compared(
            rows,
            lambda window: window.with_columns(
                level=pl.when(lost).then(pl.lit(value, pl.Float32)).otherwise("level")
            ),
        )

    few, half, all_of_them = (lose(share).features[3] for share in (0.04, 0.5, 1))
    assert not few.drifted
    assert few.distance is not None
    assert half.drifted
    assert half.missing == pytest.approx(0.5)
    assert all_of_them.distance is None
    assert all_of_them.drifted
    assert lose(1).drifted == ("level",)


def test_gaps_and_symbols_of_the_window_are_those_of_the_drawn_ones(rows: pl.DataFrame) -> None:
    reference, window = rows[:-120], rows[-120:].filter(pl.col("symbol") == "AAA")
    window = window.gather_every(2)
    shape = prepared_reference.shape(window.select("symbol", as_of="date"))
    assert shape == prepared_reference.Shape(("AAA",), 30, 30)
    prepared = prepared_reference.prepare(reference, shape, PARAMS)
    assert prepared.calibration.independent == pytest.approx(940 / 30)
    assert not drift_comparison.compare(prepared, window.select(drift_world.FEATURES), 0).drifted


def test_a_large_window_is_compared_by_a_sample(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_reference, "MOST", 30)
    assert not compared(rows, same).drifted
    comparison = compared(rows, moved("quick", by=2))
    assert "quick" in comparison.drifted
    assert comparison == compared(rows, moved("quick", by=2))


def test_symbols_that_are_not_in_the_reference_have_all_windows(rows: pl.DataFrame) -> None:
    renamed = rows[-60:].with_columns(symbol=pl.lit("NEW"))
    shape = prepared_reference.shape(renamed.select("symbol", as_of="date"))
    assert prepared_reference.prepare(rows[:-60], shape, PARAMS).calibration.independent > 10


def test_a_reference_that_is_too_short_says_so(rows: pl.DataFrame) -> None:
    with pytest.raises(MonitorError, match=r"30 sessions .* of 110.*monitor\.drift\.window"):
        compared(rows[-280:], same)


def test_too_few_values_have_no_histogram(rows: pl.DataFrame) -> None:
    few = drift_comparison.LEAST - 1
    present = pl.int_range(pl.len()) < few
    comparison = compared(
        rows, lambda window: window.with_columns(level=pl.when(present).then("level"))
    )
    assert comparison.features[3].histogram is None
    assert comparison.features[2].histogram is not None
