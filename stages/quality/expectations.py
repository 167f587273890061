"""The border to Great Expectations: suites in git, run over a table slice by slice.

A committed suite names columns by pattern (`rsi_*`, `open|close`), or the features that params
ask for as `$features`, or what tells the rows of a symbol apart as `$clock`, and takes other
values as suite parameters (`{"$PARAMETER": "as_of"}`). All are filled in here, so that a change
of params needs no change of a suite. An expectation whose columns a table is not meant to have
does not apply to it.

Importing Great Expectations takes seconds: only `Suites` does it.
"""

import gc
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from stages.common.errors import QualityError, few
from stages.quality.score import NAMED, Checked, Outcome, Place, Rule

ROOT = Path("great_expectations")

FEATURES = "$features"
"""Stands in a suite for the feature columns of the table."""

CLOCK = "$clock"
"""Stands in a suite for `timestamp` in an hourly table, and for `date` in any other."""

EXAMPLES = 20
"""Rows of each failed expectation that the data docs show."""

_NS_RANGE = date(1678, 1, 1), date(2261, 12, 31)
"""What pandas can hold as a nanosecond timestamp."""

_ABOUT_SCHEMA = {"table.columns", "table.column_types", "table.column_count"}
_ABOUT_ROWS = {"table.row_count"}


@dataclass(frozen=True)
class Meaning:
    """What a suite's patterns and parameters stand for in one table.

    Attributes:
        columns: the columns that the table is meant to have.
        features: those of them that `$features` stands for.
        helpers: columns that validation adds (see `stages.validate`); a pattern never means them.
        clock: the column that `$clock` stands for.
        parameters: values of `{"$PARAMETER": name}`.
    """

    columns: Sequence[str]
    features: Sequence[str] = ()
    helpers: Sequence[str] = ()
    clock: str = "date"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def named(self, pattern: str, without: Sequence[str]) -> Iterator[str]:
        """The columns that a pattern means, in the order of the table."""
        if pattern in self.helpers:
            yield pattern
            return
        pool, pattern = (self.features, "*") if pattern == FEATURES else (self.columns, pattern)
        for column in pool:
            wanted = any(fnmatchcase(column, part) for part in pattern.split("|"))
            if wanted and not any(fnmatchcase(column, part) for part in without):
                yield column


class Suites:
    """The committed context: opened once, only read from; results go to `uncommitted/`."""

    def __init__(self, root: Path = ROOT) -> None:
        configuration = root / "great_expectations.yml"
        if not configuration.exists():
            # Great Expectations would quietly make a project of its own here.
            raise QualityError(f"{configuration}: no such file; `git checkout {root}`")
        gx = _great_expectations()
        # What goes wrong inside an expectation comes back in its result, and from there to us.
        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        self.context: Any = gx.get_context(mode="file", context_root_dir=str(root))
        self.root = root

    def rules(self, suite: str, meaning: Meaning) -> list[Rule]:
        """The expectations of a suite that apply to a table, one column each.

        Raises:
            QualityError: the suite cannot be read, or has a parameter that nobody knows.
        """
        from great_expectations.exceptions.exceptions import GreatExpectationsError

        file = self.root / "expectations" / f"{suite}.json"
        try:
            stated = [entry["type"] for entry in json.loads(file.read_bytes())["expectations"]]
            committed = self.context.suites.get(suite).expectation_configurations
        except (GreatExpectationsError, OSError, LookupError, TypeError, ValueError) as error:
            raise QualityError(f"{file}: cannot be read as a suite: {error}; mend it") from None
        # Great Expectations leaves out what it does not know, without a word.
        known = [expectation.type for expectation in committed]
        if unknown := sorted(set(stated) - set(known)):
            raise QualityError(f"{file}: there is no expectation {few(unknown)}; mend it")
        return [
            rule for expectation in committed for rule in _bound(expectation, meaning, str(file))
        ]


class Check:
    """Runs the rules of one table over its slices, and adds up what they find.

    A slice holds whole symbols. Rows that do not meet an expectation are counted over all
    slices; an expectation about the columns is run on each schema that comes by, one about the
    number of rows at the end on their sum; any other one about a column as a whole must hold in
    every slice.

    Args:
        context: of `Suites`.
        name: of the table, for messages.
        rules: to run.
        helpers: columns that validation has added; no part of the schema.
        keys: the columns that name a row.
    """

    def __init__(
        self,
        context: Any,
        name: str,
        rules: Sequence[Rule],
        helpers: Sequence[str],
        keys: tuple[str, str],
    ) -> None:
        from great_expectations.expectations.expectation_configuration import (
            ExpectationConfiguration,
        )
        from great_expectations.expectations.registry import get_expectation_impl

        self._context = context
        self._name = name
        self._helpers = set(helpers)
        self._keys = keys
        self._outcomes = [Outcome(rule) for rule in rules]
        self._configurations = [
            ExpectationConfiguration(
                type=rule.type,
                kwargs={key: _comparable(value) for key, value in rule.kwargs.items()},
                meta={"outcome": index},
            )
            for index, rule in enumerate(rules)
        ]
        self._about_schema: list[int] = []
        self._about_rows: list[int] = []
        self._about_columns: dict[tuple[str, ...], list[int]] = {}
        for index, rule in enumerate(rules):
            needed = set(getattr(get_expectation_impl(rule.type), "metric_dependencies", ()))
            if needed and needed <= _ABOUT_SCHEMA:
                self._about_schema.append(index)
            elif needed and needed <= _ABOUT_ROWS:
                self._about_rows.append(index)
            else:
                # A condition may speak of any column.
                columns = () if "row_condition" in rule.kwargs else rule.columns
                self._about_columns.setdefault(columns, []).append(index)
        self._schemas: list[pl.Schema] = []
        self._rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Run the rules on one more slice."""
        self._rows += frame.height
        table = frame.select(cs.exclude(self._helpers) if self._helpers else cs.all())
        if table.schema not in self._schemas:
            self._schemas.append(table.schema)
            self._run(self._about_schema, _as_stored(table.head(0)))
        if frame.is_empty():
            return
        # Great Expectations filters the whole frame once per expectation: give it few columns.
        for columns, indices in self._about_columns.items():
            if missing := [column for column in columns if column not in frame.columns]:
                # A helper is missing where its table has not the columns to make it from.
                needed = self._keys if self._helpers.issuperset(missing) else missing
                self._break(indices, f"cannot be checked without {few(needed)}")
                continue
            narrow = frame.select(columns) if columns else frame
            for index in self._run(indices, _as_compared(narrow)):
                self._locate(index, frame, narrow)

    def finish(self) -> Checked:
        """Run what needs all rows, and give the outcomes."""
        if self._about_rows:
            import pandas as pd

            self._run(self._about_rows, pd.DataFrame(index=pd.RangeIndex(self._rows)))
        return Checked(self._name, self._rows, self._outcomes)

    def _run(self, indices: Sequence[int], frame: Any) -> list[int]:
        """Run some rules on a pandas frame; returns those that too many of its rows do not meet."""
        found = []
        for result in self._validate(indices, frame, "BASIC"):
            index = result.expectation_config.meta["outcome"]
            outcome, details = self._outcomes[index], result.result
            if "element_count" in details:
                outcome.rows += details["element_count"] - (details.get("missing_count") or 0)
                outcome.unexpected += details["unexpected_count"]
                if not result.success:
                    found.append(index)
            elif not result.success:
                outcome.broken = outcome.broken or _reason(result)
        return found

    def _validate(self, indices: Sequence[int], frame: Any, result_format: str) -> list[Any]:
        from great_expectations.execution_engine.pandas_execution_engine import (
            PandasExecutionEngine,
        )
        from great_expectations.validator.validator import Validator

        if not indices:
            return []
        engine = PandasExecutionEngine(batch_data_dict={self._name: frame})
        results: list[Any] = Validator(engine, data_context=self._context).graph_validate(
            [self._configurations[index] for index in indices],
            {"result_format": {"result_format": result_format, "exclude_unexpected_values": True}},
        )
        return results

    def _break(self, indices: Sequence[int], reason: str) -> None:
        for index in indices:
            self._outcomes[index].broken = self._outcomes[index].broken or reason

    def _locate(self, index: int, frame: pl.DataFrame, narrow: pl.DataFrame) -> None:
        """Note the symbols and dates of the rows that do not meet a rule, for the first few."""
        outcome = self._outcomes[index]
        symbol, clock = self._keys
        if len(outcome.places) >= NAMED or not {symbol, clock} <= set(frame.columns):
            return
        (result,) = self._validate([index], _as_compared(narrow), "COMPLETE")
        rows = frame.select(*dict.fromkeys((symbol, clock, *outcome.rule.columns)))[
            sorted(result.result["unexpected_index_list"])
        ]
        outcome.examples += rows.head(EXAMPLES - len(outcome.examples)).to_dicts()
        places = rows.group_by(symbol, maintain_order=True).agg(pl.len(), pl.col(clock).min())
        for name, count, first in places.head(NAMED - len(outcome.places)).iter_rows():
            place = outcome.places.setdefault(str(name), Place(0, str(first)))
            place.rows += count


def _great_expectations() -> Any:
    """Import the package with garbage collection off, which would take a sixth of the time."""
    gc.disable()
    try:
        import great_expectations
    finally:
        # What it has made stays until the end: no later collection needs to look at it.
        gc.freeze()
        gc.enable()
    return great_expectations


def _bound(expectation: Any, meaning: Meaning, file: str) -> Iterator[Rule]:
    """One committed expectation as rules: one per column that it means."""
    meta = expectation.meta or {}
    kwargs = {key: _value(value, meaning, file) for key, value in expectation.kwargs.items()}

    def rule(**column: str) -> Rule:
        return Rule(
            type=expectation.type,
            kwargs=kwargs | column,
            critical=bool(meta.get("critical")),
            remedy=str(meta.get("remedy", "")),
        )

    if "column" in kwargs:
        for column in meaning.named(kwargs["column"], meta.get("except", ())):
            yield rule(column=column)
    elif {*rule().columns} <= {*meaning.columns, *meaning.helpers}:
        yield rule()


def _value(value: Any, meaning: Meaning, file: str) -> Any:
    """What stands in a suite, with its parameter or its `$clock` filled in."""
    if value == CLOCK:
        return meaning.clock
    if isinstance(value, list | tuple):
        return [_value(part, meaning, file) for part in value]
    if not (isinstance(value, dict) and "$PARAMETER" in value):
        return value
    name = value["$PARAMETER"]
    if name not in meaning.parameters:
        known = few(meaning.parameters, 20)
        raise QualityError(f"{file}: unknown parameter {name}; there are {known}")
    return meaning.parameters[name]


def _as_stored(frame: pl.DataFrame) -> Any:
    """As pandas, each column in the type that is its own."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.to_pandas(date_as_object=False, split_blocks=True)


def _as_compared(frame: pl.DataFrame) -> Any:
    """As pandas, in the types whose rows Great Expectations compares all at once.

    These are int64, float64 and nanosecond timestamps; any other column it goes through row by
    row in Python, which takes twenty times as long.
    """
    return _as_stored(
        frame.with_columns(
            cs.float().cast(pl.Float64),
            cs.integer().cast(pl.Int64),
            cs.date().clip(*_NS_RANGE).cast(pl.Datetime("ns")),
        )
    )


def _comparable(value: Any) -> Any:
    """A bound in the type that its column has in pandas: dates are timestamps there."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


def _reason(result: Any) -> str:
    """Why an expectation about the whole table fails, or why it could not be checked."""
    details = result.result
    mismatched = (details.get("details") or {}).get("mismatched")
    if isinstance(mismatched, dict):
        return "; ".join(
            f"{few(mismatched[key])} {word}"
            for key, word in (("missing", "missing"), ("unexpected", "not asked for"))
            if mismatched.get(key)
        )
    if "observed_value" in details:
        return f"found {details['observed_value']}"
    info = result.exception_info
    nested = [info, *(part for part in info.values() if isinstance(part, dict))]
    told = next((text for part in nested if (text := part.get("exception_message"))), "no reason")
    return f"cannot be checked: {str(told).splitlines()[0]}"
