"""The labels that were corrected."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "former_labels",
        sa.Column(
            "prediction_id",
            sa.String(36),
            sa.ForeignKey("prediction_logs.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("actual_return", sa.Float(53), nullable=False),
        sa.Column("actual_close", sa.Float(53)),
        sa.Column("observed_at", sa.DateTime(timezone=True)),
        sa.Column("client", sa.String(64)),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
    )
