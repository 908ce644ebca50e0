"""The DIMSE messages as values. PS3.7 §9.3 (DIMSE-C) and §10.3 (DIMSE-N), Annex E.

``has_dataset`` says whether a data set follows: fixed where the standard fixes it, a field where the
sender chooses. ``responding_to`` is the Message ID of the request. ``sop_class`` and ``sop_instance``
are the affected or requested ones, as the message has it. Error comments are at most 64 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leadglass.model.names import AETitle, Uid

MEDIUM_PRIORITY = 0x0000
HIGH_PRIORITY = 0x0001
LOW_PRIORITY = 0x0002


@dataclass(frozen=True, slots=True)
class CStoreRq:
    """Table 9.3-1. The move originator is set on a sub-operation of C-MOVE.

    ``sop_instance`` is empty where the peer sent something that is no UID: one bad object is a reason
    to refuse that object (0x0117), not to end the association that brings it.
    """

    has_dataset: ClassVar[bool] = True
    message_id: int
    sop_class: Uid
    sop_instance: Uid
    priority: int = MEDIUM_PRIORITY
    move_originator_ae: AETitle | None = None
    move_originator_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class CStoreRsp:
    """Table 9.3-2."""

    has_dataset: ClassVar[bool] = False
    responding_to: int
    status: int
    sop_class: Uid | None = None
    sop_instance: Uid | None = None
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CFindRq:
    """Table 9.3-3."""

    has_dataset: ClassVar[bool] = True
    message_id: int
    sop_class: Uid
    priority: int = MEDIUM_PRIORITY


@dataclass(frozen=True, slots=True)
class CFindRsp:
    """Table 9.3-4."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CCancelRq:
    """Tables 9.3-5, 9.3-8 and 9.3-11: one message cancels any of the three."""

    has_dataset: ClassVar[bool] = False
    responding_to: int


@dataclass(frozen=True, slots=True)
class CGetRq:
    """Table 9.3-6."""

    has_dataset: ClassVar[bool] = True
    message_id: int
    sop_class: Uid
    priority: int = MEDIUM_PRIORITY


@dataclass(frozen=True, slots=True)
class CGetRsp:
    """Table 9.3-7. The counts are of sub-operations."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CMoveRq:
    """Table 9.3-9."""

    has_dataset: ClassVar[bool] = True
    message_id: int
    sop_class: Uid
    destination: AETitle
    priority: int = MEDIUM_PRIORITY


@dataclass(frozen=True, slots=True)
class CMoveRsp:
    """Table 9.3-10. The counts are of sub-operations."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CEchoRq:
    """Table 9.3-12."""

    has_dataset: ClassVar[bool] = False
    message_id: int
    sop_class: Uid


@dataclass(frozen=True, slots=True)
class CEchoRsp:
    """Table 9.3-13."""

    has_dataset: ClassVar[bool] = False
    responding_to: int
    status: int
    sop_class: Uid | None = None
    error_comment: str = ""


@dataclass(frozen=True, slots=True)
class NEventReportRq:
    """Table 10.3-1."""

    message_id: int
    sop_class: Uid
    sop_instance: Uid
    event_type: int
    has_dataset: bool


@dataclass(frozen=True, slots=True)
class NEventReportRsp:
    """Table 10.3-2."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    sop_instance: Uid | None = None
    event_type: int | None = None
    error_comment: str = ""
    error_id: int | None = None


@dataclass(frozen=True, slots=True)
class NGetRq:
    """Table 10.3-3. ``attributes`` are tags, group << 16 | element."""

    has_dataset: ClassVar[bool] = False
    message_id: int
    sop_class: Uid
    sop_instance: Uid
    attributes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NGetRsp:
    """Table 10.3-4."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    sop_instance: Uid | None = None
    error_comment: str = ""
    error_id: int | None = None
    attributes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NSetRq:
    """Table 10.3-5."""

    has_dataset: ClassVar[bool] = True
    message_id: int
    sop_class: Uid
    sop_instance: Uid


@dataclass(frozen=True, slots=True)
class NSetRsp:
    """Table 10.3-6."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    sop_instance: Uid | None = None
    error_comment: str = ""
    error_id: int | None = None
    attributes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NActionRq:
    """Table 10.3-7."""

    message_id: int
    sop_class: Uid
    sop_instance: Uid
    action_type: int
    has_dataset: bool


@dataclass(frozen=True, slots=True)
class NActionRsp:
    """Table 10.3-8."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    sop_instance: Uid | None = None
    action_type: int | None = None
    error_comment: str = ""
    error_id: int | None = None


@dataclass(frozen=True, slots=True)
class NCreateRq:
    """Table 10.3-9."""

    message_id: int
    sop_class: Uid
    has_dataset: bool
    sop_instance: Uid | None = None


@dataclass(frozen=True, slots=True)
class NCreateRsp:
    """Table 10.3-10."""

    responding_to: int
    status: int
    has_dataset: bool
    sop_class: Uid | None = None
    sop_instance: Uid | None = None
    error_comment: str = ""
    error_id: int | None = None
    attributes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NDeleteRq:
    """Table 10.3-11."""

    has_dataset: ClassVar[bool] = False
    message_id: int
    sop_class: Uid
    sop_instance: Uid


@dataclass(frozen=True, slots=True)
class NDeleteRsp:
    """Table 10.3-12."""

    has_dataset: ClassVar[bool] = False
    responding_to: int
    status: int
    sop_class: Uid | None = None
    sop_instance: Uid | None = None
    error_comment: str = ""
    error_id: int | None = None


Request = (
    CStoreRq
    | CFindRq
    | CGetRq
    | CMoveRq
    | CEchoRq
    | NEventReportRq
    | NGetRq
    | NSetRq
    | NActionRq
    | NCreateRq
    | NDeleteRq
)
Response = (
    CStoreRsp
    | CFindRsp
    | CGetRsp
    | CMoveRsp
    | CEchoRsp
    | NEventReportRsp
    | NGetRsp
    | NSetRsp
    | NActionRsp
    | NCreateRsp
    | NDeleteRsp
)
Command = Request | CCancelRq | Response
