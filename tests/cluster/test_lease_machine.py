"""Whatever stands still, breaks and comes back: nobody serves whom others have declared dead."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.cluster.nodes import LEASE, Cluster, Process

NAMES = ("node1", "node2", "node3")
names = st.sampled_from(NAMES)


class LeaseMachine(RuleBasedStateMachine):
    """Three processes that reach each other past the store, as far as they run."""

    @initialize()
    def start(self) -> None:
        self.cluster = Cluster()
        for name in NAMES:
            asyncio.run(self.cluster.start(name))
        self.cluster.settle()

    def process(self, name: str) -> Process:
        return self.cluster.processes[name]

    def advance(self, seconds: float) -> None:
        """Let time pass, and look in each moment."""
        while seconds > 0:
            self.cluster.clock.advance(min(seconds, LEASE / 20))
            seconds -= LEASE / 20
            self.nobody_serves_who_is_dead()

    @rule(leases=st.sampled_from([0.1, 0.3, 0.7, 1.0, 1.3, 2.5, 5.0]))
    def time_passes(self, leases: float) -> None:
        self.advance(leases * LEASE)

    @rule(name=names)
    def stands_still(self, name: str) -> None:
        self.process(name).clock.stopped = True

    @rule(name=names, served=st.booleans())
    def goes_on(self, name: str, served: bool) -> None:
        process = self.process(name)
        if process.clock.stopped:
            if not served:
                process.clock.go_on()
            # Else the network was quicker than any timer.
            self.nobody_serves_who_is_dead(process)
            process.clock.go_on()

    @rule(name=names)
    def is_cut_off(self, name: str) -> None:
        self.process(name).store.fail()

    @rule(name=names)
    def reaches_it_again(self, name: str) -> None:
        self.process(name).store.recover()

    @rule(name=names, delay=st.sampled_from([0.0, 0.2, 2.0]))
    def the_way_is_long(self, name: str, delay: float) -> None:
        self.process(name).store.delay = delay

    @rule()
    def the_store_goes(self) -> None:
        self.cluster.broker.fail()

    @rule(empty=st.booleans())
    def the_store_comes(self, empty: bool) -> None:
        if empty:
            self.cluster.broker.forget()
        self.cluster.broker.recover()

    @invariant()
    def nobody_serves_who_is_dead(self, process: Process | None = None) -> None:
        processes = self.cluster.processes.values() if process is None else [process]
        for each in processes:
            if process is not None or not each.clock.stopped:
                dead = each.name in self.cluster.broker.declared_dead
                assert not (dead and each.serves), (each.name, each.events)

    def teardown(self) -> None:
        """Let all be well again: all serve, and know each other."""
        if not hasattr(self, "cluster"):
            return
        for process in self.cluster.processes.values():
            process.store.delay = 0.0
            if process.clock.stopped:
                process.clock.go_on()
        self.cluster.broker.recover()
        for process in self.cluster.processes.values():
            process.store.recover()
        self.advance(5 * LEASE)
        for process in self.cluster.processes.values():
            assert process.serves
            assert process.nodes.lease.held
            assert process.nodes.others.keys() == {*NAMES} - {process.name}


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(stateful_step_count=40)
