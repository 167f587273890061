"""The rules that fire at this moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.health.verdicts import Check
from monitor.store.records import tags_text

Severity = Literal["INFO", "WARNING", "CRITICAL"]

ORDER: Sequence[Severity] = ("INFO", "WARNING", "CRITICAL")
"""Severities, the worst last."""

Key = tuple[str, str]
"""What an episode is about: the rule, and the tags as text."""


@dataclass(frozen=True)
class Firing:
    """A rule that fires.

    Attributes:
        rule: its name, that of a check.
        tags: what it is about, such as a horizon.
        severity: how bad it is.
        message: what was found, and what to do.
    """

    rule: str
    tags: Mapping[str, str]
    severity: Severity
    message: str

    @property
    def key(self) -> Key:
        """What an episode of it is about."""
        return self.rule, tags_text(self.tags)


def of_checks(checks: Iterable[Check]) -> list[Firing]:
    """The rules that fire: one for each check that people should hear of."""
    return [
        Firing(check.name, check.tags, severity, _message(check))
        for check in checks
        if check.judged and (severity := _severity(check)) is not None
    ]


def unjudged(checks: Iterable[Check]) -> set[Key]:
    """What could not be judged: its episodes neither begin nor end."""
    return {(check.name, tags_text(check.tags)) for check in checks if not check.judged}


def _severity(check: Check) -> Severity | None:
    if check.status == "ok":
        return "INFO" if check.info else None
    return "CRITICAL" if check.status == "critical" else "WARNING"


def _message(check: Check) -> str:
    return f"{check.sentence}. To do: {check.remedy}" if check.remedy else check.sentence
