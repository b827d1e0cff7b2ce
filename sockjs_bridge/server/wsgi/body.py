"""The bodies of requests: read to their end, in memory or on disk, bounded for all together."""

from __future__ import annotations

import asyncio
import io
import logging
import tempfile
from collections.abc import Callable
from typing import BinaryIO, ParamSpec, TypeVar, cast

from aiohttp import HttpVersion11, StreamReader, web

from sockjs_bridge.server.http1 import CONTINUE
from sockjs_bridge.server.loop import LoopClock
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.reader import connection_of
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.wsgi.budget import Budget, client_of

logger = logging.getLogger("sockjs_bridge.server")

P = ParamSpec("P")
T = TypeVar("T")


class BodyRefused(Exception):
    """A request that is answered before its body is complete.

    Args:
        status: of the answer: 400, 408, 413 or 503.
        text: of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Uploads:
    """Reads the bodies of all requests of a process, and bounds what they take together.

    Where they take more, one that is not complete gives way, and is answered 503: see
    `sockjs_bridge.server.wsgi.budget.leaving_order`.

    Args:
        files: where files are written.
        options: of the server.
        spool_size: bytes of a body that are kept in memory; a longer one goes to disk.
    """

    def __init__(self, files: ThreadPool, options: ServerOptions, spool_size: int) -> None:
        self.files = files
        self.memory = Budget(options.max_body_memory)
        self.disk = Budget(options.max_body_disk)
        self.spool_size = spool_size
        self.body_timeout = options.body_timeout

    async def read(
        self, request: web.BaseRequest, remote: str, limit: int, *, spool: bool = True
    ) -> Body:
        """Reads a request's body to its end.

        Args:
            request: the request.
            remote: the address of who makes it.
            limit: most bytes.
            spool: whether a long one may go to disk.

        Raises:
            BodyRefused: it is not to be had.
            ConnectionError: the client is gone.
        """
        if request.transport is None:
            raise ConnectionResetError("the client is gone")
        if (request.content_length or 0) > limit:
            raise BodyRefused(413, "Content Too Large")
        body = Body(self, client_of(remote), self.spool_size if spool else limit)
        try:
            if request.can_read_body:
                await send_continue(request)
                await body.read(request.content, limit)
        except BaseException:
            body.close()
            raise
        return body


class Body:
    """The body of one request.

    Args:
        uploads: what it shares with the others.
        client: whom it is counted for.
        spool_size: bytes that are kept in memory.

    Attributes:
        client: as given.
        file: what was read; once that is all, from its beginning.
    """

    def __init__(self, uploads: Uploads, client: str, spool_size: int) -> None:
        self.client = client
        self._spool_size = spool_size
        self.file: BinaryIO = io.BytesIO()
        self._uploads = uploads
        self._clock: LoopClock = uploads.files.clock()
        self._size = 0
        self._moved = self._clock.time()
        self._gave_way = False
        self._timeout: asyncio.Timeout | None = None

    def beginning(self, size: int) -> bytes:
        """Returns its first bytes; in a thread, and before it is closed.

        Args:
            size: how many.
        """
        self.file.seek(0)
        return self.file.read(size)

    def close(self) -> None:
        """Lets it go; in any thread, and once."""
        self.file.close()
        self._clock.call_from_thread(self._let_go)

    def idle(self) -> float:
        """Returns the seconds since its last byte."""
        return self._clock.time() - self._moved

    def give_way(self) -> None:
        """Has it refused, for others need what it holds."""
        self._gave_way = True
        # One that has expired cannot be set again, and has its reader woken already.
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._clock.time())

    async def read(self, content: StreamReader, limit: int) -> None:
        """Reads all of it.

        Args:
            content: where it comes from.
            limit: most bytes.

        Raises:
            BodyRefused: it is not to be had.
        """
        while block := await self._next_block(content):
            self._moved = self._clock.time()
            self._size += len(block)
            if self._size > limit:
                raise BodyRefused(413, "Content Too Large")
            await self._add(block)
            if self._gave_way:
                raise _no_room()
        # Complete, it counts until it is closed.
        self._uploads.memory.keep(self)
        self._uploads.disk.keep(self)
        if not isinstance(self.file, io.BytesIO):
            await self._on_disk(self.file.flush)
        self.file.seek(0)

    async def _next_block(self, content: StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._uploads.body_timeout) as self._timeout:
                return await content.readany()
        except TimeoutError:
            if self._gave_way:
                raise _no_room() from None
            raise BodyRefused(408, "Request Timeout") from None
        except web.RequestPayloadError:
            raise BodyRefused(400, "Bad Request") from None
        finally:
            self._timeout = None

    async def _add(self, block: bytes) -> None:
        """Keeps a block; or nothing any more, if this has to give way."""
        uploads = self._uploads
        if self._size <= self._spool_size:
            uploads.memory.hold(self, len(block))
            self.file.write(block)
            return
        begun = self.file if isinstance(self.file, io.BytesIO) else None
        uploads.disk.hold(self, self._size if begun is not None else len(block))
        if self._gave_way:
            return
        if begun is not None:
            self.file = await self._on_disk(on_disk, begun.getvalue())
            uploads.memory.drop(self)
        await self._on_disk(self.file.write, block)

    async def _on_disk(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._uploads.files.run(function, *args, **kwargs)
        except OSError as error:
            logger.error("the body of a request cannot be kept: %s", error)
            raise _no_room() from None

    def _let_go(self) -> None:
        self._uploads.memory.drop(self)
        self._uploads.disk.drop(self)


def on_disk(content: bytes) -> BinaryIO:
    """Makes a temporary file; whoever gets it closes it.

    Args:
        content: what is written to it; it stands behind that.
    """
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
    try:
        file.write(content)
    except BaseException:
        file.close()
        raise
    return file


def _no_room() -> BodyRefused:
    return BodyRefused(503, "Service Unavailable")


async def send_continue(request: web.BaseRequest) -> None:
    """Asks a client that waits for it to go on with its body (RFC 9110, 10.1.1)."""
    if (
        request.version >= HttpVersion11
        and request.headers.get("Expect", "").lower() == "100-continue"
    ):
        connection_of(request).flow.write(CONTINUE)
