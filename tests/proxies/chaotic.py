"""A proxy that does to a client's requests what networks do, by dice that are thrown anew."""

from __future__ import annotations

import asyncio
import random
import re

from tests.proxies.tcp import Link, Proxy

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_WAY = re.compile(rb"[A-Z]+ [^ ?]*/(\w+)[ ?]")
#: What stands in between refuses WebSockets by any status; a request is not there, or not now.
_REFUSALS = {"websocket": (400, 403, 404, 405, 501, 502), "": (502, 503, 504)}
_CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")


class _ChaoticLink(Link):
    proxy: ChaoticProxy
    #: No answer comes through any more, or no request.
    deaf = mute = False
    #: What was asked for last.
    way = ""

    def __init__(
        self, proxy: Proxy, here: asyncio.StreamWriter, there: asyncio.StreamWriter
    ) -> None:
        super().__init__(proxy, here, there)
        # What waits a moment on its way to the server.
        self.held: list[bytes] = []

    def request(self, data: bytes) -> None:
        if (found := _WAY.match(data)) is not None:
            self.way = found[1].decode()
        if self.mute:
            return
        if self.way in self.proxy.forbidden:
            self._refuse()
            return
        if self.held:
            # Behind that: no network changes the order of a connection's bytes.
            self.held.append(data)
            return
        what = self.proxy.throw("repeat", "hold", "reset early")
        if what == "reset early":
            self.reset()
        elif what == "hold":
            self.held.append(data)
            asyncio.get_running_loop().call_later(self.proxy.moment(), self._let_go)
        else:
            if what == "repeat" and data.startswith(b"POST "):
                self.proxy.repeat(data)
            super().request(data)

    def _refuse(self) -> None:
        if self.here.is_closing():
            return
        self.proxy.refused += 1
        status = self.proxy.refusal(self.way)
        if status is None:
            self.reset()
        else:
            self.here.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
            self.cut()

    def _let_go(self) -> None:
        held, self.held = self.held, []
        if not self.there.is_closing():
            super().request(b"".join(held))

    def answer(self, data: bytes) -> None:
        what = self.proxy.throw("lose", "cut", "end", "reset")
        if self.deaf or self.way in self.proxy.forbidden:
            return
        if what == "lose":
            self.cut()
        elif what == "cut":
            self.here.write(data[: self.proxy.part(len(data))])
            self.cut()
        elif what == "end":
            self.here.write(self._ended(data))
            self.cut()
        elif what == "reset":
            self.reset()
        elif not self.here.is_closing():
            super().answer(data)

    def _ended(self, data: bytes) -> bytes:
        """Return a part of an answer that looks complete."""
        head, end, body = data.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if end and length is not None:
            part = body[: self.proxy.part(len(body))]
            return head.replace(length[0], b"\r\nContent-Length: %d" % len(part)) + end + part
        if end and b"chunked" in head:
            return head + end + self._ended(body)
        if (size := _CHUNK.match(data)) is not None:
            payload = data[size.end() : size.end() + int(size[1], 16)]
            part = payload[: self.proxy.part(len(payload))]
            return (b"%x\r\n%s\r\n" % (len(part), part) if part else b"") + b"0\r\n\r\n"
        return data[: self.proxy.part(len(data))]


class ChaoticProxy(Proxy):
    """Loses, truncates, repeats, holds and resets; what is truncated may look complete.

    It counts each of these, by name.

    Args:
        url: of the server behind it.
        seed: of the dice.
        rate: how many of a hundred pieces of data something happens to.

    Attributes:
        calm: nothing happens any more.
        forbidden: the ways, by the last part of their URLs, that it lets nobody go.
        refused: how often it did not.
        resets_only: it does so without an answer.
    """

    link = _ChaoticLink

    def __init__(self, url: str, seed: int, rate: int = 8) -> None:
        super().__init__(url)
        self._dice = random.Random(seed)
        self._rate = rate
        self._repeats: set[asyncio.Task[None]] = set()
        self.calm = False
        self.forbidden: frozenset[str] = frozenset()
        self.refused = 0
        self.resets_only = False

    def throw(self, *names: str) -> str:
        """Return what happens; mostly nothing."""
        if self.calm or self._dice.random() * 100 >= self._rate:
            return ""
        name = self._dice.choice(names)
        self.counts[name] += 1
        return name

    def forbid(self, *ways: str) -> None:
        """Let nobody go some ways from now on, all others again; who is on one is cut off."""
        self.forbidden = frozenset(ways)
        for link in [*self.links]:
            if link.way in self.forbidden:
                link.reset()

    def refusal(self, way: str) -> int | None:
        """Return the status by which a request is refused, None for a reset."""
        if self.resets_only:
            return None
        return self._dice.choice([*_REFUSALS.get(way, _REFUSALS[""]), None])

    def kill_direction(self, name: str) -> None:
        """Let nothing through any more on the connections that are open.

        Args:
            name: ``deaf``: no answers; ``mute``: no requests.
        """
        for link in self.links:
            setattr(link, name, True)

    def part(self, size: int) -> int:
        """Return some size below another one."""
        return self._dice.randrange(size) if size else 0

    def moment(self) -> float:
        """Return some seconds, few of them."""
        return self._dice.random() * 0.05

    def repeat(self, data: bytes) -> None:
        """Send a request a second time, as browsers do on connections that break."""
        task = asyncio.create_task(self._repeat(data))
        self._repeats.add(task)
        task.add_done_callback(self._repeats.discard)

    async def _repeat(self, data: bytes) -> None:
        await asyncio.sleep(self.moment())
        try:
            reader, writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            return
        writer.write(data)
        writer.write_eof()
        try:
            await reader.read()
        except OSError:
            pass
        finally:
            writer.transport.abort()
