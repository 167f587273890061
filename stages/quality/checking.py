"""Runs the rules of a table over its slices, and adds up the results.

Rules that have a condition on polars columns (see `conditions`) are counted in one pass over a
slice; Great Expectations runs every other rule on a pandas frame, and says what is wrong with the
names, types or number of rows of a table.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from stages.common.errors import few
from stages.quality.conditions import Subject, condition, count_holds, schema_holds, subject
from stages.quality.pandas_engine import PandasEngine, as_compared, as_stored, reason
from stages.quality.score import NAMED, Checked, Outcome, Place, Rule
from stages.quality.suites import Suites

EXAMPLES = 20
"""Rows of each failed expectation that the data docs show."""

_ABOUT_SCHEMA = {"table.columns", "table.column_types", "table.column_count"}
_ABOUT_COUNT = {"table.row_count"}


class Check:
    """Runs the rules of one table over its slices, and adds up the results.

    A slice holds whole symbols. Rows that do not meet an expectation are counted over all
    slices. An expectation about the columns is checked for each schema that occurs, one about
    the number of rows at the end on their sum. Any other expectation about a column as a whole
    must hold in every slice.

    Args:
        suites: the committed context.
        name: of the table, for messages.
        rules: to run.
        helpers: columns that validation has added; not part of the schema.
        keys: the columns that identify a row.
    """

    def __init__(
        self,
        suites: Suites,
        name: str,
        rules: Sequence[Rule],
        helpers: Sequence[str],
        keys: tuple[str, str],
    ) -> None:
        self._engine = PandasEngine(suites, name)
        self._name = name
        self._helpers = set(helpers)
        self._keys = keys
        self._outcomes = [Outcome(rule) for rule in rules]
        self._about: dict[Subject, list[Outcome]] = {"schema": [], "count": [], "rows": []}
        for outcome in self._outcomes:
            kind = outcome.rule.type
            self._about[subject(kind) or _subject(kind, suites)].append(outcome)
        self._schemas: list[pl.Schema] = []
        self._rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Run the rules on one more slice."""
        self._rows += frame.height
        table = frame.head(0).drop(self._helpers, strict=False)
        if table.schema not in self._schemas:
            self._schemas.append(table.schema)
            unsure = [
                outcome
                for outcome in self._about["schema"]
                if not schema_holds(outcome.rule, table.schema)
            ]
            if unsure:
                self._run(unsure, as_stored(table))
        if not frame.is_empty():
            self._count(frame)

    def finish(self) -> Checked:
        """Run what needs all rows, and return the outcomes."""
        unsure = [each for each in self._about["count"] if not count_holds(each.rule, self._rows)]
        if unsure:
            import pandas as pd

            self._run(unsure, pd.DataFrame(index=pd.RangeIndex(self._rows)))
        return Checked(self._name, self._rows, self._outcomes)

    def _count(self, frame: pl.DataFrame) -> None:
        """Count the rows of one slice that do not meet the rules about rows."""
        counted: list[tuple[Outcome, pl.Expr]] = []
        others: dict[tuple[str, ...], list[Outcome]] = {}
        for outcome in self._about["rows"]:
            rule = outcome.rule
            if missing := [column for column in rule.columns if column not in frame.columns]:
                # A helper column is missing where the table lacks the keys to compute it.
                needed = self._keys if self._helpers.issuperset(missing) else missing
                outcome.broken = outcome.broken or f"cannot be checked without {few(needed)}"
            elif (unmet := condition(rule, frame.schema)) is not None:
                counted.append((outcome, unmet))
            else:
                # A row condition may name any column.
                columns = () if "row_condition" in rule.kwargs else rule.columns
                others.setdefault(columns, []).append(outcome)
        flags = frame.select(unmet.alias(str(index)) for index, (_, unmet) in enumerate(counted))
        for (outcome, _), unmet_rows in zip(counted, flags, strict=True):
            rows, unexpected = frame.height - unmet_rows.null_count(), int(unmet_rows.sum())
            outcome.rows += rows
            outcome.unexpected += unexpected
            if unexpected and (rows - unexpected) / rows < outcome.rule.mostly:
                self._locate(outcome, frame.filter(unmet_rows))
        # Great Expectations filters the whole frame once per expectation: give it few columns.
        for columns, outcomes in others.items():
            narrow = as_compared(frame.select(columns) if columns else frame)
            for outcome in self._run(outcomes, narrow):
                ((_, result),) = self._engine.run([outcome], narrow, "COMPLETE")
                self._locate(outcome, frame[sorted(result.result["unexpected_index_list"])])

    def _run(self, outcomes: Sequence[Outcome], frame: Any) -> list[Outcome]:
        """Run some rules on a pandas frame; returns those that too many of its rows do not meet."""
        failed = []
        for outcome, result in self._engine.run(outcomes, frame):
            details = result.result
            if "element_count" in details:
                outcome.rows += details["element_count"] - (details.get("missing_count") or 0)
                outcome.unexpected += details["unexpected_count"]
                if not result.success:
                    failed.append(outcome)
            elif not result.success:
                outcome.broken = outcome.broken or reason(result)
        return failed

    def _locate(self, outcome: Outcome, unmet: pl.DataFrame) -> None:
        """Note the symbols and dates of rows that do not meet a rule, for the first few."""
        symbol, clock = self._keys
        if len(outcome.places) >= NAMED or not {symbol, clock} <= set(unmet.columns):
            return
        rows = unmet.select(*dict.fromkeys((symbol, clock, *outcome.rule.columns)))
        outcome.examples += rows.head(EXAMPLES - len(outcome.examples)).to_dicts()
        places = rows.group_by(symbol, maintain_order=True).agg(pl.len(), pl.col(clock).min())
        for name, count, first in places.head(NAMED - len(outcome.places)).iter_rows():
            place = outcome.places.setdefault(str(name), Place(0, str(first)))
            place.rows += count


def _subject(kind: str, suites: Suites) -> Subject:
    """What an expectation is about, for a type that has no condition here."""
    # Opens the context first, since that imports less than the registry alone would.
    assert suites.context  # noqa: S101
    from great_expectations.expectations.registry import get_expectation_impl

    needed = set(getattr(get_expectation_impl(kind), "metric_dependencies", ()))
    if needed and needed <= _ABOUT_SCHEMA:
        return "schema"
    return "count" if needed and needed <= _ABOUT_COUNT else "rows"
