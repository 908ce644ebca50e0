from __future__ import annotations

import pytest
from pynetdicom.fsm import TRANSITION_TABLE

from leadglass.model.errors import LocalProtocolError
from leadglass.protocol.table import (
    EFFECTS,
    STATE_MEANINGS,
    TABLE,
    VIOLATIONS,
    Action,
    Artim,
    MachineEvent,
    State,
    allows,
    step,
    step_otherwise,
)

# PS3.8 Tables 9-6 to 9-9, the "next state is" of each action, typed in apart from the code.
NEXT_STATES = dict(
    line.split(maxsplit=1)
    for line in """\
AE-1 4
AE-2 5
AE-3 6
AE-4 1
AE-5 2
AE-6 3 13
AE-7 6
AE-8 13
DT-1 6
DT-2 6
AR-1 7
AR-2 8
AR-3 1
AR-4 13
AR-5 1
AR-6 7
AR-7 8
AR-8 9 10
AR-9 11
AR-10 12
AA-1 13
AA-2 1
AA-3 1
AA-4 1
AA-5 1
AA-6 13
AA-7 13
AA-8 13
""".splitlines()
)


def test_every_cell_is_that_of_table_9_10() -> None:
    ours = {(event.value, state.value): action.value for (state, event), (action, _) in TABLE.items()}
    assert ours == TRANSITION_TABLE


def test_every_action_leads_where_tables_9_6_to_9_9_say() -> None:
    ours = {}
    for action, effect in EFFECTS.items():
        ways = [effect.way] if effect.otherwise is None else [effect.way, effect.otherwise]
        ours[action.value] = " ".join(way.next_state.value.removeprefix("Sta") for way in ways)
    assert ours == NEXT_STATES


def test_all_states_events_and_actions_are_there() -> None:
    assert len(State) == 13
    assert len(MachineEvent) == 19
    assert set(EFFECTS) == set(Action)
    assert {action for action, _ in TABLE.values()} == set(Action)
    assert set(STATE_MEANINGS) == set(State)


def test_only_actions_that_close_the_transport_say_so() -> None:
    closing = {action.value for action, effect in EFFECTS.items() if effect.way.closes}
    assert closing == {"AE-4", "AR-3", "AA-2", "AA-3"}


def test_every_way_into_sta13_that_begins_a_wait_starts_artim() -> None:
    starting = {action.value for action, effect in EFFECTS.items() if effect.way.artim is Artim.START}
    assert starting == {"AE-5", "AE-8", "AR-4", "AA-1", "AA-8"}


def test_violations_are_the_actions_that_send_an_abort() -> None:
    sending = {action for action, effect in EFFECTS.items() if "send A-ABORT" in effect.meaning}
    assert sending == VIOLATIONS


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", MachineEvent)
def test_an_empty_cell_is_our_own_fault(state: State, event: MachineEvent) -> None:
    assert allows(state, event) is ((state, event) in TABLE)
    if allows(state, event):
        assert step(state, event) == TABLE[state, event]
    else:
        with pytest.raises(LocalProtocolError, match="cannot happen"):
            step(state, event)


def test_only_conditional_actions_have_another_way() -> None:
    _, way = step_otherwise(State.STA2, MachineEvent.RECEIVED_ASSOCIATE_RQ)
    assert way.next_state is State.STA13
    with pytest.raises(LocalProtocolError, match="no condition"):
        step_otherwise(State.STA6, MachineEvent.RECEIVED_P_DATA)
