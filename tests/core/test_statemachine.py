"""What has a state moves on by its table alone."""

from __future__ import annotations

from typing import Any

import pytest

from sockjs_bridge.client.resume.states import TRANSITIONS as OF_CLIENTS
from sockjs_bridge.client.resume.states import ClientEvent, ClientLife, ClientState
from sockjs_bridge.cluster.leasestates import LEASE_TRANSITIONS, LeaseEvent, LeaseLife, LeaseState
from sockjs_bridge.core.statemachine import StateMachine
from sockjs_bridge.core.states import TRANSITIONS as OF_SESSIONS
from sockjs_bridge.core.states import Event, State, States
from sockjs_bridge.resume import link_states, states
from sockjs_bridge.resume.link_states import LINK_TRANSITIONS, LinkLife

MACHINES: list[tuple[type[StateMachine[Any, Any]], Any, Any, Any, Any]] = [
    (States, State.NEW, OF_SESSIONS, State, Event),
    (states.Life, states.State.NEW, states.TRANSITIONS, states.State, states.Event),
    (
        *(LinkLife, link_states.LinkState.WAITING, LINK_TRANSITIONS),
        *(link_states.LinkState, link_states.LinkEvent),
    ),
    (LeaseLife, LeaseState.NEW, LEASE_TRANSITIONS, LeaseState, LeaseEvent),
    (ClientLife, ClientState.CONNECTING, OF_CLIENTS, ClientState, ClientEvent),
]


@pytest.mark.parametrize(
    ("kind", "initial", "table", "all_states", "events"),
    MACHINES,
    ids=[machine[0].__qualname__ for machine in MACHINES],
)
def test_what_is_in_the_table_moves_and_all_else_is_passed_over(
    kind: type[StateMachine[Any, Any]], initial: Any, table: Any, all_states: Any, events: Any
) -> None:
    assert kind().state is initial
    for before in all_states:
        for event in events:
            machine = kind()
            machine.state = before
            moved = machine._enter(event)
            assert moved is (before if (before, event) in table else None)
            assert machine.state is table.get((before, event), before)
