"""A TCP connection as the loop sees it; `states` says who has it when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar, cast

from aiohttp import web

from sockjs_bridge.endpoint.outcomes import Answer
from sockjs_bridge.native import mypyc_attr
from sockjs_bridge.server import aiohttp_parts, http1
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.addresses import Addresses
from sockjs_bridge.server.attached import Attached, Relays
from sockjs_bridge.server.flow import BEHIND, SOCKJS_PATIENCE, UNREAD, Flow
from sockjs_bridge.server.plain import MAX_HELD, Forms, Incomplete, PlainRequest
from sockjs_bridge.server.states import DEFERRALS, HOLD, KEEPING, READING, Event, Ownership, State

# Looked up once: the members of an enumeration take as long as the table itself.
_TAKEN, _ANSWERED, _LOST = Event.TAKEN, Event.ANSWERED, State.LOST


@mypyc_attr(allow_interpreted_subclasses=True)
class PeerConnection(Ownership, asyncio.Protocol):
    """The protocol of one connection, from its first byte to its end, or to the 101.

    Args:
        aiohttp: makes aiohttp's protocol of a connection.
        activity: of the server.
        answer: answers a plain request, calling `begin` first; returns False, and has done
            nothing, where that is for aiohttp. None: all requests are.

    Attributes:
        activity: as given.
        addresses: of the two ends, also when the peer is gone.
        flow: what is written and read, and the peer as sessions know it.
        forms: of the plain requests that have come over it.
        busy: aiohttp's request, a session's, is being answered.
        heard: when the last byte arrived, in seconds of the loop's time.
        half_closed: the peer sends no more, and takes the answer to what it has asked.
        request: aiohttp's, as long as it is being handled.
        answered: how many requests aiohttp has had handled.
        receiver: what is attached to a session at present.
        relays: its requests to other processes; None where there were none.
        relayed: it is another process's; its requests came over a link.
        slot: the wheel's.
    """

    __slots__ = (
        *("_aiohttp", "_deferrals", "_due", "_answer", "_kept", "_make_aiohttp", "_now"),
        *("activity", "addresses", "answered", "busy", "flow", "forms", "half_closed", "heard"),
        *("receiver", "relays", "request", "slot", "transport"),
    )

    relayed: ClassVar[bool] = False

    addresses: Addresses
    flow: Flow
    transport: asyncio.Transport

    def __init__(
        self,
        aiohttp: Callable[[], asyncio.Protocol],
        activity: Activity,
        answer: Answers | None = None,
    ) -> None:
        super().__init__(State.AIOHTTP if answer is None else State.IDLE)
        self.activity = activity
        self.forms: Forms = {}
        self.busy = self.half_closed = False
        self.heard = 0.0
        self.answered = self._deferrals = 0
        self.request: web.BaseRequest | None = None
        self.receiver: Attached | None = None
        self.relays: Relays | None = None
        self.slot: int | None = None
        self._now = activity.clock.time
        self._make_aiohttp = aiohttp
        self._aiohttp: asyncio.Protocol | None = None
        self._answer = answer
        # What has arrived and is not handed on: a part of a request, one that is deferred, or what
        # came behind one.
        self._kept = b""
        self._due: float | None = None

    @property
    def lost(self) -> bool:
        """Whether the peer is gone."""
        return self.state is _LOST

    # What the loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class.
        self.addresses = Addresses.of(transport)
        self.flow = Flow(self.transport, self.activity.clock, self.activity.wheel)
        self.activity.connections.add(self)
        if self._answer is None:
            self._introduce()
        else:
            self._wait_until(self._now() + self.activity.keepalive_timeout)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.heard = self._now()
        if self.state in READING:
            self._read(data)
        elif self.state in KEEPING:
            self._kept += data
            if len(self._kept) > MAX_HELD:
                self.flow.hold(BEHIND)
        elif self._aiohttp is not None:
            self._aiohttp.data_received(data)
        if self.flow.paused:
            self.flow.hold(UNREAD)

    def eof_received(self) -> bool | None:
        """Called by the loop: the peer sends no more.

        Browsers leave in that way too: a poll or a stream that waits for what may come is taken
        for gone. But a program may say so as soon as it has asked (``nc -N``): what is answered by
        itself still has its answer sent, and the connection closes behind that.
        """
        if self.relays is not None:
            self.relays.half_closed()
        if self.state in (State.PARTIAL, State.DEFERRED):
            self._stop_waiting()
        if self.state in (State.ANSWERING, State.CATCHING_UP):
            # A send may be answered late; what opens a session is answered by itself.
            self.half_closed = self.receiver is None or not self.receiver.begun
        else:
            self.flow.watch()
            self.half_closed = self.receiver is None and self._has_asked()
        return self.half_closed

    def _has_asked(self) -> bool:
        """Tells whether aiohttp has a complete request, and is not through with it."""
        if self.request is not None:
            return self.request.content.is_eof()
        return self._unanswered > 0

    @property
    def _unanswered(self) -> int:
        if self._aiohttp is None:
            return 0
        return aiohttp_parts.requests_read(self._aiohttp, self.answered) - self.answered

    @property
    def answers_last(self) -> bool:
        """Whether aiohttp's request that is being handled is the last one that there can be."""
        return self.half_closed and self._unanswered == 1

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.flow.pause_writing()
        if self._aiohttp is not None:
            self._aiohttp.pause_writing()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.flow.resume_writing()
        if self._aiohttp is not None:
            self._aiohttp.resume_writing()
        if self.receiver is not None:
            self.receiver.session.flush()
        if self.relays is not None:
            self.relays.writable()
        self._let_go(UNREAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        answering = self.state is State.ANSWERING
        self.move(Event.LOST)
        self._leave()
        self.flow.broken = answering or self.busy or exc is not None
        self.flow.ended = True
        self.flow.lost()
        if self.receiver is not None:
            self.receiver.connection_lost()
            self.receiver = None
        if self.relays is not None:
            self.relays.lost(broken=self.flow.broken)
            self.relays = None
        if self._aiohttp is not None:
            self._aiohttp.connection_lost(exc)
            # It refers to this: a cycle would wait for a collection of all garbage.
            self._aiohttp = None
        if answering:
            self.activity.end()

    def abort(self) -> None:
        """Drops the connection."""
        self.transport.abort()

    # Reading

    def _read(self, data: bytes, turn: bool = False) -> None:
        assert self._answer is not None
        begun = self._kept
        whole = begun + data if begun else data
        try:
            request = PlainRequest.read(whole, self.forms)
        except Incomplete:
            if self.state is not State.PARTIAL:
                self._wait_until(self._now() + HOLD)
            self._kept = whole
            self.move(Event.BEGUN)
            return
        waits = self._aiohttp is None or aiohttp_parts.waits(self._aiohttp)
        if request is not None and not waits and self._deferrals < DEFERRALS:
            self._deferrals += 1
            self._defer(whole)
            self.activity.clock.call_soon(self._look_again)
            return
        self._kept, self._deferrals = b"", 0
        if request is not None and waits:
            answer = self._answer(request, self)
            if answer is True:
                return
            if not (turn or self.activity.beginnings.take(partial(self._look_again, turn=True))):
                self._defer(whole)
                return
            if answer is not False and answer():
                return
        self.move(Event.ODD if request is None else Event.PASSED)
        if begun:
            # As it came: what is wrong behind a request does not take that one along.
            self._ask_aiohttp(begun)
        self._ask_aiohttp(data)

    def _defer(self, whole: bytes) -> None:
        self._kept, self._due = whole, None
        self.move(Event.EARLY)

    def _look_again(self, turn: bool = False) -> None:
        if self.state is State.DEFERRED:
            deferred, self._kept = self._kept, b""
            self._read(deferred, turn)

    def _stop_waiting(self) -> None:
        """Leaves what has begun to aiohttp."""
        begun, self._kept, self._deferrals = self._kept, b"", 0
        self.move(Event.ODD)
        self._ask_aiohttp(begun)

    def _let_go(self, why: int) -> None:
        paused = self._aiohttp is not None and aiohttp_parts.reading_paused(self._aiohttp)
        self.flow.let_go(why, resume=not paused)

    # aiohttp

    def _introduce(self) -> asyncio.Protocol:
        self._aiohttp = self._make_aiohttp()
        self.answered = 0
        self._aiohttp.connection_made(self.transport)
        if self.flow.paused:
            self._aiohttp.pause_writing()
        return self._aiohttp

    def _ask_aiohttp(self, data: bytes) -> None:
        self._due = None
        (self._aiohttp or self._introduce()).data_received(data)

    # Answering

    def begin(self) -> None:
        """Says that a request is answered here; what comes behind it is kept until `finished`."""
        if self._aiohttp is not None:
            aiohttp_parts.forget(self._aiohttp)
            self._aiohttp = None
        self.move(_TAKEN)
        self._due = None
        self.flow.patience = SOCKJS_PATIENCE
        self.activity.begin()

    def pass_on(self, whole: bytes) -> None:
        """Leaves to aiohttp, as its bytes, what was to be answered here; nothing was written."""
        self.activity.end()
        self.move(Event.PASSED)
        self._ask_aiohttp(whole)
        self._read_kept()

    def respond(self, answer: Answer) -> None:
        """Answers the request, if anybody is left to hear it."""
        head = http1.known_head(answer.status, answer.headers, len(answer.body))
        self.flow.write(head + answer.body)
        self.finished()

    def finished(self) -> None:
        """Says that the response was handed to the transport, or that the peer is gone."""
        if self.state is _LOST:
            return
        activity = self.activity
        activity.end()
        if activity.stopping or (self.half_closed and not self._kept):
            self.move(Event.ENDED)
            self.flow.close()
        elif self._kept:
            self.move(Event.ANSWERED_AND_MORE)
            activity.clock.call_soon(self._read_on)
        else:
            self.move(_ANSWERED)
            self._due = self._now() + activity.keepalive_timeout
            # The wheel looks at what it has early enough: nothing it was told is later.
            if self.slot is None:
                activity.wheel.update(self)

    def _read_on(self) -> None:
        if self.state is State.CATCHING_UP:
            self.move(Event.READ_ON)
            self._read_kept()
            if self.half_closed and not self.eof_received():
                # As the loop does where it is said behind what was read.
                self.flow.close()

    def _read_kept(self) -> None:
        kept, self._kept = self._kept, b""
        if kept:
            self._let_go(BEHIND)
            self.data_received(kept)

    # WebSockets

    def hold_back(self) -> None:
        """Says that aiohttp's request is a handshake: what follows it may be no HTTP."""
        if self.state is State.AIOHTTP:
            # It is aiohttp's for good: what came behind the handshake is, whole or not.
            self._answer = None
        self._due, self._deferrals = None, 0
        self.move(Event.ASKED)

    def given_back(self) -> None:
        """Says that the connection is HTTP's again: the handshake was refused."""
        self.receiver = None
        if self.state is State.ANSWERING:
            # What came behind the handshake is read when that is answered.
            return
        self.move(Event.REFUSED_AND_MORE if self._kept or not self._answer else Event.REFUSED)
        self._read_kept()

    def hand_over(self) -> bytes:
        """Leaves the connection to the protocol that was asked for.

        Returns:
            What arrived for that already.
        """
        answering = self.state is State.ANSWERING
        self.move(Event.ACCEPTED)
        early, self._kept = self._kept, b""
        if self._aiohttp is not None:
            early = aiohttp_parts.take_early(self._aiohttp) + early
            if aiohttp_parts.reading_paused(self._aiohttp):
                self.flow.hold(BEHIND)
            aiohttp_parts.forget(self._aiohttp)
            self._aiohttp = None
        self.receiver = None
        self._leave()
        self.flow.let_go(BEHIND)
        if answering:
            self.activity.end()
        return early

    def _leave(self) -> None:
        """Has the server forget it."""
        self._due = None
        self.activity.wheel.drop(self)
        self.activity.connections.discard(self)

    # Deadlines

    def _wait_until(self, due: float) -> None:
        self._due = due
        self.activity.wheel.update(self)

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        return self._due

    def on_deadline(self, now: float) -> None:
        """Leaves what is not complete to aiohttp, or closes a connection that nobody uses."""
        self._due = None
        if self.state is State.PARTIAL:
            self._stop_waiting()
        else:
            self.move(Event.ENDED)
            self.flow.close()

    def fail(self) -> None:
        """Drops the connection: what was due raised an exception."""
        self.abort()


#: Answers a plain request, calling `PeerConnection.begin` first, and returns True; or returns what
#: does so when it has its turn. False, and nothing is done, where that is for aiohttp.
Answers = Callable[[PlainRequest, PeerConnection], Callable[[], bool] | bool]
