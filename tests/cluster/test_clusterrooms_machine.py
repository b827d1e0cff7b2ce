"""Random talk in rooms of a cluster whose connections break, and whose store forgets.

What must hold at any time: what each client has heard of a room is a piece of the room's messages
without holes, or it was told of a gap; nobody hears what it is excluded from. At the end, when
everything is connected again, everybody in a room has its last message.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sockjs_bridge.cluster import hub
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.store import Entry, Position
from tests.cluster.clusterserver import Cluster, ClusterServer
from tests.cluster.histories import Log, SharedHistory, check_order
from tests.cluster.support import Client
from tests.support import Recorder

ROOMS = ["room 1", "room 2", "plain"]
ROOM = st.sampled_from(ROOMS)
SERVER = st.integers(0, 2)
SOME = st.integers(0, 1000)


class Person:
    """A client of ``~r1``, over all its sessions."""

    def __init__(self, name: str, history: SharedHistory) -> None:
        self.name = name
        self.history = history
        self.log = Log(history)
        self.forbidden: set[str] = set()
        self.rooms: set[str] = set()
        self.server: ClusterServer | None = None
        self.client: Client | None = None

    def come(self, server: ClusterServer) -> None:
        self.server = server
        self.log = Log(self.history, self.log.positions)
        self.log.forbidden = self.forbidden
        self.client = server.client(self.log.positions, name=self.name)

    def go(self) -> None:
        if self.client is not None:
            self.read()
            self.client.session.finish()
        self.server = self.client = None
        self.rooms.clear()

    def join(self, room: str) -> None:
        if self.client is not None:
            assert self.client.session.join(room)
            self.rooms.add(room)

    def leave(self, room: str, key: str) -> None:
        if self.client is not None and room in self.rooms:
            self.read()
            self.client.session.leave(room)
            self.rooms.discard(room)
            self.read()
            self.log.left(key)

    def read(self) -> None:
        if self.client is None:
            return
        self.log.lines(self.client.read())


class Talk(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(3, Bounds(4, 600))
        self.history = SharedHistory()
        self.published: dict[str, list[str]] = defaultdict(list)
        self.count = 0
        publish = self.cluster.broker.publish
        self.cluster.broker.publish = partial(self.note, publish)  # type: ignore[method-assign]
        self.people = [Person(f"{name:022d}", self.history) for name in range(4)]
        self.strangers: list[tuple[str, Recorder]] = []
        for server, person in zip((0, 0, 1, 2), self.people, strict=True):
            person.come(self.cluster.servers[server])
            person.join("room 1")
        self.cluster.clock.settle()

    def note(
        self, publish: Any, room: str, entry: Entry, bounds: Bounds | None, now: float
    ) -> Position | None:
        """Note what the store has published, in its order."""
        position: Position | None = publish(room, entry, bounds, now)
        self.published[room].append(entry.text)
        if position is not None:
            place = self.cluster.servers[0].history._places.place(room, position)
            self.history.note(place.room, place.epoch, place.number, entry.text)
        return position

    def key(self, room: str) -> str:
        return self.cluster.servers[0].history._places.key(room)

    @rule(server=SERVER, room=ROOM, who=SOME, exclude=st.booleans())
    def publish(self, server: int, room: str, who: int, exclude: bool) -> None:
        self.count += 1
        text = str(self.count)
        excluded = []
        person = self.people[who % len(self.people)]
        if exclude and person.client is not None and person.server is self.cluster.servers[server]:
            excluded = [person.client.session]
            person.forbidden.add(text)
        self.cluster.servers[server].broadcast(text, room, *excluded)

    @rule(server=SERVER, who=SOME, rooms=st.sets(ROOM))
    def come(self, server: int, who: int, rooms: set[str]) -> None:
        person = self.people[who % len(self.people)]
        person.go()
        person.come(self.cluster.servers[server])
        for room in sorted(rooms):
            person.join(room)

    @rule(who=SOME, room=ROOM)
    def join(self, who: int, room: str) -> None:
        self.people[who % len(self.people)].join(room)

    @rule(who=SOME, room=ROOM)
    def leave(self, who: int, room: str) -> None:
        self.people[who % len(self.people)].leave(room, self.key(room))

    @rule(server=SERVER, room=ROOM)
    def stranger_comes(self, server: int, room: str) -> None:
        if len(self.strangers) < 5:
            self.strangers.append((room, self.cluster.servers[server].stranger(room)))

    @rule(server=SERVER, room=ROOM, count=st.integers(0, 6), reconnect=st.booleans())
    def cut(self, server: int, room: str, count: int, reconnect: bool) -> None:
        """While others go on."""
        self.cluster.servers[server].store.fail()
        for _ in range(count):
            self.publish((server + 1) % 3, room, 0, exclude=False)
        if reconnect:
            self.cluster.servers[server].store.recover()

    @rule(server=SERVER)
    def reconnect(self, server: int) -> None:
        self.cluster.servers[server].store.recover()

    @rule(server=SERVER, who=SOME, room=ROOM)
    def miss(self, server: int, who: int, room: str) -> None:
        """A client's session is lost, and something is said before it is in its room again."""
        person = self.people[who % len(self.people)]
        person.go()
        self.publish((server + 1) % 3, room, 0, exclude=False)
        person.come(self.cluster.servers[server])
        person.join(room)

    @rule(server=SERVER, room=ROOM)
    def lose_one(self, server: int, room: str) -> None:
        """A message is lost on its way to one process, whose connections stand."""
        store = self.cluster.servers[server].store
        store.hear = lambda *message: None  # type: ignore[method-assign]
        self.publish((server + 1) % 3, room, 0, exclude=False)
        del store.hear

    @rule(tail=st.none() | st.integers(1, 3), sure=st.integers(0, 3))
    def forget(self, tail: int | None, sure: int) -> None:
        if sure == 3:
            self.cluster.broker.forget(tail)

    @rule(server=SERVER, delay=st.sampled_from([0.0, 0.1, 1.5]))
    def be_slow(self, server: int, delay: float) -> None:
        self.cluster.servers[server].store.delay = delay

    @rule(seconds=st.sampled_from([0.05, 0.1, 1.0, 2.0]))
    def wait(self, seconds: float) -> None:
        self.cluster.clock.advance(seconds)

    @rule()
    def tick(self) -> None:
        self.cluster.clock.tick()

    @invariant()
    def everybody_hears_one_history(self) -> None:
        for person in self.people:
            if person.client is not None:
                # What is on its way stays there.
                person.log.lines(person.client.arrived())
        for room, recorder in self.strangers:
            recorder.heard = self.cluster.clock.now
            check_order(recorder.messages, self.published[room])

    def teardown(self) -> None:
        for server in self.cluster.servers:
            server.store.delay = 0.0
            server.store.recover()
        for _ in range(8):
            self.cluster.clock.advance(hub.LOOK / 4)
            self.everybody_hears_one_history()
        self.cluster.servers[0].broadcast("last", "plain")
        self.cluster.clock.settle()
        tops = {room: stream.top for room, stream in self.cluster.broker.streams.items()}
        for person in self.people:
            person.read()
            for room in person.rooms:
                if room == "plain":
                    assert person.log.texts[""][-1] == "last"
                else:
                    position = person.log.positions[self.key(room)]
                    top = tops[room]
                    assert position.partition(".")[2] == f"{top.epoch}-{top.number}"
        for room, recorder in self.strangers:
            assert room != "plain" or recorder.messages[-1] == "last"
        self.everybody_hears_one_history()
        for server in self.cluster.servers:
            assert server.history._entrants == {}


def test_talk_in_a_cluster() -> None:
    run_state_machine_as_test(
        Talk,
        settings=settings(
            max_examples=60,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
