"""The tables of predictions and of what came of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "prediction_logs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("client", sa.String(64)),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("horizon", sa.String(64), nullable=False),
        sa.Column("sessions", sa.Integer, nullable=False),
        sa.Column("as_of", sa.Date),
        sa.Column("target_date", sa.Date),
        sa.Column("last_close", sa.Float(53)),
        sa.Column("predicted_return", sa.Float(53), nullable=False),
        sa.Column("lower", sa.Float(53), nullable=False),
        sa.Column("upper", sa.Float(53), nullable=False),
        sa.Column("level", sa.Float(53), nullable=False),
        sa.Column("probability", sa.Float(53), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("model_md5", sa.String(32), nullable=False),
        sa.Column("model_version", sa.String(32)),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("scale", sa.Float(53), nullable=False),
        sa.Column("symbol_index", sa.BigInteger),
    )
    op.create_index("prediction_logs_of_a_symbol", "prediction_logs", ["symbol", "id"])
    op.create_table(
        "label_store",
        sa.Column(
            "prediction_id",
            sa.String(36),
            sa.ForeignKey("prediction_logs.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("actual_return", sa.Float(53), nullable=False),
        sa.Column("actual_close", sa.Float(53)),
        sa.Column("observed_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client", sa.String(64)),
    )
