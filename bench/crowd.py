"""Clients of ``~r1`` that hold sessions at several processes, and come back when one is killed.

    python -m bench.crowd COUNT VICTIM SHARE PATH PORT PORT ...

Half of them have WebSockets. The others poll, through another process than the one that has their
session, as behind a balancer. They do what the clients of this library do: when a connection
breaks, the session is asked for at another process at once, and where it is lost a new one is
opened there. They send nothing.

Each line that is written is a `Count`, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import uvloop

RAMP = 64
"""Sessions that are being opened at a time at the beginning, so that no process is overrun."""
RETRY = 0.1
"""Seconds until a client asks again that was refused, or found nobody."""
TELL = 0.05
"""Seconds between two lines at least."""


@dataclass(slots=True)
class Count:
    """How the clients are.

    Attributes:
        open: how many have a session.
        affected: how many have to do with the process that is to be killed: their session is
            there, or they poll through it.
        back: of these, how many have a session again.
        lost: how many have learned that their session was lost.
        refused: how often a process had no time for one (503).
        half: when half of the affected were back, in seconds of the system's monotonic clock; 0
            before.
        last: when the last one came back.
        wrong: what should not have happened, the first time.
    """

    open: int = 0
    affected: int = 0
    back: int = 0
    lost: int = 0
    refused: int = 0
    half: float = 0.0
    last: float = 0.0
    wrong: str = ""


def token() -> str:
    """Makes an id, or a key: 16 random bytes, base64url."""
    return base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()


class Crowd:
    """The clients of one process of the benchmark.

    Args:
        count: how many.
        victim: which server is going to be killed.
        share: of the sessions, per cent: how many the victim has; the others have equal parts of
            the rest.
        path: of the endpoint.
        ports: of the servers.
    """

    def __init__(self, count: int, victim: int, share: int, path: str, ports: list[int]) -> None:
        self.path = path
        self.ports = ports
        self.count = Count()
        self.loop = asyncio.get_running_loop()
        self._telling = False
        self._steps = 0
        others = [index for index in range(len(ports)) if index != victim]
        at_victim = round(count / 2 * share / 100)
        self._clients: list[Client] = []
        for number in range(count):
            pair, polls = divmod(number, 2)
            home = victim if pair < at_victim else others[pair % len(others)]
            # Polls go through the others by turns.
            by = (home + 1 + pair // len(others) % len(others)) % len(ports) if polls else home
            affected = victim in (home, by)
            self.count.affected += affected
            self._clients.append((Polling if polls else Socket)(self, home, by, affected))
        self._next = iter(self._clients)
        for _ in range(RAMP):
            self.open_next()

    def open_next(self) -> None:
        """Has one more client begin."""
        for client in self._next:
            client.begin()
            break

    def opened(self, client: Client) -> None:
        """Hears that a client has a session, or has it again."""
        count, now = self.count, time.monotonic()
        count.open += 1
        if not client.was_open:
            client.was_open = True
            self.open_next()
        elif client.affected:
            client.affected = False
            count.back += 1
            count.last = now
            if not count.half and count.back >= count.affected / 2:
                count.half = now
        self.tell()

    def step(self) -> int:
        """Returns how many servers farther goes who goes elsewhere: to each other one by turns."""
        self._steps += 1
        return 1 + self._steps % (len(self.ports) - 1)

    def broke(self) -> None:
        """Hears that a client has lost its connection."""
        self.count.open -= 1
        self.tell()

    def wrong(self, what: str) -> None:
        """Hears what should not have happened."""
        self.count.wrong = self.count.wrong or what
        self.tell()

    def tell(self) -> None:
        """Writes how it stands, soon."""
        if not self._telling:
            self._telling = True
            self.loop.call_later(TELL, self._tell)

    def _tell(self) -> None:
        self._telling = False
        print(json.dumps(asdict(self.count)), flush=True)


class Client(asyncio.Protocol):
    """A client: one session at a time, over one connection at a time.

    Args:
        crowd: of it.
        home: which server shall have its session.
        by: which one it connects to once it is open.
        affected: see `Count`.
    """

    def __init__(self, crowd: Crowd, home: int, by: int, affected: bool) -> None:
        self.crowd = crowd
        self.affected = affected
        self.was_open = False
        self._at, self._by = home, by
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._open = False
        self._new()

    def _new(self) -> None:
        self._id, self._key = token(), token()
        self._home, self._incarnation = "", ""
        self._request = 0

    def begin(self) -> None:
        """Connects, and opens a session or asks for the one that it has."""
        self._data = b""
        port = self.crowd.ports[self._at]
        connecting = self.crowd.loop.create_connection(lambda: self, "127.0.0.1", port)
        self.crowd.loop.create_task(self._connect(connecting))

    async def _connect(self, connecting: Any) -> None:
        try:
            await connecting
        except OSError:
            self._elsewhere()
            self.crowd.loop.call_later(RETRY, self.begin)

    def _elsewhere(self) -> None:
        # As a balancer: it may take a while until nobody is sent to a process that is gone.
        self._at = self._by = (self._at + self.crowd.step()) % len(self.crowd.ports)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Those of uvloop are no subclass.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            # It was left.
            return
        self._transport = None
        self._broken()
        self._elsewhere()
        self.begin()

    def _broken(self) -> None:
        if self._open:
            self._open = False
            self.crowd.broke()

    def _leave(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _ask(self) -> None:
        raise NotImplementedError

    def _url(self, last: str) -> str:
        home = self._home and f"-{self._home}"
        return f"{self.crowd.path}/~r1{home}/{self._id}/{last}"

    def _receive(self, **more: object) -> bytes:
        """Returns a receive request."""
        self._request += 1
        said: dict[str, object] = {"key": self._key, "request": self._request, "received": 0}
        if self._incarnation:
            said |= {"incarnation": self._incarnation, "now": True}
        else:
            said |= {"new": True, "client": token(), "base": 1}
        return json.dumps({**said, **more}).encode()

    def _refused(self, head: bytes) -> None:
        """Asks again elsewhere: there is no time here, or the home cannot be reached yet."""
        if b" 503 " not in head[:16]:
            self.crowd.wrong(head.partition(b"\r\n")[0].decode("latin-1"))
        self.crowd.count.refused += 1
        self._broken()
        self._leave()
        self._elsewhere()
        self.crowd.loop.call_later(RETRY, self.begin)

    def _told(self, line: bytes) -> bool:
        """Takes a line; returns whether it has brought a welcome."""
        if line[:1] == b"h" or line.startswith(b'p["'):
            return False
        if line[:1] != b"r":
            self.crowd.wrong(line[:200].decode(errors="replace"))
            return False
        try:
            told = json.loads(line[1:])
        except ValueError:
            self.crowd.wrong(line[:200].decode(errors="replace"))
            return False
        if "lost" in told:
            self.crowd.count.lost += 1
            self._broken()
            self._new()
            self._leave()
            self.begin()
            return False
        if "from" not in told:
            return False
        self._home = told.get("home", self._home)
        self._incarnation = told.get("incarnation", self._incarnation)
        if not self._open:
            self._open = True
            self.crowd.opened(self)
        return True


class Socket(Client):
    """A client with a WebSocket (RFC 6455)."""

    _upgraded = False

    def _ask(self) -> None:
        assert self._transport is not None
        self._upgraded = False
        url = self._url("websocket" if self._incarnation else "websocket?new")
        head = (
            f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        self._transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._upgraded:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head[:16]:
                self._refused(head)
                return
            self._upgraded, self._data = True, rest
            self._write(0x81, self._receive())
        while (frame := self._frame()) is not None and self._transport is not None:
            opcode, payload = frame
            if opcode == 9:
                self._write(0x8A, payload)
            elif opcode == 1:
                self._told(payload)

    def _frame(self) -> tuple[int, bytes] | None:
        """Takes a frame off what has come; no server splits one that is so short."""
        data = self._data
        if len(data) < 2:
            return None
        begin, length = 2, data[1]
        if length == 126:
            begin, length = 4, int.from_bytes(data[2:4], "big")
        if len(data) < begin + length:
            return None
        self._data = data[begin + length :]
        return data[0] & 15, data[begin : begin + length]

    def _write(self, first: int, payload: bytes) -> None:
        assert self._transport is not None
        length = len(payload)
        size = bytes([128 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
        # Masked with zeros: the text stays as it is.
        self._transport.write(bytes([first]) + size + bytes(4) + payload)


class Polling(Client):
    """A client that polls."""

    def _ask(self) -> None:
        self._poll(self._receive())

    def _poll(self, body: bytes) -> None:
        assert self._transport is not None
        head = f"POST {self._url('xhr')} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        if b" 200 " not in head[:16]:
            self._refused(head)
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._data = b""
        # The welcome is the first one.
        opened, *_ = [self._told(line) for line in rest.splitlines()]
        if self._transport is None or not opened:
            return
        if self._by != self._at:
            # From now on through another process.
            self._leave()
            self._at = self._by
            self.begin()
            return
        self._poll(self._receive(now=False))


async def main() -> None:
    """Does so, until it is killed."""
    count, victim, share, path, *ports = sys.argv[1:]
    Crowd(int(count), int(victim), int(share), path, [*map(int, ports)])
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
