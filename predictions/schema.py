"""The tables of the prediction log, for SQLite and PostgreSQL alike."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

VERSION = "0003"
"""The newest migration. A migration only adds what may be empty, so that a server of an older
revision can go on with newer tables."""

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, with its zone on both ways; SQLite itself does not keep the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To what the database keeps."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From what the database keeps."""
        del dialect
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


prediction_logs = Table(
    "prediction_logs",
    metadata,
    # UUIDv7 in its text form: sorts by time, so that a span of time is a span of ids.
    Column("id", String(36), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("client", String(64)),
    # `latest` (a bar of the revision), `bars` (the caller's own) or `rows` (the caller's features).
    Column("source", String(8), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("horizon", String(64), nullable=False),
    Column("sessions", Integer, nullable=False),
    Column("as_of", Date),
    Column("target_date", Date),
    Column("last_close", Float(53)),
    Column("predicted_return", Float(53), nullable=False),
    Column("lower", Float(53), nullable=False),
    Column("upper", Float(53), nullable=False),
    Column("level", Float(53), nullable=False),
    Column("probability", Float(53), nullable=False),
    Column("revision", String(64), nullable=False),
    Column("model_md5", String(32), nullable=False),
    Column("model_version", String(32)),
    # JSON by name, each float32 in the shortest form that gives it back.
    Column("inputs", Text, nullable=False),
    Column("scale", Float(53), nullable=False),
    Column("symbol_index", BigInteger),
    # Null is an answer of the revision that is checked out, `canary` one of a challenger; `shadow`
    # is a forecast that was only logged: the challenger's, or the revision's beside a canary.
    Column("role", String(8)),
    Index("prediction_logs_of_a_symbol", "symbol", "id"),
    Index("prediction_logs_of_a_bar", "horizon", "as_of"),
)

label_store = Table(
    "label_store",
    metadata,
    Column(
        "prediction_id",
        String(36),
        ForeignKey("prediction_logs.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("actual_return", Float(53), nullable=False),
    Column("actual_close", Float(53)),
    Column("observed_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("client", String(64)),
)

former_labels = Table(
    "former_labels",
    metadata,
    Column(
        "prediction_id",
        String(36),
        ForeignKey("prediction_logs.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("created_at", UtcDateTime, primary_key=True),
    Column("actual_return", Float(53), nullable=False),
    Column("actual_close", Float(53)),
    Column("observed_at", UtcDateTime),
    Column("client", String(64)),
    Column("replaced_at", UtcDateTime, nullable=False),
)

model_metadata = Table(
    "model_metadata",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("horizon", String(64), nullable=False),
    # `trained`, `shadow`, `canary`, `production`, `rejected` or `rolled back`.
    Column("place", String(16), nullable=False),
    Column("version", String(32)),
    Column("commit", String(40), nullable=False),
    Column("model_md5", String(32), nullable=False),
    Column("decision_id", String(64)),
    Index("model_metadata_of_a_model", "model_md5", "id"),
)
"""Where each model was put, and when: one row for each event."""

monitoring_metrics = Table(
    "monitoring_metrics",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("name", String(64), nullable=False),
    # Null where the number is not defined, such as a correlation of one row.
    Column("value", Float(53)),
    # JSON with sorted keys, such as the horizon and the feature.
    Column("tags", Text, nullable=False),
    Index("monitoring_metrics_of_a_name", "name", "created_at"),
)
"""The numbers that the monitor measures: one row for each measurement."""

monitoring_alerts = Table(
    "monitoring_alerts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("rule", String(64), nullable=False),
    # What the rule is about, such as a horizon; JSON with sorted keys.
    Column("tags", Text, nullable=False),
    Column("severity", String(8), nullable=False),
    Column("message", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    # When the messages about its beginning and its end were sent.
    Column("sent_at", UtcDateTime),
    Column("end_sent_at", UtcDateTime),
    Index("monitoring_alerts_of_a_rule", "rule", "started_at"),
)
"""Alerts: one row from the beginning of an alert to its end."""

retraining_decisions = Table(
    "retraining_decisions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    # `drift`, `schedule`, `manual` or `rollback`.
    Column("reason", String(16), nullable=False),
    # `refit` or `change`; null where nothing was trained.
    Column("lane", String(8)),
    # `refused`, `failed`, `rejected`, `shadow`, `approval`, `promoted` or `rolled back`.
    Column("outcome", String(16), nullable=False),
    Column("champion", String(40)),
    Column("challenger", String(40)),
    # Who decided, where a person did.
    Column("decided_by", String(64)),
    # JSON: every number that led to it.
    Column("document", Text, nullable=False),
)
"""Decisions of any kind."""

Row = dict[str, Any]
"""One row of a table, by column, in values that every driver takes: text, numbers, None.

Dates and moments are text as SQLite keeps them (`2012-12-31`, and `moment` below); PostgreSQL reads
the same.
"""


def moment(value: datetime | None = None) -> str:
    """A moment (now by default) as text, in UTC: what SQLAlchemy itself would write to SQLite."""
    value = datetime.now(UTC) if value is None else value.astimezone(UTC)
    # A third of the time of strftime.
    return value.isoformat(" ", "microseconds")[:26]


def written(text: str) -> str:
    """What `moment` gives, as answers show it: ISO 8601, UTC, milliseconds."""
    return f"{text[:10]}T{text[11:23]}Z"


def first_id(since: datetime) -> str:
    """The least id that a prediction of that moment (to the millisecond) can have."""
    milliseconds = max(0, int(since.timestamp() * 1000))
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"
