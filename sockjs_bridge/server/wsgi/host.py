"""A WSGI application hosted on aiohttp, in a pool of daemon threads.

Section names refer to PEP 3333.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO, cast
from wsgiref.types import WSGIApplication

from aiohttp import web

from sockjs_bridge.endpoint.handshake import INQUIRY, Inquiry
from sockjs_bridge.endpoint.outcomes import RETRY_AFTER
from sockjs_bridge.endpoint.request import RequestHead
from sockjs_bridge.server.accesslog import CLIENT, GONE, REMOTE_USER
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.proxy import Client, MalformedForwarded
from sockjs_bridge.server.reader import connection_of
from sockjs_bridge.server.relief import Relief
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.wsgi.body import Body, BodyRefused, Uploads, on_disk
from sockjs_bridge.server.wsgi.environ import make_environ, split_target
from sockjs_bridge.server.wsgi.exchange import BLOCK, Exchange, FileBody, Head
from sockjs_bridge.server.wsgi.outlet import Outflow, Outlet
from sockjs_bridge.server.wsgi.response import WSGIResponse

logger = logging.getLogger("sockjs_bridge.server")

#: Bytes of a file that are read at once for a client that takes them within so many seconds.
QUICK_BLOCK = 4 * BLOCK
QUICK = 0.1
#: For each thread of `WSGIHost.call`, how many calls are in the pool at a time. Threads that have
#: no end of work leave the loop the interpreter only every few milliseconds, for one event each
#: time; so a crowd waits here.
AT_A_TIME = 2
#: Threads that read and write files, whose systems answer at once: none of them waits for a client.
FILE_THREADS = 4


class WSGIHost:
    """Calls a WSGI application for the requests that aiohttp reads.

    The server around it is a `sockjs_bridge.server.reader.RequestServer`.

    Args:
        app: the application.
        pool: where it runs. Responses that come in blocks go on beside it, see `ThreadPool.lend`.
        options: of the server.
        handshakes: where it runs for `call`; by default with all the rest.
        spool_size: bytes of a request body kept in memory; a longer one goes to disk.

    Attributes:
        files: where files are read and written.
        uploads: the bodies of requests.
    """

    def __init__(
        self,
        app: WSGIApplication,
        pool: ThreadPool,
        options: ServerOptions,
        *,
        handshakes: ThreadPool | None = None,
        spool_size: int = 65_536,
    ) -> None:
        self._app = app
        self._pool = pool
        self._relief = Relief(pool)
        self._handshakes = handshakes or pool
        self._turns = asyncio.Semaphore(AT_A_TIME * self._handshakes.size)
        self._options = options
        self.files = ThreadPool(FILE_THREADS, "sockjs-files")
        self._outflow = Outflow(pool, options.max_response_memory)
        # Bytes of responses on their way to the disk.
        self._spilling = 0
        self.uploads = Uploads(self.files, options, spool_size)

    def client(self, request: web.BaseRequest) -> Client:
        """Returns who made the request, and remembers it on the request for the access log.

        Raises:
            MalformedForwarded: a trusted proxy sent nonsense; 400 is the answer.
        """
        known: Client | None = request.get(CLIENT)
        if known is not None:
            return known
        client = request[CLIENT] = self.client_of(request, connection_of(request).addresses.peer)
        return client

    def client_of(self, head: RequestHead, peer: str) -> Client:
        """Returns who made a request.

        Args:
            head: of the request.
            peer: address of the other end of its connection.

        Raises:
            MalformedForwarded: as `client`.
        """
        client = self._options.proxy.apply(peer, self._options.url_scheme, head.headers)
        if head.raw_path[:1] != "/":
            authority, _, _ = split_target(head.raw_path)
            # RFC 9112, 3.2.2: an absolute-form target overrules Host.
            if authority and client.host == head.headers.get("Host", ""):
                client = client._replace(host=authority)
        return client

    async def call(self, environ: dict[str, Any]) -> tuple[int, str, list[tuple[str, str]]]:
        """Runs the application to its end and drops the body.

        Args:
            environ: the environ; the application may change it.

        Returns:
            Status code, reason and headers.

        Raises:
            Exception: whatever the application raised.
        """
        exchange = Exchange(self._app, environ, lambda head, block: None)
        async with self._turns:
            if self._handshakes.closed:
                # It is dropped like those that wait in the pool.
                raise asyncio.CancelledError
            head = await self._handshakes.run(exchange.drain)
        return head.status, head.reason, head.headers

    async def serve(
        self,
        request: web.BaseRequest,
        inquiry: Inquiry | None = None,
        max_body_size: int | None = None,
    ) -> web.StreamResponse:
        """Answers a request with what the application says.

        Args:
            request: the request.
            inquiry: where the application may say that the request is for an endpoint; nothing
                is sent then.
            max_body_size: bytes of a body that the application takes; None: as many as the server.
        """
        most = self._options.max_body_size
        if max_body_size is not None:
            # The application knows what its forms need.
            most = min(most, max_body_size)
        try:
            client = self.client(request)
            body = None
            if request.can_read_body or request.transport is None:
                body = await self.uploads.read(request, client.remote, most)
        except BodyRefused as refused:
            return self._refusal(request, refused.status, str(refused))
        except MalformedForwarded as error:
            logger.warning(
                "refused a request of %s: %s", connection_of(request).addresses.peer, error
            )
            return self._refusal(request, 400, "Bad Request")
        except ConnectionError:
            response = self._refusal(request, GONE, "Client Closed Request")
            response.abort()
            return response
        return await self._run(request, body, inquiry or Inquiry())

    async def _run(
        self, request: web.BaseRequest, body: Body | None, inquiry: Inquiry
    ) -> web.StreamResponse:
        content = None if body is None else body.file
        environ = make_environ(
            request, self.client(request), connection_of(request).addresses, content
        )
        environ[INQUIRY] = inquiry
        respond = partial(self._response, request)
        outlet = Outlet(respond, self._outflow, inquiry)
        exchange = Exchange(self._app, environ, outlet.send)
        try:
            job = self._pool.submit(_run_exchange, exchange, outlet, environ, body)
            self._relief.watch()
        except RuntimeError as error:
            _let_go(body)
            logger.error("refused a request: %s", error)
            return self._refusal(request, 503, "Service Unavailable")
        job.add_done_callback(lambda _: outlet.end())
        try:
            await outlet.carry()
        except asyncio.CancelledError:
            if job.cancel():
                _let_go(body)
            outlet.break_off()
            job.add_done_callback(self._drop_file)
            raise
        if job.cancelled():
            # The pool was closed before its turn came.
            _let_go(body)
            return self._refusal(request, 503, "Service Unavailable")
        if job.exception() is not None:
            # Logged where it was raised.
            return self._failed(request, outlet.response)
        user = environ.get("REMOTE_USER")
        if user:
            request[REMOTE_USER] = str(user)
        rest = job.result()
        head = cast(Head, exchange.head)
        if isinstance(rest, FileBody):
            return await self._send_file(request, outlet.response or respond(head), rest)
        if rest is None or outlet.response is not None or not self._spills(request, head, rest):
            return await _complete(outlet.response or respond(head, rest))
        size = len(rest)
        response = respond(replace(head, length=size))
        self.uploads.disk.hold(response, size)
        try:
            file = await self._spill(rest)
            # Python 3.11 does not trace what follows an await that raised further in.
            if file is None:  # pragma: no branch
                return await _complete(respond(head, rest))
            # These two have it in memory.
            del rest, job
            return await self._send_file(request, response, file)
        finally:
            self.uploads.disk.release(response, size)

    def _spills(self, request: web.BaseRequest, head: Head, body: bytes) -> bool:
        """Returns whether a body waits for its client on disk: there is no room in memory."""
        memory, disk = self._outflow.memory, self.uploads.disk
        size = len(body)
        return (
            size > BLOCK
            and head.has_body(request.method)
            # A quarter is left to blocks of other responses.
            and memory.total + min(size, memory.limit // 2) > memory.limit // 4 * 3
            and disk.total + size <= disk.limit
            # What is still being written is in memory too, for so long.
            and self._spilling + size <= memory.limit
        )

    async def _spill(self, body: bytes) -> FileBody | None:
        """Has a body on disk; None where that cannot be."""
        self._spilling += len(body)
        try:
            file = await self.files.run(_readable, body)
        except (OSError, RuntimeError) as error:
            logger.error("a response cannot be kept on disk: %s", error)
            return None
        finally:
            self._spilling -= len(body)
        return FileBody(file, file.close)

    async def _send_file(
        self, request: web.BaseRequest, response: WSGIResponse, file: FileBody
    ) -> WSGIResponse:
        now = asyncio.get_running_loop().time
        size = BLOCK
        try:
            while block := await self.files.run(file.read, size):
                start = now()
                await response.write(block)
                size = QUICK_BLOCK if now() - start < QUICK else BLOCK
        except ConnectionError:
            response.abort()
        except Exception:
            logger.exception("%s %r failed", request.method, request.path)
            return self._failed(request, response)
        finally:
            self._close_file(file)
        return await _complete(response)

    def _close_file(self, file: FileBody) -> None:
        # The file may be the application's own make, and take its time.
        try:
            job = self._pool.submit(file.close)
        except RuntimeError:
            # The server has stopped.
            file.close()
        else:
            job.add_done_callback(lambda job: file.close() if job.cancelled() else None)

    def _drop_file(self, job: concurrent.futures.Future[bytes | FileBody | None]) -> None:
        """Closes the file that a job returned when nobody waited for it any more."""
        if not job.cancelled() and job.exception() is None:
            rest = job.result()
            if isinstance(rest, FileBody):
                self._close_file(rest)

    def _failed(self, request: web.BaseRequest, response: WSGIResponse | None) -> WSGIResponse:
        if response is not None and response.begun:
            response.abort()
            return response
        return self._plain(request, 500, "Internal Server Error")

    def _refusal(self, request: web.BaseRequest, status: int, text: str) -> WSGIResponse:
        headers = [RETRY_AFTER] if status == 503 else []
        response = self._plain(request, status, text, headers)
        response.force_close()
        return response

    def _plain(
        self,
        request: web.BaseRequest,
        status: int,
        text: str,
        headers: Iterable[tuple[str, str]] = (),
    ) -> WSGIResponse:
        """Returns an answer of the server's own, in plain text."""
        named = [("Content-Type", "text/plain; charset=UTF-8"), *headers]
        head = Head(status, text, named, None)
        body = f"{text}\n".encode()
        return self._response(request, head, body)

    def _response(
        self, request: web.BaseRequest, head: Head, body: bytes | None = None
    ) -> WSGIResponse:
        memory, send_timeout = self._outflow.memory, self._options.send_timeout
        return WSGIResponse(request, head, body, memory, send_timeout)


async def _complete(response: WSGIResponse) -> WSGIResponse:
    """Sends the rest of a response, where that takes time.

    aiohttp would do that, but not as a part of the request: the end of a server waits for requests.
    """
    if response.waits and not response.aborted:
        try:
            await response.write_eof()
        except ConnectionError:
            response.abort()
    return response


def _run_exchange(
    exchange: Exchange, outlet: Outlet, environ: dict[str, Any], body: Body | None
) -> bytes | FileBody | None:
    try:
        return exchange.run()
    except BaseException:
        # The application cannot help it that its client left.
        level = logging.DEBUG if outlet.broken else logging.ERROR
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        logger.log(level, "%s %r failed", method, path, exc_info=True)
        raise
    finally:
        inquiry = outlet.inquiry
        if inquiry.found is not None and body is not None:
            longest = max(endpoint.settings.max_message_size for endpoint in inquiry.found[0])
            # With one byte more the endpoint sees that it is too long.
            inquiry.body = body.beginning(longest + 1)
        _let_go(body)


def _readable(body: bytes) -> BinaryIO:
    file = on_disk(body)
    file.seek(0)
    return file


def _let_go(body: Body | None) -> None:
    if body is not None:
        body.close()
