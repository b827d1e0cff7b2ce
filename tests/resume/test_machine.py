"""Random lives of a session over a network that loses, doubles, delays, reorders, cuts and hangs.

The classes are the real ones, server and client; see `tests.resume.simulation`. In ``make check``
there are 100 lives, in ``make test`` 500, at night 10 000.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sockjs_bridge.client.resume.policy import Way
from tests.resume.simulation import MakeClient, Simulation, python_client

PICK = st.integers(0, 7)
WAYS = st.sampled_from(
    [tuple(Way), tuple(Way), (Way.WEBSOCKET,), (Way.POLL,), (Way.STREAM,), (Way.POLL, Way.STREAM)]
)
SIZES = st.sampled_from([1, 1, 1, 30, 200, 900])


class Life(RuleBasedStateMachine):
    """One client, one server at a time, and an adversary in between."""

    world: Simulation
    make_client: MakeClient = staticmethod(python_client)

    @initialize(ways=WAYS, seed=st.integers(0, 99), early=st.booleans())
    def begin(self, ways: tuple[Way, ...], seed: int, early: bool) -> None:
        self.world = Simulation(ways, seed, early=early, make_client=self.make_client)

    # The applications

    @rule(size=SIZES, count=st.integers(1, 5))
    def client_sends(self, size: int, count: int) -> None:
        for _ in range(count):
            self.world.client_sends(size)

    @rule(size=SIZES, count=st.integers(1, 5), broadcast=st.booleans())
    def server_sends(self, size: int, count: int, broadcast: bool) -> None:
        for _ in range(count):
            self.world.server_sends(size, broadcast=broadcast)

    @rule(size=SIZES, count=st.integers(1, 3), excluded=st.booleans())
    def room_hears(self, size: int, count: int, excluded: bool) -> None:
        for _ in range(count):
            self.world.room_hears(size, excluded=excluded)

    @rule(count=st.integers(1, 5))
    def server_handles(self, count: int) -> None:
        self.world.server_handles(count)

    # The network, when it works

    @rule(count=st.integers(1, 25), busy=st.booleans())
    def works_for_a_while(self, count: int, busy: bool) -> None:
        for _ in range(count):
            self.world._step(busy=busy)

    @precondition(lambda self: self.world.requests())
    @rule(pick=PICK, again=st.booleans())
    def deliver(self, pick: int, again: bool) -> None:
        requests = self.world.requests()
        self.world.deliver(requests[pick % len(requests)], again=again)

    @precondition(lambda self: self.world.unread())
    @rule(pick=PICK)
    def read(self, pick: int) -> None:
        unread = self.world.unread()
        self.world.read(unread[pick % len(unread)])

    @precondition(lambda self: self.world.upward())
    @rule(pick=PICK)
    def deliver_frame(self, pick: int) -> None:
        upward = self.world.upward()
        self.world.deliver_frame(upward[pick % len(upward)])

    @precondition(lambda self: self.world.posts)
    @rule(pick=PICK, again=st.booleans())
    def deliver_post(self, pick: int, again: bool) -> None:
        self.world.deliver_post(pick % len(self.world.posts), again=again)

    @precondition(lambda self: self.world.answers)
    @rule(pick=PICK, lose=st.booleans())
    def answer(self, pick: int, lose: bool) -> None:
        self.world.answer(pick % len(self.world.answers), lose=lose)

    # What it does to them

    @precondition(lambda self: self.world.requests())
    @rule(pick=PICK, noticed=st.booleans())
    def lose_request(self, pick: int, noticed: bool) -> None:
        requests = self.world.requests()
        self.world.lose_request(requests[pick % len(requests)], noticed=noticed)

    @precondition(lambda self: self.world.posts)
    @rule(pick=PICK)
    def lose_post(self, pick: int) -> None:
        self.world.lose_post(pick % len(self.world.posts))

    @rule(pick=PICK, clean=st.booleans(), noticed=st.booleans())
    def cut(self, pick: int, clean: bool, noticed: bool) -> None:
        live = [exchange for exchange in self.world.exchanges if not exchange.ended]
        if live:
            self.world.cut(live[pick % len(live)], clean=clean, noticed=noticed)

    @rule(pick=PICK)
    def half_open(self, pick: int) -> None:
        live = [exchange for exchange in self.world.exchanges if not exchange.ended]
        if live:
            self.world.half_open(live[pick % len(live)])

    @rule(pick=PICK, opened=st.booleans())
    def pause(self, pick: int, opened: bool) -> None:
        live = [exchange for exchange in self.world.exchanges if not exchange.ended]
        if live:
            self.world.pause(live[pick % len(live)], opened=opened)

    @rule(pick=PICK)
    def refuse(self, pick: int) -> None:
        live = [exchange for exchange in self.world.exchanges if not exchange.ended]
        if live:
            self.world.refuse(live[pick % len(live)])

    # The server

    @precondition(lambda self: not self.world.drained)
    @rule(really=st.integers(0, 5))
    def crash(self, really: int) -> None:
        if not really:
            self.world.crash()

    @precondition(lambda self: not self.world.drained)
    @rule(really=st.integers(0, 5))
    def drain(self, really: int) -> None:
        if not really:
            self.world.drain()

    @rule(really=st.integers(0, 9), server=st.booleans())
    def close(self, really: int, server: bool) -> None:
        if not really:
            if server:
                self.world.server_closes()
            else:
                self.world.client_closes()

    # Time

    @rule(seconds=st.sampled_from([0.05, 0.2, 0.9, 1.1, 2.6, 5.2, 11.0, 30.0]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @invariant()
    def nothing_is_lost_doubled_or_reordered(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            if self.world.drained:
                self.world.restart()
            self.world.heal()


@pytest.mark.timeout(1800)
def test_lives_of_a_session() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=5 * settings.default.max_examples,
            stateful_step_count=50,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
