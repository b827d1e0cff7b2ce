"""A client and a server of ``~r1``, both real, with a network in between that may do anything.

Nothing moves by itself: each method is one step of the network, of time, or of an application.
What must hold in whatever order the steps come is asserted in `Simulation.check`.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from typing import Any, Protocol

from sockjs_bridge.client.resume.core import ResumableClient
from sockjs_bridge.client.resume.links import Link, Listener, Post
from sockjs_bridge.client.resume.policy import Policy, Way
from sockjs_bridge.client.resume.states import ClientState
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.rooms import HistoryRooms
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.frames import Batch
from sockjs_bridge.core.hub import Capacity, Hub, TooManySessions
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.resume import frames, lines
from sockjs_bridge.resume.arrivals import Upload
from sockjs_bridge.resume.link import Link as ServerLink
from sockjs_bridge.resume.manager import ResumeManager
from sockjs_bridge.resume.run import admits
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.transports import RECEIVING, WEBSOCKET
from tests.resume.support import ALICE, Application, LinkRecorder
from tests.support import HandClock, Recorder

#: Seconds that the server takes to leave.
DRAIN = 20.0
LIMITS = {
    "max_inbound": 3,
    "response_limit": 400,
    "max_queue_size": 100000,
    "max_message_size": 4096,
}
#: Of the room with history that each session joins.
ROOM, KEPT = "notes", Bounds(4, 60)


class Settled(Protocol):
    """What is read of a client's `Counts`."""

    @property
    def settled(self) -> int:
        """How many messages were handled over all sessions."""


class Client(Protocol):
    """A client of ``~r1``: see `ResumableClient`."""

    session: str
    state: ClientState

    @property
    def positions(self) -> Mapping[str, str]:
        """What it has of rooms, by their keys."""

    @property
    def counts(self) -> Settled:
        """What it counts."""

    def start(self) -> None:
        """Begins."""

    def send(self, text: str) -> object:
        """Has a message wait in its order."""

    def close(self, code: int, reason: str) -> None:
        """Closes the session."""

    def deadline(self) -> float | None:
        """Returns when something is due."""

    def on_deadline(self, now: float) -> None:
        """Does what is due."""

    def connected(self, link: Link) -> None:
        """Hears that a handshake is done."""

    def line(self, link: Link, text: str) -> None:
        """Takes a line."""

    def ended(self, link: Link, status: int | None = None, *, clean: bool = False) -> None:
        """Hears that a connection is over."""

    def answered(self, post: Post, status: int, answer: dict[str, Any]) -> None:
        """Hears how a send was answered."""

    def failed(self, post: Post) -> None:
        """Hears that nobody knows whether a send arrived."""


class MakeClient(Protocol):
    """Makes a client of a world, which begins with ``start``."""

    def __call__(
        self, world: Simulation, listener: Listener, ways: tuple[Way, ...], seed: int
    ) -> Client:
        """Makes one."""


def python_client(
    world: Simulation, listener: Listener, ways: tuple[Way, ...], seed: int
) -> ResumableClient:
    """Make the client of this package; a seed decides its chances."""
    tokens = itertools.count()
    policy = Policy(ways, random.Random(seed).random)
    return ResumableClient(
        world, listener, world.clock.time, lambda: f"{next(tokens):022d}", policy
    )


class Exchange:
    """What the network knows of a client's connection.

    Attributes:
        link: the client's end.
        copies: how many copies of its request are under way.
        receiver: the server's end of the response that the client reads.
        server: the session that has it, or the server's end of a WebSocket.
        read: how many lines the client has read.
        up: frames under way up a WebSocket.
        dead: nothing passes any more, and nobody knows.
        ended: the client knows that it is over, or does not care.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.copies = 1
        self.receiver: Recorder | None = None
        self.session: ResumableSession | None = None
        self.websocket: ServerLink | None = None
        self.read = 0
        self.up: list[object] = []
        self.dead = False
        self.ended = False


class Down:
    """The application's side of the server for one session: numbers what it sends."""

    def __init__(self, simulation: Simulation, session: ResumableSession) -> None:
        self.session = session
        self.sent: list[str] = []
        # The request that made it was under way while the process before this one still lived: it
        # cannot tell that its messages may have been handled there. Their ids do.
        self.late = False
        self.application = Application(slow=True)
        self.application.session = session
        self.application.on_message = lambda text: simulation.handled(self, text)


class Notes:
    """A room with history, and what a client may expect of it.

    Attributes:
        said: all that was broadcast to it, in whatever process.
        excluded: the indices of what the client was excluded from.
        bases: for the epoch of each process, how much had been said before it.
        next: the index of what the client lacks first; None before it has a position.
        gap: it was told that it lacks something.
        before: the positions that it had when it was told so.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.said_at: list[float] = []
        self.excluded: set[int] = set()
        self.bases: dict[str, int] = {}
        self.next: int | None = None
        self.gap = False
        self.before: set[str] = set()
        self.epoch = ""

    def begin(self, epoch: str) -> None:
        """A process begins."""
        self.epoch = epoch
        self.bases[epoch] = len(self.said)

    def lacks(self, until: int | None = None) -> list[int]:
        """List what the client lacks of what was said."""
        end = len(self.said) if until is None else until
        return [index for index in range(self.next or 0, end) if index not in self.excluded]

    def received(self, text: str) -> None:
        index = self.said.index(text)
        assert index not in self.excluded, "the client was excluded"
        if self.next is not None:
            assert index >= self.next, "doubled or reordered in the room"
            assert self.gap or not self.lacks(index), "lost in the room, and nobody said so"
        self.next, self.gap = index + 1, False

    def missed(self, now: float, positions: dict[str, str]) -> None:
        """The client hears that it lacks something: only where it is so."""
        assert self.next is not None, "missed by who had nothing"
        # Each process has a key of its own, so that it tells whoever comes from another one.
        elsewhere = len(self.bases) > 1
        # Of what it was excluded from, too, only the place tells that it lacks nothing.
        old = any(said_at + KEPT.ttl <= now for said_at in self.said_at[self.next :])
        assert elsewhere or old or len(self.said) - self.next > KEPT.size, "missed without a reason"
        self.gap, self.before = True, {*positions.values()}

    def knows(self, positions: dict[str, str]) -> None:
        """The client says what it has: all that it does not lack by what it was told."""
        for position in positions.values():
            # There is one room, whose key is another one in each process.
            epoch, _, number = position.rpartition("-")
            index = self.bases[epoch] + int(number)
            if self.next is not None and index > self.next:
                assert self.gap or not self.lacks(index), "passed over, and nobody said so"
            if self.next is None or index > self.next:
                self.next, self.gap = index, False
            elif epoch == self.epoch and position not in self.before:
                # The next line has told where it is now.
                self.gap = False


class Told:
    """Fulfils `links.Listener`: what the client's application hears."""

    def __init__(self, world: Simulation) -> None:
        self.world = world

    def received(self, messages: list[str]) -> None:
        got = self.world.got.setdefault(self.world.client.session, [])
        self.world.notes.knows(self.world.client.positions)
        for text in messages:
            if text.startswith("note "):
                self.world.notes.received(text)
            else:
                got.append(text)

    def handled(self, number: int) -> None:
        assert number >= self.world.confirmed, "a promise was taken back"
        assert number <= len(self.world.done), "what was confirmed was not handled"
        self.world.confirmed = number

    def opened(self) -> None:
        self.world.events.append("opened")
        self.world.opened_session = self.world.client.session

    def suspended(self) -> None:
        assert self.world.events[-1] != "suspended"
        self.world.events.append("suspended")

    def resumed(self) -> None:
        assert "suspended" in self.world.events
        self.world.events.append("resumed")

    def lost(self, number: int) -> None:
        assert self.world.lossy, "lost without a reason"
        self.world.opened_session = ""
        self.world.events.append("lost")

    def moved(self) -> None:
        world = self.world
        assert world.drained
        world.events.append("moved")
        session, world.opened_session = world.opened_session, ""
        # A session without a welcome is told the same, and has brought nothing.
        if session and world.clock.now < world.drained_at + DRAIN:
            # Before the time was over, so that nothing is doubtful.
            told = [down for down in world.all_downs if down.session.id == session]
            got = world.got.get(session, [])
            assert any(got == down.sent for down in told), "moved while messages were under way"
            # What is handled counts over all sessions, what this one has handled from its first.
            settled = world.client.counts.settled
            handled = [down.session._first_number - 1 + down.application.done for down in told]
            assert settled in handled, "moved while the server was at it"

    def missed(self, rooms: list[tuple[str, str]]) -> None:
        assert [name for _, name in rooms] == [ROOM]
        positions = self.world.client.positions
        self.world.notes.knows(positions)
        self.world.notes.missed(self.world.clock.now, positions)

    def denied(self, status: int) -> None:
        raise AssertionError("denied")

    def unsupported(self) -> None:
        raise AssertionError("unsupported")

    def closed(self, code: int, reason: str) -> None:
        world = self.world
        assert world.closed is None
        world.closed = code, reason
        if code == 4001:
            got = world.got.get(world.client.session, [])
            # What is kept ends with the window; a client that proved nothing has less time.
            late = world.clock.now >= world.closed_at + 60
            ends = [down for down in world.all_downs if down.session.id == world.client.session]
            whole = any(got == down.sent or not down.session.grown for down in ends)
            assert late or whole, "closed before all was there"
        else:
            assert (code, reason) == (1000, "bye"), "closed without a reason"
            if not world.server_closed:
                assert world.done == world.sent, "closed before all was handled"


class Simulation:
    """One client, one server at a time.

    Args:
        ways: of the client.
        seed: of the client's own chances.
        early: sessions join the room before anybody has said hello.
        make_client: of that.
    """

    def __init__(
        self,
        ways: tuple[Way, ...] = tuple(Way),
        seed: int = 0,
        *,
        early: bool = False,
        make_client: MakeClient = python_client,
    ) -> None:
        self.clock = HandClock()
        self.numbers = itertools.count(1)
        self.exchanges: list[Exchange] = []
        self.posts: list[tuple[Post, list[int]]] = []
        self.answers: list[tuple[Post, int, dict[str, Any]]] = []
        self.uploads: list[tuple[ResumableSession, Upload, Post, float]] = []
        self.downs: dict[str, Down] = {}
        # What the client got by session, and what it sent over all of them.
        self.got: dict[str, list[str]] = {}
        self.sent: list[str] = []
        # What was handled: texts in the order of their first handling, ids.
        self.done: list[str] = []
        self.ids: dict[str, str] = {}
        self.confirmed = 0
        self.events: list[str] = []
        self.closed: tuple[int, str] | None = None
        self.drained = self.server_closed = False
        self.drained_at = self.closed_at = 0.0
        self.opened_session = ""
        # The newest receive request that was welcomed, by incarnation.
        self.newest: dict[str, int] = {}
        self.crashed = False
        # Those of processes that are no more, too.
        self.all_downs: list[Down] = []
        # When the present process began.
        self.began_at = 0.0
        self.notes = Notes()
        self.early = early
        self.manager = self._make_manager()
        self.client: Client = make_client(self, Told(self), ways, seed)
        self.client.start()

    def _make_manager(self) -> ResumeManager:
        self.history = HistoryRooms()
        self.history.declare(ROOM, KEPT)
        hub = Hub(self.clock, Capacity(1000), history=self.history)
        self.notes.begin(self.history._engine._epoch)
        return ResumeManager(Settings().override(LIMITS), hub)

    # Fulfils `links.Network`

    def open(self, link: Link) -> None:
        # It is kept as it was: the body of a request does not change under way.
        self.exchanges.append(Exchange(link))

    def write(self, link: Link, frame: object) -> None:
        exchange = self._of(link)
        assert link.up
        assert not exchange.ended
        exchange.up.append(json.loads(json.dumps(frame)))

    def close(self, link: Link) -> None:
        self._of(link).ended = True

    def post(self, post: Post) -> None:
        self.posts.append((post, [1]))

    def drop(self, post: Post) -> None:
        pass  # It may still arrive.

    def _of(self, link: Link) -> Exchange:
        return next(exchange for exchange in self.exchanges if exchange.link is link)

    # The applications

    def handled(self, down: Down, text: str) -> None:
        """The server's application handles a message, as one does that keeps ids."""
        application, session = down.application, down.session
        number = application.done + 1
        known = session.message_id(number)
        assert known is not None
        if text in self.ids:
            assert self.ids[text] == known, "the same message has another id"
            told = session.repeated(number) or down.late
            assert told, "a message came twice, and nobody said that it may"
            return
        self.ids[text] = known
        self.done.append(text)
        assert self.done == self.sent[: len(self.done)], "lost, doubled or reordered on the way up"

    def client_sends(self, size: int = 1) -> None:
        if self.client.state in (ClientState.CLOSING, ClientState.CLOSED):
            return
        text = f"up {next(self.numbers)}".ljust(size, ".")
        # Before: it may be written, and handled, at once.
        self.sent.append(text)
        self.client.send(text)

    @property
    def lossy(self) -> bool:
        """Whether a session may have been lost: its process ends, or nobody came in time."""
        timed_out = ("closed", 3001, "Timed out")
        # A client that had proved nothing is forgotten soon after its application has closed.
        return (
            self.crashed
            or self.server_closed
            or self.drained
            or any(timed_out in down.application.calls for down in self.all_downs)
        )

    @property
    def down(self) -> Down | None:
        """The server's side of the client's session, if it lives."""
        found = self.downs.get(self.client.session)
        return found if found is not None and not found.session.over else None

    def server_sends(self, size: int = 1, *, broadcast: bool = False) -> None:
        down = self.down
        if down is None:
            return
        texts = [f"down {next(self.numbers)}".ljust(size, ".") for _ in range(1 + broadcast)]
        down.sent += texts
        if broadcast:
            batch = Batch()
            for text in texts:
                batch.add(text)
            # As for all but the first session that gets it.
            if (
                package := lines.package(batch, WEBSOCKET, LIMITS["response_limit"], placed=False)
            ) is not None:
                admits(batch, package, down.session._owner)
            down.session.take(batch, self.clock.now)
        else:
            down.session.send(texts[0])

    def room_hears(self, size: int = 1, *, excluded: bool = False) -> None:
        """Somebody broadcasts to the room, whoever is in it."""
        notes, down = self.notes, self.down
        out = {down.session} if excluded and down is not None else set()
        # Who the client is, the server knows since its hello.
        if out and down is not None and down.session.client is not None:
            notes.excluded.add(len(notes.said))
        elif out:
            return
        notes.said.append(f"note {next(self.numbers)}".ljust(size, "."))
        notes.said_at.append(self.clock.now)
        self.history.broadcast(ROOM, notes.said[-1], out)

    def server_handles(self, count: int = 1) -> bool:
        worked = False
        for down in self.downs.values():
            application = down.application
            for _ in range(min(count, application.backlog())):
                # In a process that was killed nothing happens any more.
                if down.session.state.value == "gone" and self.crashed_sessions(down):
                    break
                application.handle()
                worked = True
        return worked

    def crashed_sessions(self, down: Down) -> bool:
        return down not in self.downs.values() or self.manager is not down.session._owner

    # The network: requests

    def requests(self) -> list[Exchange]:
        """Requests and handshakes that are under way."""
        return [exchange for exchange in self.exchanges if exchange.copies and not exchange.dead]

    def deliver(self, exchange: Exchange, *, again: bool = False) -> None:
        """A request arrives; another copy of it may be under way."""
        if not again:
            exchange.copies -= 1
        link = exchange.link
        if link.way is Way.WEBSOCKET:
            exchange.copies = 0
            if exchange.ended:
                return
            self._handshake(exchange)
            return
        transport = RECEIVING[link.way.value]
        body = json.dumps(link.body).encode()
        request = frames.parse_receive(body, stream=transport.streaming)
        recorder = Recorder(transport)
        place = ("", link.session)
        if exchange.receiver is None:
            exchange.receiver = recorder
        found = self.manager.look(place, request, transport, ALICE)
        session = found.session
        if request.probe is not None and session is not None:
            recorder.write(transport.frame(lines.pong(request.probe), ""))
        elif session is not None or found.make:
            made = None
            if session is None:
                made = session = self._make(place)
                if made is None:
                    exchange.ended = True
                    self.client.ended(link, 503)
                    return
            if exchange.receiver is recorder:
                exchange.session = session
            terms = self.manager.terms(session, "") if request.new else None
            session.attach(request, recorder, terms)
            newest = self.newest.get(session.incarnation, 0)
            if request.request < newest:
                assert recorder.frames[0].startswith('r{"stale":'), "a late request was heard"
            self.newest[session.incarnation] = max(newest, request.request)
            if made is not None:
                self._admit(made)
                self.downs[made.id].late = link.opened_at <= self.began_at
        else:
            assert found.line is not None
            recorder.write(transport.frame(found.line, ""))
            recorder.end()
        self.clock.settle()

    def _make(self, place: tuple[str, str]) -> ResumableSession | None:
        try:
            session = self.manager.create(place)
        except TooManySessions:
            return None
        session.credentials = Credentials(ALICE)
        session.credentials.settle("alice")
        if self.early:
            session.join(ROOM)
        return session

    def _admit(self, session: ResumableSession) -> None:
        down = self.downs[session.id] = Down(self, session)
        down.application.on_open = lambda: session.join(ROOM)
        self.all_downs.append(down)
        session.accept(down.application)

    def _handshake(self, exchange: Exchange) -> None:
        link = exchange.link
        place = ("", link.session)
        if link.new and not self.manager.knows(place):
            made = self._make(place)
            if made is None:
                exchange.ended = True
                self.client.ended(link, 503)
                return
            self._admit(made)
        exchange.receiver = recorder = LinkRecorder()
        exchange.websocket = ServerLink(self.manager, place, ALICE)
        exchange.websocket.begin(recorder)
        self.client.connected(link)
        self.clock.settle()

    def lose_request(self, exchange: Exchange, *, noticed: bool) -> None:
        exchange.copies = 0
        if exchange.receiver is None and noticed:
            self._client_hears_of_the_end(exchange)
        elif exchange.receiver is None:
            exchange.dead = True

    # The network: what comes down

    def unread(self) -> list[Exchange]:
        return [
            exchange
            for exchange in self.exchanges
            if exchange.receiver is not None
            and not (exchange.ended or exchange.dead)
            and (exchange.read < len(exchange.receiver.frames) or self._over(exchange))
        ]

    @staticmethod
    def _over(exchange: Exchange) -> bool:
        receiver = exchange.receiver
        return receiver is not None and (receiver.ended or receiver.aborted)

    def read(self, exchange: Exchange) -> None:
        """The client reads one line, or the end."""
        receiver = exchange.receiver
        assert receiver is not None
        received = receiver.frames
        if exchange.read < len(received):
            exchange.read += 1
            self.client.line(exchange.link, received[exchange.read - 1])
        else:
            exchange.ended = True
            code = receiver.closed_with[0] if getattr(receiver, "closed_with", None) else None
            self.client.ended(exchange.link, code, clean=receiver.ended)
        self.clock.settle()

    def cut(self, exchange: Exchange, *, clean: bool, noticed: bool) -> None:
        """A response, or a WebSocket, breaks off; the server may not notice it."""
        if noticed:
            self._server_hears_of_the_end(exchange)
        exchange.copies = 0
        self._client_hears_of_the_end(exchange, clean=clean)

    def half_open(self, exchange: Exchange) -> None:
        exchange.dead = True

    def _client_hears_of_the_end(self, exchange: Exchange, *, clean: bool = False) -> None:
        if not exchange.ended:
            exchange.ended = True
            self.client.ended(exchange.link, clean=clean)
            self.clock.settle()

    def _server_hears_of_the_end(self, exchange: Exchange) -> None:
        receiver = exchange.receiver
        if receiver is None or receiver.ended or receiver.aborted:
            return
        receiver.aborted = True
        if exchange.websocket is not None:
            exchange.websocket.detach(exchange.websocket.receiver)
        elif exchange.session is not None:
            exchange.session.detach(receiver)
        self.clock.settle()

    def refuse(self, exchange: Exchange) -> None:
        """The next write to a connection is refused, though it says that it takes more."""
        if exchange.receiver is not None:
            exchange.receiver.refuse = True

    def pause(self, exchange: Exchange, *, opened: bool) -> None:
        """The client's connection is full, or takes more again."""
        receiver = exchange.receiver
        if receiver is None:
            return
        receiver.open = opened
        if opened:
            receiver.refuse = False
            for session in self.manager:
                session.flush()

    # The network: WebSockets up

    def upward(self) -> list[Exchange]:
        return [
            exchange
            for exchange in self.exchanges
            if exchange.up
            and not exchange.dead
            and exchange.websocket is not None
            and not exchange.websocket.full
        ]

    def deliver_frame(self, exchange: Exchange) -> None:
        assert exchange.websocket is not None
        exchange.websocket.text(json.dumps(exchange.up.pop(0)))
        self.clock.settle()

    # The network: posts

    def deliver_post(self, index: int, *, again: bool = False) -> None:
        post, copies = self.posts[index]
        first = copies[0] == 1 and not again
        copies[0] -= not again
        if copies[0] <= 0:
            del self.posts[index]
        send = frames.parse_send(json.dumps(post.body).encode())
        found = self.manager.look_up(
            ("", post.session), send.key, ALICE, incarnation=send.incarnation
        )
        if found.session is None:
            if first:
                answer = found.tombstone.answer if found.tombstone is not None else {}
                self.answers.append((post, 200 if answer else 404, answer))
            return
        session = found.session
        holder: list[Upload] = []

        def done() -> None:
            # Withdrawn or taken, it is answered once.
            for entry in [*self.uploads]:
                if entry[1] in holder:
                    self.uploads.remove(entry)
                    self.answers.append((post, 200, session.answer()))

        upload = session.take_send(send, done)
        if upload is not None:
            holder.append(upload)
            self.uploads.append((session, upload, post, self.clock.now + 1.0))
        elif first:
            self.answers.append((post, 200, session.answer()))
        self.clock.settle()

    def lose_post(self, index: int) -> None:
        post, _ = self.posts.pop(index)
        self.client.failed(post)

    def answer(self, index: int, *, lose: bool = False) -> None:
        post, status, answer = self.answers.pop(index)
        if lose:
            self.client.failed(post)
        else:
            self.client.answered(post, status, answer)
        self.clock.settle()

    # The server

    def crash(self) -> None:
        """The process dies, and another one begins."""
        self.crashed, self.began_at = True, self.clock.now
        for exchange in self.exchanges:
            if exchange.receiver is not None:
                exchange.receiver.on_abort = lambda: None
                exchange.receiver.aborted = True
                exchange.up.clear()
                exchange.websocket = None
        # What it had arrived and not handled is gone with it.
        self.downs = {}
        self.uploads.clear()
        self.manager = self._make_manager()

    def drain(self) -> None:
        self.drained, self.drained_at = True, self.clock.now
        for _ in self.manager.drain(DRAIN):
            pass
        self.clock.settle()

    def restart(self) -> None:
        """The server has left in good order, and another process begins."""
        for _ in range(100):
            if not len(self.manager):
                break
            self.server_handles(10)
            self.advance(1.0)
        assert not len(self.manager)
        self.crashed, self.began_at = True, self.clock.now
        for exchange in self.exchanges:
            if exchange.receiver is not None and not exchange.receiver.ended:
                exchange.receiver.aborted = True
            exchange.websocket = None
        self.uploads.clear()
        self.manager = self._make_manager()

    def server_closes(self) -> None:
        """The application closes the session, for good."""
        down = self.down
        if down is not None:
            self.server_closed, self.closed_at = True, self.clock.now
            down.session.close(4001, "enough")
            self.clock.settle()

    def client_closes(self) -> None:
        """The client's application closes the connection."""
        self.client.close(1000, "bye")
        self.clock.settle()

    # Time

    def advance(self, seconds: float) -> None:
        """Let time pass for both."""
        end = self.clock.now + seconds
        for _ in range(10000):
            due = self.client.deadline()
            times = [entry[3] for entry in self.uploads]
            at = min([end, *times, *([] if due is None else [due])])
            self.clock.advance(max(0.0, at - self.clock.now))
            for session, upload, post, until in [*self.uploads]:
                if until <= self.clock.now:
                    self.uploads.remove((session, upload, post, until))
                    session.withdraw(upload)
                    self.answers.append((post, 200, session.answer()))
            due = self.client.deadline()
            if due is not None and due <= self.clock.now:
                self.client.on_deadline(self.clock.now)
                self.clock.settle()
            elif self.clock.now >= end:
                return
        raise AssertionError("the client is busy all the time")

    # What must hold

    def check(self) -> None:
        for session, got in self.got.items():
            # Of one of them: no process goes on with what another one began.
            whole = [down.sent for down in self.all_downs if down.session.id == session]
            assert any(got == sent[: len(got)] for sent in whole), (
                "lost, doubled or reordered on the way down"
            )
        assert self.confirmed <= len(self.done), "what was confirmed was not handled"
        self.notes.knows(self.client.positions)
        for exchange in self.exchanges:
            if exchange.websocket is None and exchange.receiver is not None:
                assert exchange.receiver.transport.streaming or len(exchange.receiver.written) <= 1

    def heal(self) -> None:
        """From now on the network works; wait until all is everywhere."""
        for exchange in self.exchanges:
            if exchange.receiver is not None:
                self.pause(exchange, opened=True)
        idle = 0
        for _ in range(3000):
            if self._step():
                continue
            self.check()
            if self._settled():
                idle += 1
                if idle > 2:
                    return
                # Over a way that works, and shares its frames with others.
                self.client_sends()
                self._arrive()
                self.room_hears()
                self.clock.settle()
            self.advance(0.5)
        raise AssertionError(f"it does not come to rest: {self.client.state} {self.events}")

    def _arrive(self) -> None:
        """Let all that is under way arrive."""
        while self._step():
            pass

    def _step(self, *, busy: bool = False) -> bool:
        """One step of a network that works; returns whether there was one to make.

        Args:
            busy: the server's application handles what there is when nothing else happens.
        """
        if not busy and self.server_handles(3):
            self.clock.settle()
        elif unread := self.unread():
            self.read(unread[0])
        elif upward := self.upward():
            self.deliver_frame(upward[0])
        elif requests := self.requests():
            self.deliver(requests[0])
        elif self.posts:
            self.deliver_post(0)
        elif self.answers:
            self.answer(0)
        elif gone := [e for e in self.exchanges if e.ended and not self._over(e) and e.receiver]:
            self._server_hears_of_the_end(gone[0])
        elif self.server_handles(3):
            self.clock.settle()
        else:
            return False
        return True

    def _settled(self) -> bool:
        if self.closed is not None:
            return True
        down = self.down
        return (
            self.client.state is ClientState.OPEN
            and down is not None
            and self.got.get(self.client.session, []) == down.sent
            and self.notes.next is not None
            and not self.notes.lacks()
            and len(self.done) == len(self.sent) == self.confirmed
        )
