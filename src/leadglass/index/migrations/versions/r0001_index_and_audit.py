"""The index and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _patient_and_study()
    _series_and_instance()
    _label_and_quarantine()
    _audit()


def _patient_and_study() -> None:
    op.create_table(
        "patient",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("patient_id", sa.Text, nullable=False),
        sa.Column("authority", sa.Text, nullable=False),
        sa.Column("name_alphabetic", sa.Text, nullable=False),
        sa.Column("name_ideographic", sa.Text),
        sa.Column("name_phonetic", sa.Text),
        sa.Column("birth_date", sa.Text, nullable=False),
        sa.Column("study_count", sa.Integer, nullable=False),
        sa.Column("series_count", sa.Integer, nullable=False),
        sa.Column("instance_count", sa.Integer, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
    )
    op.create_index("patient_key", "patient", ["patient_id", "authority"], unique=True)
    op.create_index("patient_name_alphabetic", "patient", ["name_alphabetic"])
    for group in ("name_ideographic", "name_phonetic"):  # few names have these
        op.create_index(f"patient_{group}", "patient", [group], sqlite_where=sa.text(f"{group} IS NOT NULL"))
    op.create_index("patient_birth_date", "patient", ["birth_date"])
    op.create_table(
        "study",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("patient", sa.Integer, sa.ForeignKey("patient.id"), nullable=False),
        sa.Column("study_uid", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("study_date", sa.Text, nullable=False),
        sa.Column("study_time", sa.Text, nullable=False),
        sa.Column("accession_number", sa.Text, nullable=False),
        sa.Column("modalities", sa.Text, nullable=False),
        sa.Column("sop_classes", sa.Text, nullable=False),
        sa.Column("series_count", sa.Integer, nullable=False),
        sa.Column("instance_count", sa.Integer, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
    )
    op.create_index("study_uid", "study", ["study_uid"], unique=True)
    op.create_index("study_patient", "study", ["patient"])
    op.create_index("study_date", "study", ["study_date"])
    op.create_index("study_accession_number", "study", ["accession_number"])


def _series_and_instance() -> None:
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study", sa.Integer, sa.ForeignKey("study.id"), nullable=False),
        sa.Column("series_uid", sa.Text, nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("sop_classes", sa.Text, nullable=False),
        sa.Column("instance_count", sa.Integer, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
    )
    op.create_index("series_uid", "series", ["series_uid"], unique=True)
    op.create_index("series_study", "series", ["study"])
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("series", sa.Integer, sa.ForeignKey("series.id"), nullable=False),
        sa.Column("sop_instance", sa.Text, nullable=False),
        sa.Column("sop_class", sa.Text, nullable=False),
        sa.Column("transfer_syntax", sa.Text, nullable=False),
        sa.Column("number", sa.Integer),
        *_stored_object_columns(),
        sa.Column("attributes", sa.Text, nullable=False),
    )
    op.create_index("instance_uid", "instance", ["sop_instance"], unique=True)
    op.create_index("instance_series", "instance", ["series"])
    op.create_index("instance_location", "instance", ["segment", "offset", "length"])


def _label_and_quarantine() -> None:
    op.create_table(
        "study_label",
        sa.Column("study", sa.Integer, sa.ForeignKey("study.id"), primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
    )
    op.create_index("study_label_label", "study_label", ["label"])
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("sop_instance", sa.Text, nullable=False),
        sa.Column("sop_class", sa.Text, nullable=False),
        sa.Column("study_uid", sa.Text, nullable=False),
        sa.Column("series_uid", sa.Text, nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("transfer_syntax", sa.Text, nullable=False),
        *_stored_object_columns(),
    )
    op.create_index("quarantine_uid", "quarantine", ["sop_instance"])
    op.create_index("quarantine_location", "quarantine", ["segment", "offset", "length"])


def _audit() -> None:
    op.create_table(
        "audit_event",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time_us", sa.Integer, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("time_us", sa.Integer, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )


def _stored_object_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("object_id", sa.LargeBinary, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("offset", sa.Integer, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("received_at_us", sa.Integer, nullable=False),
        sa.Column("received_from", sa.Text, nullable=False),
    ]
