"""What the tests of rooms with history hold: a server with such rooms, and clients of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from sockjs_bridge.cluster.engine import Bounds, Engine, Message
from sockjs_bridge.cluster.memory import MemoryEngine
from sockjs_bridge.cluster.rooms import HistoryRooms
from sockjs_bridge.core.contracts import Recipient
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.frames import Place
from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import WEBSOCKET
from sockjs_bridge.resume import frames
from sockjs_bridge.resume.manager import ResumeManager
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.transports import STREAM
from tests.resume.support import ALICE, KEY, Application
from tests.support import HandClock, Recorder, RecordingHandler

BOUNDS = Bounds(5, 60)


def added(engine: Any, room: str, text: str, *excluded: str, bounds: Bounds = BOUNDS) -> Place:
    """Add a message, and return its place."""
    found: list[Message] = []
    engine.add(room, text, frozenset(excluded), bounds, found.append)
    (message,) = found
    assert message.text == text
    return message.place


def since(
    engine: Any, room: str, position: str | None, bounds: Bounds = BOUNDS
) -> tuple[Place, list[str] | None]:
    """Return the place of the last message, and the texts since a position."""
    found: list[tuple[Place, list[Message] | None]] = []
    engine.since(room, position, bounds, lambda *answer: found.append(answer))
    ((place, messages),) = found
    return place, None if messages is None else [message.text for message in messages]


def position(place: Place) -> str:
    return f"{place.epoch}-{place.number}"


class Client:
    """A client of ``~r1``: what it has read, and what it knows of rooms.

    Attributes:
        session: its session.
        stream: what it receives over.
        positions: by the rooms' keys, as its lines have told.
    """

    def __init__(self, server: RoomServer, name: str | None = None) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self.name = name
        self.application = Application()
        self.session = server.resumable.create(("/echo", f"{next(server.names):022d}"))
        self.session.credentials = Credentials(ALICE)
        self.session.credentials.settle("alice")
        self.positions: dict[str, str] = {}
        self._read = 0
        self.stream = Recorder(STREAM)

    def accept(self) -> None:
        self.application.session = self.session
        self.session.accept(self.application)

    def hello(self, rooms: dict[str, str] | None) -> None:
        """Open a stream; None for a client that does not understand places."""
        fields: dict[str, Any] = {"key": KEY, "request": next(self._numbers), "received": 0}
        if rooms is not None:
            fields["rooms"] = rooms
        if self.name is not None:
            fields["client"] = self.name
        request = frames.parse_receive(json.dumps({**fields, "new": True}).encode(), stream=True)
        self.session.attach(request, self.stream, {})
        self._server.clock.settle()

    def read(self) -> list[str]:
        """Return what has come since it was looked at last, but for what every stream has."""
        self._server.clock.settle()
        return self.arrived()

    def arrived(self) -> list[str]:
        """Return what has arrived so far, like `read`."""
        new = self.stream.frames[self._read :]
        self._read = len(self.stream.frames)
        for line in new:
            if line[0] == "p":
                room, place, texts = json.loads(line[1:])
                epoch, _, number = place.rpartition("-")
                self.positions[room] = f"{epoch}-{int(number) + max(0, len(texts) - 1)}"
        return [line for line in new if not line.startswith(('r{"from"', 'r{"at"', "h"))]

    @property
    def texts(self) -> list[str]:
        """The messages among them."""
        return [
            text
            for line in self.read()
            for text in (json.loads(line[1:])[2] if line[0] == "p" else json.loads(line[1:]))
            if line[0] in "ap"
        ]


class ThreadClock(HandClock):
    """A clock that tests stand beside as if they were in another thread, or on the loop.

    Attributes:
        on_loop: calls from threads run at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_loop = True

    def call_from_thread(self, callback: Callable[..., object], *arguments: Any) -> None:
        if self.on_loop:
            callback(*arguments)
        else:
            super().call_from_thread(callback, *arguments)


class RoomServer:
    """Serves two endpoints without sockets; rooms that begin with ``room`` have a history."""

    def __init__(
        self,
        clock: HandClock | None = None,
        bounds: Bounds = BOUNDS,
        make_engine: Callable[[Callable[[], float]], Engine] = MemoryEngine,
        **settings: Any,
    ) -> None:
        self.clock = ThreadClock() if clock is None else clock
        self.history = self.make_history(make_engine)
        self.history.declare("room*", bounds)
        self.rooms: Rooms[Recipient] = Rooms()
        self.hub = Hub(self.clock, Capacity(1000), self.rooms, history=self.history)
        self.resumable = ResumeManager(Settings().override(settings), self.hub)
        self.stock = Manager(Settings(), self.hub)
        self.names = itertools.count()

    def make_history(self, make_engine: Callable[[Callable[[], float]], Engine]) -> Any:
        return HistoryRooms(make_engine)

    def client(
        self, rooms: dict[str, str] | None = None, *, name: str | None = None, join: str = ""
    ) -> Client:
        """Open a session; it joins a room when it opens."""
        client = Client(self, name)
        client.hello({} if rooms is None else rooms)
        self.joined: Joined | None = None
        if join:

            def on_open() -> None:
                self.joined = client.session.join(join)

            client.application.on_open = on_open
        client.accept()
        # It has proved that it got the welcome: from then on it shares frames.
        client.session.heard()
        return client

    def stranger(self, join: str = "") -> Recorder:
        """Open a stock session in a room."""
        session = self.stock.create("", WEBSOCKET)
        recorder = Recorder(WEBSOCKET)
        session.accept(RecordingHandler())
        session.attach(recorder)
        if join:
            session.join(join)
        self.clock.settle()
        return recorder

    def broadcast(self, text: str, room: str = "room", *exclude: ResumableSession) -> int:
        return self.history.broadcast(room, text, set(exclude))
