"""A WebSocket below ``~r1``: what comes over it in each of the `link_states`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.resume import frames, lines
from sockjs_bridge.resume.arrivals import Upload
from sockjs_bridge.resume.contracts import LinkReceiver
from sockjs_bridge.resume.deadlines import HELLO_TIMEOUT
from sockjs_bridge.resume.frames import ReceiveRequest, Send
from sockjs_bridge.resume.link_states import TAKING, LinkEvent, LinkLife, LinkState
from sockjs_bridge.resume.manager import ResumeManager
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.tombstones import Tombstone

#: The close frame of a wrong key, or of somebody else.
FORBIDDEN = (4403, "Forbidden")
#: The close frame of what is no hello.
BAD_REQUEST = (4400, "Bad Request")
#: The close frame of a link that said no hello in time, or was one too many.
NO_HELLO = (3000, "No hello")

# Which needs no parser of JSON.
_ACKNOWLEDGEMENT = re.compile(r'\{"received": ?([1-9][0-9]{0,14})\}')


class Link(LinkLife):
    """A WebSocket of a client: it stands where a stock WebSocket has its session.

    Args:
        manager: of the sessions.
        place: the base URL and the session's id.
        fingerprint: of the credentials of its handshake.
        net: a keyed hash of the client's network.
        holds_place: whether it counts as a session by itself, until it has said hello.

    Attributes:
        id: of the session, in the URL.
        close_code: always None; a stock session's.
        close_reason: always empty; a stock session's.
        receiver: the WebSocket, once its handshake is done.
        session: the session, None before a hello found one.
        slot: the wheel's.
        ask: leads a hello through the application that came with other credentials than the
            session's, then calls `proved`; set by the server. Without it such a hello is refused.
    """

    __slots__ = (
        *("_asked", "_base", "_held", "_manager", "_net", "_place", "_ready", "_since", "ask"),
        *("fingerprint", "holds_place", "receiver", "session", "slot"),
    )

    close_code: int | None = None
    close_reason = ""
    receiver: LinkReceiver

    def __init__(
        self,
        manager: ResumeManager,
        place: tuple[str, str],
        fingerprint: bytes,
        net: str = "",
        *,
        holds_place: bool = False,
    ) -> None:
        super().__init__()
        self.session: ResumableSession | None = None
        self.fingerprint = fingerprint
        self.slot: int | None = None
        self.ask: Callable[[Link, ResumableSession | Tombstone], object] | None = None
        self._manager = manager
        self._place = place
        self._net = net
        self.holds_place = holds_place
        # The number of the last message that came over it, None before a welcome.
        self._base: int | None = None
        self._since = manager.clock.time()
        self._asked: ReceiveRequest | None = None
        # What came while nothing is taken, and who waits for its end. Empty deques are large.
        self._held: deque[str] | None = None
        self._ready: tuple[Callable[[], object], ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        """The base URL, and the id of the session."""
        return self._place

    @property
    def id(self) -> str:
        """The id of the session, in the URL."""
        return self._place[1]

    def begin(self, receiver: LinkReceiver) -> None:
        """Says that the handshake is done.

        Args:
            receiver: the WebSocket.
        """
        self.receiver = receiver
        self._since = self._manager.clock.time()
        self._manager.wait_for_hello(self, self._place)
        self._manager.wheel.update(self)

    def _enter(self, event: LinkEvent) -> LinkState | None:
        before = super()._enter(event)
        if before is None:
            return None
        state = self.state
        if state in (LinkState.ATTACHED, LinkState.OVER):
            # Another number takes memory, and of silent sessions there are many.
            self._since = 0.0
            self._manager.said_hello(self, self._place)
        elif state is LinkState.REPLACED:
            self._since = self._manager.clock.time()
            self._manager.wait_for_hello(self, self._place)
        self._manager.wheel.update(self)
        return before

    def deadline(self) -> float | None:
        """Returns when it ends for want of a hello, in seconds of the clock."""
        if self.state in (LinkState.WAITING, LinkState.REPLACED):
            return self._since + HELLO_TIMEOUT
        return None

    def on_deadline(self, now: float) -> None:
        """Ends the link; the session is untouched."""
        self.end_with(*NO_HELLO)

    def fail(self) -> None:
        """Ends the link: something in it went wrong."""
        self.end_with(*protocol.FAILED)

    @property
    def full(self) -> bool:
        """Whether nothing more is to be read from it now."""
        if self.state in (LinkState.ASKING, LinkState.OVER):
            return self.state is LinkState.ASKING
        return self.session is not None and self.session.full

    # What comes

    def deliver(self, texts: list[str], size: int) -> bool:
        """Takes text frames, as far as there is room for what is in them; the rest waits.

        Args:
            texts: in order.
            size: their bytes.

        Returns:
            Whether no more is to be read until `when_ready` calls back.
        """
        if self._held is None:
            for index, text in enumerate(texts):
                room = self._take_usual(text)
                if room is None:
                    self._held = deque(texts[index:])
                    break
            else:
                return not room
        else:
            self._held += texts
        return not self._take_held()

    def _take_usual(self, text: str) -> int | None:
        """Takes what most frames are: messages that go on with the count and have room, or counts.

        Returns:
            0 where there is no more room; None where `text` has to look at it.
        """
        session, base = self.session, self._base
        if session is None or base is None or self.state not in TAKING:
            return None
        if text[:1] != "[":
            found = _ACKNOWLEDGEMENT.fullmatch(text)
            return 1 if found is not None and session.hear_of(int(found[1])) else None
        try:
            messages = protocol.decode_websocket(text)
        except protocol.PayloadError:
            return None
        # Before the call, which may lead back to here.
        self._base = base + len(messages)
        room = session.take_next(base + 1, messages) if messages else None
        if room is None:
            self._base = base
        return room

    def _take_held(self) -> bool:
        while self._held and not self.full:
            self.text(self._held.popleft())
        if not self._held:
            self._held = None
        return not self.full

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Calls back once, when more may be read, or it is over."""
        self._ready += (callback,)
        self._go_on()

    def _go_on(self) -> None:
        if self._take_held():
            callbacks, self._ready = self._ready, ()
            for callback in callbacks:
                callback()
        elif self.session is not None and self.state is not LinkState.ASKING:
            self.session.when_ready(self._go_on)

    def text(self, text: str) -> None:
        """Takes a text frame."""
        if self.state is LinkState.OVER:
            return
        if self.state is LinkState.ASKING:
            self._hold(text)
            return
        try:
            frame = frames.parse_frame(text)
        except frames.FrameError:
            self._broken()
            return
        if isinstance(frame, ReceiveRequest):
            self._hello(frame, proved=False)
        elif frame != frames.NOTHING:
            self._take(frame)

    def _hold(self, text: str) -> None:
        if self._held is None:
            self._held = deque()
        self._held.append(text)

    def _broken(self) -> None:
        session = self.session
        if session is None or self._base is None:
            self.end_with(*BAD_REQUEST)
        elif self.state is LinkState.ATTACHED:
            session.break_framing()
        else:
            self.end_with(*protocol.BROKEN_FRAMING)

    def _hello(self, request: ReceiveRequest, *, proved: bool) -> None:
        if not self._manager.serves:
            self.end()
            return
        # Who was let in needs no proof again: with its session this would have ended.
        proved = proved or self.session is not None
        found = self._manager.look(
            self._place, request, self.receiver.transport, self.fingerprint, proved=proved
        )
        if found.unproven is not None and self.ask is not None:
            self._asked = request
            self._enter(LinkEvent.ASK)
            self.ask(self, found.unproven)
        elif found.session is not None:
            self._attach(found.session, request)
        elif found.make or found.line is not None:
            # A handshake makes sessions, a hello does not: what was made is over.
            self._say(found.line or lines.lost())
            self.end()
        else:
            self.end_with(*FORBIDDEN)

    def _attach(self, session: ResumableSession, request: ReceiveRequest) -> None:
        if self.session is None:
            self.session = session
            session.links += (self,)
        refused = session.is_stale(request) or request.received > session.sent
        if refused:
            session.attach(request, self.receiver, link=self)
            self._over()
            return
        if request.messages and session.overrun:
            # They would be passed over, and what follows them over this link be a gap.
            self.end()
            return
        self._enter(LinkEvent.ATTACH)
        # Who opened the WebSocket is known from here on, and what would ask keeps its request.
        self.ask = None
        terms = self._manager.terms(session, self._net) if request.new else None
        session.attach(request, self.receiver, terms, self)

    def proved(self, passes: bool) -> None:
        """Says what the application said of who opened the WebSocket.

        Args:
            passes: it is who opened the session.
        """
        request, self._asked = self._asked, None
        if request is None or self.state is not LinkState.ASKING:
            return
        if not passes:
            self.end_with(*FORBIDDEN)
            return
        self._hello(request, proved=True)
        self._go_on()

    def _take(self, frame: Send) -> None:
        session = self.session
        if session is None or self._base is None:
            if frame.ping is not None and not (frame.messages or frame.close):
                self._say(lines.pong(frame.ping))
            elif not self._early(frame):
                self.end_with(*BAD_REQUEST)
            return
        attached = self.state is LinkState.ATTACHED
        session.heard()
        if frame.received is not None and not session.hear_of(frame.received):
            self._broken()
            return
        if frame.messages:
            first = self._base + 1 if frame.first is None else frame.first
            self._base = first + len(frame.messages) - 1
            session.take_upload(self._upload(first, frame.messages))
        if frame.ping is not None:
            if attached:
                session.pong(frame.ping)
            else:
                self._say(lines.pong(frame.ping))
        if frame.close is not None:
            if attached:
                session.close_when_handled(*frame.close)
            else:
                self.end()

    def _early(self, frame: Send) -> bool:
        """Takes numbered messages that follow a hello without waiting for its welcome."""
        session = self.session
        if session is None or self.state is not LinkState.ATTACHED or frame.close is not None:
            return False
        if frame.received is not None:
            session.acknowledge(min(frame.received, session.sent))
        if frame.first is None:
            return not frame.messages
        session.take_upload(self._upload(frame.first, frame.messages))
        return True

    def _upload(self, first: int, messages: tuple[str, ...]) -> Upload:
        return Upload(first, messages, self._broken, receiver=self.receiver)

    def welcomed(self, received: int) -> None:
        """Says that the welcome was written: messages count from what it told."""
        self._base = received

    def replaced(self) -> None:
        """Says that another receiver took over: it may say hello again."""
        self._enter(LinkEvent.REPLACE)

    # Its end

    def _say(self, line: bytes) -> None:
        receiver = self.receiver
        if receiver.writable:
            receiver.write(receiver.transport.frame(line, ""))

    def end(self) -> None:
        """Ends the link in good order."""
        if self._over():
            self.receiver.end()

    def end_with(self, code: int, reason: str) -> None:
        """Ends the link with a close frame."""
        if self._over():
            self.receiver.end_with(code, reason)

    def flush(self) -> None:
        """Writes what waits, where the session writes to it."""
        if self.session is not None and self.state is LinkState.ATTACHED:
            self.session.flush()

    def close(self, code: int, reason: str) -> None:
        """Ends it, or the session, for what is no text."""
        self._broken()

    def release(self) -> None:
        """Does nothing: what has no room was never promised to the client, who sends it again."""

    def detach(
        self, receiver: Receiver, *, lost: bool = True, code: int = 1006, reason: str = ""
    ) -> None:
        """Says that the WebSocket is over, in whatever way."""
        self._over()

    def abandon(self) -> None:
        """Ends a link whose handshake was refused."""
        self._over()

    def _over(self) -> bool:
        if self._enter(LinkEvent.END) is None:
            return False
        self._held = None
        self._go_on()
        session = self.session
        if session is not None:
            session.links = tuple(link for link in session.links if link is not self)
            # While its application stands still, each that came and went would be kept.
            session.stop_waiting(self._go_on)
            session.detach(self.receiver)
        return True
