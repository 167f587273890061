"""Two revisions side by side."""

from datetime import date

import pytest

from dashboard.results import horizon_metrics, revision_comparison
from dashboard.results.horizon_metrics import HorizonMetrics
from dashboard.results.metric_meanings import MEANING, SUMMARY, meaning
from dashboard.results.revision_comparison import PAIRED
from monitor.retraining.hold_out_pair import HoldOutPair
from monitor.retraining.paired_scores import Difference
from tests.projects import ROOT


def results(**summary: float | None) -> HorizonMetrics:
    return HorizonMetrics(summary, {}, {}, {})


def pair(low: float | None, high: float | None) -> HoldOutPair:
    difference = Difference(0.0070, 0.0069, low, high)
    return HoldOutPair(
        900, 0, (900, 950), date(2012, 1, 2), date(2012, 12, 3), {"crps": difference}
    )


def test_only_params_that_differ_are_shown() -> None:
    one = {"features": {"sma": [7, 21]}, "models": {"ridge": {"alpha": 10.0}}, "search": {"a": 1}}
    other = {"features": {"sma": [5, 20]}, "models": {"ridge": {"alpha": 10.0}, "lstm": {"n": 1}}}
    assert revision_comparison.params(one, other).rows() == [
        ("features.sma", "[7,21]", "[5,20]"),
        ("models.lstm.n", "-", "1"),
    ]
    assert revision_comparison.params(one, one).is_empty()


def test_scores_have_their_difference_and_the_one_ahead() -> None:
    one, other = results(fold_oos_r2=0.001, mae=0.0107), results(fold_oos_r2=0.002, mae=0.0108)
    rows = {row[0]: row[1:5] for row in revision_comparison.scores(one, other).rows()}
    assert rows == {
        "fold R2": ("+0.0010", "+0.0020", "+0.0010", "b"),
        "MAE %": ("1.070", "1.080", "+0.010", "a"),
    }
    equal = revision_comparison.scores(one, one)
    assert set(equal["better"]) == {""}
    # Neither more nor less coverage is better, and nothing is better than nothing.
    rows = {
        row[0]: row[1:5]
        for row in revision_comparison.scores(results(coverage=0.9), results()).rows()
    }
    assert rows == {"cover %": ("90.0", "-", "-", "")}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.0002, -0.00005, "b is better, more than chance"),
        (-0.0002, 0.0001, "no more than chance"),
        (None, None, "too few rows to tell"),
        (0.0, 0.0, "the same"),
    ],
)
def test_a_difference_is_more_than_chance_or_not(
    low: float | None, high: float | None, verdict: str
) -> None:
    hold_out_pair = pair(low, high)
    table = revision_comparison.same_rows(hold_out_pair)
    assert table["verdict"].to_list() == [verdict]
    assert table["b less a"].to_list() == ["-0.0100"]
    assert revision_comparison.pair_verdict(hold_out_pair).endswith(f"{verdict}.")
    assert "900 rows" in revision_comparison.pair_verdict(hold_out_pair)


def test_more_coverage_is_not_called_better() -> None:
    assert revision_comparison.verdict(PAIRED["coverage"], 0.02, 0.01, 0.03) == (
        "higher in b, more than chance"
    )
    assert revision_comparison.verdict(PAIRED["auc"], -0.02, -0.03, -0.01).startswith("a is better")
    assert revision_comparison.verdict(PAIRED["auc"], None, None, None) == "not defined"


def test_the_folds_say_who_is_ahead() -> None:
    assert "b is ahead" in revision_comparison.fold_verdict(
        results(fold_oos_r2=-0.002), results(fold_oos_r2=0.001)
    )
    assert "the same" in revision_comparison.fold_verdict(
        results(fold_oos_r2=0.0), results(fold_oos_r2=0.0)
    )
    assert "no fold_oos_r2" in revision_comparison.fold_verdict(results(fold_oos_r2=0.0), results())


def test_tables_of_two_revisions_lie_over_each_other() -> None:
    short = horizon_metrics.read("", "short", ROOT)
    rows = revision_comparison.overlaid(short, short, "folds", ("a: x", "b: y"))
    assert rows["revision"].unique(maintain_order=True).to_list() == ["a: x", "b: y"]
    assert rows.height == 2 * short.table("folds").height
    # A revision that lacks the table leaves the other alone.
    rows = revision_comparison.overlaid(short, results(), "folds", ("a: x", "b: y"))
    assert rows["revision"].unique().to_list() == ["a: x"]
    assert revision_comparison.overlaid(results(), results(), "folds", ("a: x", "b: y")).is_empty()


def test_every_score_has_a_meaning_in_one_line() -> None:
    for column in (*SUMMARY, *PAIRED.values()):
        assert column.name in MEANING
    assert meaning(SUMMARY[1]) == "MAE %: mean absolute error. Lower is better."
