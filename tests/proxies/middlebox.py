"""A proxy that understands HTTP/1.1, and treats it as a `Behaviour` says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, NoReturn

from tests.proxies.behaviour import ACTIONS, Behaviour
from tests.proxies.http1 import Head, Incoming, Truncated
from tests.proxies.relay import Delayed, Dropping, End, Response
from tests.proxies.tcp import Proxy, reset


class Middlebox(Proxy):
    """Passes requests on, each over a connection of its own to the server, and does what it is for.

    It counts, by name: ``upgrades`` that were refused, swallowed, held or left without answer;
    ``dropped`` and ``held`` pieces; ``old`` responses, by HTTP/1.0; ``cuts``; ``lost`` polls;
    requests that found the server ``busy``; ``resets``; ``stripped`` requests; ``cached`` answers;
    ``errors``; ``rewritten`` paths; ``waited`` connections; ``requests of`` each action: the last
    segment of a path.

    Args:
        url: of the server behind it.
        behaviour: what it does.
        concerns: what the server's paths begin with that it does this to; the limit of connections,
            HTTP/1.0 and the prefix concern all.
        seed: of its dice.
    """

    def __init__(
        self, url: str, behaviour: Behaviour | None = None, concerns: str = "/", seed: int = 0
    ) -> None:
        super().__init__(url)
        self.behaviour = behaviour or Behaviour()
        self.harmless = Behaviour(prefix=self.behaviour.prefix, http_1_0=self.behaviour.http_1_0)
        self.concerns = concerns
        self.cache: dict[str, tuple[Head, bytes]] = {}
        self._dice = random.Random(seed)
        self._polls = itertools.count(1)
        self._requests = itertools.count(1)
        self._free: float | None = None
        self._slots = asyncio.Semaphore(self.behaviour.connections or 2**31)

    def vanish(self) -> None:
        """Resets all connections, on both sides, and accepts none any more."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task that is cancelled before it begins is never here.
        connection = _Connection(self, reader, writer)
        try:
            self.counts["waited"] += self._slots.locked()
            async with self._slots:
                self.connections += 1
                await connection.serve()
        except asyncio.CancelledError:
            reset(writer)
        finally:
            connection.leave_server()
            writer.close()

    def connect(self) -> Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connects to the server."""
        return asyncio.open_connection(*self._upstream)

    def reset_at(self, chance: float) -> str:
        """Throws for one request; returns when it is reset, ``before`` or ``after`` the server."""
        if self._dice.random() >= chance:
            return ""
        return self._dice.choice(["before", "after"])

    def busy_for(self, action: str) -> float:
        """Returns the seconds that a request for an action has to wait."""
        if action not in ACTIONS or not self.behaviour.busy:
            return 0.0
        now = asyncio.get_running_loop().time()
        if self._free is None:
            self._free = now + self.behaviour.busy
        wait = max(0.0, self._free - now)
        self.counts["busy"] += wait > 0
        return wait

    def loses(self) -> bool:
        """Tells, poll by poll, whether this one is lost."""
        lose = self.behaviour.lose
        return lose is not None and next(self._polls) % lose.each == 0

    def error(self) -> str:
        """Returns, request by request, the status of an error in place of the server's answer."""
        each = self.behaviour.errors
        if not each or (count := next(self._requests)) % each:
            return ""
        return "502 Bad Gateway" if count // each % 2 else "504 Gateway Timeout"


class _Connection:
    """One connection of a client, for a request after the other.

    Args:
        box: whose it is.
        reader: from the client.
        writer: to the client.
    """

    def __init__(
        self, box: Middlebox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._box = box
        self._writer = writer
        self._incoming = Incoming(reader, self._touch)
        self._down = Delayed(0)
        self._server: tuple[Incoming, asyncio.StreamWriter] | None = None
        self._response: Response | None = None
        self._idle: asyncio.Timeout | None = None
        self._switched = False
        self.behaviour = box.harmless

    def send(self, data: bytes) -> None:
        """Sends bytes to the client, as late as they are to come."""
        self._touch()
        self._down(self._writer.write, data)

    def count(self, name: str, much: int = 1) -> None:
        """Counts what was done."""
        self._box.counts[name] += much

    def cut(self) -> NoReturn:
        """Ends what goes on, as the behaviour says."""
        self.count("cuts")
        raise End(self.behaviour.cut.end)

    def leave_server(self) -> None:
        """Ends the connection to the server, if there is one."""
        if self._server is not None:
            self._server[1].close()
            self._server = None

    def _touch(self) -> None:
        if self._idle is not None and self._idle.when() is not None:
            self._idle.reschedule(asyncio.get_running_loop().time() + self.behaviour.idle)

    async def serve(self) -> None:
        """Serves the client until either side ends."""
        with contextlib.suppress(Truncated, OSError):
            while await self._serve_one():
                pass

    async def _serve_one(self) -> bool:
        head = await self._incoming.head()
        body = await self._incoming.request_body(head)
        prefix = self._box.behaviour.prefix
        if not head.target.startswith(prefix):
            return self._answer("404 Not Found")
        self.count("rewritten", bool(prefix))
        method, target, version = head.first.split(" ")
        head = replace(head, first=f"{method} {target.removeprefix(prefix)} {version}")
        concerned = head.target.startswith(self._box.concerns)
        self.behaviour = self._box.behaviour if concerned else self._box.harmless
        self.count(f"requests of {head.action}")
        self._down = Delayed(self.behaviour.round_trip / 2)
        self._response = None
        try:
            goes_on = await self._bounded(head, body)
        except End as end:
            goes_on = self._end(str(end))
        finally:
            self.leave_server()
        await self._down.done()
        return goes_on

    async def _bounded(self, head: Head, body: bytes) -> bool:
        """Exchanges a request, within the limits of time that there are."""
        try:
            async with _timeout(self.behaviour.idle) as self._idle:
                goes_on = await self._until_cut(
                    self._while_client_stays(self._exchange(head, body))
                )
                return await self._until_cut(self._tunnel()) if self._switched else goes_on
        except TimeoutError:
            self.count("cuts")
            return False
        finally:
            self._idle = None

    async def _until_cut(self, work: Coroutine[Any, Any, bool]) -> bool:
        limit = _timeout(self.behaviour.cut.after_seconds)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                self.cut()
            raise

    async def _while_client_stays(self, work: Coroutine[Any, Any, bool]) -> bool:
        tasks = asyncio.ensure_future(work), asyncio.ensure_future(self._incoming.end())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise Truncated
            return tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, how: str) -> bool:
        """Ends what goes on in one of the ways of `ENDS`; tells whether the connection goes on."""
        response = self._response
        if how == "clean" and not self._switched:
            if response is None or not response.begun:
                return self._answer("504 Gateway Timeout")
            if response.is_chunked:
                return response.end()
        if how == "RST":
            self._down(reset, self._writer)
        return False

    def _answer(self, status: str, body: bytes = b"") -> bool:
        response = self._response = Response(self, Head(f"HTTP/1.1 {status}"), keeps_alive=False)
        response.begin(len(body))
        return response.finish()

    async def _exchange(self, head: Head, body: bytes) -> bool:
        """Passes a request on, and its answer back.

        Returns:
            Whether the connection can go on with another request.
        """
        does = self.behaviour
        await asyncio.sleep(does.round_trip / 2 + self._box.busy_for(head.action))
        if head.asks_for_upgrade and does.upgrade in ("refused", "unanswered"):
            self.count("upgrades")
            if does.upgrade == "refused":
                return self._answer("403 Forbidden")
            await asyncio.Event().wait()
        resets = self._box.reset_at(does.resets)
        self._reset_if(resets == "before")
        error = self._box.error() if does.errors else ""
        self.count("errors", bool(error))
        if error.startswith("502"):
            return self._answer(error)
        kept = self._box.cache.get(head.target)
        if does.caches and kept is not None and head.first.startswith("GET "):
            self.count("cached")
            response = self._begin(head, kept[0])
            response.begin(len(kept[1]))
            response.write(kept[1])
            return response.finish()
        incoming = await self._ask(head, body)
        answer = await incoming.head()
        self._reset_if(resets == "after")
        if error:
            return self._answer(error)
        if answer.status == "101":
            if does.upgrade == "held":
                self.count("upgrades")
                await asyncio.Event().wait()
            self.send(answer.encode())
            self._switched = True
            return False
        return await self._relay(head, answer, incoming)

    def _reset_if(self, now: bool) -> None:
        if now:
            self.count("resets")
            raise End("RST")

    async def _ask(self, head: Head, body: bytes) -> Incoming:
        does = self.behaviour
        passed = head.for_next_hop().without(["content-length", *does.strips])
        self.count("stripped", any(head.get(name) for name in does.strips))
        if does.http_1_0:
            passed = replace(passed, first=passed.first.replace("HTTP/1.1", "HTTP/1.0"))
        swallows = does.upgrade == "swallowed" or does.http_1_0
        if head.asks_for_upgrade and not swallows:
            passed = passed.adding("Connection", "Upgrade")
        else:
            self.count("upgrades", head.asks_for_upgrade)
            passed = passed.without(["upgrade"]).adding("Connection", "close")
        if body or head.first.startswith("POST "):
            passed = passed.adding("Content-Length", str(len(body)))
        reader, writer = await self._box.connect()
        self._server = Incoming(reader, self._touch), writer
        writer.write(passed.encode() + body)
        return self._server[0]

    def _begin(self, request: Head, answer: Head) -> Response:
        keeps_alive = request.keeps_alive and not self.behaviour.http_1_0
        self._response = Response(self, answer, keeps_alive)
        self.count("old", self.behaviour.http_1_0)
        return self._response

    async def _relay(self, request: Head, answer: Head, incoming: Incoming) -> bool:
        does = self.behaviour
        response = self._begin(request, answer)
        pieces = incoming.response_body(answer)
        if does.lose and request.action == "xhr" and self._box.loses():
            return self._lose(response, b"".join([piece async for piece in pieces]))
        if not does.hold:
            response.begin(0 if answer.is_bodiless else answer.length)
        body = b""
        async for piece in pieces:
            response.write(piece)
            if does.caches:
                body += piece
        if does.caches and request.first.startswith("GET ") and answer.status == "200":
            self._box.cache[request.target] = answer, body
        return response.finish()

    def _lose(self, response: Response, body: bytes) -> bool:
        self.count("lost")
        lose = self.behaviour.lose
        assert lose is not None
        if lose.stage in ("before the head", "after the head"):
            if lose.stage == "after the head":
                response.begin(len(body))
            raise End("FIN")
        rest = b"" if lose.stage == "empty" else body[:-2]
        response.begin(len(rest))
        if rest:
            response.write(rest)
        return response.finish()

    async def _tunnel(self) -> bool:
        """Passes on what follows a 101."""
        assert self._server is not None
        incoming, server = self._server
        up = Delayed(self.behaviour.round_trip / 2)
        from_client = Dropping(self, "to the server")
        from_server = Dropping(self, "to the client")
        left = self.behaviour.cut.after_bytes

        async def ask() -> None:
            while data := await self._incoming.piece():
                if not from_client.drops(data):
                    up(server.write, data)
            await up.done()

        async def answer() -> None:
            nonlocal left
            while data := await incoming.piece():
                if from_server.drops(data):
                    continue
                self.send(data if len(data) <= left else data[: int(left)])
                left -= len(data)
                if left < 0:
                    self.cut()
            if from_server.dropping:
                # Nobody tells the client either that the server has gone.
                await asyncio.Event().wait()

        tasks = asyncio.ensure_future(ask()), asyncio.ensure_future(answer())
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return False


def _timeout(seconds: float) -> asyncio.Timeout:
    return asyncio.timeout(None if math.isinf(seconds) else seconds)
