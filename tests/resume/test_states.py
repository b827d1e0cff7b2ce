"""The tables of states: complete, and every state is reached."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest

from sockjs_bridge.client.resume import states as client_states
from sockjs_bridge.client.resume.states import ClientState
from sockjs_bridge.resume import states
from sockjs_bridge.resume.link_states import LINK_TRANSITIONS, LinkEvent, LinkState
from sockjs_bridge.resume.states import Event, State

TABLES: list[tuple[Mapping[tuple[Any, Any], Any], Enum, type[Enum], type[Enum]]] = [
    (states.TRANSITIONS, State.NEW, State, Event),
    (LINK_TRANSITIONS, LinkState.WAITING, LinkState, LinkEvent),
    (client_states.TRANSITIONS, ClientState.CONNECTING, ClientState, client_states.ClientEvent),
]
IDS = ["session", "link", "client"]


@pytest.mark.parametrize(("table", "first", "all_states", "events"), TABLES, ids=IDS)
def test_every_state_is_reached_and_every_event_means_something(
    table: Mapping[tuple[Any, Any], Any], first: Enum, all_states: type[Enum], events: type[Enum]
) -> None:
    reached = {first}
    while new := {after for (before, _), after in table.items() if before in reached} - reached:
        reached |= new
    assert reached == set(all_states)
    used = {event for _, event in table}
    assert used == set(events)


@pytest.mark.parametrize(("table", "first", "all_states", "events"), TABLES, ids=IDS)
def test_every_state_leads_to_the_end_and_that_to_nothing(
    table: Mapping[tuple[Any, Any], Any], first: Enum, all_states: type[Enum], events: type[Enum]
) -> None:
    last = [state for state in all_states if not any(before is state for before, _ in table)]
    assert len(last) == 1
    ending = set(last)
    while new := {before for (before, _), after in table.items() if after in ending} - ending:
        ending |= new
    assert ending == set(all_states)


@pytest.mark.interpreted
@pytest.mark.parametrize("module", [states, client_states])
def test_the_docstring_names_every_state(module: Any) -> None:
    names = State if module is states else ClientState
    assert module.__doc__ is not None
    for state in names:
        assert f"\n{state.name}" in module.__doc__
