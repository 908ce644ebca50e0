"""Every cell of PS3.8 Table 9-10, walked through Association: bytes and calls in, bytes and state out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leadglass.model.errors import LocalProtocolError
from leadglass.model.names import Uid
from leadglass.protocol import commands as c
from leadglass.protocol import pdu as p
from leadglass.protocol.association import Association, Role
from leadglass.protocol.codec import encode, p_data_headers
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import negotiate
from leadglass.protocol.reasons import CALLED_AE_NOT_RECOGNIZED
from leadglass.protocol.table import EFFECTS, TABLE, Action, Artim, MachineEvent, State
from tests.unit.protocol.strategies import (
    CT_CONTEXT,
    ECHO_CONTEXT,
    EVERYTHING,
    acceptor_in_sta2,
    connected_pair,
    request_of,
    sent,
)

REQUEST = request_of(ECHO_CONTEXT, CT_CONTEXT)
ACCEPT, _ = negotiate(REQUEST, permitted=EVERYTHING, limits=Limits())
ECHO = encode_command(c.CEchoRq(1, Uid("1.2.840.10008.1.1")))
ECHO_PDU = p_data_headers(1, len(ECHO), is_command=True, is_last=True) + ECHO
RELEASE_RQ = encode(p.ReleaseRequest())
RELEASE_RP = encode(p.ReleaseReply())
USER_ABORT = encode(p.Abort(0, 0))


def in_sta3() -> Association:
    acceptor = acceptor_in_sta2()
    acceptor.receive_data(encode(REQUEST))
    return acceptor


def in_sta4() -> Association:
    requestor = Association(Role.REQUESTOR, Limits())
    requestor.request(REQUEST)
    return requestor


def in_sta5() -> Association:
    requestor = in_sta4()
    requestor.transport_connected()
    return requestor


def requestor_in_sta6() -> Association:
    return connected_pair()[0]


def acceptor_in_sta6() -> Association:
    return connected_pair()[1]


def released(association: Association) -> Association:
    association.release()
    return association


def collided(association: Association) -> Association:
    association.release()
    association.receive_data(RELEASE_RQ)
    return association


def in_sta8(association: Association) -> Association:
    association.receive_data(RELEASE_RQ)
    return association


def in_sta11() -> Association:
    requestor = collided(requestor_in_sta6())
    requestor.reply_release()
    return requestor


def in_sta12() -> Association:
    acceptor = collided(acceptor_in_sta6())
    acceptor.receive_data(RELEASE_RP)
    return acceptor


def in_sta13(association: Association) -> Association:
    association.abort()
    return association


BUILDERS: list[tuple[str, State, Callable[[], Association]]] = [
    ("requestor", State.STA1, lambda: Association(Role.REQUESTOR, Limits())),
    ("acceptor", State.STA1, lambda: Association(Role.ACCEPTOR, Limits())),
    ("acceptor", State.STA2, acceptor_in_sta2),
    ("acceptor", State.STA3, in_sta3),
    ("requestor", State.STA4, in_sta4),
    ("requestor", State.STA5, in_sta5),
    ("requestor", State.STA6, requestor_in_sta6),
    ("acceptor", State.STA6, acceptor_in_sta6),
    ("requestor", State.STA7, lambda: released(requestor_in_sta6())),
    ("acceptor", State.STA7, lambda: released(acceptor_in_sta6())),
    ("requestor", State.STA8, lambda: in_sta8(requestor_in_sta6())),
    ("acceptor", State.STA8, lambda: in_sta8(acceptor_in_sta6())),
    ("requestor", State.STA9, lambda: collided(requestor_in_sta6())),
    ("acceptor", State.STA10, lambda: collided(acceptor_in_sta6())),
    ("requestor", State.STA11, in_sta11),
    ("acceptor", State.STA12, in_sta12),
    ("requestor", State.STA13, lambda: in_sta13(requestor_in_sta6())),
    ("acceptor", State.STA13, lambda: in_sta13(acceptor_in_sta6())),
]

_E = MachineEvent
DRIVERS: dict[MachineEvent, Callable[[Association], object]] = {
    _E.ASSOCIATE_REQUEST: lambda it: it.request(REQUEST),
    _E.TRANSPORT_CONFIRM: lambda it: it.transport_connected(),
    _E.RECEIVED_ASSOCIATE_AC: lambda it: it.receive_data(encode(ACCEPT)),
    _E.RECEIVED_ASSOCIATE_RJ: lambda it: it.receive_data(encode(CALLED_AE_NOT_RECOGNIZED)),
    _E.TRANSPORT_INDICATION: lambda it: it.transport_connected(),
    _E.RECEIVED_ASSOCIATE_RQ: lambda it: it.receive_data(encode(REQUEST)),
    _E.ASSOCIATE_ACCEPT: lambda it: it.accept(ACCEPT),
    _E.ASSOCIATE_REJECT: lambda it: it.reject(CALLED_AE_NOT_RECOGNIZED),
    _E.P_DATA_REQUEST: lambda it: it.send_message(1, ECHO),
    _E.RECEIVED_P_DATA: lambda it: it.receive_data(ECHO_PDU),
    _E.RELEASE_REQUEST: lambda it: it.release(),
    _E.RECEIVED_RELEASE_RQ: lambda it: it.receive_data(RELEASE_RQ),
    _E.RECEIVED_RELEASE_RP: lambda it: it.receive_data(RELEASE_RP),
    _E.RELEASE_RESPONSE: lambda it: it.reply_release(),
    _E.ABORT_REQUEST: lambda it: it.abort(),
    _E.RECEIVED_ABORT: lambda it: it.receive_data(USER_ABORT),
    _E.TRANSPORT_CLOSED: lambda it: it.transport_closed(),
    _E.ARTIM_EXPIRED: lambda it: it.artim_expired(),
    _E.RECEIVED_INVALID_PDU: lambda it: it.receive_data(b"\xee\0\0\0\0\0"),
}

SENT = {
    Action.AE_2: encode(REQUEST),
    Action.AE_7: encode(ACCEPT),
    Action.AE_8: encode(CALLED_AE_NOT_RECOGNIZED),
    Action.DT_1: ECHO_PDU,
    Action.AR_7: ECHO_PDU,
    Action.AR_1: RELEASE_RQ,
    Action.AR_4: RELEASE_RP,
    Action.AR_9: RELEASE_RP,
    Action.AA_1: USER_ABORT,
}

# Cells that the standard leaves empty and where nothing happens: what may come in any order is no bug.
HARMLESS = {
    *((state, _E.ARTIM_EXPIRED) for state in State),  # a timer that lost the race against its stop
    (State.STA1, _E.TRANSPORT_CLOSED),
    (State.STA13, _E.ABORT_REQUEST),
    (State.STA10, _E.RELEASE_RESPONSE),  # held back until the peer has answered ours
}


def is_of_other_role(role: str, event: MachineEvent) -> bool:
    """One call, ``transport_connected``, is Evt2 for a requestor and Evt5 for an acceptor."""
    foreign = {
        "acceptor": {_E.TRANSPORT_CONFIRM, _E.ASSOCIATE_REQUEST},
        "requestor": {_E.TRANSPORT_INDICATION},
    }
    return event in foreign[role]


@pytest.mark.parametrize(("role", "state", "build"), BUILDERS)
def test_each_state_is_reached(role: str, state: State, build: Callable[[], Association]) -> None:
    assert build().state is state


@pytest.mark.parametrize("event", MachineEvent)
@pytest.mark.parametrize(("role", "state", "build"), BUILDERS)
def test_each_cell_does_what_the_table_says(
    role: str, state: State, build: Callable[[], Association], event: MachineEvent
) -> None:
    association = build()
    association.data_to_send()
    artim_was_running = association.artim_running
    if is_of_other_role(role, event):
        assert association.state is state
    elif (state, event) in TABLE:
        DRIVERS[event](association)
        action, way = TABLE[state, event]
        if action is Action.AR_8 and role == "acceptor":
            way = EFFECTS[action].otherwise or way
        assert association.state is way.next_state
        expected_artim = artim_was_running if way.artim is Artim.LEAVE else way.artim is Artim.START
        assert association.artim_running is expected_artim
        assert association.wants_close is way.closes
        if action in {Action.AA_7, Action.AA_8}:
            assert sent(association)[:9] == encode(p.Abort(2, 0))[:9]
        else:
            assert sent(association) == SENT.get(action, b"")
    elif (state, event) in HARMLESS:
        DRIVERS[event](association)
        assert association.state is state
        assert not sent(association)
    else:
        with pytest.raises(LocalProtocolError):
            DRIVERS[event](association)
        assert association.state is state
        assert not sent(association)


def test_an_acceptor_does_not_request() -> None:
    with pytest.raises(LocalProtocolError):
        Association(Role.ACCEPTOR, Limits()).request(REQUEST)
