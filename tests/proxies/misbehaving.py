"""Proxies that treat HTTP as the middleboxes do that made people give up on WebSockets."""

from __future__ import annotations

import asyncio

from tests.proxies.tcp import Link, Proxy

ACTIONS = frozenset(
    ("websocket", "xhr", "xhr_send", "xhr_streaming", "eventsource", "htmlfile", "jsonp")
)
"""What clients ask of a session: the last segments of these paths."""

_END = b"\r\n\r\n"
_HOP_BY_HOP = (b"connection:", b"keep-alive:", b"proxy-connection:", b"upgrade:")


def _asks_for_upgrade(head: bytes) -> bool:
    return b"\r\nupgrade:" in head.lower()


def _action(head: bytes) -> str:
    """Return the last segment of the path that is asked for."""
    target = head.split(b" ", 2)[1].partition(b"?")[0]
    return target.rpartition(b"/")[2].decode()


class _RequestLink(Link):
    """One request a connection, whose head is passed on changed; the rest as it comes."""

    version = b"HTTP/1.1"
    _head: bytes | None = b""

    def request(self, data: bytes) -> None:
        if self._head is None:
            super().request(data)
            return
        self._head += data
        head, end, body = self._head.partition(_END)
        if end:
            self._head = None
            self.pass_on(head, body)

    def pass_on(self, head: bytes, body: bytes) -> None:
        """Pass a request on that will be the only one: without Upgrade and keep-alive."""
        self.proxy.counts["upgrades swallowed"] += _asks_for_upgrade(head)
        self.proxy.counts[f"requests of {_action(head)}"] += 1
        first, *lines = head.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(_HOP_BY_HOP)]
        first = first.rpartition(b" ")[0] + b" " + self.version
        super().request(b"\r\n".join([first, *kept, b"Connection: close"]) + _END + body)


class SwallowingProxy(Proxy):
    """Passes on what asks for an ``Upgrade`` as a plain request, and everything else as it is.

    It counts ``upgrades swallowed``.
    """

    link = _RequestLink


class _UnansweringLink(_RequestLink):
    def pass_on(self, head: bytes, body: bytes) -> None:
        if _asks_for_upgrade(head):
            self.proxy.counts["upgrades swallowed"] += 1
        else:
            super().pass_on(head, body)


class UnansweringProxy(Proxy):
    """Never answers what asks for an ``Upgrade``, and passes on everything else.

    It counts ``upgrades swallowed``.
    """

    link = _UnansweringLink


class _BusyLink(_RequestLink):
    proxy: BusyProxy

    def pass_on(self, head: bytes, body: bytes) -> None:
        wait = self.proxy.busy_for(_action(head))
        asyncio.get_running_loop().call_later(wait, super().pass_on, head, body)


class BusyProxy(Proxy):
    """Behaves like a server that is busy as soon as clients have its /info, and has no ``Upgrade``.

    From the first request for a session on, none of these goes on for some time; then all of them
    do. It counts ``requests of`` each action, and ``requests held up``.

    Args:
        url: of the server behind it.
        duration: in seconds.
    """

    link = _BusyLink

    def __init__(self, url: str, duration: float) -> None:
        super().__init__(url)
        self._duration = duration
        self._end: float | None = None

    def busy_for(self, action: str) -> float:
        """Return the seconds that a request for an action has to wait."""
        if action not in ACTIONS:
            return 0.0
        now = asyncio.get_running_loop().time()
        if self._end is None:
            self._end = now + self._duration
        wait = max(0.0, self._end - now)
        self.counts["requests held up"] += wait > 0
        return wait


class _HoldingLink(_RequestLink):
    _held = b""

    def answer(self, data: bytes) -> None:
        self._held += data

    def answered(self) -> None:
        self.proxy.counts["responses held"] += 1
        self.here.write(self._held)
        super().answered()


class HoldingProxy(Proxy):
    """Holds every response until it is complete, as content filters do, and has no ``Upgrade``.

    It counts ``responses held``, ``upgrades swallowed`` and ``requests of`` each action.
    """

    link = _HoldingLink


class _OldLink(_RequestLink):
    version = b"HTTP/1.0"
    _begun = False

    def answer(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            self.proxy.counts["answers"] += 1
            if not data.startswith(b"HTTP/1.0 "):
                # Whoever answers like this to HTTP/1.0 may use what it does not have.
                self.proxy.counts["other versions"] += 1
        super().answer(data)


class OldProxy(Proxy):
    """Speaks HTTP/1.0 only, to both sides: no chunks, no keep-alive, no ``Upgrade``.

    It counts ``answers``, ``other versions`` among them, and ``upgrades swallowed``.
    """

    link = _OldLink


class _CuttingLink(Link):
    proxy: CuttingProxy
    _left: int | None = None

    def request(self, data: bytes) -> None:
        target = data.partition(b" ")[2]
        if self._left is None and target.startswith(self.proxy.prefix):
            self._left = self.proxy.limit
        super().request(data)

    def answer(self, data: bytes) -> None:
        if self._left is None:
            super().answer(data)
            return
        super().answer(data[: self._left])
        self._left -= len(data)
        if self._left <= 0:
            self.proxy.counts["cuts"] += 1
            self.cut()


class CuttingProxy(Proxy):
    """Cuts every connection after a number of bytes to the client.

    It counts ``cuts``.

    Args:
        url: of the server behind it.
        limit: in bytes.
        prefix: of the paths from whose first request on a connection's bytes are counted, so that
            a page can be loaded whose files are larger.
    """

    link = _CuttingLink

    def __init__(self, url: str, limit: int, prefix: str = "/") -> None:
        super().__init__(url)
        self.limit = limit
        self.prefix = prefix.encode()


class _DroppingLink(Link):
    proxy: DroppingProxy
    _switched = False
    _passed = 0

    def request(self, data: bytes) -> None:
        if not self._dropped(data, "to the server"):
            super().request(data)

    def answer(self, data: bytes) -> None:
        if not self._switched and data.startswith(b"HTTP/1.1 101 "):
            self._switched = True
            head, end, data = data.partition(_END)
            super().answer(head + end)
        if not self._dropped(data, "to the client"):
            super().answer(data)

    def _dropped(self, data: bytes, direction: str) -> bool:
        if not self._switched or direction != self.proxy.direction:
            return False
        self._passed += len(data)
        if self._passed <= self.proxy.passes:
            return False
        self.proxy.counts["dropped"] += 1
        return True


class DroppingProxy(Proxy):
    """Lets a 101 pass, and silently drops what follows in one direction: open but dead.

    It counts ``dropped`` packets.

    Args:
        url: of the server behind it.
        direction: ``to the client`` or ``to the server``.
        passes: bytes that are passed on before.
    """

    link = _DroppingLink

    def __init__(self, url: str, direction: str = "to the client", passes: int = 0) -> None:
        assert direction in ("to the client", "to the server")
        super().__init__(url)
        self.direction = direction
        self.passes = passes


class _IdleLink(Link):
    proxy: IdleProxy

    def __init__(
        self, proxy: Proxy, here: asyncio.StreamWriter, there: asyncio.StreamWriter
    ) -> None:
        super().__init__(proxy, here, there)
        self._timer = self._wait()

    def _wait(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self.proxy.timeout, self._give_up)

    def _give_up(self) -> None:
        self.proxy.counts["cuts"] += 1
        self.cut()

    def request(self, data: bytes) -> None:
        self._timer.cancel()
        self._timer = self._wait()
        super().request(data)

    def answer(self, data: bytes) -> None:
        self._timer.cancel()
        self._timer = self._wait()
        super().answer(data)

    def requested(self) -> None:
        self._timer.cancel()
        super().requested()

    def answered(self) -> None:
        self._timer.cancel()
        super().answered()


class IdleProxy(Proxy):
    """Cuts a connection over which no byte went for a while, in either direction.

    It counts ``cuts``.

    Args:
        url: of the server behind it.
        timeout: in seconds.
    """

    link = _IdleLink

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url)
        self.timeout = timeout
