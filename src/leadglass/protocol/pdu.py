"""The seven PDUs as values. PS3.8 §9.3; user information items PS3.7 Annex D.3.3."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from leadglass.model.names import AETitle, Uid
from leadglass.protocol.limits import DEFAULT_PEER_PDU_BYTES

APPLICATION_CONTEXT = Uid("1.2.840.10008.3.1.1.1")  # PS3.7 §A.2.1
PROTOCOL_VERSION = 1  # PS3.8 Table 9-11: bit 0


class PduType(IntEnum):
    """First byte of a PDU. PS3.8 §9.3.1."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class ContextVerdict(IntEnum):
    """Result of one presentation context. PS3.8 Table 9-18."""

    ACCEPTED = 0
    USER_REJECTED = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_UNKNOWN = 3
    TRANSFER_SYNTAXES_UNKNOWN = 4


class IdentityKind(IntEnum):
    """User identity types. PS3.7 §D.3.3.7.1."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context of a request. ``id`` is odd, 1 to 255."""

    id: int
    abstract_syntax: Uid
    transfer_syntaxes: tuple[Uid, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """The answer to one context. ``transfer_syntax`` is ``None`` unless accepted."""

    id: int
    result: ContextVerdict
    transfer_syntax: Uid | None = None


@dataclass(frozen=True, slots=True)
class AsyncWindow:
    """Operations outstanding, seen from the requestor; 0 is unlimited. PS3.7 §D.3.3.3."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """The requestor's roles for one SOP class. PS3.7 §D.3.3.4."""

    sop_class: Uid
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """PS3.7 §D.3.3.5. The meaning of ``info`` is the service class's."""

    sop_class: Uid
    info: bytes


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """PS3.7 §D.3.3.6."""

    sop_class: Uid
    service_class: Uid
    related: tuple[Uid, ...] = ()


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """PS3.7 §D.3.3.7. The fields may be secrets, so they never show in a repr."""

    kind: IdentityKind
    response_requested: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UserInformation:
    """The user information item. PS3.8 §D.1 and PS3.7 §D.3.3.

    ``max_pdu_bytes`` counts a P-DATA-TF without its header; 0 is unlimited. ``identity`` is of a
    request, ``identity_response`` of an acceptance.
    """

    max_pdu_bytes: int = DEFAULT_PEER_PDU_BYTES
    implementation_class_uid: Uid | None = None
    implementation_version: str = ""
    async_window: AsyncWindow | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    identity: UserIdentity | None = None
    identity_response: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. PS3.8 §9.3.2."""

    called_ae: AETitle
    calling_ae: AETitle
    contexts: tuple[ProposedContext, ...]
    user: UserInformation
    application_context: Uid = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. PS3.8 §9.3.3. Its AE titles echo the request and are not to be tested."""

    called_ae: str
    calling_ae: str
    contexts: tuple[ContextResult, ...]
    user: UserInformation
    application_context: Uid = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ. PS3.8 §9.3.4; ``reasons.reject_text`` says it in words."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ. PS3.8 §9.3.6."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A-RELEASE-RP. PS3.8 §9.3.7."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT. PS3.8 §9.3.8; ``reasons.abort_text`` says it in words."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class Pdv:
    """One presentation data value: a fragment of a message. PS3.8 §9.3.5.1 and Annex E."""

    context_id: int
    is_command: bool
    is_last: bool
    fragment: bytes | memoryview


@dataclass(frozen=True, slots=True)
class PData:
    """P-DATA-TF. PS3.8 §9.3.5."""

    pdvs: tuple[Pdv, ...]


Pdu = AssociateRequest | AssociateAccept | AssociateReject | PData | ReleaseRequest | ReleaseReply | Abort
