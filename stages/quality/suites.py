"""The suites of `great_expectations/`, and the rules that they give for one table.

A committed suite names columns by pattern (`rsi_*`, `open|close`), or by `$features` for the
features that params ask for, or by `$clock` for the column that orders the rows of a symbol. It
takes other values as suite parameters (`{"$PARAMETER": "as_of"}`). All of these are filled in
here, so that a change of params needs no change of a suite. An expectation about columns that a
table does not have by its contract does not apply to the table.

Importing Great Expectations takes seconds: only `Suites.context` does it, and a run in which all
expectations hold does not need that.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from typing import Any

from stages.common.errors import QualityError, few
from stages.common.running import without
from stages.quality.conditions import is_plain
from stages.quality.score import Rule

ROOT = Path("great_expectations")

FEATURES = "$features"
"""Stands in a suite for the feature columns of the table."""

CLOCK = "$clock"
"""Stands in a suite for `timestamp` in an hourly table, and for `date` in any other."""


@dataclass(frozen=True)
class Meaning:
    """What a suite's patterns and parameters stand for in one table.

    Attributes:
        columns: the columns that the contract of the table names.
        features: those of them that `$features` stands for.
        helpers: columns that validation adds (see `helper_columns`); no pattern matches them.
        clock: the column that `$clock` stands for.
        parameters: values of `{"$PARAMETER": name}`.
    """

    columns: Sequence[str]
    features: Sequence[str] = ()
    helpers: Sequence[str] = ()
    clock: str = "date"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def matching(self, pattern: str, without: Sequence[str]) -> Iterator[str]:
        """The columns that a pattern matches, in the order of the table."""
        if pattern in self.helpers:
            yield pattern
            return
        pool, pattern = (self.features, "*") if pattern == FEATURES else (self.columns, pattern)
        for column in pool:
            wanted = any(fnmatchcase(column, part) for part in pattern.split("|"))
            if wanted and not any(fnmatchcase(column, part) for part in without):
                yield column


@dataclass(frozen=True)
class Stated:
    """An expectation as a suite states it."""

    type: str
    kwargs: Mapping[str, Any]
    meta: Mapping[str, Any]


class Suites:
    """The committed suites, only read from; results go to `uncommitted/`.

    Raises:
        QualityError: the configuration of the context is missing.
    """

    def __init__(self, root: Path = ROOT) -> None:
        configuration = root / "great_expectations.yml"
        if not configuration.exists():
            # Great Expectations would silently create a new project here.
            raise QualityError(f"{configuration}: no such file; `git checkout {root}`")
        self.root = root

    @cached_property
    def context(self) -> Any:
        """The context of Great Expectations, opened once."""
        configuration = self.root / "great_expectations.yml"
        with _light_import(configuration.read_text(encoding="utf-8")):
            import great_expectations as gx
        # An error inside an expectation comes back in its result; a log line would repeat it.
        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
        return gx.get_context(mode="file", context_root_dir=str(self.root))

    def rules(self, suite: str, meaning: Meaning) -> list[Rule]:
        """The expectations of a suite that apply to a table, one rule for each column.

        Raises:
            QualityError: the suite cannot be read, or names an unknown expectation or parameter.
        """
        file = self.root / "expectations" / f"{suite}.json"
        try:
            content = json.loads(file.read_bytes())
            stated = [
                Stated(entry["type"], entry.get("kwargs") or {}, entry.get("meta") or {})
                for entry in content["expectations"]
            ]
            are_plain = all(is_plain(each.type, each.kwargs) for each in stated)
        except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise QualityError(f"{file}: cannot be read as a suite: {error}; mend it") from None
        if not are_plain or content.get("name") != suite:
            stated = self.parsed(suite, stated)
        return [rule for each in stated for rule in _bound(each, meaning, str(file))]

    def parsed(self, suite: str, stated: Sequence[Stated]) -> list[Stated]:
        """The expectations of a suite as Great Expectations reads them.

        Raises:
            QualityError: it does not understand the suite, or does not know an expectation.
        """
        file = self.root / "expectations" / f"{suite}.json"
        context = self.context
        from great_expectations.exceptions.exceptions import GreatExpectationsError

        try:
            committed = context.suites.get(suite).expectation_configurations
        except (GreatExpectationsError, LookupError, TypeError, ValueError) as error:
            raise QualityError(f"{file}: cannot be read as a suite: {error}; mend it") from None
        # Great Expectations leaves out an expectation that it does not know, without a message.
        known = {expectation.type for expectation in committed}
        if unknown := sorted({each.type for each in stated} - known):
            raise QualityError(f"{file}: there is no expectation {few(unknown)}; mend it")
        return [Stated(each.type, each.kwargs, each.meta or {}) for each in committed]


_LAZY = {"altair", "scipy.stats"}
"""What Great Expectations imports for charts and tests of distributions."""


_OPTIONAL = {"sqlalchemy": ["Database"], "boto3": ["S3", "aws"], "botocore": ["S3", "aws"]}
"""What Great Expectations needs only where its configuration holds one of these words."""


class _LazyFinder:
    """Finds the modules of `_LAZY`, and lets each load when it is first used."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _LAZY else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _light_import(configuration: str) -> Iterator[None]:
    """Halve the time that the import of Great Expectations takes.

    SQLAlchemy and boto3 are optional to Great Expectations: each is left out unless the
    configuration names a store in a database, or on S3.
    """
    absent = [
        package
        for package, words in _OPTIONAL.items()
        if not any(word in configuration for word in words)
    ]
    sys.meta_path.insert(0, _LazyFinder)
    try:
        with without(*absent):
            yield
    finally:
        sys.meta_path.remove(_LazyFinder)


def _bound(expectation: Stated, meaning: Meaning, file: str) -> Iterator[Rule]:
    """One committed expectation as rules: one for each column that it means."""
    meta = expectation.meta
    kwargs = {key: _value(value, meaning, file) for key, value in expectation.kwargs.items()}

    def rule(**column: str) -> Rule:
        return Rule(
            type=expectation.type,
            kwargs=kwargs | column,
            critical=bool(meta.get("critical")),
            remedy=str(meta.get("remedy", "")),
        )

    if "column" in kwargs:
        for column in meaning.matching(kwargs["column"], meta.get("except", ())):
            yield rule(column=column)
    elif {*rule().columns} <= {*meaning.columns, *meaning.helpers}:
        yield rule()


def _value(value: Any, meaning: Meaning, file: str) -> Any:
    """A value of a suite, with its parameter or its `$clock` filled in."""
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
