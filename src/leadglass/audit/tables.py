"""The audit room's own view of its tables. The index's migrations create them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

METADATA: Final = MetaData()

audit_event: Final = Table(
    "audit_event",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("time_us", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

audit_checkpoint: Final = Table(
    "audit_checkpoint",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("time_us", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
