"""What a check found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "warning", "critical"]

ORDER: Sequence[Status] = ("ok", "warning", "critical")
"""Statuses, the worst last; the place of one is the exit status of `python -m monitor health`."""


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: of the check.
        status: `ok`, `warning` or `critical`.
        value: what was measured; None if nothing could be.
        threshold: what the value is compared with, where it is compared with a number.
        sentence: what was found, in words.
        remedy: what to do about it; empty if it is well.
        tags: what it is about, such as a horizon.
        judged: whether it could be judged; what could not neither begins nor ends an alert.
        info: whether people should hear of it although it is well.
    """

    name: str
    status: Status
    value: float | None
    threshold: float | None
    sentence: str
    remedy: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    judged: bool = True
    info: bool = False

    @property
    def about(self) -> str:
        """The tags as text."""
        return " ".join(f"{name}={value}" for name, value in sorted(self.tags.items()))


@dataclass(frozen=True)
class Health:
    """What all checks found."""

    checks: tuple[Check, ...]

    @property
    def worst(self) -> Status:
        """The worst status of all checks."""
        return max((check.status for check in self.checks), key=ORDER.index, default="ok")

    def document(self) -> dict[str, Any]:
        """What the report holds, in values of JSON."""
        checks = [
            {
                "name": check.name,
                "tags": dict(check.tags),
                "status": check.status,
                "value": check.value,
                "threshold": check.threshold,
                "sentence": check.sentence,
                "remedy": check.remedy,
            }
            for check in self.checks
        ]
        return {"status": self.worst, "checks": checks}


def unknown(name: str, why: str, tags: Mapping[str, str] | None = None) -> Check:
    """A check that could not be made because a file is missing or wrong."""
    return Check(
        name,
        "warning",
        None,
        None,
        f"unknown: {why}",
        "see the check of the models",
        tags or {},
        judged=False,
    )


def nothing_yet(name: str, sentence: str, tags: Mapping[str, str] | None = None) -> Check:
    """A check that has nothing to judge yet."""
    return Check(name, "ok", None, None, sentence, tags=tags or {}, judged=False)
