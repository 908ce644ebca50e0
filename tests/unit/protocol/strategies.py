"""Hypothesis strategies for every PDU and command, and a pair of associations to talk with."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, cast

from hypothesis import strategies as st

from leadglass.model.action import Verb
from leadglass.model.names import AETitle, Uid
from leadglass.protocol import pdu as p
from leadglass.protocol.association import Association, Role
from leadglass.protocol.commands import Command
from leadglass.protocol.dimse import LAYOUTS, Kind
from leadglass.protocol.events import AssociationAccepted, AssociationRequested
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import negotiate, user_information
from leadglass.protocol.services import VERIFICATION
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

CT = Uid("1.2.840.10008.5.1.4.1.1.2")
EVERYTHING = frozenset(Verb)

uids = st.lists(st.integers(0, 999_999), min_size=1, max_size=6).map(
    lambda parts: Uid(".".join(str(part) for part in parts))
)
_ae_characters = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\")
ae_titles = st.text(_ae_characters, min_size=1, max_size=16).map(AETitle)
u16 = st.integers(0, 0xFFFF)
byte = st.integers(0, 255)
context_ids = st.integers(0, 127).map(lambda number: number * 2 + 1)

proposed_contexts = st.builds(p.ProposedContext, context_ids, uids, st.lists(uids, max_size=4).map(tuple))
_verdicts = st.sampled_from([verdict for verdict in p.ContextVerdict if verdict])
context_results = st.one_of(
    st.builds(p.ContextResult, context_ids, st.just(p.ContextVerdict.ACCEPTED), uids),
    st.builds(p.ContextResult, context_ids, _verdicts),
)
_short_bytes = st.binary(max_size=40)
user_informations = st.builds(
    p.UserInformation,
    max_pdu_bytes=st.integers(0, 0xFFFFFFFF),
    implementation_class_uid=st.none() | uids,
    implementation_version=st.text(_ae_characters, max_size=16),
    async_window=st.none() | st.builds(p.AsyncWindow, u16, u16),
    roles=st.lists(st.builds(p.RoleSelection, uids, st.booleans(), st.booleans()), max_size=3).map(tuple),
    extended=st.lists(st.builds(p.ExtendedNegotiation, uids, _short_bytes), max_size=3).map(tuple),
    common_extended=st.lists(
        st.builds(p.CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple)), max_size=2
    ).map(tuple),
    identity=st.none()
    | st.builds(p.UserIdentity, st.sampled_from(p.IdentityKind), st.booleans(), _short_bytes, _short_bytes),
    identity_response=st.none() | _short_bytes,
)
associate_requests = st.builds(
    p.AssociateRequest,
    ae_titles,
    ae_titles,
    st.lists(proposed_contexts, min_size=1, max_size=6, unique_by=lambda context: context.id).map(tuple),
    user_informations,
    uids,
    u16,
)
associate_accepts = st.builds(
    p.AssociateAccept,
    ae_titles,
    ae_titles,
    st.lists(context_results, max_size=6, unique_by=lambda context: context.id).map(tuple),
    user_informations,
    uids,
    u16,
)
pdvs = st.builds(p.Pdv, byte, st.booleans(), st.booleans(), st.binary(max_size=60))
pdus: st.SearchStrategy[p.Pdu] = st.one_of(
    associate_requests,
    associate_accepts,
    st.builds(p.AssociateReject, byte, byte, byte),
    st.builds(p.PData, st.lists(pdvs, min_size=1, max_size=5).map(tuple)),
    st.just(p.ReleaseRequest()),
    st.just(p.ReleaseReply()),
    st.builds(p.Abort, byte, byte),
)

_comment_characters = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\")
_of_kind: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.UID: uids,
    Kind.INSTANCE_UID: uids,
    Kind.NUMBER: u16,
    Kind.AE_TITLE: ae_titles,
    Kind.TEXT: st.text(_comment_characters, max_size=64),
    Kind.TAGS: st.lists(st.integers(0, 0xFFFFFFFF), max_size=4).map(tuple),
    Kind.DATA_SET_TYPE: st.booleans(),
}


@st.composite
def commands(draw: st.DrawFn) -> Command:
    layout = draw(st.sampled_from(LAYOUTS))
    values = []
    message = cast("type[Command]", layout.make)
    for element, field in zip(layout.elements, fields(message), strict=True):
        strategy = _of_kind[element.kind]
        optional = field.default is not MISSING
        values.append(draw(st.just(field.default) | strategy) if optional else draw(strategy))
    return layout.make(*values)


def request_of(*contexts: p.ProposedContext, user: p.UserInformation | None = None) -> p.AssociateRequest:
    return p.AssociateRequest(AETitle("NORTH"), AETitle("CT1"), contexts, user or user_information(Limits()))


ECHO_CONTEXT = p.ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))
CT_CONTEXT = p.ProposedContext(3, CT, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))


def sent(association: Association) -> bytes:
    return b"".join(association.data_to_send())


def acceptor_in_sta2(limits: Limits | None = None) -> Association:
    acceptor = Association(Role.ACCEPTOR, limits or Limits())
    acceptor.transport_connected()
    return acceptor


def connected_pair(
    limits: Limits | None = None, request: p.AssociateRequest | None = None
) -> tuple[Association, Association]:
    """A requestor and an acceptor with an association established between them."""
    requestor = Association(Role.REQUESTOR, limits or Limits())
    requestor.request(request or request_of(ECHO_CONTEXT, CT_CONTEXT))
    requestor.transport_connected()
    acceptor = acceptor_in_sta2(limits)
    (asked,) = acceptor.receive_data(sent(requestor))
    if not isinstance(asked, AssociationRequested):
        raise TypeError(asked)
    accept, _ = negotiate(asked.request, permitted=EVERYTHING, limits=limits or Limits())
    acceptor.accept(accept)
    (accepted,) = requestor.receive_data(sent(acceptor))
    if not isinstance(accepted, AssociationAccepted):
        raise TypeError(accepted)
    return requestor, acceptor
