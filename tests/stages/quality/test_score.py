"""Scores, phrases and the one line that stops the pipeline."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import QualityError
from stages.quality.score import (
    Checked,
    Outcome,
    Place,
    Rule,
    enforce,
    failures,
    metrics,
    overall,
    percent,
    quality,
)

BETWEEN = "expect_column_values_to_be_between"
NOT_NULL = "expect_column_values_to_not_be_null"


def rule(kind: str = BETWEEN, *, critical: bool = False, remedy: str = "", **kwargs: Any) -> Rule:
    return Rule(kind, {"column": "close", "min_value": 0} | kwargs, critical, remedy)


def part(*outcomes: Outcome, name: str = "clean/daily", rows: int = 1000) -> Checked:
    return Checked(name, rows, outcomes)


@pytest.mark.parametrize(
    ("kind", "kwargs", "phrase"),
    [
        (BETWEEN, {"column": "close", "min_value": 0.0, "strict_min": True}, "close > 0"),
        (BETWEEN, {"column": "volume", "min_value": 0}, "volume >= 0"),
        (BETWEEN, {"column": "x", "max_value": 2.5}, "x <= 2.5"),
        (BETWEEN, {"column": "x", "max_value": 2, "strict_max": True}, "x < 2"),
        (BETWEEN, {"column": "date", "max_value": date(2012, 12, 31)}, "date <= 2012-12-31"),
        (
            BETWEEN,
            {"column": "rsi_14", "min_value": 0, "max_value": 100},
            "0 <= rsi_14 <= 100",
        ),
        (
            BETWEEN,
            {"column": "x", "min_value": -1, "max_value": 1, "strict_min": True, "mostly": 0.99},
            "-1 < x <= 1 in 0.99 of the rows",
        ),
        (NOT_NULL, {"column": "close"}, "close not null"),
        (NOT_NULL, {"column": "mom_7", "mostly": 0.5}, "mom_7 not null in 0.5 of the rows"),
        (
            "expect_column_values_to_be_in_set",
            {"column": "rows in order", "value_set": [True]},
            "rows in order",
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "filled", "value_set": [False]},
            "filled in False",
        ),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "high", "column_B": "low", "or_equal": True},
            "high >= low",
        ),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "target_date", "column_B": "date"},
            "target_date > date",
        ),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["symbol", "date"]},
            "(symbol, date) unique",
        ),
        (
            "expect_column_type_to_be",
            {"column": "close", "type_": "float64"},
            "close of type float64",
        ),
        ("expect_table_columns_to_match_set", {"column_set": ["a"]}, "the set of columns"),
        ("expect_table_row_count_to_be_between", {"min_value": 1}, "rows >= 1"),
        ("expect_table_row_count_to_equal", {"value": 11786}, "rows = 11,786"),
        (
            "expect_column_values_to_match_regex",
            {"column": "symbol", "regex": "^[A-Z]+$", "mostly": 0.9},
            "expect_column_values_to_match_regex(column=symbol, regex=^[A-Z]+$) in 0.9 of the rows",
        ),
    ],
)
def test_a_rule_reads_like_a_formula(kind: str, kwargs: dict[str, Any], phrase: str) -> None:
    assert str(Rule(kind, kwargs)) == phrase


def test_the_score_is_the_share_of_rows_that_meet_the_rule() -> None:
    assert Outcome(rule(), rows=1000, unexpected=3).score == pytest.approx(99.7)
    assert Outcome(rule(), rows=1000).score == 100
    assert Outcome(rule(), rows=0).score == 100


def test_a_rule_that_asks_for_a_share_is_scored_against_that_share() -> None:
    lenient = rule(mostly=0.5)
    assert Outcome(lenient, rows=1000, unexpected=500).score == 100
    assert Outcome(lenient, rows=1000, unexpected=600).score == pytest.approx(80)


def test_a_rule_about_the_table_counts_all_or_nothing() -> None:
    columns = Rule("expect_table_columns_to_match_set", {"column_set": ["a"]})
    assert Outcome(columns).score == 100
    assert Outcome(columns, broken="b missing").score == 0


@given(
    st.integers(1, 10**8),
    st.integers(0, 10**8),
    st.sampled_from([1.0, 0.999, 0.95, 0.5, 0.1]),
)
def test_a_score_lies_between_0_and_100_and_falls_with_each_row(
    rows: int, unexpected: int, mostly: float
) -> None:
    unexpected = min(rows, unexpected)
    outcome = Outcome(rule(mostly=mostly), rows, unexpected)
    assert 0 <= outcome.score <= 100
    assert outcome.met == (outcome.score == 100)
    if unexpected < rows:
        assert Outcome(rule(mostly=mostly), rows, unexpected + 1).score <= outcome.score
    if mostly == 1 and unexpected:
        assert not outcome.met


def test_one_bad_row_of_ten_million_shows() -> None:
    bad = part(*[Outcome(rule(), 10**7)] * 199, Outcome(rule(), 10**7, 1), rows=10**7)
    assert quality([bad]) < 100
    assert percent(quality([bad])) == 99.9999


def test_quality_is_the_mean_over_expectations_and_then_over_tables() -> None:
    report = {
        "raw": [
            part(Outcome(rule(), 100, 50), name="raw/daily"),
            part(*[Outcome(rule(), 10)] * 3, name="raw/market"),
        ],
        "clean": [part(Outcome(rule(), 100))],
    }
    assert quality(report["raw"]) == pytest.approx(87.5)
    assert quality(report["clean"]) == 100
    assert overall(report) == pytest.approx(93.75)


def test_metrics_hold_scores_counts_and_what_failed() -> None:
    bad = Outcome(rule(critical=True, max_value=date(2012, 12, 31)), 1000, 2)
    assert metrics({"clean": [part(Outcome(rule(NOT_NULL), 1000), bad)]}) == {
        "quality": 99.9,
        "tables": {
            "clean": {
                "quality": 99.9,
                "rows": 1000,
                "expectations": 2,
                "failed": [
                    {
                        "table": "clean/daily",
                        "type": BETWEEN,
                        "kwargs": {"column": "close", "min_value": 0, "max_value": "2012-12-31"},
                        "critical": True,
                        "success": False,
                        "unexpected": 2,
                        "rows": 1000,
                    }
                ],
            }
        },
    }


def test_critical_failures_come_first() -> None:
    mild, grave = Outcome(rule(), 10, 1), Outcome(rule(critical=True), 10, 1)
    assert [outcome for _, outcome in failures([part(mild, grave)])] == [grave, mild]


def test_what_is_not_critical_lets_the_pipeline_go_on() -> None:
    enforce({"clean": [part(Outcome(rule(), 1000, 10))]}, 95, "docs")


def test_a_critical_failure_names_rule_rows_symbols_and_remedy() -> None:
    grave = Outcome(
        rule(critical=True, remedy="mend it"),
        11786,
        3,
        places={"AAPL": Place(2, "2001-03-05"), "MSFT": Place(1, "2003-01-02")},
    )
    with pytest.raises(QualityError) as caught:
        enforce({"clean": [part(Outcome(rule(NOT_NULL), 11786), grave)]}, 95, "docs/index.html")
    assert str(caught.value) == (
        "validation failed: clean/daily: close >= 0 fails in 3 of 11,786 rows (critical: "
        "AAPL 2 rows from 2001-03-05, MSFT 1 row from 2003-01-02); mend it; "
        "look at docs/index.html"
    )


def test_many_symbols_are_named_in_part() -> None:
    places = {f"S{index}": Place(10, "2001-01-01") for index in range(5)}
    grave = Outcome(rule(critical=True), 1000, 50, places=places)
    with pytest.raises(QualityError, match=r"S2 10 rows from 2001-01-01 and 2 more\)"):
        enforce({"clean": [part(grave)]}, 95, "docs")
    grave.unexpected = 200
    with pytest.raises(QualityError, match=r"S2 10 rows from 2001-01-01 and others\)"):
        enforce({"clean": [part(grave)]}, 95, "docs")


def test_low_quality_stops_and_names_what_failed() -> None:
    bad = Outcome(rule(), 100, 50, places={"AAPL": Place(50, "2001-03-05")})
    report = {"raw": [part(Outcome(rule(), 100), bad, name="raw/daily")], "clean": [part()]}
    with pytest.raises(QualityError) as caught:
        enforce(report, 95, "docs")
    assert str(caught.value) == (
        "validation failed: raw: quality 75.0 is below validate.min_quality 95, "
        "raw/daily: close >= 0 fails in 50 of 100 rows (AAPL 50 rows from 2001-03-05); "
        "look at docs"
    )
    enforce(report, 75, "docs")


def test_each_remedy_is_given_once() -> None:
    grave = Outcome(rule(critical=True, remedy="mend it"), 10, 1)
    with pytest.raises(QualityError, match=r"mend it; look at docs$") as caught:
        enforce({"clean": [part(grave, grave)]}, 95, "docs")
    assert str(caught.value).count("mend it") == 1
