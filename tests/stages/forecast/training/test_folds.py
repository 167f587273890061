"""Walk-forward folds: what is trained on was known before what is validated, and before the gap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.forecast.training.folds import Days, Fold, walk_forward
from tests.panels import examples


def days(values: list[int]) -> Days:
    return np.array(values, np.int32)


def folds_of(
    dates: list[int], targets: list[int], folds: int, first: float, embargo: int = 0
) -> list[Fold]:
    return list(walk_forward(days(dates), days(targets), folds, first, embargo))


def test_folds_worked_by_hand() -> None:
    # Ten sessions of one symbol, targets two sessions on; the first four are only trained on.
    dates = list(range(10))
    spans = folds_of(dates, [date + 2 for date in dates], folds=3, first=0.4)
    assert [fold.number for fold in spans] == [1, 2, 3]
    assert [fold.valid.tolist() for fold in spans] == [[4, 5], [6, 7], [8, 9]]
    # The row of session 2 is known at 4 only: that is the first to be validated.
    assert [fold.train.tolist() for fold in spans] == [[0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]


def test_an_embargo_leaves_sessions_out_before_each_span() -> None:
    dates = list(range(10))
    spans = folds_of(dates, [date + 1 for date in dates], folds=2, first=0.5, embargo=2)
    assert [fold.valid.tolist() for fold in spans] == [[5, 6], [7, 8, 9]]
    assert [fold.train.tolist() for fold in spans] == [[0, 1], [0, 1, 2, 3]]


def test_an_embargo_counts_sessions_not_days() -> None:
    spans = folds_of([0, 7, 14, 21, 28, 35], [1, 8, 15, 22, 29, 36], 1, 0.5, embargo=1)
    assert spans[0].valid.tolist() == [3, 4, 5]
    # Session 14 is left out: what is known by 14 may be trained on, not what is known at 15.
    assert spans[0].train.tolist() == [0, 1]


def test_rows_of_several_symbols_in_the_order_of_the_file() -> None:
    dates = [0, 1, 2, 3, 1, 2, 3, 0, 3]
    spans = folds_of(dates, [date + 1 for date in dates], folds=2, first=0.5)
    assert [fold.valid.tolist() for fold in spans] == [[2, 5], [3, 6, 8]]
    assert [fold.train.tolist() for fold in spans] == [[0, 7], [0, 1, 4, 7]]


def test_a_fold_without_training_rows_is_not_given() -> None:
    dates = list(range(10))
    # Targets nine sessions on: only the last fold has a row that is known before it begins.
    spans = folds_of(dates, [date + 7 for date in dates], folds=3, first=0.4)
    assert [(fold.number, fold.train.tolist(), fold.valid.tolist()) for fold in spans] == [
        (3, [0], [8, 9])
    ]
    assert folds_of(dates, [date + 9 for date in dates], folds=3, first=0.4) == []


@pytest.mark.parametrize(
    ("dates", "folds", "first", "embargo"),
    [
        ([], 3, 0.4, 0),
        ([5], 3, 0.4, 0),
        ([5, 5], 2, 0.9, 0),
        ([1, 2], 2, 0.1, 0),
        ([1, 2, 3], 2, 0.5, 9),
    ],
)
def test_too_little_gives_no_fold(dates: list[int], folds: int, first: float, embargo: int) -> None:
    assert folds_of(dates, [date + 1 for date in dates], folds, first, embargo) == []


def test_more_folds_than_sessions_give_a_fold_a_session() -> None:
    spans = folds_of([0, 1, 2, 3], [0, 1, 2, 3], folds=9, first=0.5)
    assert [fold.valid.tolist() for fold in spans] == [[2], [3]]
    assert [fold.number for fold in spans] == sorted({fold.number for fold in spans})


ROWS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=80)


@given(
    rows=ROWS,
    folds=st.integers(2, 8),
    first=st.floats(0.05, 0.95),
    embargo=st.integers(0, 10),
)
@examples(200)
def test_what_holds_for_all_folds(
    rows: list[tuple[int, int]], folds: int, first: float, embargo: int
) -> None:
    dates, targets = days([date for date, _ in rows]), days([date + gap for date, gap in rows])
    sessions = np.unique(dates)
    spans = list(walk_forward(dates, targets, folds, first, embargo))
    validated: list[int] = []
    for fold in spans:
        span = np.unique(dates[fold.valid])
        begins = span[0]
        # Every training target is known before the span, less the embargo, begins ...
        position = int(np.searchsorted(sessions, begins))
        cut = sessions[max(position - embargo, 0)]
        assert targets[fold.train].max() < cut <= begins
        # ... and every row of which that is true is trained on.
        assert np.array_equal(fold.train, np.flatnonzero(targets < cut))
        assert not set(fold.train) & set(fold.valid)
        # A span is whole: all rows of consecutive sessions.
        assert np.array_equal(span, sessions[position : position + len(span)])
        assert np.array_equal(fold.valid, np.flatnonzero(np.isin(dates, span)))
        # Spans follow each other.
        assert not validated or begins > dates[validated].max()
        validated += fold.valid.tolist()
    numbers = [fold.number for fold in spans]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= folds for number in numbers)
    if len(numbers) == folds:
        # Nothing after the first share is left out, and the spans are as equal as they can be.
        rest = sessions[int(len(sessions) * first) :]
        assert np.array_equal(np.unique(dates[validated]), rest)
        lengths = [len(np.unique(dates[fold.valid])) for fold in spans]
        assert max(lengths) - min(lengths) <= 1
    assert len(validated) == len(set(validated))


@given(rows=ROWS, first=st.floats(0.05, 0.95), seed=st.integers(0, 2**32))
@examples(50)
def test_the_order_of_rows_does_not_matter(
    rows: list[tuple[int, int]], first: float, seed: int
) -> None:
    dates, targets = days([date for date, _ in rows]), days([date + gap for date, gap in rows])
    order = np.random.default_rng(seed).permutation(len(rows))
    usual = walk_forward(dates, targets, 3, first, 1)
    mixed = walk_forward(dates[order], targets[order], 3, first, 1)
    for one, other in zip(usual, mixed, strict=True):
        assert one.number == other.number
        assert one.train.tolist() == sorted(order[other.train])
        assert one.valid.tolist() == sorted(order[other.valid])
