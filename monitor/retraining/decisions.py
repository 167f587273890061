"""Decisions: a row of the database, and a file in git once something was trained."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select

from monitor.settings import MonitorError, Settings
from monitor.store.records import Records
from predictions.schema import model_metadata, retraining_decisions
from stages.common import tables
from stages.common.errors import few
from versions.repository import git

FOLDER = Path("decisions")

_COLUMNS = ("reason", "lane", "outcome", "champion", "challenger", "decided_by")

OPEN = ("shadow", "approval")
"""Outcomes after which a challenger still waits."""


@dataclass(frozen=True)
class Decision:
    """What was decided, and every number that led to it.

    Attributes:
        id: begins with its time.
        created_at: in UTC.
        reason: `drift`, `schedule`, `manual` or `rollback`.
        outcome: `refused`, `failed`, `rejected`, `shadow`, `approval`, `promoted` or `rolled back`.
        because: one sentence.
        lane: `refit` or `change`; None where nothing was trained.
        champion, challenger: commits.
        decided_by: who, where a person did.
        document: the pinned window, the numbers and the gates.
    """

    id: str
    created_at: datetime
    reason: str
    outcome: str
    because: str
    lane: str | None = None
    champion: str | None = None
    challenger: str | None = None
    decided_by: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """For JSON."""
        named = {name: getattr(self, name) for name in _COLUMNS}
        return {
            "id": self.id,
            "created_at": self.created_at.isoformat(),
            **named,
            "because": self.because,
            **self.document,
        }

    def text(self) -> str:
        """The bytes of its file."""
        return json.dumps(self.content(), indent=2) + "\n"

    @property
    def path(self) -> Path:
        """Its file, from the root of the project."""
        return FOLDER / f"{self.id}.json"

    @property
    def decided_at(self) -> datetime:
        """When it got its outcome: a challenger may have waited for it."""
        history = self.document.get("history")
        return datetime.fromisoformat(history[-1]["until"]) if history else self.created_at

    def turned(self, outcome: str, because: str, at: datetime, by: str | None = None) -> "Decision":
        """The same with another outcome; its document keeps the former one."""
        former = {"outcome": self.outcome, "because": self.because}
        history = [*self.document.get("history", ()), former | {"until": at.isoformat()}]
        document = {**self.document, "history": history}
        return replace(
            self,
            outcome=outcome,
            because=because,
            decided_by=by or self.decided_by,
            document=document,
        )


def parse(content: Mapping[str, Any]) -> Decision:
    """What `Decision.content` gave."""
    known = ("id", "created_at", *_COLUMNS, "because")
    fields = {name: content[name] for name in known}
    fields["created_at"] = datetime.fromisoformat(fields["created_at"])
    document = {name: value for name, value in content.items() if name not in known}
    return Decision(**fields, document=document)


def new_id(settings: Settings, engine: Engine, reason: str) -> str:
    """A name that no decision has."""
    name = f"{settings.clock:%Y%m%dT%H%M%S}-{reason}"
    with engine.connect() as connection:
        ids = {decision.id for decision in listed(connection)}
    number = 2
    while name in ids:
        name = f"{settings.clock:%Y%m%dT%H%M%S}-{reason}-{number}"
        number += 1
    return name


def store(records: Records, decision: Decision) -> None:
    """Insert its row, or change it."""
    row = {
        "id": decision.id,
        "created_at": decision.created_at,
        **{name: getattr(decision, name) for name in _COLUMNS},
        "document": json.dumps(decision.content()),
    }
    key = retraining_decisions.c.id
    if records.connection.scalar(select(key).where(key == decision.id)) is None:
        records.add(retraining_decisions, row)
    else:
        del row["id"]
        records.change(retraining_decisions, decision.id, row)


def placed(
    records: Records, decision: Decision, place: str, horizon: str, model: Mapping[str, str | None]
) -> None:
    """Note where a decision put a model, once: a step that is repeated adds nothing."""
    columns = model_metadata.c
    same = select(columns.id).where(
        columns.decision_id == decision.id,
        columns.place == place,
        columns.horizon == horizon,
        columns.model_md5 == model["model_md5"],
    )
    if records.connection.scalar(same) is None:
        records.placed(place, horizon, {**model, "decision_id": decision.id})


def listed(connection: Connection) -> list[Decision]:
    """Every decision, oldest first."""
    columns = retraining_decisions.c
    query = select(columns.document).order_by(columns.created_at, columns.id)
    return [parse(json.loads(text)) for text in connection.scalars(query)]


def newest(connection: Connection, most: int) -> list[Decision]:
    """The newest decisions, newest first."""
    columns = retraining_decisions.c
    query = select(columns.document).order_by(columns.created_at.desc(), columns.id.desc())
    return [parse(json.loads(text)) for text in connection.scalars(query.limit(most))]


def find(engine: Engine, name: str, root: Path) -> Decision:
    """A decision by its id: from the database, or else from its file.

    Raises:
        MonitorError: there is none.
    """
    with engine.connect() as connection:
        known = listed(connection)
    for decision in known:
        if decision.id == name:
            return decision
    path = root / FOLDER / f"{name}.json"
    if path.exists():
        return parse(json.loads(path.read_bytes()))
    names = few([decision.id for decision in reversed(known)]) or "none yet"
    raise MonitorError(f"no decision {name!r}; the newest are {names}")


def commit(decision: Decision, root: Path) -> None:
    """Commit its file, and nothing else that may have changed in the served checkout.

    A second time changes nothing.

    Raises:
        VersionError: git refuses, for example in the middle of a merge.
    """
    path = root / decision.path
    text = decision.text().encode()
    if git.content("HEAD", decision.path, root) == text:
        return
    with tables.replacing(path) as partial:
        partial.write_bytes(text)
    git.git("add", "--", str(decision.path), folder=root)
    git.git(
        *("commit", "--quiet", "--no-verify", f"--message={title(decision)}"),
        *("--only", "--", str(decision.path)),
        folder=root,
    )


def title(decision: Decision) -> str:
    """The message of its commit."""
    return f"Decision {decision.id}: {decision.outcome}\n\n{decision.because}"
