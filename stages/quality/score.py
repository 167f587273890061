"""The quality of a table: the outcomes of its expectations, a score in percent, an error line.

Nothing here depends on Great Expectations; see `stages.quality.checking`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from stages.common.errors import QualityError, few
from stages.common.text import plural

SCALE = 10_000
"""Scores have four decimal places, rounded down, so that 100 means that nothing failed."""

NAMED = 5
"""Symbols that an outcome names."""


@dataclass(frozen=True)
class Rule:
    """One expectation about one table, with its patterns and parameters filled in.

    Attributes:
        type: as Great Expectations calls it, such as `expect_column_values_to_be_between`.
        kwargs: its arguments.
        critical: whether it must hold, whatever the score.
        remedy: what to do if it does not hold.
    """

    type: str
    kwargs: Mapping[str, Any]
    critical: bool = False
    remedy: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is about; none if it is about the table."""
        single = (self.kwargs.get(key) for key in ("column", "column_A", "column_B"))
        return (*(name for name in single if name), *self.kwargs.get("column_list", ()))

    @property
    def mostly(self) -> float:
        """The share of rows that must meet it."""
        return float(self.kwargs.get("mostly", 1.0))

    @property
    def plain(self) -> dict[str, Any]:
        """Its arguments as JSON can hold them."""
        return {
            key: value.isoformat() if isinstance(value, date) else value
            for key, value in self.kwargs.items()
        }

    def __str__(self) -> str:
        share = f" in {self.mostly:.4g} of the rows" if self.mostly < 1 else ""
        where = " where its row_condition holds" if "row_condition" in self.kwargs else ""
        return _phrase(self.type, self.kwargs) + share + where


@dataclass
class Place:
    """The rows of one symbol that do not meet a rule: how many, and the first one's date."""

    rows: int
    first: str


@dataclass
class Outcome:
    """The result of a rule, added up over all slices of its table.

    Attributes:
        rows: that the rule applies to; 0 for a rule about the table as a whole.
        unexpected: those rows that do not meet it.
        broken: why a rule about the whole table does not hold, or why a rule cannot be checked.
        places: the unexpected rows of the first few symbols.
        examples: the first few unexpected rows, each as a mapping of column to value.
    """

    rule: Rule
    rows: int = 0
    unexpected: int = 0
    broken: str = ""
    places: dict[str, Place] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether the rule holds."""
        expected = self.rows - self.unexpected
        return not self.broken and (not self.unexpected or expected / self.rows >= self.rule.mostly)

    @property
    def score(self) -> float:
        """100 if it holds; else the percentage of rows that meet it, divided by `mostly`.

        A rule about the whole table, or one that cannot be checked, then scores 0.
        """
        if self.met:
            return 100.0
        if self.broken:
            return 0.0
        return 100.0 * (self.rows - self.unexpected) / self.rows / self.rule.mostly

    def clause(self, table: str) -> str:
        """`clean/daily: close > 0 fails in 3 of 11,786 rows (critical: AAPL 3 rows, ...)`."""
        what = f"{table}: {self.rule} fails"
        if not self.broken:
            what += f" in {self.unexpected:,} of {self.rows:,} rows"
        details = [*(["critical"] if self.rule.critical else []), *self._details()]
        return f"{what} ({': '.join(details)})" if details else what

    def _details(self) -> list[str]:
        if self.broken:
            return [self.broken]
        if not self.places:
            return []
        symbols = [
            f"{symbol} {plural(place.rows, 'row')} from {place.first}"
            for symbol, place in self.places.items()
        ]
        rest = self.unexpected - sum(place.rows for place in self.places.values())
        return [", ".join(symbols[:3]) + " and others" if rest else few(symbols, 3)]


@dataclass
class Checked:
    """One table file, or one folder of them, such as `clean/daily`: its rows and its outcomes."""

    name: str
    rows: int
    outcomes: Sequence[Outcome]


Report = Mapping[str, Sequence[Checked]]
"""The checked parts of each table (`raw`, `clean`, ...)."""


def quality(parts: Sequence[Checked]) -> float:
    """The score of a table in percent: the mean over the expectations of all of its parts."""
    scores = [outcome.score for part in parts for outcome in part.outcomes]
    return math.fsum(scores) / len(scores) if scores else 100.0


def overall(report: Report) -> float:
    """The score of all tables in percent: the mean of their scores."""
    return math.fsum(quality(parts) for parts in report.values()) / len(report)


def percent(score: float) -> float:
    """A score as reports show it: rounded down, so that 100 means that nothing failed."""
    return int(score * SCALE) / SCALE


def metrics(report: Report) -> dict[str, Any]:
    """The content of `metrics/`: scores, counts, and every expectation that does not hold."""
    return {
        "quality": percent(overall(report)),
        "tables": {
            table: {
                "quality": percent(quality(parts)),
                "rows": sum(part.rows for part in parts),
                "expectations": sum(len(part.outcomes) for part in parts),
                "failed": [
                    {
                        "table": part.name,
                        "type": outcome.rule.type,
                        "kwargs": outcome.rule.plain,
                        "critical": outcome.rule.critical,
                        "success": False,
                        "unexpected": outcome.unexpected,
                        "rows": outcome.rows,
                    }
                    for part, outcome in failures(parts)
                ],
            }
            for table, parts in report.items()
        },
    }


def failures(parts: Iterable[Checked]) -> list[tuple[Checked, Outcome]]:
    """The outcomes that do not hold, critical ones first."""
    failed = [(part, outcome) for part in parts for outcome in part.outcomes if not outcome.met]
    return sorted(failed, key=lambda pair: not pair[1].rule.critical)


def enforce(report: Report, min_quality: float, docs: str) -> None:
    """Stop the pipeline if a critical expectation fails or a table scores too low.

    Args:
        report: of all tables.
        min_quality: in percent, for each table.
        docs: the page that shows all results.

    Raises:
        QualityError: naming the expectations, the rows and symbols, and the remedy.
    """
    clauses, remedies = [], []
    for table, parts in report.items():
        score = quality(parts)
        low = score < min_quality
        if low:
            clauses.append(f"{table}: quality {percent(score)} is below validate.min_quality")
            clauses[-1] += f" {min_quality:g}"
        for part, outcome in failures(parts):
            if low or outcome.rule.critical:
                clauses.append(outcome.clause(part.name))
                remedies.append(outcome.rule.remedy)
    if clauses:
        hints = [hint for hint in dict.fromkeys(remedies) if hint]
        raise QualityError(
            f"validation failed: {few(clauses)}; {'; '.join([*hints, f'look at {docs}'])}"
        )


_COMMON = ("mostly", "row_condition")
"""Arguments that every rule may have; `Rule` itself puts them into words."""


def _phrase(kind: str, kwargs: Mapping[str, Any]) -> str:
    """A rule in the words of a formula, such as `0 <= rsi_14 <= 100`."""
    if kind in _PHRASES:
        return _PHRASES[kind](kwargs)
    own = ", ".join(f"{key}={value}" for key, value in kwargs.items() if key not in _COMMON)
    return f"{kind}({own})"


def _pair(kwargs: Mapping[str, Any]) -> str:
    sign = ">=" if kwargs.get("or_equal") else ">"
    return f"{kwargs['column_A']} {sign} {kwargs['column_B']}"


def _member(kwargs: Mapping[str, Any]) -> str:
    # The name of a boolean column is itself a statement.
    values = list(kwargs["value_set"])
    return str(kwargs["column"]) if values == [True] else f"{kwargs['column']} in {few(values)}"


def _range(name: str, kwargs: Mapping[str, Any]) -> str:
    low, high = _plain(kwargs.get("min_value")), _plain(kwargs.get("max_value"))
    above = "<" if kwargs.get("strict_min") else "<="
    below = "<" if kwargs.get("strict_max") else "<="
    if low is None:
        return f"{name} {below} {high}"
    if high is None:
        return f"{name} {above.replace('<', '>')} {low}"
    return f"{low} {above} {name} {below} {high}"


def _plain(value: Any) -> Any:
    """A bound without needless decimals: 0 instead of 0.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_PHRASES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "expect_column_values_to_be_between": lambda kwargs: _range(kwargs["column"], kwargs),
    "expect_column_values_to_not_be_null": lambda kwargs: f"{kwargs['column']} not null",
    "expect_column_values_to_be_in_set": _member,
    "expect_column_type_to_be": lambda kwargs: f"{kwargs['column']} of type {kwargs['type_']}",
    "expect_column_pair_values_a_to_be_greater_than_b": _pair,
    "expect_compound_columns_to_be_unique": lambda kwargs: (
        f"({', '.join(kwargs['column_list'])}) unique"
    ),
    "expect_table_columns_to_match_set": lambda _: "the set of columns",
    "expect_table_row_count_to_be_between": lambda kwargs: _range("rows", kwargs),
    "expect_table_row_count_to_equal": lambda kwargs: f"rows = {kwargs['value']:,}",
}
