"""What Great Expectations counts on pandas frames, as conditions on polars columns.

A condition is a boolean expression with one value per row: true if the row does not meet the
rule, false if it does, null if the rule does not ask about the row. Its sum is the
`unexpected_count` of Great Expectations; a NaN is a missing value, as it is in pandas.

Only arguments whose meaning is certain have a condition; all others, and all other types of
expectations, stay with Great Expectations. A run in which these conditions count everything, and
find nothing wrong, does not import it. `tests/stages/quality/test_conditions.py` compares
both on every kind of value.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal

import polars as pl

from stages.quality.score import Rule

_Kwargs = Mapping[str, Any]

PANDAS_NAMES: Mapping[pl.DataType | type[pl.DataType], str] = {
    pl.String: "object",
    pl.Date: "datetime64[ms]",
    pl.Datetime("us", "UTC"): "datetime64[us, UTC]",
    pl.Float64: "float64",
    pl.Float32: "float32",
    pl.Int64: "int64",
    pl.Boolean: "bool",
}
"""The type that a column of no rows has after its conversion to pandas."""


Subject = Literal["rows", "schema", "count"]
"""What an expectation is about: each row, the names and types of columns, or how many rows."""


def subject(kind: str) -> Subject | None:
    """What the expectations of a type are about, or None if only Great Expectations knows."""
    return "rows" if kind in _CONDITIONS else _ABOUT_TABLE.get(kind, (None, set()))[0]


def is_plain(kind: str, kwargs: _Kwargs) -> bool:
    """Whether an expectation, as a suite states it, can be understood without Great Expectations.

    Args:
        kind: its type.
        kwargs: its arguments.
    """
    rows, table = _CONDITIONS.get(kind), _ABOUT_TABLE.get(kind)
    known = rows[0] | {"mostly"} if rows else table[1] if table else set()
    mostly = kwargs.get("mostly", 1)
    texts = [kwargs[name] for name in _TEXTS & set(kwargs)] + list(kwargs.get("column_list", ()))
    return (
        bool(known)
        and known & _NEEDED <= set(kwargs) <= known
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(kwargs[name], bool) for name in _FLAGS & set(kwargs))
        and type(mostly) in (int, float)
        and 0 <= mostly <= 1
        and (
            "min_value" not in known or _in_order(kwargs.get("min_value"), kwargs.get("max_value"))
        )
    )


def _in_order(low: object, high: object) -> bool:
    """Whether there is a bound, and each is a number or the name of a parameter."""
    bounds = [bound for bound in (low, high) if bound is not None]
    numbers = [bound for bound in bounds if isinstance(bound, int | float)]
    named = [bound for bound in bounds if isinstance(bound, dict)]
    return 0 < len(bounds) == len(numbers) + len(named) and sorted(numbers) == numbers


def condition(rule: Rule, schema: pl.Schema) -> pl.Expr | None:
    """The condition of a rule about rows, or None if Great Expectations has to count.

    Args:
        rule: its columns are in the schema.
        schema: of the slice.
    """
    if rule.type not in _CONDITIONS:
        return None
    known, make = _CONDITIONS[rule.type]
    return make(rule.kwargs, schema) if set(rule.kwargs) <= known | {"mostly"} else None


def schema_holds(rule: Rule, schema: pl.Schema) -> bool:
    """Whether a rule about names or types of columns holds for certain."""
    if rule.type == "expect_table_columns_to_match_set":
        return set(rule.kwargs.get("column_set") or ()) == set(schema)
    if rule.type == "expect_column_type_to_be":
        dtype = schema.get(rule.kwargs["column"])
        return dtype is not None and rule.kwargs.get("type_") == PANDAS_NAMES.get(dtype)
    return False


def count_holds(rule: Rule, rows: int) -> bool:
    """Whether a rule about the number of rows holds for certain."""
    about, known = _ABOUT_TABLE.get(rule.type, (None, set()))
    if about != "count" or not set(rule.kwargs) <= known:
        return False
    if "value" in known:
        return bool(rule.kwargs.get("value") == rows)
    low, high = rule.kwargs.get("min_value"), rule.kwargs.get("max_value")
    if {type(low), type(high)} - _BOUNDS:
        return False
    return (low is None or rows >= low) and (high is None or rows <= high)


def _column(name: str, schema: pl.Schema) -> pl.Expr:
    return pl.col(name).fill_nan(None) if schema[name].is_float() else pl.col(name)


def _bound_types(dtype: pl.DataType) -> set[type]:
    """The types of values that a column is compared with alike in polars and in pandas."""
    if dtype == pl.Date:
        return {date}
    return {int, float} if dtype.is_float() or dtype.is_signed_integer() else set()


def _not_null(kwargs: _Kwargs, schema: pl.Schema) -> pl.Expr:
    return _column(kwargs["column"], schema).is_null()


def _between(kwargs: _Kwargs, schema: pl.Schema) -> pl.Expr | None:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    bounds = [bound for bound in (low, high) if bound is not None]
    types, dtype = {*map(type, bounds)}, schema[kwargs["column"]]
    if not bounds or not types <= _bound_types(dtype) or bounds[0] > bounds[-1]:
        return None
    # Without a type of its own, a bound would be rounded to the float32 of its column.
    literal = pl.Float64 if dtype.is_float() or float in types else None
    column, outside = _column(kwargs["column"], schema), pl.lit(value=False)
    if low is not None:
        bound = pl.lit(low, literal)
        outside |= column <= bound if kwargs.get("strict_min") else column < bound
    if high is not None:
        bound = pl.lit(high, literal)
        outside |= column >= bound if kwargs.get("strict_max") else column > bound
    return outside


def _in_set(kwargs: _Kwargs, schema: pl.Schema) -> pl.Expr | None:
    column, values = kwargs["column"], kwargs.get("value_set") or ()
    if schema[column] != pl.Boolean or {*map(type, values)} != {bool}:
        return None
    return ~pl.col(column).is_in(list(values))


def _greater(kwargs: _Kwargs, schema: pl.Schema) -> pl.Expr | None:
    names = kwargs["column_A"], kwargs["column_B"]
    types, others = (_bound_types(schema[name]) for name in names)
    if kwargs.get("ignore_row_if") != "either_value_is_missing" or not types or types != others:
        return None
    a, b = (_column(name, schema) for name in names)
    return a < b if kwargs.get("or_equal") else a <= b


def _unique(kwargs: _Kwargs, schema: pl.Schema) -> pl.Expr | None:
    names = kwargs["column_list"]
    if any(schema[name].is_float() or schema[name].is_nested() for name in names):
        return None
    repeated = pl.struct(names).map_batches(_repeated, return_dtype=pl.Boolean)
    return pl.when(~pl.all_horizontal(pl.col(names).is_null())).then(repeated)


def _repeated(keys: pl.Series) -> pl.Series:
    """Whether each key occurs more than once; keys that ascend need no hashing."""
    above = pl.lit(value=False)
    for field in reversed(keys.struct.fields):
        value, former = pl.col(field), pl.col(field).shift(1)
        above = (value > former) | ((value == former) & above)
    ascend = keys.struct.unnest().select(above.slice(1).fill_null(value=False).all()).item()
    return pl.repeat(value=False, n=len(keys), eager=True) if ascend else keys.is_duplicated()


_CONDITIONS: Mapping[str, tuple[set[str], Callable[[_Kwargs, pl.Schema], pl.Expr | None]]] = {
    "expect_column_values_to_not_be_null": ({"column"}, _not_null),
    "expect_column_values_to_be_between": (
        {"column", "min_value", "max_value", "strict_min", "strict_max"},
        _between,
    ),
    "expect_column_values_to_be_in_set": ({"column", "value_set"}, _in_set),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        {"column_A", "column_B", "or_equal", "ignore_row_if"},
        _greater,
    ),
    "expect_compound_columns_to_be_unique": ({"column_list"}, _unique),
}
"""Each type of expectation with the arguments that its condition knows."""

_ABOUT_TABLE: Mapping[str, tuple[Subject, set[str]]] = {
    "expect_table_columns_to_match_set": ("schema", {"column_set", "exact_match"}),
    "expect_column_type_to_be": ("schema", {"column", "type_"}),
    "expect_table_row_count_to_be_between": ("count", {"min_value", "max_value"}),
    "expect_table_row_count_to_equal": ("count", {"value"}),
}
"""The other types that `schema_holds` and `count_holds` know, with their arguments."""

_TEXTS = {"column", "column_A", "column_B", "type_", "ignore_row_if"}
_FLAGS = {"strict_min", "strict_max", "or_equal", "exact_match"}
_NEEDED = {"column", "column_A", "column_B", "column_list", "column_set", "type_", "value"}
_BOUNDS = {int, type(None)}
