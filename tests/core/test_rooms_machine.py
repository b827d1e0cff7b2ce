"""Random comings and goings in rooms, watched by a model; then the same from many threads at once.

What must hold at any time: a session is a member of a room exactly if the room is one of its own;
no room is empty; nothing of a session that is over is left; a broadcast reaches the members, once
each, and nobody else, in its place among what is sent to each of them alone.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.flusher import Flusher
from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import State
from sockjs_bridge.server.loop import LoopClock
from tests.support import BY_NAME, HandClock, Recorder, RecordingHandler

ROOMS = ["lobby", "kitchen", "attic"]
LIMITS = {"max_queue_size": 2000, "response_limit": 300}


class Client:
    """A session with its client, which asks for more as long as it is there.

    Attributes:
        expected: what was broadcast and sent to it.
        heard: what it has read.
        joined: the rooms it is in, by the model.
    """

    def __init__(self, manager: Manager, name: str, transport: str) -> None:
        self.session: Session = manager.create(name, BY_NAME[transport])
        self.handler = RecordingHandler()
        self.receiver: Recorder | None = None
        self.expected: list[str] = []
        self.heard: list[str] = []
        self.joined: set[str] = set()
        self.last: set[str] = set()

    @property
    def is_open(self) -> bool:
        return self.session.state is State.OPEN

    @property
    def over(self) -> bool:
        return self.session.over

    def connect(self) -> None:
        """Ask for more."""
        self.receiver = Recorder(self.session.transport)
        self.session.attach(self.receiver)

    def take(self) -> bool:
        """Take what a response has brought that is complete, and ask again."""
        receiver = self.receiver
        if receiver is None:
            return False
        self.heard += receiver.messages
        receiver.written.clear()
        if not receiver.ended:
            return False
        self.receiver = None
        self.session.detach(receiver, lost=False)
        if not self.over:
            self.connect()
        return True

    def lose(self) -> None:
        """Have the connection break."""
        receiver, self.receiver = self.receiver, None
        assert receiver is not None
        receiver.aborted = True
        self.session.detach(receiver, lost=True)


class RoomLife(RuleBasedStateMachine):
    """Two endpoints' sessions in the rooms of one application."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.rooms: Rooms[Recipient] = Rooms()
        limits = Settings().override(LIMITS)
        hub = Hub(self.clock, Capacity(1000), self.rooms)
        self.to_many = hub.broadcasts
        self.managers = [Manager(limits, hub) for _ in range(2)]
        self.all: list[Client] = []
        # By room, in the order of joining.
        self.model: dict[str, list[Client]] = defaultdict(list)
        self.messages = 0

    # Sessions come

    @rule(
        target=clients,
        endpoint=st.integers(0, 1),
        transport=st.sampled_from(["websocket", "raw-websocket", "xhr-polling", "xhr-streaming"]),
        accept=st.booleans(),
    )
    def begin(self, endpoint: int, transport: str, accept: bool) -> Client:
        client = Client(self.managers[endpoint], f"s{len(self.all)}", transport)
        self.all.append(client)
        if accept:
            self.accept(client)
        return client

    @rule(target=clients, client=clients)
    def accept(self, client: Client):
        if client.session.accept(client.handler):
            client.connect()
            self.settle()
        return multiple()

    # They join and leave

    @rule(client=clients, room=st.sampled_from(ROOMS))
    def enter(self, client: Client, room: str) -> None:
        self.join(client, room)

    def join(self, client: Client, room: str) -> None:
        assert self.rooms.join(client.session, room) is not client.over
        if not client.over and client not in self.model[room]:
            self.model[room].append(client)
            client.joined.add(room)

    @rule(room=st.sampled_from(ROOMS))
    def gather(self, room: str) -> None:
        """Everybody comes, whether he is there or not."""
        for client in reversed(self.all):
            self.join(client, room)

    @rule(client=clients, room=st.sampled_from(ROOMS))
    def leave(self, client: Client, room: str) -> None:
        assert self.rooms.leave(client.session, room) is (room in client.joined)
        if room in client.joined:
            client.joined.discard(room)
            self.model[room].remove(client)

    # They end

    def ended(self) -> None:
        """Bring the model up to date with sessions that are over."""
        self.settle()
        for client in self.all:
            if client.over and client.joined:
                client.last = client.joined
                client.joined = set()
                for room in client.last:
                    self.model[room].remove(client)

    @rule(client=clients, how=st.sampled_from(["close", "revoke", "fail", "refuse", "abandon"]))
    def end(self, client: Client, how: str) -> None:
        arguments = () if how in ("fail", "abandon") else (4001, "over")
        if how == "abandon" and client.session.state is not State.NEW:
            return
        getattr(client.session, how)(*arguments)
        assert client.over or (how == "refuse" and client.is_open)
        self.ended()

    @rule(client=clients)
    def lose(self, client: Client) -> None:
        """The connection breaks."""
        if client.receiver is not None:
            client.lose()
            assert client.over
            self.ended()

    @rule(client=clients)
    def overflow(self, client: Client) -> None:
        """A client that does not read is sent too much."""
        if client.is_open and client.receiver is not None:
            client.receiver.open = False
            assert not client.session.send("x" * 3000)
            assert client.session.close_code == 4008
            self.ended()

    @rule(client=clients)
    def go_away(self, client: Client) -> None:
        """A client does not poll again; its session expires when time goes on."""
        if client.receiver is not None and not client.session.transport.websocket:
            receiver, client.receiver = client.receiver, None
            if not receiver.ended:
                receiver.end()
            client.session.detach(receiver, lost=False)
            client.heard += receiver.messages
            self.ended()

    @rule(client=clients)
    def come_back(self, client: Client) -> None:
        if client.is_open and client.receiver is None:
            client.connect()
            self.settle()

    @rule(seconds=st.sampled_from([1.0, 4.0, 5.1]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for client in self.all:
            if client.receiver is not None:
                client.receiver.heard = self.clock.now
        self.ended()

    # Broadcast

    @rule(
        room=st.none() | st.sampled_from([*ROOMS, "nowhere"]),
        exclude=st.lists(clients, max_size=3),
        again=st.booleans(),
        chance=st.booleans(),
    )
    def broadcast(self, room: str | None, exclude: list[Client], again: bool, chance: bool) -> None:
        """As `SockJS.broadcast` does it; sometimes with others in the same tick."""
        left_out = {client.session for client in exclude}
        if room is None:
            found = [session for manager in self.managers for session in manager.open_sessions]
            expected = [client for client in self.all if client.is_open]
        else:
            found = self.rooms.members(room)
            expected = self.model[room]
        self.to_many.send([session for session in found if session not in left_out], self.message())
        for client in expected:
            if client.session not in left_out:
                client.expected.append(self.latest)
        if not again:
            # What is queued for who does not poll may be too much for him.
            self.ended()

    @rule(client=clients)
    def send(self, client: Client) -> None:
        """Something for one of them."""
        if client.session.send(self.message()):
            client.expected.append(self.latest)

    @rule()
    def tick(self) -> None:
        """Some of a crowd get theirs, others do not yet."""
        self.clock.tick()

    def message(self) -> str:
        self.messages += 1
        self.latest = f"{self.messages}:" + "x" * 40
        return self.latest

    def settle(self) -> None:
        """Let everybody read what there is."""
        busy = True
        while busy:
            self.clock.settle()
            busy = sum(client.take() for client in self.all) > 0

    # What holds at any time

    @invariant()
    def rooms_and_members_agree(self) -> None:
        for room in ROOMS:
            assert self.rooms.members(room) == [client.session for client in self.model[room]]
        for client in self.all:
            assert self.rooms.of(client.session) == client.joined
            if client.over:
                assert client.joined == set()
                assert client.session.last_rooms == client.last

    @invariant()
    def no_room_is_empty(self) -> None:
        assert sorted(self.rooms.names()) == sorted(room for room in ROOMS if self.model[room])

    @invariant()
    def nothing_is_kept_of_who_is_over(self) -> None:
        check(self.rooms, {client.session for client in self.all if client.over})

    @invariant()
    def broadcasts_arrive(self) -> None:
        for client in self.all:
            told = client.heard + (client.receiver.messages if client.receiver else [])
            assert told == client.expected[: len(told)]
            asks = client.receiver is not None and not client.receiver.ended
            if client.is_open and asks and not self.clock.soon:
                assert told == client.expected

    def teardown(self) -> None:
        for manager in self.managers:
            list(manager.close())
            manager.finish()
            assert len(manager) == 0
        assert self.rooms.names() == []
        check(self.rooms, {client.session for client in self.all})


def check(rooms: Rooms, over: set[Session]) -> None:
    """Look at both sides of the book at one moment."""
    with rooms._lock:
        members = {(room, session) for room, them in rooms._members.items() for session in them}
        own = {(room, session) for session, names in rooms._rooms.items() for room in names}
        assert members == own
        assert all(rooms._members.values()), "a room without members"
        assert all(rooms._rooms.values()), "a session that is kept without a room"
        assert not over & set(rooms._rooms)


def test_random_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    for writer in (Broadcasts, Flusher, Manager):
        # Sessions are few here.
        monkeypatch.setattr(writer, "BATCH", 2)
    run_state_machine_as_test(
        RoomLife,
        settings=settings(
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )


# Many threads at once

THREADS = 6
STEPS = 1500
SESSIONS = 40


class Crowd:
    """Sessions on a real loop, and threads that do with them what they like.

    Each thread has rooms of its own, so that it knows at any time who is in them unless he has
    ended; and all of them fight for the lobby.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.hub = Hub(clock, Capacity(SESSIONS))
        self.manager = Manager(Settings(), self.hub)
        self.rooms = self.manager.rooms
        self.receivers: dict[Session, Recorder] = {}
        # In the order in which the application was told.
        self.over: list[Session] = []
        self.failures: list[BaseException] = []
        self.looks = 0
        self.finished = threading.Event()
        for number in range(SESSIONS):
            session = self.manager.create(f"s{number}", BY_NAME["websocket"])
            handler = RecordingHandler()
            handler.on_closed = partial(self.over.append, session)
            session.accept(handler)
            self.receivers[session] = Recorder(BY_NAME["websocket"])
            session.attach(self.receivers[session])
        self.members: list[dict[str, dict[Session, None]]] = [{} for _ in range(THREADS)]
        self.sent: list[dict[Session, list[str]]] = [defaultdict(list) for _ in range(THREADS)]

    async def live(self) -> int:
        """Run all threads to their end, and return how often they were looked at."""
        threads = [threading.Thread(target=self.run, args=(number,)) for number in range(THREADS)]
        watching = threading.Thread(target=self.watch)
        for thread in (watching, *threads):
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        self.finished.set()
        await asyncio.to_thread(watching.join)
        # What they have handed to the loop is done by then, and what it scheduled too.
        done = asyncio.Event()
        await asyncio.to_thread(self.clock.call_from_thread, done.set)
        await done.wait()
        while self.hub.broadcasts.fan_out or any(session.dirty for session in self.receivers):
            await asyncio.sleep(0)
        return self.looks

    def run(self, number: int) -> None:
        """Do what one thread does."""
        try:
            chance = random.Random(number)
            sessions = list(self.receivers)
            for step in range(STEPS):
                self.step(number, step, chance, chance.choice(sessions))
        except BaseException as error:
            self.failures.append(error)

    def step(self, number: int, step: int, chance: random.Random, session: Session) -> None:
        room = f"{number}-{chance.randrange(3)}"
        members = self.members[number].setdefault(room, {})
        match chance.choices(["join", "leave", "broadcast", "lobby", "end"], [8, 4, 6, 8, 0.4])[0]:
            case "join":
                if self.rooms.join(session, room):
                    members[session] = None
                    assert session in self.rooms.members(room) or session.over
                    assert room in self.rooms.of(session) or session.over
                else:
                    # It is taken out in the next moment.
                    assert session.over
            case "leave":
                was_in = session in members
                assert self.rooms.leave(session, room) is was_in or session.over
                members.pop(session, None)
                assert session not in self.rooms.members(room)
                assert room not in self.rooms.of(session)
            case "broadcast":
                found = self.rooms.members(room)
                # In the order of joining; who ended meanwhile is missing.
                assert found == [one for one in members if one in set(found)]
                assert all(one.over for one in set(members) - set(found))
                text = f"{number}:{step}"
                send = self.manager.broadcasts.send
                self.clock.call_from_thread(partial(send, found, text))
                for one in found:
                    self.sent[number][one].append(text)
            case "lobby":
                (self.rooms.join if chance.random() < 0.5 else self.rooms.leave)(session, "lobby")
            case "end":
                end = chance.choice([self.lose, partial(session.close, 4001, "over"), session.fail])
                self.clock.call_from_thread(partial(end, session) if end == self.lose else end)

    def lose(self, session: Session) -> None:
        receiver = self.receivers[session]
        receiver.aborted = True
        session.detach(receiver, lost=True)

    def watch(self) -> None:
        """Look at the book until the threads have finished."""
        try:
            while not self.finished.is_set():
                check(self.rooms, set(self.over))
                self.looks += 1
        except BaseException as error:
            self.failures.append(error)


@pytest.fixture
def nervous() -> Iterator[None]:
    """Threads that interrupt each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


async def test_many_threads(nervous: None) -> None:
    """The same holds while threads do all of it at once, and when they are done."""
    crowd = Crowd(LoopClock(asyncio.get_running_loop()))
    looks = await crowd.live()
    if crowd.failures:
        raise crowd.failures[0]
    assert looks > 10

    living = [session for session in crowd.receivers if not session.over]
    assert 0 < len(living) < SESSIONS
    assert sorted(session.id for session in crowd.over) == sorted(
        session.id for session in crowd.receivers if session.over
    )
    check(crowd.rooms, set(crowd.over))
    for number, rooms in enumerate(crowd.members):
        for room, members in rooms.items():
            assert crowd.rooms.members(room) == [one for one in members if one in living]
        for session, receiver in crowd.receivers.items():
            mine = [text for text in receiver.messages if text.startswith(f"{number}:")]
            sent = crowd.sent[number][session]
            # Each one's messages come in their order; who is alive has them all.
            assert mine == (sent if session in living else sent[: len(mine)])
    assert sum(len(receiver.messages) for receiver in crowd.receivers.values()) > 1000
