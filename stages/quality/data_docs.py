"""The data docs: the outcome of every expectation, as HTML that Great Expectations renders.

They show the counts over whole tables. Git ignores their folder great_expectations/uncommitted/,
and no stage depends on them, since they hold the time of the run.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stages.quality.score import Checked, Outcome
from stages.quality.suites import ROOT, Suites

INDEX = ROOT / "uncommitted" / "data_docs" / "index.html"

RUN = "dvc"
"""The name of the run in the paths of the pages."""


def publish(suites: Suites, parts: Mapping[str, Sequence[Checked]]) -> None:
    """Rebuild the pages of these suites; those of other suites stay.

    Args:
        suites: the committed context.
        parts: the checked parts of tables, by suite.
    """
    context = suites.context
    from great_expectations.core import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    now = RunIdentifier(run_name=RUN, run_time=datetime.now(tz=UTC))
    pages: list[Any] = []
    for name, checked in parts.items():
        for former in ("validations", "data_docs/validations"):
            shutil.rmtree(suites.root / "uncommitted" / former / name, ignore_errors=True)
        suite = ExpectationSuiteIdentifier(name=name)
        pages.append(suite)
        for part in checked:
            page = ValidationResultIdentifier(suite, now, part.name.replace("/", "-"))
            context.validation_results_store.set(page, _validation(part, name, now))
            pages.append(page)
    context.build_data_docs(resource_identifiers=pages)


def _validation(part: Checked, suite: str, run: Any) -> Any:
    from great_expectations import __version__ as version
    from great_expectations.core import ExpectationSuiteValidationResult

    met, count = sum(outcome.met for outcome in part.outcomes), len(part.outcomes)
    return ExpectationSuiteValidationResult(
        success=met == count,
        suite_name=suite,
        results=[_result(outcome) for outcome in part.outcomes],
        statistics={
            "evaluated_expectations": count,
            "successful_expectations": met,
            "unsuccessful_expectations": count - met,
            "success_percent": 100 * met / count if count else None,
        },
        meta={
            "run_id": run,
            "validation_time": run.run_time,
            "batch_spec": {"data_asset_name": part.name},
            "great_expectations_version": version,
        },
    )


def _result(outcome: Outcome) -> Any:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )
    from great_expectations.expectations.metadata_types import FailureSeverity

    rule = outcome.rule
    details: dict[str, Any] = {}
    if outcome.broken:
        details = {"observed_value": outcome.broken}
    elif outcome.rows:
        share = 100 * outcome.unexpected / outcome.rows
        details = {
            "element_count": outcome.rows,
            "unexpected_count": outcome.unexpected,
            "unexpected_percent": share,
            "unexpected_percent_total": share,
            "partial_unexpected_list": _examples(outcome),
        }
    return ExpectationValidationResult(
        success=outcome.met,
        expectation_config=ExpectationConfiguration(
            type=rule.type,
            kwargs=rule.plain,
            meta={"critical": rule.critical},
            severity=FailureSeverity.CRITICAL if rule.critical else FailureSeverity.WARNING,
        ),
        result=details,
    )


def _examples(outcome: Outcome) -> list[str]:
    """The first few unexpected rows: the key of each, then the columns of the rule."""
    texts = []
    for row in outcome.examples:
        values = [f"{name} {row[name]}" for name in outcome.rule.columns]
        key = [str(value) for name, value in row.items() if name not in outcome.rule.columns]
        texts.append(", ".join([" ".join(key), *values] if key else values))
    return texts
