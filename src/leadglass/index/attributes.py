"""The JSON text that each row keeps of its attributes; see ``schema.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import msgspec
from sqlalchemy import Column

from leadglass.dataset import tags
from leadglass.index.folding import FOLDED_VRS, fold_all
from leadglass.index.schema import instance, patient, series, study
from leadglass.model.errors import IntegrityBroken
from leadglass.model.query import Level, Tag

# Kept in columns as received, hence not in the JSON text.
PLAIN_COLUMNS: Final[Mapping[Tag, Column[str]]] = MappingProxyType(
    {
        tags.PATIENT_ID: patient.c.patient_id,
        tags.STUDY_INSTANCE_UID: study.c.study_uid,
        tags.SERIES_INSTANCE_UID: series.c.series_uid,
        tags.MODALITY: series.c.modality,
        tags.SOP_INSTANCE_UID: instance.c.sop_instance,
        tags.SOP_CLASS_UID: instance.c.sop_class,
        tags.AVAILABLE_TRANSFER_SYNTAX_UID: instance.c.transfer_syntax,
    }
)
# Kept in columns folded, and in the JSON text as received.
FOLDED_COLUMNS: Final[Mapping[Tag, Column[str]]] = MappingProxyType(
    {
        tags.PATIENT_BIRTH_DATE: patient.c.birth_date,
        tags.STUDY_DATE: study.c.study_date,
        tags.STUDY_TIME: study.c.study_time,
        tags.ACCESSION_NUMBER: study.c.accession_number,
    }
)
_SINGLE_VALUE_TEXT: Final = frozenset({"LT", "ST", "UT", "UR"})  # a backslash in these is a character

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(dict[str, str | list[str]])


def json_name(tag: Tag) -> str:
    """The name of a tag in the JSON text."""
    return f"{tag:08X}"


def folded_name(tag: Tag) -> str:
    """The name of a tag's folded list in the JSON text."""
    return f"{tag:08X}~"


# How one tag is written, worked out once, for this runs for every instance: the tag, its name, the name and
# the folding of its folded list if it has one, whether a backslash parts two values.
_Kept = tuple[Tag, str, str, Callable[[list[str]], list[str]] | None, bool]


def _kept(entry: tags.IndexTag) -> _Kept:
    in_column = entry.tag in FOLDED_COLUMNS or entry.tag == tags.PATIENT_NAME
    fold = partial(fold_all, entry.vr) if entry.vr in FOLDED_VRS and not in_column else None
    several = entry.vr not in _SINGLE_VALUE_TEXT
    return entry.tag, json_name(entry.tag), folded_name(entry.tag), fold, several


_BY_LEVEL: Final = MappingProxyType(
    {
        level: tuple(
            _kept(entry)
            for entry in tags.INDEX_TAGS
            if entry.level is level and entry.tag not in PLAIN_COLUMNS
        )
        for level in Level
    }
)


def encode_attributes(level: Level, received: Mapping[Tag, str]) -> str:
    """The JSON text for one row of ``level``, of what an instance brought."""
    written: dict[str, str | list[str]] = {}
    for tag, name, folded_name, fold, may_be_several in _BY_LEVEL[level]:
        value = received.get(tag)
        if not value:
            continue
        values = value.split("\\") if may_be_several and "\\" in value else [value]
        written[name] = value if len(values) == 1 else values
        if fold is not None:
            written[folded_name] = fold(values)
    return _ENCODER.encode(written).decode()


def decode_attributes(text: str) -> dict[str, str | list[str]]:
    """Read a row's JSON text.

    Raises:
        IntegrityBroken: not what ``encode_attributes`` writes.
    """
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise IntegrityBroken("index: a row's attributes cannot be read") from error
