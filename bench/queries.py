"""The benchmark's own C-FIND, C-GET and C-MOVE requestor, and associations that do nothing."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from bench.wire import (
    A_DATA_SET,
    AFFECTED_SOP_CLASS,
    AFFECTED_SOP_INSTANCE,
    ANSWERED_ID,
    C_FIND_RQ,
    C_GET_RQ,
    C_MOVE_RQ,
    C_STORE_RQ,
    C_STORE_RSP,
    COMMAND_FIELD,
    COMPLETED,
    CT_IMAGE_STORAGE,
    DATA_SET_TYPE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MESSAGE_ID,
    MOVE_DESTINATION,
    NO_DATA_SET,
    PENDING,
    PENDING_WITH_WARNING,
    PRIORITY,
    STATUS,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    SUCCESS,
    VERIFICATION,
    Association,
    Context,
    Endpoint,
    Message,
    PeerFailedError,
)

LEVEL = (0x0008, 0x0052)
PATIENT_ID = (0x0010, 0x0020)
STUDY_DATE = (0x0008, 0x0020)
STUDY_UID = (0x0020, 0x000D)
UID_TAGS = frozenset({STUDY_UID})
STUDY_KEYS = (
    STUDY_DATE,
    (0x0008, 0x0030),  # Study Time
    (0x0008, 0x0050),  # Accession Number
    (0x0010, 0x0010),  # Patient's Name
    (0x0020, 0x0010),  # Study ID
)


def identifier(keys: dict[tuple[int, int], str]) -> bytes:
    """A query identifier in Implicit VR Little Endian. An empty value asks for the attribute."""
    encoded = b""
    for tag, value in sorted(keys.items()):
        text = value.encode()
        text += (b"\0" if tag in UID_TAGS else b" ") * (len(text) % 2)
        encoded += struct.pack("<HHI", *tag, len(text)) + text
    return encoded


Tag = tuple[int, int]


def asked(endpoint: Endpoint, several: Sequence[Mapping[Tag, str]]) -> Iterator[tuple[float, int]]:
    """C-FIND of studies, one after the other over one association: seconds and answers of each."""
    with Association(endpoint, [Context(1, STUDY_ROOT_FIND, (IMPLICIT_LE,))]) as association:
        for keys in several:
            start = time.perf_counter()
            number = _find(association, keys)
            yield time.perf_counter() - start, number


def _find(association: Association, keys: Mapping[Tag, str]) -> int:
    """How many studies have these keys."""
    command: dict[int, int | str] = {
        AFFECTED_SOP_CLASS: STUDY_ROOT_FIND,
        COMMAND_FIELD: C_FIND_RQ,
        MESSAGE_ID: 1,
        PRIORITY: 0,
        DATA_SET_TYPE: A_DATA_SET,
    }
    wanted = dict.fromkeys(STUDY_KEYS, "") | {LEVEL: "STUDY", STUDY_UID: ""} | dict(keys)
    association.request(1, command, identifier(wanted))
    return sum(1 for _ in _pending_answers(association))


def find_studies(endpoint: Endpoint, several: Mapping[str, int], tag: Tag) -> float:
    """C-FIND studies by values of a key over one kept association. Queries per second.

    ``several``: the values, and how many studies have each.

    Raises:
        PeerFailedError: a query found another number of studies.
    """
    took_s = 0.0
    answers = asked(endpoint, [{tag: value} for value in several])
    for (seconds, found), expected in zip(answers, several.values(), strict=True):
        if found != expected:
            raise PeerFailedError(f"C-FIND found {found} studies, not {expected}")
        took_s += seconds
    return len(several) / took_s


def _pending_answers(association: Association) -> Iterator[Message]:
    while True:
        answer = association.read_message()
        status = answer.number(STATUS)
        if status == SUCCESS:
            return
        if status not in (PENDING, PENDING_WITH_WARNING):
            raise PeerFailedError(f"answered with 0x{status:04X}")
        yield answer


def get_study(endpoint: Endpoint, study: str) -> tuple[int, float]:
    """C-GET a study of CT images: how many came, and how many a second.

    Raises:
        PeerFailedError: it did not end with success.
    """
    contexts = [
        Context(1, STUDY_ROOT_GET, (IMPLICIT_LE,)),
        Context(3, CT_IMAGE_STORAGE, (EXPLICIT_LE,), as_scp=True),
    ]
    with Association(endpoint, contexts) as association:
        command: dict[int, int | str] = {
            AFFECTED_SOP_CLASS: STUDY_ROOT_GET,
            COMMAND_FIELD: C_GET_RQ,
            MESSAGE_ID: 1,
            PRIORITY: 0,
            DATA_SET_TYPE: A_DATA_SET,
        }
        start = time.perf_counter()
        association.request(1, command, identifier({LEVEL: "STUDY", STUDY_UID: study}))
        received = 0
        while True:
            message = association.read_message()
            if message.number(COMMAND_FIELD) == C_STORE_RQ:
                received += 1
                _answer_store(association, message)
                continue
            status = message.number(STATUS)
            if status == SUCCESS:
                return received, received / (time.perf_counter() - start)
            if status != PENDING:
                raise PeerFailedError(f"C-GET answered with 0x{status:04X}")


def move_study(endpoint: Endpoint, study: str, destination: str) -> tuple[int, float]:
    """C-MOVE a study to an AE title that the server knows: how many went, and how many a second.

    Raises:
        PeerFailedError: it did not end with success.
    """
    with Association(endpoint, [Context(1, STUDY_ROOT_MOVE, (IMPLICIT_LE,))]) as association:
        command: dict[int, int | str] = {
            AFFECTED_SOP_CLASS: STUDY_ROOT_MOVE,
            COMMAND_FIELD: C_MOVE_RQ,
            MESSAGE_ID: 1,
            MOVE_DESTINATION: destination,
            PRIORITY: 0,
            DATA_SET_TYPE: A_DATA_SET,
        }
        start = time.perf_counter()
        association.request(1, command, identifier({LEVEL: "STUDY", STUDY_UID: study}))
        while True:
            answer = association.read_message()
            status = answer.number(STATUS)
            if status == SUCCESS:
                moved = answer.number(COMPLETED)
                return moved, moved / (time.perf_counter() - start)
            if status != PENDING:
                raise PeerFailedError(f"C-MOVE answered with 0x{status:04X}")


def _answer_store(association: Association, request: Message) -> None:
    association.request(
        request.context,
        {
            AFFECTED_SOP_CLASS: request.command[AFFECTED_SOP_CLASS].decode().rstrip("\0"),
            COMMAND_FIELD: C_STORE_RSP,
            ANSWERED_ID: request.number(MESSAGE_ID),
            DATA_SET_TYPE: NO_DATA_SET,
            STATUS: SUCCESS,
            AFFECTED_SOP_INSTANCE: request.command[AFFECTED_SOP_INSTANCE].decode().rstrip("\0"),
        },
    )


@contextmanager
def idle_associations(endpoint: Endpoint, count: int) -> Iterator[None]:
    """Hold so many associations open that do nothing."""
    with ExitStack() as held:
        for _ in range(count):
            held.enter_context(Association(endpoint, [Context(1, VERIFICATION, (IMPLICIT_LE,))]))
        yield
