"""The upper layer state machine, whole. PS3.8 §9.2, Tables 9-1 to 9-10.

Nothing else moves an association: ``association.py`` asks ``step`` and obeys. The documentation
draws its diagram from ``TABLE`` and ``EFFECTS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from leadglass.model.errors import LocalProtocolError


class State(StrEnum):
    """PS3.8 Tables 9-1 to 9-5."""

    STA1 = "Sta1"
    STA2 = "Sta2"
    STA3 = "Sta3"
    STA4 = "Sta4"
    STA5 = "Sta5"
    STA6 = "Sta6"
    STA7 = "Sta7"
    STA8 = "Sta8"
    STA9 = "Sta9"
    STA10 = "Sta10"
    STA11 = "Sta11"
    STA12 = "Sta12"
    STA13 = "Sta13"


STATE_MEANINGS = {
    State.STA1: "idle",
    State.STA2: "transport open, awaiting A-ASSOCIATE-RQ",
    State.STA3: "awaiting our user's answer to the request",
    State.STA4: "awaiting the transport connection",
    State.STA5: "awaiting A-ASSOCIATE-AC or -RJ",
    State.STA6: "association established",
    State.STA7: "we asked for release, awaiting A-RELEASE-RP",
    State.STA8: "peer asked for release, awaiting our user's answer",
    State.STA9: "release collision, requestor: awaiting our user's answer",
    State.STA10: "release collision, acceptor: awaiting A-RELEASE-RP",
    State.STA11: "release collision, requestor: awaiting A-RELEASE-RP",
    State.STA12: "release collision, acceptor: awaiting our user's answer",
    State.STA13: "awaiting the transport's close, no association any more",
}


class MachineEvent(StrEnum):
    """The rows of PS3.8 Table 9-10. Local events come from our own user, the others from outside."""

    ASSOCIATE_REQUEST = "Evt1"
    TRANSPORT_CONFIRM = "Evt2"
    RECEIVED_ASSOCIATE_AC = "Evt3"
    RECEIVED_ASSOCIATE_RJ = "Evt4"
    TRANSPORT_INDICATION = "Evt5"
    RECEIVED_ASSOCIATE_RQ = "Evt6"
    ASSOCIATE_ACCEPT = "Evt7"
    ASSOCIATE_REJECT = "Evt8"
    P_DATA_REQUEST = "Evt9"
    RECEIVED_P_DATA = "Evt10"
    RELEASE_REQUEST = "Evt11"
    RECEIVED_RELEASE_RQ = "Evt12"
    RECEIVED_RELEASE_RP = "Evt13"
    RELEASE_RESPONSE = "Evt14"
    ABORT_REQUEST = "Evt15"
    RECEIVED_ABORT = "Evt16"
    TRANSPORT_CLOSED = "Evt17"
    ARTIM_EXPIRED = "Evt18"
    RECEIVED_INVALID_PDU = "Evt19"


class Action(StrEnum):
    """PS3.8 Tables 9-6 to 9-9."""

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


class Artim(Enum):
    """What an action does to the association request/reject/release timer. PS3.8 §9.1.5."""

    LEAVE = "leave"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Way:
    """Where an action leads, what it does to ARTIM, whether it closes the transport.

    ``orderly``: it ends the association in good order, by a release or a rejection.
    """

    next_state: State
    artim: Artim = Artim.LEAVE
    closes: bool = False
    orderly: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """An action's meaning and ways. ``otherwise`` is for AE-6 and AR-8, which have a condition."""

    meaning: str
    way: Way
    otherwise: Way | None = None


EFFECTS: dict[Action, Effect] = {
    # Table 9-6, establishment
    Action.AE_1: Effect("ask for a transport connection", Way(State.STA4)),
    Action.AE_2: Effect("send A-ASSOCIATE-RQ", Way(State.STA5)),
    Action.AE_3: Effect("indicate acceptance", Way(State.STA6)),
    Action.AE_4: Effect("indicate rejection, close", Way(State.STA1, closes=True, orderly=True)),
    Action.AE_5: Effect("take the transport connection, start ARTIM", Way(State.STA2, Artim.START)),
    Action.AE_6: Effect(
        "stop ARTIM; if the request is acceptable indicate it, otherwise send A-ASSOCIATE-RJ, start ARTIM",
        Way(State.STA3, Artim.STOP),
        otherwise=Way(State.STA13, Artim.START, orderly=True),
    ),
    Action.AE_7: Effect("send A-ASSOCIATE-AC", Way(State.STA6)),
    Action.AE_8: Effect("send A-ASSOCIATE-RJ, start ARTIM", Way(State.STA13, Artim.START, orderly=True)),
    # Table 9-7, data transfer
    Action.DT_1: Effect("send P-DATA-TF", Way(State.STA6)),
    Action.DT_2: Effect("indicate P-DATA", Way(State.STA6)),
    # Table 9-8, release
    Action.AR_1: Effect("send A-RELEASE-RQ", Way(State.STA7)),
    Action.AR_2: Effect("indicate release", Way(State.STA8)),
    Action.AR_3: Effect("confirm release, close", Way(State.STA1, closes=True, orderly=True)),
    Action.AR_4: Effect("send A-RELEASE-RP, start ARTIM", Way(State.STA13, Artim.START, orderly=True)),
    Action.AR_5: Effect("stop ARTIM", Way(State.STA1, Artim.STOP)),
    Action.AR_6: Effect("indicate P-DATA", Way(State.STA7)),
    Action.AR_7: Effect("send P-DATA-TF", Way(State.STA8)),
    Action.AR_8: Effect(
        "indicate release (collision): requestor, otherwise acceptor",
        Way(State.STA9),
        otherwise=Way(State.STA10),
    ),
    Action.AR_9: Effect("send A-RELEASE-RP", Way(State.STA11)),
    Action.AR_10: Effect("confirm release", Way(State.STA12)),
    # Table 9-9, abort
    Action.AA_1: Effect("send A-ABORT (service user), start ARTIM", Way(State.STA13, Artim.START)),
    Action.AA_2: Effect("stop ARTIM, close", Way(State.STA1, Artim.STOP, closes=True)),
    Action.AA_3: Effect("indicate abort, close", Way(State.STA1, closes=True)),
    Action.AA_4: Effect("indicate provider abort", Way(State.STA1)),
    Action.AA_5: Effect("stop ARTIM", Way(State.STA1, Artim.STOP)),
    Action.AA_6: Effect("ignore the PDU", Way(State.STA13)),
    Action.AA_7: Effect("send A-ABORT", Way(State.STA13)),
    Action.AA_8: Effect(
        "send A-ABORT (service provider), indicate it, start ARTIM", Way(State.STA13, Artim.START)
    ),
}

VIOLATIONS = frozenset({Action.AA_1, Action.AA_7, Action.AA_8})
"""The actions that answer a PDU out of place, whatever its body says."""


def _rows() -> dict[MachineEvent, dict[State, Action]]:
    """Table 9-10, row by row. An absent cell cannot happen, or is a bug of our own."""
    in_association = (State.STA6, State.STA7, State.STA8, State.STA9, State.STA10, State.STA11, State.STA12)
    refused = dict.fromkeys((State.STA3, State.STA5, *in_association), Action.AA_8)
    out_of_place = {State.STA2: Action.AA_1, **refused, State.STA13: Action.AA_6}
    return {
        MachineEvent.ASSOCIATE_REQUEST: {State.STA1: Action.AE_1},
        MachineEvent.TRANSPORT_CONFIRM: {State.STA4: Action.AE_2},
        MachineEvent.RECEIVED_ASSOCIATE_AC: {**out_of_place, State.STA5: Action.AE_3},
        MachineEvent.RECEIVED_ASSOCIATE_RJ: {**out_of_place, State.STA5: Action.AE_4},
        MachineEvent.TRANSPORT_INDICATION: {State.STA1: Action.AE_5},
        MachineEvent.RECEIVED_ASSOCIATE_RQ: {
            **out_of_place,
            State.STA2: Action.AE_6,
            State.STA13: Action.AA_7,
        },
        MachineEvent.ASSOCIATE_ACCEPT: {State.STA3: Action.AE_7},
        MachineEvent.ASSOCIATE_REJECT: {State.STA3: Action.AE_8},
        MachineEvent.P_DATA_REQUEST: {State.STA6: Action.DT_1, State.STA8: Action.AR_7},
        MachineEvent.RECEIVED_P_DATA: {**out_of_place, State.STA6: Action.DT_2, State.STA7: Action.AR_6},
        MachineEvent.RELEASE_REQUEST: {State.STA6: Action.AR_1},
        MachineEvent.RECEIVED_RELEASE_RQ: {**out_of_place, State.STA6: Action.AR_2, State.STA7: Action.AR_8},
        MachineEvent.RECEIVED_RELEASE_RP: {
            **out_of_place,
            State.STA7: Action.AR_3,
            State.STA10: Action.AR_10,
            State.STA11: Action.AR_3,
        },
        MachineEvent.RELEASE_RESPONSE: {
            State.STA8: Action.AR_4,
            State.STA9: Action.AR_9,
            State.STA12: Action.AR_4,
        },
        MachineEvent.ABORT_REQUEST: {
            State.STA3: Action.AA_1,
            State.STA4: Action.AA_2,
            State.STA5: Action.AA_1,
            **dict.fromkeys(in_association, Action.AA_1),
        },
        MachineEvent.RECEIVED_ABORT: {
            State.STA2: Action.AA_2,
            **dict.fromkeys(refused, Action.AA_3),
            State.STA13: Action.AA_2,
        },
        MachineEvent.TRANSPORT_CLOSED: {
            State.STA2: Action.AA_5,
            State.STA4: Action.AA_4,
            **dict.fromkeys(refused, Action.AA_4),
            State.STA13: Action.AR_5,
        },
        MachineEvent.ARTIM_EXPIRED: {State.STA2: Action.AA_2, State.STA13: Action.AA_2},
        MachineEvent.RECEIVED_INVALID_PDU: {**out_of_place, State.STA13: Action.AA_7},
    }


TABLE: dict[tuple[State, MachineEvent], tuple[Action, Way]] = {
    (state, event): (action, EFFECTS[action].way)
    for event, row in _rows().items()
    for state, action in row.items()
}
"""(state, event) -> (action, its first way). The way not taken by AE-6 and AR-8 is in ``EFFECTS``."""


def step(state: State, event: MachineEvent) -> tuple[Action, Way]:
    """One cell of Table 9-10.

    Raises:
        LocalProtocolError: the cell is empty: our side asked for what this state forbids.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise LocalProtocolError(f"{event.value} cannot happen in {state.value}") from None


def allows(state: State, event: MachineEvent) -> bool:
    """Whether it can happen: a peer may break off in the same breath as it asks for an answer."""
    return (state, event) in TABLE


def step_otherwise(state: State, event: MachineEvent) -> tuple[Action, Way]:
    """One cell of Table 9-10 whose action's condition does not hold.

    Raises:
        LocalProtocolError: the cell is empty, or its action has no condition.
    """
    action, _ = step(state, event)
    way = EFFECTS[action].otherwise
    if way is None:
        raise LocalProtocolError(f"{action.value} has no condition")
    return action, way
