"""Rows of the monitor's tables, each also written to the audit trail."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    RowMapping,
    Table,
    insert,
    select,
    update,
)
from uuid_utils import uuid7

from monitor.settings import MonitorError, Settings
from monitor.store import audit_trail
from monitor.store.audit_trail import Entry
from predictions import engine as engines
from predictions import migrate
from predictions.schema import (
    Row,
    UtcDateTime,
    model_metadata,
    monitoring_alerts,
    monitoring_metrics,
    retraining_decisions,
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (model_metadata, monitoring_metrics, monitoring_alerts, retraining_decisions)
}
"""What the monitor writes, by name."""

TRAIL = "audit"
"""The folder of the audit trail, within `var/`."""


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags as the tables keep them: JSON with sorted keys."""
    return json.dumps(dict(tags), sort_keys=True)


@dataclass
class Records:
    """Writes rows in one transaction; the audit trail gets them before it is committed.

    If the process is killed between the two, the trail has a row that the tables lack: nothing that
    was decided is ever lost.
    """

    connection: Connection
    trail: Path
    now: datetime
    _entries: list[Entry] = field(default_factory=list)

    def metric(self, name: str, value: float | None, tags: Mapping[str, str]) -> None:
        """Keep a number; one that is not finite is kept as null."""
        self.add(
            monitoring_metrics,
            {
                "id": str(uuid7()),
                "created_at": self.now,
                "name": name,
                "value": None if value is None or not math.isfinite(value) else float(value),
                "tags": tags_text(tags),
            },
        )

    def placed(self, place: str, horizon: str, model: Mapping[str, str | None]) -> None:
        """Note that a model was put somewhere.

        Args:
            place: such as `shadow` or `production`.
            horizon: of the model.
            model: `commit`, `model_md5`, and `version` and `decision_id` where there are any.
        """
        row = {"version": None, "decision_id": None, **model}
        self.add(
            model_metadata,
            {
                "id": str(uuid7()),
                "created_at": self.now,
                "horizon": horizon,
                "place": place,
                **row,
            },
        )

    def add(self, table: Table, row: Row) -> None:
        """Insert a row."""
        self.connection.execute(insert(table).values(row))
        self._note(table, row)

    def change(self, table: Table, key: str, changes: Row) -> None:
        """Update the row of a key.

        Raises:
            MonitorError: there is none.
        """
        its_own = next(iter(table.primary_key.columns)) == key
        self.connection.execute(update(table).where(its_own).values(changes))
        row = self.connection.execute(select(table).where(its_own)).mappings().one_or_none()
        if row is None:
            raise MonitorError(f"{table.name} has no row {key}")
        self._note(table, {str(name): value for name, value in row.items()})

    def _note(self, table: Table, row: Row) -> None:
        key = next(iter(table.primary_key.columns)).name
        self._entries.append(Entry(table.name, row[key], {k: _json(v) for k, v in row.items()}))

    def flush(self) -> None:
        """Write what was noted to the audit trail."""
        audit_trail.append(self.trail, self._entries, self.now)
        self._entries.clear()


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


@contextmanager
def opened(settings: Settings, *, read_only: bool = False) -> Iterator[Engine]:
    """The engine of the log, with tables that this code can write.

    Raises:
        LogError: the log is away or older than this code.
    """
    with engines.opened(
        settings.log_url, settings.timeout, read_only=read_only, bounded=False
    ) as engine:
        if read_only:
            migrate.check(engine)
        else:
            migrate.ensure(engine)
        yield engine


@contextmanager
def writing(engine: Engine, settings: Settings, now: datetime | None = None) -> Iterator[Records]:
    """A transaction of rows of the monitor; all of them are written, or none."""
    with engine.begin() as connection:
        records = Records(connection, settings.var / TRAIL, now or settings.clock)
        yield records
        records.flush()


def restore(engine: Engine, trail: Path) -> dict[str, int]:
    """Insert the rows of an audit trail that the tables lack; returns how many, by table.

    Raises:
        MonitorError: a file of the trail cannot be read, or a newer revision wrote it.
    """
    restored = {}
    with engine.begin() as connection:
        for name, rows in audit_trail.replay(trail).items():
            if name == audit_trail.RUNS:
                continue
            table = _known(name, rows)
            key = next(iter(table.primary_key.columns))
            present = set(connection.scalars(select(key)))
            missing = [_row(table, row) for k, row in rows.items() if k not in present]
            if missing:
                connection.execute(insert(table), missing)
            restored[name] = len(missing)
    return restored


def _known(name: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = TABLES.get(name)
    columns = {column for row in rows.values() for column in row}
    if table is None or columns - set(table.columns.keys()):
        raise MonitorError(
            f"the audit trail has rows of {name} that this revision does not know; restore with "
            "the revision that wrote them"
        )
    return table


def _row(table: Table, row: Mapping[str, Any]) -> Row:
    values = {name: row.get(name) for name in table.columns.keys()}  # noqa: SIM118  # keyed by name
    return {
        name: datetime.fromisoformat(value)
        if value is not None and isinstance(table.columns[name].type, UtcDateTime)
        else value
        for name, value in values.items()
    }


def places(connection: Connection, horizon: str | None = None) -> Sequence[RowMapping]:
    """The rows of `model_metadata`, of one horizon or of all, oldest first."""
    columns = model_metadata.c
    query = select(model_metadata).order_by(columns.created_at, columns.id)
    if horizon is not None:
        query = query.where(columns.horizon == horizon)
    return connection.execute(query).mappings().all()
