from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import FrozenInstanceError
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_MOVE_RSP, C_STORE_RQ, N_ACTION_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode as decode_dataset
from pynetdicom.dsutils import encode as encode_dataset

from leadglass.model.errors import LocalProtocolError, PeerProtocolError
from leadglass.model.names import AETitle, Uid
from leadglass.protocol import commands as c
from leadglass.protocol.dimse import LAYOUTS, Kind, decode_command, encode_command
from tests.unit.protocol.strategies import CT, commands

INSTANCE = Uid("1.2.826.0.1.3680043.8.498.1")
STORE = c.CStoreRq(7, CT, INSTANCE, c.HIGH_PRIORITY, AETitle("MOVER"), 9)


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


def command_set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return element(0, struct.pack("<I", len(body))) + body


ECHO_FIELD = element(0x0100, b"\x30\x00")
MESSAGE_ID = element(0x0110, b"\x01\x00")
NO_DATASET = element(0x0800, b"\x01\x01")
SOP_CLASS = element(0x0002, b"1.2.840.10008.1.1\0")
ECHO = command_set(SOP_CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET)


@given(commands())
def test_every_command_survives_the_round_trip(command: c.Command) -> None:
    encoded = encode_command(command)
    assert len(encoded) % 2 == 0
    assert decode_command(encoded) == command


@given(commands(), st.data())
def test_a_damaged_command_decodes_or_is_refused_with_a_type(command: c.Command, data: st.DataObject) -> None:
    encoded = bytearray(encode_command(command))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(PeerProtocolError):
        decode_command(encoded[: data.draw(st.integers(0, len(encoded)))])
    with suppress(PeerProtocolError):
        decode_command(encoded)


@given(st.binary(max_size=200))
def test_random_bytes_decode_or_are_refused_with_a_type(body: bytes) -> None:
    with suppress(PeerProtocolError):
        decode_command(command_set(body))


def test_every_command_field_of_the_standard_is_there_once() -> None:
    assert {layout.command_field for layout in LAYOUTS} == {
        *(0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150),
        *(0x8001, 0x8010, 0x8020, 0x8021, 0x8030, 0x8100, 0x8110, 0x8120, 0x8130, 0x8140, 0x8150),
        0x0FFF,
    }
    assert len(LAYOUTS) == 23


def _dataset_of(encoded: bytes) -> Any:
    return decode_dataset(BytesIO(encoded), True, True)


def test_a_store_request_is_what_another_implementation_reads_and_writes() -> None:
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = CT
    primitive.AffectedSOPInstanceUID = INSTANCE
    primitive.Priority = 1
    primitive.MoveOriginatorApplicationEntityTitle = "MOVER"
    primitive.MoveOriginatorMessageID = 9
    primitive.DataSet = BytesIO(b"\0\0")
    message: Any = C_STORE_RQ()
    message.primitive_to_message(primitive)
    theirs = encode_dataset(message.command_set, True, True)
    assert theirs is not None
    assert decode_command(theirs) == STORE
    ours = _dataset_of(encode_command(STORE))
    assert ours.CommandField == 0x0001
    assert ours.CommandGroupLength == len(encode_command(STORE)) - 12
    assert ours.AffectedSOPInstanceUID == INSTANCE
    assert ours.MoveOriginatorApplicationEntityTitle == "MOVER"


def test_responses_carry_counts_comments_and_offending_elements() -> None:
    response = c.CMoveRsp(
        3,
        0xB000,
        True,
        CT,
        0,
        5,
        1,
        2,
        error_comment="one refused",
        offending_elements=(0x00100010, 0x00080018),
    )
    assert decode_command(encode_command(response)) == response
    theirs = _dataset_of(encode_command(response))
    assert theirs.NumberOfRemainingSuboperations == 0
    assert theirs.NumberOfFailedSuboperations == 1
    assert theirs.ErrorComment == "one refused"
    assert list(theirs.OffendingElement) == [0x00100010, 0x00080018]
    assert set(theirs.keys()) - {0x00000901, 0x00000902} <= set(C_MOVE_RSP().command_set.keys())


def test_normalized_requests_name_the_requested_class_and_instance() -> None:
    theirs = _dataset_of(encode_command(c.NActionRq(1, CT, INSTANCE, 4, has_dataset=True)))
    assert theirs.RequestedSOPClassUID == CT
    assert theirs.RequestedSOPInstanceUID == INSTANCE
    assert set(theirs.keys()) == set(N_ACTION_RQ().command_set.keys())
    affected = _dataset_of(encode_command(c.NCreateRq(1, CT, True, INSTANCE)))
    assert affected.AffectedSOPClassUID == CT


def test_error_comments_are_cut_to_64_printable_characters() -> None:
    long = c.CEchoRsp(1, 0x0110, error_comment="a\\b\n" + "é" * 100)
    decoded = decode_command(encode_command(long))
    assert isinstance(decoded, c.CEchoRsp)
    assert decoded.error_comment == "a?b?" + "?" * 60


def test_a_peers_comment_cannot_forge_a_log_line() -> None:
    raw = command_set(
        element(0x0100, b"\x30\x80"),
        element(0x0120, b"\1\0"),
        NO_DATASET,
        element(0x0900, b"\x10\x01"),
        element(0x0902, b"bad\r\n\x1b[2J\xe9"),
    )
    decoded = decode_command(raw)
    assert isinstance(decoded, c.CEchoRsp)
    assert decoded.error_comment == "bad???[2J?"


def test_elements_a_message_does_not_have_are_ignored() -> None:
    with_more = command_set(
        element(0x0001, b"\0\0\0\0"), SOP_CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, element(0x0850, b"\1\0")
    )
    assert decode_command(with_more) == c.CEchoRq(1, Uid("1.2.840.10008.1.1"))


def test_an_empty_optional_element_counts_as_absent() -> None:
    encoded = encode_command(c.CStoreRq(7, CT, INSTANCE))
    with_empty = command_set(encoded[12:], element(0x1030, b""))
    assert decode_command(with_empty) == c.CStoreRq(7, CT, INSTANCE)


@pytest.mark.parametrize("instance", [b"1.x\0", b"1.\xff\0", b"1" * 66, b"dccc9599"])
def test_a_store_of_something_that_has_no_uid_is_read_so_that_it_can_be_refused(instance: bytes) -> None:
    """One bad file must not end the association, and with it the transfer of all the others."""
    encoded = encode_command(c.CStoreRq(7, CT, INSTANCE)).replace(
        element(0x1000, INSTANCE.encode() + b"\0"), element(0x1000, instance)
    )
    assert decode_command(command_set(encoded[12:])) == c.CStoreRq(7, CT, Uid(""))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(ECHO[12:], id="no group length"),
        pytest.param(ECHO + NO_DATASET, id="wrong group length"),
        pytest.param(command_set(SOP_CLASS, MESSAGE_ID, NO_DATASET), id="no command field"),
        pytest.param(command_set(SOP_CLASS, ECHO_FIELD, MESSAGE_ID), id="no data set type"),
        pytest.param(command_set(SOP_CLASS, ECHO_FIELD, NO_DATASET), id="no message id"),
        pytest.param(command_set(ECHO_FIELD, MESSAGE_ID, NO_DATASET), id="no SOP class"),
        pytest.param(
            command_set(element(0x0002, b""), ECHO_FIELD, MESSAGE_ID, NO_DATASET), id="empty SOP class"
        ),
        pytest.param(
            command_set(SOP_CLASS, ECHO_FIELD, MESSAGE_ID, MESSAGE_ID, NO_DATASET), id="repeated element"
        ),
        pytest.param(command_set(ECHO_FIELD, SOP_CLASS, MESSAGE_ID, NO_DATASET), id="out of order"),
        pytest.param(command_set(element(2, b"1.2.3"), ECHO_FIELD, MESSAGE_ID, NO_DATASET), id="odd element"),
        pytest.param(
            command_set(element(2, b"1.x\0"), ECHO_FIELD, MESSAGE_ID, NO_DATASET), id="malformed uid"
        ),
        pytest.param(
            command_set(element(2, b"1.\xff\0"), ECHO_FIELD, MESSAGE_ID, NO_DATASET), id="uid not ascii"
        ),
        pytest.param(
            command_set(SOP_CLASS, ECHO_FIELD, element(0x0110, bytes(4)), NO_DATASET), id="number of 4 bytes"
        ),
        pytest.param(
            command_set(SOP_CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, element(0x10, b"", 8)),
            id="foreign group",
        ),
        pytest.param(command_set(SOP_CLASS, b"\0\0\0\1"), id="left over"),
        pytest.param(command_set(struct.pack("<HHI", 0, 2, 0xFFFFFFFE)), id="declares 4 GB"),
        pytest.param(
            command_set(SOP_CLASS, element(0x0100, b"\x31\0"), MESSAGE_ID, NO_DATASET), id="unknown command"
        ),
        pytest.param(
            command_set(SOP_CLASS, ECHO_FIELD, MESSAGE_ID, element(0x0800, b"\0\0")), id="echo with data set"
        ),
        pytest.param(
            command_set(SOP_CLASS, element(0x0100, b"\x20\0"), MESSAGE_ID, NO_DATASET), id="find without one"
        ),
    ],
)
def test_a_malformed_command_is_a_typed_refusal(raw: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        decode_command(raw)


@pytest.mark.parametrize("command", [c.CCancelRq(0x10000), c.CMoveRq(1, CT, AETitle("É"))])
def test_what_does_not_fit_its_element_is_our_own_fault(command: c.Command) -> None:
    with pytest.raises(LocalProtocolError):
        encode_command(command)


def test_commands_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        STORE.message_id = 8  # type: ignore[misc] # the point of the test


def test_every_kind_of_value_is_used() -> None:
    assert {element.kind for layout in LAYOUTS for element in layout.elements} == set(Kind)
