"""Connections for unit tests of views: no server, no network, no thread."""

from __future__ import annotations

import contextlib
import inspect
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from pyramid.testing import DummyRequest

from sockjs_bridge.core.contracts import Workers
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.errors import ConnectionClosed
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.connections import AsyncWebSocket, Connection, WebSocket
from sockjs_bridge.pyramid.handlers import InboxHandler, refuse_unrun
from sockjs_bridge.pyramid.sessions import WebSocketSession, make_instance
from sockjs_bridge.testing.fakes import TRANSPORT, DummyClock, DummyReceiver


def dummy_sockjs() -> SockJS:
    """Makes what stands for ``request.sockjs`` in a unit test: rooms and broadcasts work."""
    sockjs = SockJS(Settings(), "/sockjs.js")
    sockjs.endpoints.add(Endpoint("dummy", "/dummy".__eq__, sockjs.settings))
    # No view and no hook is run by it.
    sockjs.endpoints.start(DummyClock(), cast(Workers, None))
    return sockjs


@dataclass(frozen=True, slots=True)
class _Message:
    """A message of a script, and what the view may ask about it."""

    text: str
    message_id: str | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Turn:
    """A client of a script that gets out of reach, or back into it."""

    suspended: bool


class _Dummy(Connection):
    """What the dummies of both styles have in common.

    Attributes:
        sockjs: the application's side; the same for several connections that are to meet in it.
    """

    def __init__(
        self,
        messages: Iterable[str | BaseException] = (),
        *,
        sockjs: SockJS | None = None,
        code: int = 1000,
        reason: str = "",
    ) -> None:
        self.sockjs = sockjs or dummy_sockjs()
        endpoint = self.sockjs.endpoints["dummy"]
        clock = self.sockjs.endpoints.clock
        self._session = endpoint.manager.create(secrets.token_hex(8), TRANSPORT)
        super().__init__(self._session, clock)
        self._script: deque[_Message | _Turn | BaseException] = deque()
        for message in messages:
            self._script.append(_Message(message) if isinstance(message, str) else message)
        self._leaves = code, reason
        self._running = self._suspended = False
        self._handled: _Message | None = None
        self._receiver = DummyReceiver()
        self._session.connection = self
        self._session.attach(self._receiver)
        self._session.accept(InboxHandler(cast(WebSocket, self)))

    @property
    def sent(self) -> list[str]:
        """What the client has received so far."""
        cast(DummyClock, self._clock).turn()
        return self._receiver.messages

    @property
    def suspended(self) -> bool:
        """Whether the client is out of reach: after `suspend`, until `resume`."""
        return self._suspended

    @property
    def message_id(self) -> str | None:
        """The id of the message that is being handled, as given to `client_sends`."""
        return None if self._handled is None else self._handled.message_id

    @property
    def repeated(self) -> bool:
        """Whether the message that is being handled may have been handled before."""
        return self._handled is not None and self._handled.repeated

    def client_sends(
        self, message: str, *, message_id: str | None = None, repeated: bool = False
    ) -> None:
        """Lets a message arrive, after those that were given at the beginning.

        Args:
            message: any text.
            message_id: its id, as in a resumable session.
            repeated: it may have been handled before.
        """
        self._script.append(_Message(message, message_id, repeated))

    def suspend(self) -> None:
        """Lets the client go out of reach, after what it sent before. Its session is suspended.

        Messages to it are kept from then on, and are in `sent` after `resume`. In a session class
        ``on_suspend`` is called.
        """
        self._take_turn(_Turn(suspended=True))

    def resume(self) -> None:
        """Lets the client come back, after what it did before; ``on_resume`` is called."""
        self._take_turn(_Turn(suspended=False))

    def _take_turn(self, turn: _Turn) -> None:
        if self._running or self._script:
            self._script.append(turn)
        else:
            self._turn(turn)

    def _turn(self, turn: _Turn) -> None:
        # What was sent before has left.
        cast(DummyClock, self._clock).turn()
        self._suspended = turn.suspended
        self._receiver.writable = not turn.suspended
        if not turn.suspended:
            self._session.flush()

    def client_leaves(self) -> None:
        """Ends the connection from the client's side."""
        cast(DummyClock, self._clock).turn()
        code, reason = self._leaves
        self._session.detach(self._receiver, lost=True, code=code, reason=reason)

    def request(self, **attributes: Any) -> Any:
        """Makes the request of the handshake.

        Args:
            **attributes: of `pyramid.testing.DummyRequest`: ``matchdict``, ``context`` …
        """
        return self._open(DummyRequest(**attributes))

    def _open(self, request: Any) -> Any:
        """Makes a request the handshake of this connection, and returns it."""
        # On a real request of the application they are properties, which cannot be set.
        for name in ("websocket", "ws_connection"):
            request.set_property(lambda _: self, name)
        request.set_property(lambda _: self.receive, "receive")
        request.set_property(lambda _: self.sockjs, "sockjs")
        return request

    def _next(self) -> None:
        """Has the next message of the script arrive, or the client leave at its end."""
        self._handled = None
        if self.closed or cast(WebSocket, self).backlog():
            return
        while self._script and isinstance(turn := self._script[0], _Turn):
            self._script.popleft()
            self._turn(turn)
        if not self._script:
            self.client_leaves()
            return
        item = self._script.popleft()
        if isinstance(item, BaseException):
            raise item
        assert isinstance(item, _Message)
        self._handled = item
        self._session.deliver([item.text], len(item.text))

    def _phases(self, view: Any, request: Any) -> Iterable[Iterable[Callable[[], Any]]]:
        """Lists what the server would call; `ConnectionClosed` ends one phase, not the next."""
        self._running = True
        request = self.request() if request is None else self._open(request)
        if not (inspect.isclass(view) and issubclass(view, WebSocketSession)):
            return [[partial(view, request)]]
        session = self._session.connection = make_instance(view, request)
        return self._hooks(session), self._last_hooks(session)

    def _hooks(self, session: WebSocketSession) -> Iterator[Callable[[], Any]]:
        yield session.on_open
        if self._suspended:
            yield session.on_suspend
        while not self.closed:
            if self._script and isinstance(turn := self._script[0], _Turn):
                self._handled = None
                self._script.popleft()
                if turn.suspended != self._suspended:
                    self._turn(turn)
                    yield session.on_suspend if turn.suspended else session.on_resume
                continue
            self._next()
            if not self.closed:
                # By the back door: a session class has no receive().
                yield partial(session.on_message, self._next_message())

    def _last_hooks(self, session: WebSocketSession) -> Iterator[Callable[[], Any]]:
        self._handled = None
        last = [getattr(session, hook, None) for hook in ("on_close", "on_closed")]
        yield from filter(None, last)

    async def _drain(self) -> None:
        cast(DummyClock, self._clock).turn()
        await super()._drain()

    def _next_message(self) -> str:
        raise NotImplementedError


class DummyWebSocket(_Dummy, WebSocket):
    """The connection of a blocking view or a session class with plain hooks, in a unit test.

    Args:
        messages: what the client sends. Then it leaves. If one of them is an exception, for example
            `TimeoutError`, ``receive()`` raises it.
        sockjs: the ``sockjs`` of another dummy, to share rooms and broadcasts with it.
        code: the close code with which the client leaves.
        reason: the reason with which it leaves.
    """

    def receive(self, timeout: float | None = None) -> str:
        """Returns the next message of the script.

        Args:
            timeout: without effect, because there is nothing to wait for.

        Raises:
            ConnectionClosed: the script has no more messages.
        """
        self._next()
        return super().receive(timeout)

    def run(self, view: Any, request: Any = None) -> list[str]:
        """Runs a view, or the hooks of a session class, until the connection ends.

        If the view raises `ConnectionClosed`, it ends quietly. Any other exception reaches the
        test.

        Args:
            view: a function that takes a request, or a `WebSocketSession`.
            request: made by `request` or by the test; by default an empty one.

        Returns:
            What the client has received.

        Raises:
            TypeError: something is ``async def``: use `AsyncDummyWebSocket`. Or it is a generator,
                which no server runs.
        """
        for phase in self._phases(view, request):
            with contextlib.suppress(ConnectionClosed):
                for call in phase:
                    _refuse_awaitable(result := call())
                    refuse_unrun(result)
            self.close()
        return self.sent

    def drain(self, timeout: float | None = None) -> None:
        """Returns at once: the client takes everything, unless it is suspended.

        Args:
            timeout: without effect.

        Raises:
            TimeoutError: it is suspended, and more waits for it than is allowed.
        """
        cast(DummyClock, self._clock).turn()
        super().drain(0 if self._suspended else timeout)

    def _next_message(self) -> str:
        return WebSocket.receive(self)


class AsyncDummyWebSocket(_Dummy, AsyncWebSocket):
    """The connection of an ``async def`` view or of asynchronous hooks, in a unit test.

    Args:
        messages: as for `DummyWebSocket`.
        sockjs: as for `DummyWebSocket`.
        code: as for `DummyWebSocket`.
        reason: as for `DummyWebSocket`.
    """

    async def receive(self, timeout: float | None = None) -> str:
        """Returns the next message of the script.

        Args:
            timeout: without effect, because there is nothing to wait for.

        Raises:
            ConnectionClosed: the script has no more messages.
        """
        self._next()
        return await super().receive(timeout)

    async def run(self, view: Any, request: Any = None) -> list[str]:
        """Runs a view or the hooks of a session class, like `DummyWebSocket.run`.

        Args:
            view: a function that takes a request, or a `WebSocketSession`.
            request: as for `DummyWebSocket.run`.

        Returns:
            What the client has received.
        """
        for phase in self._phases(view, request):
            with contextlib.suppress(ConnectionClosed):
                for call in phase:
                    refuse_unrun(await _result(call()), "return await it")
            self.close()
        return self.sent

    def _next_message(self) -> str:
        return self._inbox.popleft()


def _refuse_awaitable(result: object) -> None:
    if inspect.isawaitable(result) and not isinstance(result, Joined):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("it is async def: test it with AsyncDummyWebSocket, and await run()")


async def _result(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
