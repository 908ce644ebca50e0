from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from leadglass.model.errors import LocalProtocolError, PeerProtocolError
from leadglass.model.names import AETitle, Uid
from leadglass.protocol import pdu as p
from leadglass.protocol.codec import (
    PDU_HEADER,
    PDU_HEADER_BYTES,
    decode,
    decode_accept,
    decode_pdvs,
    decode_request,
    encode,
    p_data_headers,
)
from leadglass.protocol.items import ItemType, item
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import user_information
from tests.unit.protocol.strategies import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    associate_accepts,
    associate_requests,
    pdus,
    request_of,
)

EXPLICIT = Uid("1.2.840.10008.1.2.1")
FIXED = struct.pack(">H2x16s16s32x", 1, b"NORTH".ljust(16), b"CT1".ljust(16))
APPLICATION = item(ItemType.APPLICATION_CONTEXT, p.APPLICATION_CONTEXT.encode())
USER = item(ItemType.USER_INFORMATION, item(ItemType.MAX_LENGTH, struct.pack(">I", 16384)))
ABSTRACT = item(ItemType.ABSTRACT_SYNTAX, CT.encode())
TRANSFER = item(ItemType.TRANSFER_SYNTAX, EXPLICIT.encode())
CONTEXT = item(ItemType.PROPOSED_CONTEXT, bytes((1, 0, 0, 0)) + ABSTRACT + TRANSFER)
RESULT = item(ItemType.CONTEXT_RESULT, bytes((1, 0, 0, 0)) + TRANSFER)


def user_with(*sub_items: bytes) -> bytes:
    return FIXED + APPLICATION + CONTEXT + item(ItemType.USER_INFORMATION, b"".join(sub_items))


@given(pdus)
def test_every_pdu_survives_the_round_trip(pdu: p.Pdu) -> None:
    encoded = encode(pdu)
    pdu_type, length = PDU_HEADER.unpack_from(encoded)
    assert length == len(encoded) - PDU_HEADER_BYTES
    assert decode(p.PduType(pdu_type), encoded[PDU_HEADER_BYTES:]) == pdu


@given(associate_requests | associate_accepts, st.data())
def test_a_truncated_association_pdu_is_a_typed_refusal(
    pdu: p.AssociateRequest | p.AssociateAccept, data: st.DataObject
) -> None:
    encoded = encode(pdu)
    cut = data.draw(st.integers(PDU_HEADER_BYTES, len(encoded) - 1))
    with pytest.raises(PeerProtocolError):
        decode(p.PduType(encoded[0]), encoded[PDU_HEADER_BYTES:cut])


@given(st.sampled_from(p.PduType), st.binary(max_size=400), st.booleans())
def test_random_bodies_decode_or_are_refused_with_a_type(
    pdu_type: p.PduType,
    body: bytes,
    with_fixed_fields: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    with suppress(PeerProtocolError):
        decode(pdu_type, FIXED + APPLICATION + body if with_fixed_fields else body)


@given(associate_requests, st.data())
def test_one_flipped_byte_decodes_or_is_refused_with_a_type(
    pdu: p.AssociateRequest, data: st.DataObject
) -> None:
    encoded = bytearray(encode(pdu)[PDU_HEADER_BYTES:])
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(PeerProtocolError):
        decode_request(bytes(encoded))


def test_an_associate_request_is_what_another_implementation_reads_and_writes() -> None:
    user = p.UserInformation(
        max_pdu_bytes=16382,
        implementation_class_uid=Uid("1.2.3"),
        implementation_version="V1",
        async_window=p.AsyncWindow(5, 3),
        roles=(p.RoleSelection(CT, scu=True, scp=True),),
        extended=(p.ExtendedNegotiation(CT, b"\1\0\1"),),
        common_extended=(p.CommonExtendedNegotiation(CT, Uid("1.2.840.10008.4.2"), (Uid("1.2"),)),),
        identity=p.UserIdentity(p.IdentityKind.USERNAME_AND_PASSCODE, True, b"name", b"word"),
    )
    encoded = encode(request_of(ECHO_CONTEXT, CT_CONTEXT, user=user))
    theirs: Any = A_ASSOCIATE_RQ()
    theirs.decode(encoded)
    assert theirs.called_ae_title == "NORTH"
    assert theirs.calling_ae_title == "CT1"
    assert [context.abstract_syntax for context in theirs.presentation_context] == [
        ECHO_CONTEXT.abstract_syntax,
        CT,
    ]
    assert theirs.user_information.maximum_length == 16382
    assert theirs.user_information.async_ops_window.max_operations_invoked == 5
    assert theirs.user_information.user_identity.primary_field == b"name"
    assert decode_request(theirs.encode()[PDU_HEADER_BYTES:]) == decode_request(encoded[PDU_HEADER_BYTES:])


def test_an_associate_accept_is_what_another_implementation_reads_and_writes() -> None:
    accept = p.AssociateAccept(
        "NORTH",
        "CT1",
        (
            p.ContextResult(1, p.ContextVerdict.ACCEPTED, EXPLICIT),
            p.ContextResult(3, p.ContextVerdict.TRANSFER_SYNTAXES_UNKNOWN),
        ),
        user_information(Limits()),
    )
    encoded = encode(accept)
    theirs: Any = A_ASSOCIATE_AC()
    theirs.decode(encoded)
    assert [context.result for context in theirs.presentation_context] == [0, 4]
    assert theirs.presentation_context[0].transfer_syntax == EXPLICIT
    assert decode_accept(theirs.encode()[PDU_HEADER_BYTES:]) == accept


def test_release_abort_and_reject_are_the_bytes_of_the_standard() -> None:
    assert encode(p.ReleaseRequest()) == bytes.fromhex("05000000000400000000")
    assert encode(p.ReleaseReply()) == bytes.fromhex("06000000000400000000")
    assert encode(p.Abort(2, 6)) == bytes.fromhex("07000000000400000206")
    assert encode(p.AssociateReject(1, 1, 3)) == bytes.fromhex("03000000000400010103")


def test_every_type_of_pdu_is_decoded_by_its_type() -> None:
    value = p.Pdv(1, is_command=True, is_last=True, fragment=b"ab")
    with_response = p.UserInformation(identity_response=b"ticket")
    for pdu in (
        p.PData((value,)),
        p.ReleaseRequest(),
        p.ReleaseReply(),
        p.Abort(2, 1),
        p.AssociateReject(1, 2, 3),
        p.AssociateAccept("A", "B", (), with_response),
    ):
        encoded = encode(pdu)
        assert decode(p.PduType(encoded[0]), encoded[PDU_HEADER_BYTES:]) == pdu


def test_p_data_headers_agree_with_the_whole_pdu() -> None:
    pdu = p.PData((p.Pdv(3, is_command=False, is_last=True, fragment=b"abcd"),))
    assert encode(pdu) == p_data_headers(3, 4, is_command=False, is_last=True) + b"abcd"
    command = p.PData((p.Pdv(3, is_command=True, is_last=False, fragment=b""),))
    assert encode(command) == p_data_headers(3, 0, is_command=True, is_last=False)


def test_sloppy_uid_padding_is_read_past() -> None:
    padded = item(
        ItemType.PROPOSED_CONTEXT,
        bytes((1, 0, 0, 0))
        + item(ItemType.ABSTRACT_SYNTAX, b"1.2\0")
        + item(ItemType.TRANSFER_SYNTAX, b"1.3 "),
    )
    request = decode_request(FIXED + APPLICATION + padded + USER)
    assert request.contexts == (p.ProposedContext(1, Uid("1.2"), (Uid("1.3"),)),)


def test_unknown_items_and_sub_items_are_skipped() -> None:
    unknown = b"\x99\0\0\2??"
    context = item(ItemType.PROPOSED_CONTEXT, bytes((1, 0, 0, 0)) + unknown + ABSTRACT + TRANSFER)
    user = item(ItemType.USER_INFORMATION, unknown)
    request = decode_request(FIXED + unknown + APPLICATION + context + user)
    assert request.user == p.UserInformation()
    assert request.contexts[0].abstract_syntax == CT
    accept = decode_accept(FIXED + unknown + APPLICATION + RESULT + USER)
    assert accept.contexts == (p.ContextResult(1, p.ContextVerdict.ACCEPTED, EXPLICIT),)


def test_the_echoed_ae_titles_of_an_acceptance_are_not_tested() -> None:
    fixed = struct.pack(">H2x16s16s32x", 1, b"\xff\0", b"")
    accept = decode_accept(fixed + APPLICATION + RESULT + USER)
    assert (accept.called_ae, accept.calling_ae) == ("", "")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(FIXED[:-1], id="short fixed fields"),
        pytest.param(FIXED + CONTEXT + USER, id="no application context"),
        pytest.param(FIXED + APPLICATION + CONTEXT, id="no user information"),
        pytest.param(FIXED + APPLICATION + USER, id="no presentation context"),
        pytest.param(FIXED + APPLICATION + CONTEXT + CONTEXT + USER, id="context id twice"),
        pytest.param(FIXED + APPLICATION + CONTEXT.replace(b"\1\0\0\0", b"\2\0\0\0") + USER, id="even id"),
        pytest.param(FIXED + APPLICATION + item(ItemType.PROPOSED_CONTEXT, b"\1") + USER, id="short context"),
        pytest.param(
            FIXED + APPLICATION + item(ItemType.PROPOSED_CONTEXT, b"\1\0\0\0" + TRANSFER) + USER,
            id="no abstract syntax",
        ),
        pytest.param(
            FIXED + APPLICATION + item(ItemType.PROPOSED_CONTEXT, b"\1\0\0\0" + ABSTRACT + ABSTRACT) + USER,
            id="two abstract syntaxes",
        ),
        pytest.param(FIXED + item(ItemType.APPLICATION_CONTEXT, b"one") + CONTEXT + USER, id="no uid"),
        pytest.param(FIXED + item(ItemType.APPLICATION_CONTEXT, b"\xff") + CONTEXT + USER, id="no ascii"),
        pytest.param(FIXED + APPLICATION + CONTEXT + USER + b"\0\0", id="left over"),
        pytest.param(FIXED + APPLICATION + CONTEXT + USER + b"\x50\0\xff\xff", id="item overruns"),
        pytest.param(bytes(4) + bytes(16) + FIXED[20:] + APPLICATION + CONTEXT + USER, id="no called AE"),
        pytest.param(FIXED[:20] + b"\xff" * 16 + FIXED[36:] + APPLICATION + CONTEXT + USER, id="calling AE"),
        pytest.param(user_with(item(ItemType.MAX_LENGTH, b"\0\0\1")), id="maximum length of 3 bytes"),
        pytest.param(user_with(item(ItemType.ASYNC_WINDOW, b"\0")), id="short window"),
        pytest.param(user_with(item(ItemType.ROLE_SELECTION, b"\0\xff1.2\1\1")), id="role uid overruns"),
        pytest.param(user_with(item(ItemType.ROLE_SELECTION, b"\0\x031.2\1")), id="role missing"),
        pytest.param(user_with(item(ItemType.ROLE_SELECTION, b"\0\x031.2\1\1\1")), id="role left over"),
        pytest.param(user_with(item(ItemType.EXTENDED, b"\0")), id="short extended"),
        pytest.param(
            user_with(item(ItemType.COMMON_EXTENDED, b"\0\x011\0\x011\0\3\0\x051")), id="related overruns"
        ),
        pytest.param(user_with(item(ItemType.IDENTITY_RQ, b"\x09\0\0\0\0\0")), id="unknown identity"),
        pytest.param(user_with(item(ItemType.IDENTITY_RQ, b"\1\0\xff\xff")), id="identity overruns"),
        pytest.param(user_with(item(ItemType.IDENTITY_AC, b"\0\5a")), id="response overruns"),
    ],
)
def test_a_malformed_request_is_a_typed_refusal(body: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        decode_request(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(FIXED + RESULT + USER, id="no application context"),
        pytest.param(FIXED + APPLICATION + RESULT, id="no user information"),
        pytest.param(FIXED + APPLICATION + item(ItemType.CONTEXT_RESULT, b"\1\0") + USER, id="short result"),
        pytest.param(
            FIXED + APPLICATION + item(ItemType.CONTEXT_RESULT, b"\1\0\x09\0") + USER, id="unknown verdict"
        ),
        pytest.param(
            FIXED + APPLICATION + item(ItemType.CONTEXT_RESULT, b"\1\0\0\0") + USER, id="accepted, no syntax"
        ),
        pytest.param(FIXED + APPLICATION + RESULT + RESULT + USER, id="one id twice"),
    ],
)
def test_a_malformed_acceptance_is_a_typed_refusal(body: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        decode_accept(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="none"),
        pytest.param(bytes(5), id="shorter than a header"),
        pytest.param(b"\0\0\0\1\1\0", id="length below its own fields"),
        pytest.param(b"\xff\xff\xff\xff\1\0", id="declares 4 GB"),
        pytest.param(b"\0\0\0\2\1\0\0", id="one byte left over"),
    ],
)
def test_presentation_data_values_never_leave_their_pdu(body: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        decode_pdvs(body, 10)


def test_too_many_presentation_data_values_are_refused() -> None:
    body = b"\0\0\0\2\1\0" * 11
    assert len(decode_pdvs(body, 11)) == 11
    with pytest.raises(PeerProtocolError, match="more than 10"):
        decode_pdvs(body, 10)


def test_fixed_pdus_of_another_length_are_refused() -> None:
    for pdu_type in (p.PduType.ASSOCIATE_RJ, p.PduType.RELEASE_RQ, p.PduType.RELEASE_RP, p.PduType.ABORT):
        with pytest.raises(PeerProtocolError):
            decode(pdu_type, bytes(3))


def test_more_than_128_contexts_are_refused() -> None:
    contexts = b"".join(
        item(ItemType.PROPOSED_CONTEXT, bytes((number % 256, 0, 0, 0)) + ABSTRACT) for number in range(129)
    )
    with pytest.raises(PeerProtocolError, match="too many"):
        decode_request(FIXED + APPLICATION + contexts + USER)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(
            p.AssociateRequest(AETitle("A" * 17), AETitle("B"), (CT_CONTEXT,), p.UserInformation()), id="AE"
        ),
        pytest.param(
            request_of(
                CT_CONTEXT, user=p.UserInformation(extended=(p.ExtendedNegotiation(CT, bytes(0xFFFF)),))
            ),
            id="item too long",
        ),
        pytest.param(
            request_of(
                CT_CONTEXT,
                user=p.UserInformation(identity=p.UserIdentity(p.IdentityKind.JWT, False, bytes(0x10000))),
            ),
            id="field too long",
        ),
        pytest.param(
            request_of(*(p.ProposedContext(number, CT, (EXPLICIT,) * 600) for number in (1, 3, 5, 7, 9, 11))),
            id="whole too long",
        ),
        pytest.param(request_of(CT_CONTEXT, user=p.UserInformation(1 << 32)), id="number too large"),
        pytest.param(request_of(p.ProposedContext(257, CT, ())), id="context id too large"),
    ],
)
def test_what_does_not_fit_its_field_is_our_own_fault(request_: p.AssociateRequest) -> None:
    with pytest.raises(LocalProtocolError):
        encode(request_)


def test_secrets_of_a_user_identity_never_show() -> None:
    identity = p.UserIdentity(p.IdentityKind.USERNAME_AND_PASSCODE, True, b"somebody", b"passcode")
    user = p.UserInformation(identity=identity, identity_response=b"ticket")
    assert "somebody" not in repr(user)
    assert "passcode" not in repr(user)
    assert "ticket" not in repr(user)


def test_hostile_nested_lengths_allocate_nothing() -> None:
    bodies = [
        FIXED + APPLICATION + CONTEXT + b"\x50\0\xff\xff" + b"\x54\0\xff\xff\xff\xff",
        user_with(b"\x58\0\0\6\2\0\xff\xff\xff\xff"),
        b"\xff\xff\xff\xff\1\0",
    ]
    tracemalloc.start()
    try:
        for body in bodies:
            for pdu_type in (p.PduType.ASSOCIATE_RQ, p.PduType.ASSOCIATE_AC, p.PduType.P_DATA_TF):
                with pytest.raises(PeerProtocolError):
                    decode(pdu_type, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024
