"""Negotiation of an association, pure. PS3.8 §7.1.1.13-14; PS3.7 Annex D.3.

``negotiate`` answers as acceptor, ``interpret`` reads an answer as requestor. Refusing happens here,
per context, and never later: what is accepted is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from leadglass.model.action import Verb
from leadglass.model.errors import PeerProtocolError
from leadglass.model.names import Uid
from leadglass.protocol.limits import MIN_PEER_PDU_BYTES, Limits
from leadglass.protocol.pdu import (
    AssociateAccept,
    AssociateRequest,
    AsyncWindow,
    ContextResult,
    ContextVerdict,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserInformation,
)
from leadglass.protocol.services import Service, service_of, unserved_verb_of
from leadglass.protocol.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORABLE,
)

IMPLEMENTATION_CLASS_UID = Uid("2.25.182109964992974728234526543288525619722")
"""Ours, derived from a random UUID (PS3.5 §B.2). Never changes."""

IMPLEMENTATION_VERSION = "LEADGLASS_0_1_0"

_COMBINED_DATE_TIMES = 1

MADE_INTO_LITTLE_ENDIAN = frozenset({EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN})
"""What we keep and convert, but never make."""

DEFAULT_WINDOW = AsyncWindow(1, 1)
"""What holds when no window is negotiated: one operation at a time. PS3.7 §D.3.3.3."""


@dataclass(frozen=True, slots=True)
class NegotiatedContext:
    """An accepted context. The roles are those the association's requestor may take.

    ``service`` is ``None`` only where we are the requestor of something we do not serve.
    ``combined_date_times``: a date and a time range of one query are meant together.
    """

    id: int
    abstract_syntax: Uid
    transfer_syntax: Uid
    service: Service | None
    scu_role: bool
    scp_role: bool
    combined_date_times: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both sides agreed on: accepted contexts by id, and the asynchronous operations window."""

    contexts: Mapping[int, NegotiatedContext]
    async_window: AsyncWindow = DEFAULT_WINDOW


def user_information(limits: Limits, version: str = IMPLEMENTATION_VERSION) -> UserInformation:
    """The part of user information that is the same in every PDU of ours."""
    return UserInformation(limits.announced_pdu_bytes, IMPLEMENTATION_CLASS_UID, version)


def check_peer_pdu_size(user: UserInformation) -> None:
    """Refuse a peer that takes crumbs only: we would send it headers without end.

    Raises:
        PeerProtocolError: its maximum PDU is below ``MIN_PEER_PDU_BYTES``, and not 0 for unlimited.
    """
    if 0 < user.max_pdu_bytes < MIN_PEER_PDU_BYTES:
        raise PeerProtocolError(f"a maximum PDU of {user.max_pdu_bytes} bytes is too small to work with")


def negotiate(
    request: AssociateRequest,
    *,
    permitted: frozenset[Verb],
    limits: Limits,
    version: str = IMPLEMENTATION_VERSION,
) -> tuple[AssociateAccept, Outcome]:
    """Answer every proposed context, with what ``permitted`` allows and nothing else.

    A storage context is for storing (SCU role, ``Verb.STORE``), for receiving what C-GET sends back
    (SCP role, ``Verb.GET``), or both. PS3.7 §D.3.3.4: without a role item the requestor is SCU.
    """
    proposed_roles = {role.sop_class: role for role in request.user.roles}
    results: list[ContextResult] = []
    accepted: dict[int, NegotiatedContext] = {}
    answered_roles: dict[Uid, RoleSelection] = {}
    extended = _query_options(request)
    for context in request.contexts:
        proposed_role = proposed_roles.get(context.abstract_syntax)
        answer = _answer(context, proposed_role, permitted)
        if isinstance(answer, ContextVerdict):
            results.append(ContextResult(context.id, answer))
            continue
        options = extended.get(context.abstract_syntax)
        accepted[context.id] = replace(
            answer, combined_date_times=options is not None and _wants_combined(options.info)
        )
        results.append(ContextResult(context.id, ContextVerdict.ACCEPTED, answer.transfer_syntax))
        if proposed_role is not None:
            answered_roles[context.abstract_syntax] = RoleSelection(
                context.abstract_syntax, answer.scu_role, answer.scp_role
            )
    window = request.user.async_window
    agreed = None if window is None else _narrow_window(window, limits)
    served = {context.abstract_syntax for context in accepted.values()}
    user = replace(
        user_information(limits, version),
        async_window=agreed,
        roles=tuple(answered_roles.values()),
        extended=tuple(options for sop_class, options in extended.items() if sop_class in served),
    )
    accept = AssociateAccept(request.called_ae, request.calling_ae, tuple(results), user)
    return accept, Outcome(MappingProxyType(accepted), agreed or DEFAULT_WINDOW)


def refused_verbs(request: AssociateRequest, permitted: frozenset[Verb]) -> frozenset[Verb]:
    """What was proposed and ``negotiate`` refuses because it is not permitted.

    A storage class that is only to be received is part of a C-GET.
    """
    receiving = {role.sop_class for role in request.user.roles if not role.scu}
    asked: set[Verb] = set()
    for context in request.contexts:
        service = service_of(context.abstract_syntax)
        if service is not None:
            fetched = service.verb is Verb.STORE and context.abstract_syntax in receiving
            asked.add(Verb.GET if fetched else service.verb)
    return frozenset(asked - permitted)


def unserved_verbs(request: AssociateRequest) -> frozenset[Verb]:
    """What was proposed and ``negotiate`` refuses because we do not serve it, permitted or not."""
    verbs = (unserved_verb_of(context.abstract_syntax) for context in request.contexts)
    return frozenset(verb for verb in verbs if verb is not None)


def interpret(request: AssociateRequest, accept: AssociateAccept) -> Outcome:
    """What our request led to. A context the peer forgot to answer counts as refused.

    Raises:
        PeerProtocolError: the peer accepted what was not proposed.
    """
    proposed = {context.id: context for context in request.contexts}
    proposed_roles = {role.sop_class: role for role in request.user.roles}
    granted_roles = {role.sop_class: role for role in accept.user.roles}
    combined = {item.sop_class for item in accept.user.extended if _wants_combined(item.info)}
    contexts: dict[int, NegotiatedContext] = {}
    for result in accept.contexts:
        context = proposed.get(result.id)
        if context is None:
            raise PeerProtocolError(f"the answer names presentation context {result.id}, never proposed")
        if result.transfer_syntax is None:
            continue
        if result.transfer_syntax not in context.transfer_syntaxes:
            raise PeerProtocolError(f"presentation context {result.id} accepted with a syntax never proposed")
        uid = context.abstract_syntax
        scu, scp = _granted(proposed_roles.get(uid), granted_roles.get(uid))
        contexts[result.id] = NegotiatedContext(
            result.id, uid, result.transfer_syntax, service_of(uid), scu, scp, uid in combined
        )
    window = _agreed_window(request.user.async_window, accept.user.async_window)
    return Outcome(MappingProxyType(contexts), window)


def _query_options(request: AssociateRequest) -> dict[Uid, ExtendedNegotiation]:
    """What we grant of the options proposed for queries. PS3.4 §C.5.1.1.1, one byte each.

    Combined date-time matching (the second byte) is granted; relational queries, fuzzy matching of
    names and adjustment of time zones are not.
    """
    granted = {}
    for proposed in request.user.extended:
        service = service_of(proposed.sop_class)
        if service is not None and service.verb is Verb.FIND:
            info = bytes(
                value & 1 if position == _COMBINED_DATE_TIMES else 0
                for position, value in enumerate(proposed.info)
            )
            granted[proposed.sop_class] = ExtendedNegotiation(proposed.sop_class, info)
    return granted


def _wants_combined(info: bytes) -> bool:
    return len(info) > _COMBINED_DATE_TIMES and info[_COMBINED_DATE_TIMES] == 1


def _answer(
    context: ProposedContext, role: RoleSelection | None, permitted: frozenset[Verb]
) -> NegotiatedContext | ContextVerdict:
    service = service_of(context.abstract_syntax)
    if service is None:
        return ContextVerdict.ABSTRACT_SYNTAX_UNKNOWN
    proposed_scu, proposed_scp = (True, False) if role is None else (role.scu, role.scp)
    scu = proposed_scu and service.verb in permitted
    # Only instances travel the other way; a peer never answers our queries on its own association.
    scp = proposed_scp and service.verb is Verb.STORE and Verb.GET in permitted
    if not (scu or scp):
        return ContextVerdict.USER_REJECTED
    syntax = _choose_syntax(service, context.transfer_syntaxes, peer_sends=scu)
    if syntax is None:
        return ContextVerdict.TRANSFER_SYNTAXES_UNKNOWN
    return NegotiatedContext(context.id, context.abstract_syntax, syntax, service, scu, scp)


def _choose_syntax(service: Service, proposed: tuple[Uid, ...], *, peer_sends: bool) -> Uid | None:
    """Storage: the first storable one, since the peer lists its preference first. Else little endian.

    On a context that only we send on, little endian goes before the other uncompressed ones: what is
    stored uncompressed can be made into it, and into nothing else.
    """
    preferred = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    if service.verb is not Verb.STORE:
        return next((uid for uid in preferred if uid in proposed), None)
    first = next((uid for uid in proposed if uid in STORABLE), None)
    if first in MADE_INTO_LITTLE_ENDIAN and not peer_sends:
        return next((uid for uid in proposed if uid in preferred), first)
    return first


def _narrow_window(window: AsyncWindow, limits: Limits) -> AsyncWindow:
    return AsyncWindow(
        _narrower(window.invoked, limits.max_operations_invoked),
        _narrower(window.performed, limits.max_operations_performed),
    )


def _narrower(proposed: int, limit: int) -> int:
    """The smaller of two window sizes, where 0 proposes no bound."""
    return min(proposed, limit) if proposed else limit


def _granted(proposed: RoleSelection | None, granted: RoleSelection | None) -> tuple[bool, bool]:
    """PS3.7 §D.3.3.4: an unanswered proposal leaves the default roles; none may be granted unasked."""
    if proposed is None or granted is None:
        return True, False
    if (granted.scu and not proposed.scu) or (granted.scp and not proposed.scp):
        raise PeerProtocolError("the answer grants a role that was never proposed")
    return granted.scu, granted.scp


def _agreed_window(proposed: AsyncWindow | None, answered: AsyncWindow | None) -> AsyncWindow:
    """PS3.7 §D.3.3.3: an answer may only narrow; what was not proposed or answered stays at one."""
    if proposed is None or answered is None:
        return DEFAULT_WINDOW
    return AsyncWindow(
        _tighter(proposed.invoked, answered.invoked), _tighter(proposed.performed, answered.performed)
    )


def _tighter(proposed: int, answered: int) -> int:
    """The smaller of two window sizes, where 0 is no bound on either side."""
    return min(proposed, answered) if proposed and answered else proposed or answered
