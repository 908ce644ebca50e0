from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.model.action import Verb
from leadglass.model.errors import PeerProtocolError
from leadglass.model.names import Uid
from leadglass.protocol import pdu as p
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import (
    DEFAULT_WINDOW,
    IMPLEMENTATION_CLASS_UID,
    Outcome,
    check_peer_pdu_size,
    interpret,
    negotiate,
    refused_verbs,
    unserved_verbs,
    user_information,
)
from leadglass.protocol.services import (
    PATIENT_ROOT_FIND,
    SERVICES,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    service_of,
)
from leadglass.protocol.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN as DEFLATED
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN as BIG_ENDIAN
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN as EXPLICIT
from leadglass.protocol.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN as IMPLICIT
from tests.unit.protocol.strategies import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    EVERYTHING,
    associate_requests,
    request_of,
)

JPEG_2000 = Uid("1.2.840.10008.1.2.4.90")
LIMITS = Limits()


def answer(
    *contexts: p.ProposedContext,
    permitted: frozenset[Verb] = EVERYTHING,
    roles: tuple[p.RoleSelection, ...] = (),
    window: p.AsyncWindow | None = None,
) -> tuple[p.AssociateAccept, Outcome]:
    user = p.UserInformation(roles=roles, async_window=window)
    return negotiate(request_of(*contexts, user=user), permitted=permitted, limits=LIMITS)


def service_class(verb: Verb) -> Uid:
    return next(service.sop_classes[0][0] for service in SERVICES if service.verb is verb)


def verdicts(accept: p.AssociateAccept) -> list[p.ContextVerdict]:
    return [result.result for result in accept.contexts]


def test_an_empty_permission_accepts_nothing() -> None:
    contexts = [
        p.ProposedContext(2 * number + 1, service.sop_classes[0][0], (EXPLICIT,))
        for number, service in enumerate(SERVICES)
    ]
    accept, outcome = answer(*contexts, permitted=frozenset())
    assert verdicts(accept) == [p.ContextVerdict.USER_REJECTED] * len(SERVICES)
    assert not outcome.contexts


def test_the_verbs_proposed_and_not_permitted_are_named() -> None:
    contexts = [
        p.ProposedContext(1, service_class(Verb.ECHO), (EXPLICIT,)),
        p.ProposedContext(3, STUDY_ROOT_FIND, (EXPLICIT,)),
        p.ProposedContext(5, STUDY_ROOT_GET, (EXPLICIT,)),
        p.ProposedContext(7, Uid("1.2.3"), (EXPLICIT,)),
    ]
    permitted = frozenset({Verb.ECHO, Verb.STORE})
    assert refused_verbs(request_of(*contexts), permitted) == {Verb.FIND, Verb.GET}


def test_a_refused_storage_context_names_what_it_is_for() -> None:
    receiving = p.UserInformation(roles=(p.RoleSelection(CT, scu=False, scp=True),))
    sends, fetches = request_of(CT_CONTEXT), request_of(CT_CONTEXT, user=receiving)
    assert refused_verbs(sends, frozenset({Verb.GET})) == {Verb.STORE}
    assert refused_verbs(fetches, frozenset({Verb.STORE})) == {Verb.GET}
    assert refused_verbs(fetches, frozenset({Verb.GET})) == frozenset()


def test_what_policies_may_give_and_we_do_not_serve_is_known_by_its_verb() -> None:
    wanted = ("1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.20.1", "1.2.3")
    contexts = [p.ProposedContext(2 * number + 3, Uid(uid), (EXPLICIT,)) for number, uid in enumerate(wanted)]
    served = {service.verb for service in SERVICES}
    not_served = {Verb.WORKLIST, Verb.MPPS, Verb.COMMIT} - served
    assert unserved_verbs(request_of(ECHO_CONTEXT, *contexts)) == not_served
    assert unserved_verbs(request_of(ECHO_CONTEXT, CT_CONTEXT)) == frozenset()


def test_an_unknown_abstract_syntax_is_told_so() -> None:
    accept, _ = answer(p.ProposedContext(1, Uid("1.2.3"), (EXPLICIT,)))
    assert verdicts(accept) == [p.ContextVerdict.ABSTRACT_SYNTAX_UNKNOWN]


def test_no_common_transfer_syntax_is_told_so() -> None:
    accept, _ = answer(
        p.ProposedContext(1, CT, (Uid("1.2.3"), Uid("1.2.840.10008.1.2.7.1"))),
        p.ProposedContext(3, STUDY_ROOT_FIND, (JPEG_2000,)),
        p.ProposedContext(5, CT, ()),
    )
    assert verdicts(accept) == [p.ContextVerdict.TRANSFER_SYNTAXES_UNKNOWN] * 3


def test_storage_takes_the_first_known_syntax_the_peer_prefers() -> None:
    accept, outcome = answer(p.ProposedContext(1, CT, (Uid("1.2.3"), JPEG_2000, EXPLICIT)))
    assert accept.contexts == (p.ContextResult(1, p.ContextVerdict.ACCEPTED, JPEG_2000),)
    assert outcome.contexts[1].service is service_of(CT)


@pytest.mark.parametrize("rare", [BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("usual", [EXPLICIT, IMPLICIT])
def test_where_only_we_send_we_choose_what_we_can_make(rare: Uid, usual: Uid) -> None:
    """DCMTK's getscu proposes big endian first, yet nearly all that is stored is little endian."""
    receiving = (p.RoleSelection(CT, scu=False, scp=True),)
    accept, _ = answer(p.ProposedContext(1, CT, (rare, usual)), roles=receiving)
    assert [result.transfer_syntax for result in accept.contexts] == [usual]
    accept, _ = answer(p.ProposedContext(1, CT, (rare, JPEG_2000)), roles=receiving)
    assert [result.transfer_syntax for result in accept.contexts] == [rare]
    accept, _ = answer(p.ProposedContext(1, CT, (rare, usual)))
    assert [result.transfer_syntax for result in accept.contexts] == [rare]


def test_queries_prefer_explicit_little_endian() -> None:
    accept, _ = answer(
        p.ProposedContext(1, STUDY_ROOT_FIND, (IMPLICIT, JPEG_2000, EXPLICIT)),
        p.ProposedContext(3, STUDY_ROOT_FIND, (IMPLICIT,)),
    )
    assert [result.transfer_syntax for result in accept.contexts] == [EXPLICIT, IMPLICIT]


@pytest.mark.parametrize(
    ("permitted", "proposed", "granted"),
    [
        ({Verb.STORE, Verb.GET}, (True, True), (True, True)),
        ({Verb.GET}, (True, True), (False, True)),
        ({Verb.STORE}, (True, True), (True, False)),
        ({Verb.GET}, (False, True), (False, True)),
        ({Verb.STORE}, (True, False), (True, False)),
        ({Verb.STORE}, (False, True), None),
        ({Verb.GET}, (True, False), None),
        ({Verb.STORE, Verb.GET}, (False, False), None),
        (set(), (True, True), None),
    ],
)
def test_a_storage_role_needs_its_own_permission(
    permitted: set[Verb], proposed: tuple[bool, bool], granted: tuple[bool, bool] | None
) -> None:
    roles = (p.RoleSelection(CT, *proposed),)
    accept, outcome = answer(CT_CONTEXT, permitted=frozenset(permitted), roles=roles)
    if granted is None:
        assert verdicts(accept) == [p.ContextVerdict.USER_REJECTED]
        assert not accept.user.roles
    else:
        context = outcome.contexts[CT_CONTEXT.id]
        assert (context.scu_role, context.scp_role) == granted
        assert accept.user.roles == (p.RoleSelection(CT, *granted),)


def test_without_a_role_item_the_requestor_only_sends() -> None:
    accept, outcome = answer(CT_CONTEXT)
    assert (outcome.contexts[3].scu_role, outcome.contexts[3].scp_role) == (True, False)
    assert not accept.user.roles
    accept, _ = answer(CT_CONTEXT, permitted=frozenset({Verb.GET}))
    assert verdicts(accept) == [p.ContextVerdict.USER_REJECTED]


def test_a_peer_never_provides_a_query_on_its_own_association() -> None:
    roles = (p.RoleSelection(STUDY_ROOT_GET, scu=True, scp=True),)
    accept, _ = answer(p.ProposedContext(1, STUDY_ROOT_GET, (EXPLICIT,)), roles=roles)
    assert accept.user.roles == (p.RoleSelection(STUDY_ROOT_GET, scu=True, scp=False),)


@pytest.mark.parametrize(
    ("proposed", "agreed"),
    [
        (p.AsyncWindow(0, 0), p.AsyncWindow(16, 1)),
        (p.AsyncWindow(4, 4), p.AsyncWindow(4, 1)),
        (p.AsyncWindow(100, 1), p.AsyncWindow(16, 1)),
    ],
)
def test_the_asynchronous_window_is_never_wider_than_our_limit(
    proposed: p.AsyncWindow, agreed: p.AsyncWindow
) -> None:
    accept, outcome = answer(CT_CONTEXT, window=proposed)
    assert accept.user.async_window == agreed
    assert outcome.async_window == agreed


def test_without_a_proposed_window_operations_go_one_by_one() -> None:
    accept, outcome = answer(CT_CONTEXT)
    assert accept.user.async_window is None
    assert outcome.async_window == DEFAULT_WINDOW


def test_our_user_information_names_us_and_our_limit() -> None:
    user = user_information(LIMITS, "OTHER")
    assert user.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert user.max_pdu_bytes == LIMITS.announced_pdu_bytes
    assert user.implementation_version == "OTHER"
    assert len(IMPLEMENTATION_CLASS_UID) <= 64


@given(associate_requests, st.frozensets(st.sampled_from(Verb)))
def test_both_sides_come_to_one_outcome(request: p.AssociateRequest, permitted: frozenset[Verb]) -> None:
    accept, outcome = negotiate(request, permitted=permitted, limits=LIMITS)
    assert [result.id for result in accept.contexts] == [context.id for context in request.contexts]
    assert interpret(request, accept) == outcome


def known_requests() -> st.SearchStrategy[p.AssociateRequest]:
    """Requests for what we serve, so that contexts are accepted too."""
    sop_classes = st.sampled_from([service.sop_classes[0][0] for service in SERVICES])
    syntaxes = st.lists(st.sampled_from((EXPLICIT, IMPLICIT, JPEG_2000, Uid("1.2.3"))), max_size=4).map(tuple)
    contexts = st.lists(
        st.builds(p.ProposedContext, st.sampled_from((1, 3, 5, 7)), sop_classes, syntaxes),
        min_size=1,
        unique_by=lambda context: context.id,
    )
    roles = st.lists(st.builds(p.RoleSelection, sop_classes, st.booleans(), st.booleans()), max_size=3)
    window = st.none() | st.builds(p.AsyncWindow, st.integers(0, 40), st.integers(0, 40))
    user = st.builds(p.UserInformation, roles=roles.map(tuple), async_window=window)
    return st.builds(lambda chosen, said: request_of(*chosen, user=said), contexts, user)


@given(known_requests(), st.frozensets(st.sampled_from(Verb)))
def test_nothing_is_accepted_beyond_the_permission(
    request: p.AssociateRequest, permitted: frozenset[Verb]
) -> None:
    accept, outcome = negotiate(request, permitted=permitted, limits=LIMITS)
    assert interpret(request, accept) == outcome
    for context in outcome.contexts.values():
        assert context.service is not None
        assert context.scu_role or context.scp_role
        assert not context.scu_role or context.service.verb in permitted
        assert not context.scp_role or Verb.GET in permitted


def accept_of(*results: p.ContextResult, roles: tuple[p.RoleSelection, ...] = ()) -> p.AssociateAccept:
    return p.AssociateAccept("", "", results, p.UserInformation(roles=roles))


ACCEPTED = p.ContextVerdict.ACCEPTED


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(accept_of(p.ContextResult(9, ACCEPTED, EXPLICIT)), id="context"),
        pytest.param(accept_of(p.ContextResult(3, ACCEPTED, JPEG_2000)), id="transfer syntax"),
        pytest.param(
            accept_of(p.ContextResult(3, ACCEPTED, EXPLICIT), roles=(p.RoleSelection(CT, True, True),)),
            id="SCU role",
        ),
    ],
)
def test_an_answer_to_what_was_not_proposed_is_refused(accept: p.AssociateAccept) -> None:
    user = p.UserInformation(roles=(p.RoleSelection(CT, scu=False, scp=True),))
    with pytest.raises(PeerProtocolError):
        interpret(request_of(ECHO_CONTEXT, CT_CONTEXT, user=user), accept)


def test_an_scp_role_never_proposed_is_refused() -> None:
    user = p.UserInformation(roles=(p.RoleSelection(CT, scu=True, scp=False),))
    accept = accept_of(p.ContextResult(3, ACCEPTED, EXPLICIT), roles=(p.RoleSelection(CT, True, True),))
    with pytest.raises(PeerProtocolError, match="role"):
        interpret(request_of(CT_CONTEXT, user=user), accept)


def test_granted_roles_are_those_of_the_answer() -> None:
    user = p.UserInformation(roles=(p.RoleSelection(CT, scu=True, scp=True),))
    granted = (p.RoleSelection(CT, scu=False, scp=True),)
    accept = accept_of(p.ContextResult(3, ACCEPTED, EXPLICIT), roles=granted)
    context = interpret(request_of(CT_CONTEXT, user=user), accept).contexts[3]
    assert (context.scu_role, context.scp_role) == (False, True)


def test_a_context_the_peer_forgot_counts_as_refused() -> None:
    accept = accept_of(p.ContextResult(1, p.ContextVerdict.NO_REASON), p.ContextResult(3, ACCEPTED, EXPLICIT))
    outcome = interpret(request_of(ECHO_CONTEXT, CT_CONTEXT, p.ProposedContext(5, CT, (IMPLICIT,))), accept)
    assert set(outcome.contexts) == {3}


@pytest.mark.parametrize(
    ("proposed", "answered", "agreed"),
    [
        (None, p.AsyncWindow(5, 5), DEFAULT_WINDOW),
        (p.AsyncWindow(5, 5), None, DEFAULT_WINDOW),
        (p.AsyncWindow(5, 0), p.AsyncWindow(8, 3), p.AsyncWindow(5, 3)),
        (p.AsyncWindow(5, 0), p.AsyncWindow(0, 0), p.AsyncWindow(5, 0)),
    ],
)
def test_an_answer_may_only_narrow_the_window(
    proposed: p.AsyncWindow | None, answered: p.AsyncWindow | None, agreed: p.AsyncWindow
) -> None:
    request = request_of(CT_CONTEXT, user=p.UserInformation(async_window=proposed))
    accept = p.AssociateAccept("", "", (), p.UserInformation(async_window=answered))
    assert interpret(request, accept).async_window == agreed


def test_a_peer_that_takes_crumbs_only_is_refused() -> None:
    check_peer_pdu_size(p.UserInformation(0))
    check_peer_pdu_size(p.UserInformation(128))
    with pytest.raises(PeerProtocolError):
        check_peer_pdu_size(p.UserInformation(127))


def query_context(number: int, sop_class: Uid) -> p.ProposedContext:
    return p.ProposedContext(number, sop_class, (EXPLICIT,))


def test_combined_date_time_matching_is_granted_and_nothing_else_is() -> None:
    proposed = (
        p.ExtendedNegotiation(STUDY_ROOT_FIND, b"\x01\x01\x01\x01"),
        p.ExtendedNegotiation(PATIENT_ROOT_FIND, b"\x01"),
        p.ExtendedNegotiation(STUDY_ROOT_GET, b"\x01"),
        p.ExtendedNegotiation(Uid("1.2.3"), b"\x01\x01"),
    )
    request = request_of(
        query_context(1, STUDY_ROOT_FIND),
        query_context(3, PATIENT_ROOT_FIND),
        query_context(5, STUDY_ROOT_GET),
        user=p.UserInformation(extended=proposed),
    )
    accept, outcome = negotiate(request, permitted=EVERYTHING, limits=LIMITS)
    assert accept.user.extended == (
        p.ExtendedNegotiation(STUDY_ROOT_FIND, b"\x00\x01\x00\x00"),
        p.ExtendedNegotiation(PATIENT_ROOT_FIND, b"\x00"),
    )
    assert [context.combined_date_times for context in outcome.contexts.values()] == [True, False, False]
    assert interpret(request, accept) == outcome


def test_options_of_a_refused_query_are_not_answered() -> None:
    options = p.UserInformation(extended=(p.ExtendedNegotiation(STUDY_ROOT_FIND, b"\x00\x01"),))
    request = request_of(query_context(1, STUDY_ROOT_FIND), user=options)
    accept, outcome = negotiate(request, permitted=frozenset({Verb.STORE}), limits=LIMITS)
    assert accept.user.extended == ()
    assert not outcome.contexts
