"""PDUs to bytes and back. PS3.8 §9.3."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import assert_never

from leadglass.model.errors import LocalProtocolError, PeerError, PeerProtocolError
from leadglass.model.names import AETitle, Uid, parse_ae_title
from leadglass.protocol.items import (
    ItemType,
    decode_uid,
    decode_user_information,
    encode_user_information,
    item,
    iter_items,
)
from leadglass.protocol.limits import MAX_ASSOCIATE_BYTES, MAX_PRESENTATION_CONTEXTS, Limits
from leadglass.protocol.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ContextVerdict,
    PData,
    Pdu,
    PduType,
    Pdv,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    UserInformation,
)
from leadglass.protocol.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN

PDU_HEADER = struct.Struct(">BxI")
PDU_HEADER_BYTES = PDU_HEADER.size
PDV_HEADER_BYTES = 6
"""Item length (4), context id (1), message control header (1). PS3.8 Table 9-23, Annex E.2."""

FIXED_BODY_BYTES = 4
"""Body of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT."""

_P_DATA_HEADERS = struct.Struct(">BxIIBB")
_PDV_HEADER = struct.Struct(">IBB")
_ASSOCIATE_FIXED = struct.Struct(">H2x16s16s32x")
_IS_COMMAND = 0x01
_IS_LAST = 0x02


def encode(pdu: Pdu) -> bytes:
    """A PDU with its header.

    Raises:
        LocalProtocolError: a value does not fit its field.
    """
    try:
        pdu_type, body = _encode_body(pdu)
    except (struct.error, ValueError) as error:
        raise LocalProtocolError(f"{type(pdu).__name__}: a value does not fit its field") from error
    return PDU_HEADER.pack(pdu_type, len(body)) + body


def decode(pdu_type: PduType, body: bytes | memoryview) -> Pdu:
    """A PDU from its body, without its 6-byte header.

    Fragments of a P-DATA-TF are views of ``body``; everything else is copied.

    Raises:
        PeerProtocolError: a length overruns its container, or a value is not lawful.
    """
    match pdu_type:
        case PduType.ASSOCIATE_RQ:
            return decode_request(body)
        case PduType.ASSOCIATE_AC:
            return decode_accept(body)
        case PduType.P_DATA_TF:
            return PData(tuple(decode_pdvs(body, Limits().max_pdvs)))
        case PduType.ASSOCIATE_RJ:
            return decode_reject(body)
        case PduType.RELEASE_RQ:
            four_bytes(body)
            return ReleaseRequest()
        case PduType.RELEASE_RP:
            four_bytes(body)
            return ReleaseReply()
        case PduType.ABORT:
            return decode_abort(body)
        case _:
            assert_never(pdu_type)


def p_data_headers(context_id: int, fragment_bytes: int, *, is_command: bool, is_last: bool) -> bytes:
    """The 12 bytes before a fragment that fills a P-DATA-TF of its own."""
    control = (_IS_COMMAND if is_command else 0) | (_IS_LAST if is_last else 0)
    return _P_DATA_HEADERS.pack(
        PduType.P_DATA_TF, fragment_bytes + PDV_HEADER_BYTES, fragment_bytes + 2, context_id, control
    )


def decode_pdvs(body: bytes | memoryview, max_pdvs: int) -> list[Pdv]:
    """The presentation data values of a P-DATA-TF body, fragments as read-only views of it.

    Raises:
        PeerProtocolError: none, too many, or one that overruns the PDU.
    """
    view = memoryview(body)
    position, end = 0, len(view)
    pdvs: list[Pdv] = []
    while position < end:
        if end - position < PDV_HEADER_BYTES:
            raise PeerProtocolError("bytes left over after the last presentation data value")
        length, context_id, control = _PDV_HEADER.unpack_from(view, position)
        stop = position + 4 + length
        if length < 2 or stop > end:
            raise PeerProtocolError(f"a presentation data value of {length} bytes does not fit its PDU")
        if len(pdvs) == max_pdvs:
            raise PeerProtocolError(f"more than {max_pdvs} presentation data values in one PDU")
        fragment = view[position + PDV_HEADER_BYTES : stop]
        pdvs.append(Pdv(context_id, bool(control & _IS_COMMAND), bool(control & _IS_LAST), fragment))
        position = stop
    if not pdvs:
        raise PeerProtocolError("a P-DATA-TF without presentation data values")
    return pdvs


def _encode_body(pdu: Pdu) -> tuple[PduType, bytes]:
    match pdu:
        case AssociateRequest():
            return PduType.ASSOCIATE_RQ, _encode_request(pdu)
        case AssociateAccept():
            return PduType.ASSOCIATE_AC, _encode_accept(pdu)
        case AssociateReject(result, source, reason):
            return PduType.ASSOCIATE_RJ, bytes((0, result, source, reason))
        case PData(pdvs):
            return PduType.P_DATA_TF, b"".join(_encode_pdv(pdv) for pdv in pdvs)
        case ReleaseRequest():
            return PduType.RELEASE_RQ, bytes(FIXED_BODY_BYTES)
        case ReleaseReply():
            return PduType.RELEASE_RP, bytes(FIXED_BODY_BYTES)
        case Abort(source, reason):
            return PduType.ABORT, bytes((0, 0, source, reason))
        case _:
            assert_never(pdu)


def _encode_pdv(pdv: Pdv) -> bytes:
    control = (_IS_COMMAND if pdv.is_command else 0) | (_IS_LAST if pdv.is_last else 0)
    return _PDV_HEADER.pack(len(pdv.fragment) + 2, pdv.context_id, control) + pdv.fragment


def decode_reject(body: bytes | memoryview) -> AssociateReject:
    """An A-ASSOCIATE-RJ body. PS3.8 §9.3.4."""
    _, result, source, reason = four_bytes(body)
    return AssociateReject(result, source, reason)


def decode_abort(body: bytes | memoryview) -> Abort:
    """An A-ABORT body. PS3.8 §9.3.8."""
    _, _, source, reason = four_bytes(body)
    return Abort(source, reason)


def four_bytes(body: bytes | memoryview) -> bytes:
    """The body of one of the four PDUs of fixed length. PS3.8 §9.3.4, §9.3.6 to §9.3.8.

    Raises:
        PeerProtocolError: it is not 4 bytes.
    """
    if len(body) != FIXED_BODY_BYTES:
        raise PeerProtocolError(f"a PDU body of {len(body)} bytes where the standard has 4")
    return bytes(body)


def _encode_ae_title(title: str) -> bytes:
    encoded = title.encode("ascii", "replace")
    if len(encoded) > 16:
        raise LocalProtocolError("an AE title has at most 16 characters")
    return encoded.ljust(16)


def _decode_ae_title(raw: bytes, which: str) -> AETitle:
    try:
        return parse_ae_title(raw.decode("ascii"))
    except (UnicodeDecodeError, PeerError) as error:
        raise PeerProtocolError(f"{which} AE title is empty or malformed") from error


def _associate(fixed: bytes, contexts: Sequence[bytes], application: Uid, user: UserInformation) -> bytes:
    body = b"".join(
        (
            fixed,
            item(ItemType.APPLICATION_CONTEXT, application.encode("ascii")),
            *contexts,
            encode_user_information(user),
        )
    )
    if len(body) > MAX_ASSOCIATE_BYTES:
        raise LocalProtocolError(f"an association PDU of {len(body)} bytes")
    return body


def _encode_request(request: AssociateRequest) -> bytes:
    fixed = _ASSOCIATE_FIXED.pack(
        request.protocol_version, _encode_ae_title(request.called_ae), _encode_ae_title(request.calling_ae)
    )
    contexts = [
        item(
            ItemType.PROPOSED_CONTEXT,
            bytes((context.id, 0, 0, 0))
            + item(ItemType.ABSTRACT_SYNTAX, context.abstract_syntax.encode("ascii"))
            + b"".join(
                item(ItemType.TRANSFER_SYNTAX, uid.encode("ascii")) for uid in context.transfer_syntaxes
            ),
        )
        for context in request.contexts
    ]
    return _associate(fixed, contexts, request.application_context, request.user)


def _encode_accept(accept: AssociateAccept) -> bytes:
    fixed = _ASSOCIATE_FIXED.pack(
        accept.protocol_version, _encode_ae_title(accept.called_ae), _encode_ae_title(accept.calling_ae)
    )
    # A refused context still carries a transfer syntax, not significant: some peers insist on parsing it.
    contexts = [
        item(
            ItemType.CONTEXT_RESULT,
            bytes((context.id, 0, context.result, 0))
            + item(
                ItemType.TRANSFER_SYNTAX,
                (context.transfer_syntax or IMPLICIT_VR_LITTLE_ENDIAN).encode("ascii"),
            ),
        )
        for context in accept.contexts
    ]
    return _associate(fixed, contexts, accept.application_context, accept.user)


def decode_request(body: bytes | memoryview) -> AssociateRequest:
    """An A-ASSOCIATE-RQ body. PS3.8 §9.3.2, Table 9-11. At most ``MAX_ASSOCIATE_BYTES``, by the header.

    Raises:
        PeerProtocolError: a length overruns its container, or a mandatory item is missing or malformed.
    """
    body = bytes(body)
    version, called, calling = _unpack_fixed(body)
    application: Uid | None = None
    user: UserInformation | None = None
    contexts: list[ProposedContext] = []
    for found in iter_items(body[_ASSOCIATE_FIXED.size :]):
        match found.type:
            case ItemType.APPLICATION_CONTEXT:
                application = decode_uid(found.value)
            case ItemType.PROPOSED_CONTEXT:
                contexts.append(_decode_proposed(found.value))
            case ItemType.USER_INFORMATION:
                user = decode_user_information(found.value)
            case _:
                continue
    if application is None or user is None:
        raise PeerProtocolError("A-ASSOCIATE-RQ lacks its application context or user information")
    if not contexts:
        raise PeerProtocolError("A-ASSOCIATE-RQ proposes no presentation context")
    _check_ids([context.id for context in contexts])
    return AssociateRequest(
        _decode_ae_title(called, "called"),
        _decode_ae_title(calling, "calling"),
        tuple(contexts),
        user,
        application,
        version,
    )


def decode_accept(body: bytes | memoryview) -> AssociateAccept:
    """An A-ASSOCIATE-AC body. PS3.8 §9.3.3, Table 9-17. At most ``MAX_ASSOCIATE_BYTES``, by the header.

    Raises:
        PeerProtocolError: a length overruns its container, or a mandatory item is missing or malformed.
    """
    body = bytes(body)
    version, called, calling = _unpack_fixed(body)
    application: Uid | None = None
    user: UserInformation | None = None
    contexts: list[ContextResult] = []
    for found in iter_items(body[_ASSOCIATE_FIXED.size :]):
        match found.type:
            case ItemType.APPLICATION_CONTEXT:
                application = decode_uid(found.value)
            case ItemType.CONTEXT_RESULT:
                contexts.append(_decode_result(found.value))
            case ItemType.USER_INFORMATION:
                user = decode_user_information(found.value)
            case _:
                continue
    if application is None or user is None:
        raise PeerProtocolError("A-ASSOCIATE-AC lacks its application context or user information")
    _check_ids([context.id for context in contexts])
    return AssociateAccept(_echoed(called), _echoed(calling), tuple(contexts), user, application, version)


def _unpack_fixed(body: bytes) -> tuple[int, bytes, bytes]:
    if len(body) < _ASSOCIATE_FIXED.size:
        raise PeerProtocolError("an association PDU shorter than its fixed fields")
    version, called, calling = _ASSOCIATE_FIXED.unpack_from(body)
    return version, called, calling


def _echoed(raw: bytes) -> str:
    """PS3.8 Table 9-17: the echoed AE titles shall not be tested, so anything printable will do."""
    return "".join(chr(byte) for byte in raw if 0x20 <= byte < 0x7F).strip()


def _check_ids(ids: list[int]) -> None:
    if len(ids) > MAX_PRESENTATION_CONTEXTS or len(set(ids)) != len(ids):
        raise PeerProtocolError("too many presentation contexts, or one id twice")
    if any(context_id % 2 == 0 for context_id in ids):
        raise PeerProtocolError("an even presentation context id")


def _decode_proposed(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise PeerProtocolError("a presentation context item shorter than its fixed fields")
    abstract: list[Uid] = []
    transfer: list[Uid] = []
    for found in iter_items(value[4:]):
        if found.type == ItemType.ABSTRACT_SYNTAX:
            abstract.append(decode_uid(found.value))
        elif found.type == ItemType.TRANSFER_SYNTAX:
            transfer.append(decode_uid(found.value))
    if len(abstract) != 1:
        raise PeerProtocolError(f"a presentation context with {len(abstract)} abstract syntaxes")
    return ProposedContext(value[0], abstract[0], tuple(transfer))


def _decode_result(value: bytes) -> ContextResult:
    if len(value) < 4:
        raise PeerProtocolError("a presentation context item shorter than its fixed fields")
    try:
        verdict = ContextVerdict(value[2])
    except ValueError:
        raise PeerProtocolError(f"unknown presentation context result {value[2]}") from None
    if verdict is not ContextVerdict.ACCEPTED:
        return ContextResult(value[0], verdict)
    transfer = [
        decode_uid(found.value) for found in iter_items(value[4:]) if found.type == ItemType.TRANSFER_SYNTAX
    ]
    if len(transfer) != 1:
        raise PeerProtocolError(f"an accepted presentation context with {len(transfer)} transfer syntaxes")
    return ContextResult(value[0], verdict, transfer[0])
