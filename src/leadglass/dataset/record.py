"""From a scanned header to what the index keeps of an instance."""

from __future__ import annotations

from typing import Final

from leadglass.dataset import tags
from leadglass.dataset.charsets import parse_character_sets
from leadglass.dataset.header import Header
from leadglass.dataset.syntaxes import name_of_tag
from leadglass.dataset.values import value_text
from leadglass.model.errors import DatasetInvalid, DatasetMismatch, InstanceInvalid, PeerError
from leadglass.model.instance import InstanceRecord
from leadglass.model.names import Uid, parse_uid
from leadglass.model.query import Tag

_UIDS: Final = frozenset(
    {tags.SOP_CLASS_UID, tags.SOP_INSTANCE_UID, tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID}
)
_DECODED: Final = {entry.tag: entry.vr for entry in tags.INDEX_TAGS if entry.tag not in _UIDS}


def instance_record(
    header: Header, *, sop_class: Uid, sop_instance: Uid, transfer_syntax: Uid
) -> InstanceRecord:
    """What the index is to know of a data set that a command announced as this SOP instance.

    Raises:
        InstanceInvalid: the command announced no SOP Instance UID.
        DatasetMismatch: its SOP Class or SOP Instance UID is not the command's. PS3.4 §B.2.3.
        DatasetInvalid: one of its four UIDs is missing or no UID.
    """
    if not sop_instance:
        raise InstanceInvalid("the SOP Instance UID of the request is not a UID")
    _require(header, tags.SOP_CLASS_UID, sop_class)
    _require(header, tags.SOP_INSTANCE_UID, sop_instance)
    study, series = _uid(header, tags.STUDY_INSTANCE_UID), _uid(header, tags.SERIES_INSTANCE_UID)
    character_sets = parse_character_sets(header.values.get(tags.SPECIFIC_CHARACTER_SET, b""))
    order = header.layout.order
    attributes = {
        tag: value_text(raw, _DECODED[tag], order, character_sets)
        for tag, raw in header.values.items()
        if tag in _DECODED
    }
    attributes |= {
        tags.SOP_CLASS_UID: sop_class,
        tags.SOP_INSTANCE_UID: sop_instance,
        tags.STUDY_INSTANCE_UID: study,
        tags.SERIES_INSTANCE_UID: series,
        tags.AVAILABLE_TRANSFER_SYNTAX_UID: transfer_syntax,
    }
    return InstanceRecord(
        sop_class=sop_class,
        sop_instance=sop_instance,
        study=study,
        series=series,
        transfer_syntax=transfer_syntax,
        modality=attributes.get(tags.MODALITY, ""),
        attributes=attributes,
    )


def _require(header: Header, tag: Tag, announced: Uid) -> None:
    raw = header.values.get(tag, b"").rstrip(b" \0")
    if raw != announced.encode("ascii") and _uid(header, tag) != announced:
        raise DatasetMismatch(f"{name_of_tag(tag)} is not what the command announced")


def _uid(header: Header, tag: Tag) -> Uid:
    try:
        return parse_uid(header.values.get(tag, b"").decode("latin-1").lstrip(" "))
    except PeerError as error:
        raise DatasetInvalid(f"{name_of_tag(tag)}: {error}") from error
