"""The tables of the monitor, and which model of a revision made a prediction."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables and the column."""
    op.add_column("prediction_logs", sa.Column("role", sa.String(8)))
    op.create_index("prediction_logs_of_a_bar", "prediction_logs", ["horizon", "as_of"])
    op.create_table(
        "model_metadata",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon", sa.String(64), nullable=False),
        sa.Column("place", sa.String(16), nullable=False),
        sa.Column("version", sa.String(32)),
        sa.Column("commit", sa.String(40), nullable=False),
        sa.Column("model_md5", sa.String(32), nullable=False),
        sa.Column("decision_id", sa.String(64)),
    )
    op.create_index("model_metadata_of_a_model", "model_metadata", ["model_md5", "id"])
    op.create_table(
        "monitoring_metrics",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Float(53)),
        sa.Column("tags", sa.Text, nullable=False),
    )
    op.create_index("monitoring_metrics_of_a_name", "monitoring_metrics", ["name", "created_at"])
    op.create_table(
        "monitoring_alerts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("end_sent_at", sa.DateTime(timezone=True)),
    )
    op.create_index("monitoring_alerts_of_a_rule", "monitoring_alerts", ["rule", "started_at"])
    op.create_table(
        "retraining_decisions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("lane", sa.String(8)),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("champion", sa.String(40)),
        sa.Column("challenger", sa.String(40)),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("document", sa.Text, nullable=False),
    )
