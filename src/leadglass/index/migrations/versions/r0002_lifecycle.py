"""What deletion, holds, damage and long work leave in the index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables beside the index proper."""
    _binned()
    _erasure()
    op.create_table(
        "study_hold",
        sa.Column("study_uid", sa.Text, primary_key=True),
        sa.Column("placed_at_us", sa.Integer, nullable=False),
        sa.Column("placed_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "damaged",
        sa.Column("object_id", sa.LargeBinary, primary_key=True),
        sa.Column("sop_instance", sa.Text, nullable=False),
        sa.Column("study_uid", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("found_at_us", sa.Integer, nullable=False),
    )
    op.create_table(
        "progress",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("updated_at_us", sa.Integer, nullable=False),
    )


def _binned() -> None:
    op.create_table(
        "binned",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sop_instance", sa.Text, nullable=False),
        sa.Column("sop_class", sa.Text, nullable=False),
        sa.Column("study_uid", sa.Text, nullable=False),
        sa.Column("series_uid", sa.Text, nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("transfer_syntax", sa.Text, nullable=False),
        sa.Column("object_id", sa.LargeBinary, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("offset", sa.Integer, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("received_at_us", sa.Integer, nullable=False),
        sa.Column("received_from", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("deleted_at_us", sa.Integer, nullable=False),
        sa.Column("deleted_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("erase_at_us", sa.Integer, nullable=False),
    )
    op.create_index("binned_uid", "binned", ["sop_instance"])
    op.create_index("binned_study", "binned", ["study_uid"])
    op.create_index("binned_erase", "binned", ["erase_at_us"])
    op.create_index("binned_location", "binned", ["segment", "offset", "length"])


def _erasure() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("object_id", sa.LargeBinary, nullable=False),
        sa.Column("sop_instance", sa.Text, nullable=False),
        sa.Column("study_uid", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("offset", sa.Integer, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
    )
    op.create_index("erasure_location", "erasure", ["segment", "offset", "length"])
