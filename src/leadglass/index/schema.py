"""The tables of the index.

Two kinds of column per level. **Key columns** are what is matched, in the folded form of
``folding.py``, with an index where a C-FIND by that key must be fast at a million studies: PatientID,
PatientName (each component group), BirthDate, StudyInstanceUID, StudyDate, AccessionNumber, and the
UIDs below. **attributes** is one JSON text per row with what is answered: the values as
received by eight-digit hex tag (a list where there are several), and under ``tag~`` the folded list
where the VR is folded. So a new return key needs no migration, a row is read with one column, and
a match on a rare key (StudyDescription) still runs in SQL, over the rows the indexed keys left.

Counters and the sets (modalities, SOP classes; JSON lists, sorted) are maintained in the commit, so
that a study search never reads an instance. Patient and study attributes are those of the first
instance received; Modality is the series' first.

A patient is ``(patient_id, authority)``; see ``patients.py``. The audit tables are in the migration only:
the audit room declares them for itself.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

METADATA: Final = MetaData()

patient: Final = Table(
    "patient",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("patient_id", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("name_alphabetic", Text, nullable=False),
    Column("name_ideographic", Text),
    Column("name_phonetic", Text),
    Column("birth_date", Text, nullable=False),
    Column("study_count", Integer, nullable=False),
    Column("series_count", Integer, nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("attributes", Text, nullable=False),
    Index("patient_key", "patient_id", "authority", unique=True),
    Index("patient_name_alphabetic", "name_alphabetic"),
    Index("patient_name_ideographic", "name_ideographic", sqlite_where=text("name_ideographic IS NOT NULL")),
    Index("patient_name_phonetic", "name_phonetic", sqlite_where=text("name_phonetic IS NOT NULL")),
    Index("patient_birth_date", "birth_date"),
)

study: Final = Table(
    "study",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("patient", Integer, ForeignKey("patient.id"), nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("study_date", Text, nullable=False),
    Column("study_time", Text, nullable=False),
    Column("accession_number", Text, nullable=False),
    Column("modalities", Text, nullable=False),
    Column("sop_classes", Text, nullable=False),
    Column("series_count", Integer, nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("attributes", Text, nullable=False),
    Index("study_uid", "study_uid", unique=True),
    Index("study_patient", "patient"),
    Index("study_date", "study_date"),
    Index("study_accession_number", "accession_number"),
)

series: Final = Table(
    "series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study", Integer, ForeignKey("study.id"), nullable=False),
    Column("series_uid", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("number", Integer),
    Column("sop_classes", Text, nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("attributes", Text, nullable=False),
    Index("series_uid", "series_uid", unique=True),
    Index("series_study", "study"),
)

instance: Final = Table(
    "instance",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("series", Integer, ForeignKey("series.id"), nullable=False),
    Column("sop_instance", Text, nullable=False),
    Column("sop_class", Text, nullable=False),
    Column("transfer_syntax", Text, nullable=False),
    Column("number", Integer),
    Column("object_id", LargeBinary, nullable=False),
    Column("segment", Text, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("received_at_us", Integer, nullable=False),
    Column("received_from", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Index("instance_uid", "sop_instance", unique=True),
    Index("instance_series", "series"),
    Index("instance_location", "segment", "offset", "length"),
)

study_label: Final = Table(
    "study_label",
    METADATA,
    Column("study", Integer, ForeignKey("study.id"), primary_key=True),
    Column("label", Text, primary_key=True),
    Index("study_label_label", "label"),
)

quarantine: Final = Table(
    "quarantine",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("sop_instance", Text, nullable=False),
    Column("sop_class", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("series_uid", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("transfer_syntax", Text, nullable=False),
    Column("object_id", LargeBinary, nullable=False),
    Column("segment", Text, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("received_at_us", Integer, nullable=False),
    Column("received_from", Text, nullable=False),
    Index("quarantine_uid", "sop_instance"),
    Index("quarantine_location", "segment", "offset", "length"),
)

# An instance that was deleted and not yet erased. ``attributes`` is all that its levels held, so that it
# can be put back as it came.
binned: Final = Table(
    "binned",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sop_instance", Text, nullable=False),
    Column("sop_class", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("series_uid", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("transfer_syntax", Text, nullable=False),
    Column("object_id", LargeBinary, nullable=False),
    Column("segment", Text, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("received_at_us", Integer, nullable=False),
    Column("received_from", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("deleted_at_us", Integer, nullable=False),
    Column("deleted_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("erase_at_us", Integer, nullable=False),
    Index("binned_uid", "sop_instance"),
    Index("binned_study", "study_uid"),
    Index("binned_erase", "erase_at_us"),
    Index("binned_location", "segment", "offset", "length"),
)

# An object whose key is to be destroyed: the row goes when that is durable, so that an erasure that was
# broken off is finished at the next start.
erasure: Final = Table(
    "erasure",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("object_id", LargeBinary, nullable=False),
    Column("sop_instance", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Index("erasure_location", "segment", "offset", "length"),
)

# A legal hold. By UID, not by row: it outlasts the study's rows.
study_hold: Final = Table(
    "study_hold",
    METADATA,
    Column("study_uid", Text, primary_key=True),
    Column("placed_at_us", Integer, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# An object that did not read back as it was received.
damaged: Final = Table(
    "damaged",
    METADATA,
    Column("object_id", LargeBinary, primary_key=True),
    Column("sop_instance", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("found_at_us", Integer, nullable=False),
)

# What the audit trail tells of a device: each value of a fact, and when it was first and last seen.
asset_fact: Final = Table(
    "asset_fact",
    METADATA,
    Column("device", Text, primary_key=True),
    Column("fact", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("first_us", Integer, nullable=False),
    Column("last_us", Integer, nullable=False),
)

# How much a device did on a day, by verb. ``day`` is counted from 1970, in UTC.
asset_day: Final = Table(
    "asset_day",
    METADATA,
    Column("device", Text, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("verb", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
)

# How far work that takes hours has come, by its name; JSON of its own.
progress: Final = Table(
    "progress",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("updated_at_us", Integer, nullable=False),
)
