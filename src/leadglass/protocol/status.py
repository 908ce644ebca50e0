"""Status codes of DIMSE responses, and what class each is of. PS3.7 Annex C; PS3.4 where noted."""

from __future__ import annotations

from enum import Enum, IntEnum


class Status(IntEnum):
    """Codes we send or explain. A peer may send others: see ``category``."""

    SUCCESS = 0x0000
    # PS3.7 §C.4, warnings
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001
    ATTRIBUTE_LIST_ERROR = 0x0107
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    # PS3.7 §C.5, failures
    NO_SUCH_ATTRIBUTE = 0x0105
    INVALID_ATTRIBUTE_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    NO_SUCH_EVENT_TYPE = 0x0113
    NO_SUCH_ARGUMENT = 0x0114
    INVALID_ARGUMENT_VALUE = 0x0115
    INVALID_OBJECT_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    CLASS_INSTANCE_CONFLICT = 0x0119
    MISSING_ATTRIBUTE = 0x0120
    MISSING_ATTRIBUTE_VALUE = 0x0121
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    DUPLICATE_INVOCATION = 0x0210
    UNRECOGNIZED_OPERATION = 0x0211
    MISTYPED_ARGUMENT = 0x0212
    RESOURCE_LIMITATION = 0x0213
    # PS3.4 Table B.2-1 (storage) and Tables C.4-1 to C.4-3 (query/retrieve), failures
    OUT_OF_RESOURCES = 0xA700
    OUT_OF_RESOURCES_MATCHES = 0xA701  # cannot count the matches
    OUT_OF_RESOURCES_SUBOPERATIONS = 0xA702  # cannot perform the sub-operations
    MOVE_DESTINATION_UNKNOWN = 0xA801
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    # The same tables, warnings
    COERCION_OF_DATA_ELEMENTS = 0xB000  # C-STORE; of C-GET and C-MOVE: some sub-operations failed
    ELEMENTS_DISCARDED = 0xB006
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING = 0xB007
    # PS3.7 §C.2 and §C.3
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_OPTIONAL_KEYS_NOT_SUPPORTED = 0xFF01


SUBOPERATIONS_INCOMPLETE = Status.COERCION_OF_DATA_ELEMENTS
"""PS3.4 Tables C.4-2 and C.4-3: C-GET and C-MOVE give 0xB000 this meaning."""


class Category(Enum):
    """The status classes of PS3.7 §C.1."""

    SUCCESS = "success"
    PENDING = "pending"
    CANCEL = "cancel"
    WARNING = "warning"
    FAILURE = "failure"


_WARNINGS = frozenset(
    {
        Status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED,
        Status.ATTRIBUTE_LIST_ERROR,
        Status.ATTRIBUTE_VALUE_OUT_OF_RANGE,
    }
)


def category(status: int) -> Category:
    """The class of any status code, known or not; a code outside every range is a failure."""
    if status == Status.SUCCESS:
        return Category.SUCCESS
    if status in {Status.PENDING, Status.PENDING_OPTIONAL_KEYS_NOT_SUPPORTED}:
        return Category.PENDING
    if status == Status.CANCEL:
        return Category.CANCEL
    if status in _WARNINGS or 0xB000 <= status <= 0xBFFF:
        return Category.WARNING
    return Category.FAILURE
