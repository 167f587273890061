"""Conditions on polars columns count what Great Expectations counts on pandas frames."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.quality import checking
from stages.quality.checking import Check
from stages.quality.conditions import (
    PANDAS_NAMES,
    condition,
    count_holds,
    is_plain,
    schema_holds,
)
from stages.quality.pandas_engine import as_stored
from stages.quality.score import Outcome, Rule
from stages.quality.suites import Meaning, Stated, Suites
from tests.panels import examples

# Great Expectations imports what Python deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
GREATER = "expect_column_pair_values_a_to_be_greater_than_b"
UNIQUE = "expect_compound_columns_to_be_unique"
EITHER = {"ignore_row_if": "either_value_is_missing"}

REALS = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 0.1, -0.95, 100.0, 16_777_217.0]
"""Also values that a float32 rounds up or down."""
WHOLE = [None, -1, 0, 1, 100, 2**53]
DAYS = [None, date(1700, 1, 1), date(2012, 1, 1), date(2012, 1, 2), date(2200, 1, 1)]
SCHEMA = {
    "symbol": pl.String,
    "date": pl.Date,
    "due": pl.Date,
    "real": pl.Float64,
    "short": pl.Float32,
    "whole": pl.Int64,
    "tiny": pl.Int8,
    "flag": pl.Boolean,
}

COUNTED = [
    *(Rule(NOT_NULL, {"column": name}) for name in SCHEMA),
    Rule(NOT_NULL, {"column": "short", "mostly": 0.5}),
    *(
        Rule(BETWEEN, {"column": name, **bounds})
        for name in ("real", "short", "whole", "tiny")
        for bounds in (
            {"min_value": 0},
            {"max_value": 0.1},
            {"min_value": -0.95, "strict_min": True},
            {"max_value": 0.1, "strict_max": True},
            {"min_value": 0, "max_value": 100},
            {"min_value": -0.95, "max_value": 100, "strict_min": True, "strict_max": True},
            {"min_value": -1, "max_value": 16_777_216, "mostly": 0.9},
        )
    ),
    *(
        Rule(BETWEEN, {"column": "date", **bounds})
        for bounds in (
            {"max_value": date(2012, 1, 1)},
            {"min_value": date(2012, 1, 1), "strict_min": True},
            {"min_value": date(1700, 1, 1), "max_value": date(2012, 1, 2), "strict_max": True},
        )
    ),
    *(Rule(IN_SET, {"column": "flag", "value_set": [value]}) for value in (True, False)),
    Rule(IN_SET, {"column": "flag", "value_set": [True, False], "mostly": 0.5}),
    *(
        Rule(GREATER, {"column_A": a, "column_B": b, **EITHER, **equal})
        for a, b in (("real", "short"), ("short", "real"), ("whole", "real"), ("due", "date"))
        for equal in ({}, {"or_equal": True})
    ),
    *(
        Rule(UNIQUE, {"column_list": columns})
        for columns in (["symbol", "date"], ["date", "due"], ["whole", "flag", "symbol"])
    ),
]
"""One rule at least for each type of expectation that has a condition."""

POSITIVE = {
    "type": "comparison",
    "column": {"name": "whole"},
    "operator": ">",
    "parameter": 0,
}

LEFT = [
    Rule("expect_column_values_to_be_unique", {"column": "date"}),
    Rule(BETWEEN, {"column": "date", "max_value": "2012-01-01"}),
    Rule(BETWEEN, {"column": "real", "min_value": True}),
    Rule(BETWEEN, {"column": "symbol", "min_value": 1}),
    Rule(BETWEEN, {"column": "flag", "min_value": 0}),
    Rule(BETWEEN, {"column": "real", "min_value": 0, "row_condition": POSITIVE}),
    Rule(IN_SET, {"column": "symbol", "value_set": ["A"]}),
    Rule(IN_SET, {"column": "flag", "value_set": [1]}),
    Rule(IN_SET, {"column": "flag", "value_set": []}),
    Rule(GREATER, {"column_A": "real", "column_B": "short"}),
    Rule(GREATER, {"column_A": "date", "column_B": "real", **EITHER}),
    Rule(UNIQUE, {"column_list": ["real", "date"]}),
    Rule(UNIQUE, {"column_list": ["symbol", "date"], "ignore_row_if": "any_value_is_missing"}),
]
"""Rules whose meaning depends on pandas: Great Expectations decides."""

WRONG = [
    Rule(BETWEEN, {"column": "real"}),
    Rule(BETWEEN, {"column": "real", "min_value": 2, "max_value": 1}),
]


@pytest.fixture(scope="module")
def suites(repo_root: Path) -> Suites:
    return Suites(repo_root / "great_expectations")


def every_pair() -> pl.DataFrame:
    """Each value of one kind beside each value of the other."""
    pairs = list(product(REALS, REALS))
    columns: dict[str, list[Any]] = {
        "symbol": [("A", "A", "B", None)[index % 4] for index in range(len(pairs))],
        "date": [DAYS[index % 5] for index in range(len(pairs))],
        "due": [DAYS[index // 5 % 5] for index in range(len(pairs))],
        "real": [pair[0] for pair in pairs],
        "short": [pair[1] for pair in pairs],
        "whole": [WHOLE[index % 6] for index in range(len(pairs))],
        "tiny": [(None, -1, 0, 100)[index % 4] for index in range(len(pairs))],
        "flag": [(None, True, False)[index % 3] for index in range(len(pairs))],
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def outcomes(
    rules: Sequence[Rule], slices: Sequence[pl.DataFrame], suites: Suites
) -> list[Outcome]:
    check = Check(suites, "table", rules, [], ("symbol", "date"))
    for frame in slices:
        check.add(frame)
    return list(check.finish().outcomes)


def compare(rules: Sequence[Rule], slices: Sequence[pl.DataFrame], suites: Suites) -> None:
    """Every count, place and example must be that of Great Expectations."""
    ours = outcomes(rules, slices, suites)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "condition", lambda *_: None)
        patch.setattr(checking, "schema_holds", lambda *_: False)
        patch.setattr(checking, "count_holds", lambda *_: False)
        theirs = outcomes(rules, slices, suites)
    # As text, since no NaN equals another.
    assert [str(vars(outcome)) for outcome in ours] == [str(vars(outcome)) for outcome in theirs]


def test_every_kind_of_value_counts_as_in_great_expectations(suites: Suites) -> None:
    frame = every_pair()
    assert all(condition(rule, frame.schema) is not None for rule in COUNTED)
    compare(COUNTED, [frame, frame.drop_nulls(), frame.head(1), frame.clear()], suites)
    failed = [outcome for outcome in outcomes(COUNTED, [frame], suites) if outcome.unexpected]
    assert {outcome.rule.type for outcome in failed} == {outcome.type for outcome in COUNTED}


ROWS = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B", "C", None]),
        "date": st.sampled_from(DAYS),
        "due": st.sampled_from(DAYS),
        "real": st.sampled_from(REALS) | st.floats(),
        "short": st.sampled_from(REALS) | st.floats(width=32),
        "whole": st.sampled_from(WHOLE),
        "tiny": st.none() | st.integers(-128, 127),
        "flag": st.none() | st.booleans(),
    }
)


@given(rows=st.lists(ROWS, max_size=12), ordered=st.booleans())
@examples(3)
def test_any_table_counts_as_in_great_expectations(
    suites: Suites, rows: list[dict[str, Any]], ordered: bool
) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    compare(COUNTED, [frame.sort("symbol", "date") if ordered else frame], suites)


def test_great_expectations_decides_about_all_others(suites: Suites) -> None:
    frame = every_pair()
    assert not any(condition(rule, frame.schema) is not None for rule in [*LEFT, *WRONG])
    results = outcomes(LEFT, [frame], suites)
    assert all(outcome.rows or outcome.broken for outcome in results)


def test_types_have_the_names_that_pandas_gives_them() -> None:
    frame = pl.DataFrame(schema={str(index): dtype for index, dtype in enumerate(PANDAS_NAMES)})
    names = [str(dtype) for dtype in as_stored(frame).dtypes]
    assert names == list(PANDAS_NAMES.values())


SCHEMA_RULES = [
    *(
        Rule("expect_table_columns_to_match_set", {"column_set": columns, **exact})
        for columns in ([*SCHEMA], [*reversed(SCHEMA)], ["symbol"], [*SCHEMA, "more"], None)
        for exact in ({}, {"exact_match": False})
    ),
    *(
        Rule("expect_column_type_to_be", {"column": name, "type_": kind})
        for name in (*SCHEMA, "gone")
        for kind in ("object", "datetime64[ms]", "float64", "float32", "int64", "bool", "text")
    ),
]


def test_what_holds_of_a_schema_is_not_asked_again(suites: Suites) -> None:
    frame = every_pair()
    compare(SCHEMA_RULES, [frame], suites)
    certain = [rule for rule in SCHEMA_RULES if schema_holds(rule, frame.schema)]
    assert all(outcome.met for outcome in outcomes(certain, [frame], suites))
    # Great Expectations names no type of an int8 here; every other column has its own.
    assert len(certain) == 4 + len(SCHEMA) - 1


BOUNDS: list[dict[str, Any]] = [
    *({"min_value": low, "max_value": high} for low in (1, None) for high in (2, 900)),
    *({"min_value": 1}, {"min_value": 900}, {"min_value": None, "max_value": 3}),
    *({"min_value": 1, "strict_min": True}, {"max_value": 2, "strict_max": True}),
]

COUNT_RULES = [
    *(Rule("expect_table_row_count_to_be_between", bounds) for bounds in BOUNDS),
    *(Rule("expect_table_row_count_to_equal", {"value": value}) for value in (0, 1, 2, 900)),
]


def test_what_holds_of_the_number_of_rows_is_not_asked_again(suites: Suites) -> None:
    frame = every_pair()
    for table in ([frame.head(1)], [frame.head(1)] * 2, [frame] * 2):
        compare(COUNT_RULES, table, suites)
        rows = sum(part.height for part in table)
        certain = [rule for rule in COUNT_RULES if count_holds(rule, rows)]
        assert len(certain) > 2
        assert all(outcome.met for outcome in outcomes(certain, table, suites))


@pytest.mark.parametrize(
    ("kind", "kwargs", "plain"),
    [
        (BETWEEN, {"column": "rsi_*", "min_value": 0, "strict_min": True, "mostly": 0.9}, True),
        (BETWEEN, {"column": "a", "max_value": {"$PARAMETER": "as_of"}}, True),
        (BETWEEN, {"column": "a", "min_value": 2, "max_value": 1}, False),
        (BETWEEN, {"column": "a", "min_value": "2"}, False),
        (BETWEEN, {"column": "a", "min_value": None}, False),
        (BETWEEN, {"min_value": 0}, False),
        (BETWEEN, {"column": 1, "min_value": 0}, False),
        (BETWEEN, {"column": "a", "min_value": 0, "strict_min": "no"}, False),
        (BETWEEN, {"column": "a", "min_value": 0, "mostly": "0.5"}, False),
        (BETWEEN, {"column": "a", "min_value": 0, "mostly": 1.5}, False),
        (BETWEEN, {"column": "a", "min_value": 0, "row_condition": "b > 0"}, False),
        ("expect_compound_columns_to_be_unique", {"column_list": ["a", "b"]}, True),
        ("expect_compound_columns_to_be_unique", {"column_list": ["a", 2]}, False),
        ("expect_table_row_count_to_equal", {"value": 1}, True),
        ("expect_table_row_count_to_equal", {"value": 1, "mostly": 0.5}, False),
        ("expect_column_mean_to_be_between", {"column": "a", "min_value": 0}, False),
        ("expect_nothing", {}, False),
    ],
)
def test_great_expectations_reads_what_is_not_plain(
    kind: str, kwargs: dict[str, Any], *, plain: bool
) -> None:
    assert is_plain(kind, kwargs) == plain


def test_a_plain_suite_says_what_great_expectations_reads(suites: Suites, repo_root: Path) -> None:
    for file in sorted((repo_root / "great_expectations/expectations").glob("*.json")):
        stated = [
            Stated(entry["type"], entry["kwargs"], entry.get("meta") or {})
            for entry in json.loads(file.read_bytes())["expectations"]
        ]
        assert all(is_plain(each.type, each.kwargs) for each in stated)
        parsed = suites.parsed(file.stem, stated)
        # Great Expectations leaves out an argument that has its usual value.
        usual = {"exact_match": True}
        assert [(each.type, {**usual, **each.kwargs}, each.meta) for each in parsed] == [
            (each.type, {**usual, **each.kwargs}, each.meta) for each in stated
        ]


def test_every_expectation_of_the_suites_is_counted_here(suites: Suites, repo_root: Path) -> None:
    """None of them costs a pass over a pandas frame."""
    times = datetime(2012, 1, 1, tzinfo=UTC)
    columns = {
        **{name: [1.0] for name in ("open", "high", "low", "close", "adj_close", "volume")},
        "symbol": ["A"],
        "date": [times.date()],
        "target_date": [times.date()],
        "filled": [False],
        "scale": [1.0],
        "target": [1.0],
        "rsi_14": [1.0],
    }
    flags = ("rows in order", "every number finite", "known features stay known")
    helpers = {
        **{name: [True] for name in flags},
        "bars of the symbol": [1],
        "first date of the hold-out": [times.date()],
    }
    frame = pl.DataFrame(columns | helpers)
    parameters = {"as_of": times.date(), "min_bars": 1, "columns": [*columns], "clean_rows": 1}
    meaning = Meaning([*columns], ["rsi_14"], [*helpers], "date", parameters)
    for file in sorted((repo_root / "great_expectations/expectations").glob("*.json")):
        for rule in suites.rules(file.stem, meaning):
            about_table = rule.type.startswith("expect_table") or "type_to_be" in rule.type
            assert about_table or condition(rule, frame.schema) is not None, rule
