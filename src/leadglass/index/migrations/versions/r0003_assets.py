"""What the trail tells of devices: facts with their history, and volumes by day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of the asset register."""
    op.create_table(
        "asset_fact",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("fact", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("first_us", sa.Integer, nullable=False),
        sa.Column("last_us", sa.Integer, nullable=False),
    )
    op.create_table(
        "asset_day",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("verb", sa.Text, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
    )
