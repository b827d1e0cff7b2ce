"""One process's server: a WSGI application and its SockJS endpoints, on given sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from wsgiref.types import WSGIApplication

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sockjs_bridge.core import protocol
from sockjs_bridge.endpoint.homes import ClusterError
from sockjs_bridge.server import aiohttp_parts
from sockjs_bridge.server.accesslog import AccessLogger, EveryRequestLogger
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.clusters import Clusters
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.dispatch import Dispatcher
from sockjs_bridge.server.ending import LAST_WORDS, DaemonExecutor
from sockjs_bridge.server.fast import FastReader
from sockjs_bridge.server.loop import LoopClock, look_until
from sockjs_bridge.server.openings import Openings
from sockjs_bridge.server.options import BACKLOG, ServerOptions
from sockjs_bridge.server.reader import RequestServer
from sockjs_bridge.server.routing import Router
from sockjs_bridge.server.site import Site
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.workers import SessionWorkers
from sockjs_bridge.server.wsgi.host import WSGIHost

logger = logging.getLogger("sockjs_bridge.server")

#: Seconds in which a client may go on sending what is not read, so that it reads the refusal.
LINGER = 2.0
#: Seconds that aiohttp gets for requests that ``shutdown_timeout`` was not enough for; to it 0
#: would mean for ever.
CUT = 0.05
#: Since Python 3.13 a loop would remove the file of a Unix socket that other processes serve too.
KEEP_SOCKET: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
#: Bytes that aiohttp reads of a body before somebody asks for it.
READ_AHEAD = 65536


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Makes a loop: uvloop's where it is installed."""
    if sys.platform != "win32":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


class _AiohttpLog(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp logs of its connections: a client's nonsense is no error of ours."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **keywords: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            first_line = exc_info.message.strip().partition("\n")[0]
            self.info("a malformed request from %s: %r", *args, first_line)
        elif isinstance(exc_info, web.RequestPayloadError):
            first_line = str(exc_info).partition("\n")[0]
            self.info("what was left of a refused body is malformed: %r", first_line)
        elif isinstance(exc_info, asyncio.InvalidStateError):
            # Of an end that a second signal cut short: aiohttp wakes a waiter that is gone.
            self.debug(msg, *args, exc_info=exc_info)
        else:
            super().exception(msg, *args, exc_info=exc_info, **keywords)


class Runner:
    """Serves an application; made, started and stopped on the loop.

    Args:
        app: the WSGI application, in whatever it is wrapped.
        options: of the server.

    Attributes:
        connection: makes the protocol of one connection, once started.
    """

    connection: Callable[[], PeerConnection]

    def __init__(self, app: WSGIApplication, options: ServerOptions) -> None:
        self._options = options
        self._site = Site(app)
        self._requests = ThreadPool(
            options.threads, "wsgi", self._site.page_threads, options.response_threads
        )
        # A handshake is short, and must not wait behind pages.
        self._handshakes = ThreadPool(options.threads, "wsgi-handshakes")
        self._workers = SessionWorkers(options.threads, options.hook_threads)
        self._host = WSGIHost(app, self._requests, options, handshakes=self._handshakes)
        self._pools = self._requests, self._handshakes, self._host.files
        self._servers: list[asyncio.Server] = []
        self._web: RequestServer | None = None
        self._activity: Activity | None = None
        self._clusters: Clusters | None = None

    @property
    def asked(self) -> int:
        """How often the application was asked so far, for a page or a handshake."""
        return self._requests.submitted + self._handshakes.submitted

    async def start(self, sockets: list[socket.socket]) -> None:
        """Begins to accept connections on bound sockets.

        Raises:
            RuntimeError: the system gives no thread.
            SystemExit: the application cannot take part in its cluster; with one sentence.
        """
        loop = asyncio.get_running_loop()
        # Others, blocking views above all, may take the last ones that the system gives.
        for pool in self._pools:
            pool.start()
        self._workers.prepare()
        loop.set_default_executor(DaemonExecutor())
        clock = LoopClock(loop)
        clusters = self._clusters = Clusters(clock, self._options.shutdown_timeout)
        try:
            if self._site.direct is not None:
                await clusters.join(self._site.direct)
        except ClusterError as error:
            await clusters.stop()
            raise SystemExit(str(error)) from None
        self._site.start(clock, self._workers)
        activity = self._activity = Activity(clock, self._options.keepalive_timeout)
        router = Router(self._site, self._host)
        openings = Openings(router, self._host)
        polls = self._options.access_log_polls
        server = self._web = RequestServer(
            Dispatcher(self._site, self._host, activity, openings, clusters),
            max_head=self._options.max_request_header_size,
            access_log=logging.getLogger("sockjs_bridge.access"),
            access_log_class=EveryRequestLogger if polls else AccessLogger,
            keepalive_timeout=self._options.keepalive_timeout,
            # Bytes of a body that nobody has read yet, and are counted nowhere.
            read_bufsize=READ_AHEAD,
            # Of a request that was refused before its body was complete.
            lingering_time=LINGER,
            logger=cast(logging.Logger, _AiohttpLog(logger, {})),
        )

        if aiohttp_parts.HEADS_LACK is not None:
            logger.warning(
                "max_request_header_size has no effect, aiohttp's own limits apply: %s",
                aiohttp_parts.HEADS_LACK,
            )
        fast = FastReader(self._site, router, openings, clusters)
        # What is answered past aiohttp is in no log, but for WebSockets' handshakes.
        answer = None if polls else fast.answer
        self.connection = partial(PeerConnection, server, activity, answer)
        try:
            await clusters.serve(server, activity, answer)
        except ClusterError as error:
            await clusters.stop()
            raise SystemExit(str(error)) from None
        for sock in sockets:
            if sock.family == socket.AF_UNIX:
                serving = await loop.create_unix_server(
                    self.connection, sock=sock, backlog=BACKLOG, **KEEP_SOCKET
                )
            else:
                serving = await loop.create_server(self.connection, sock=sock, backlog=BACKLOG)
            self._servers.append(serving)

    async def stop(self, *, drain: bool = True) -> None:
        """Stops accepting, tells every client, waits for requests, views and hooks to end.

        Where other processes take the clients (a cluster), these leave no faster than others can
        open their sessions. What they ask meanwhile comes by way of the others.

        After ``shutdown_timeout`` seconds the rest is dropped: threads are daemons, so a view
        that hangs holds nothing. A tenth of that time is for clients that are between two polls,
        half of it for those whose sessions survive, until they have all that was sent.

        Args:
            drain: clients may take their time; else they all hear it at once.
        """
        now = asyncio.get_running_loop().time
        timeout = self._options.shutdown_timeout
        start = now()
        # Over the connections that are there: new ones are not accepted any more.
        self._site.readiness.block("stopping")
        for serving in self._servers:
            serving.close()
        try:
            activity = self._activity
            assert self._web is not None and activity is not None
            assert self._clusters is not None
            self._clusters.leave()
            pace = self._clusters.drain(self._site.sessions) if drain else None
            seconds, pause = (timeout / 2, 0.0) if pace is None else pace
            for _ in self._site.close(*protocol.GO_AWAY, seconds):
                # A crowd takes a while, and who is not told yet is served.
                await asyncio.sleep(pause)
            patience = timeout / 10 if pace is None else seconds
            await look_until(lambda: self._site.told, start + patience)
            left = CUT
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(activity.finish(), start + timeout - now())
                # Handlers have returned; aiohttp may still be writing what they returned.
                left = max(CUT, start + timeout - now())
            # aiohttp takes no bytes from here on: uploads had their time.
            self._web.pre_shutdown()
            with contextlib.suppress(TimeoutError):
                # It takes up to twice the time that it is given.
                await asyncio.wait_for(self._web.shutdown(left), left + 2 * CUT)
            await self._workers.stop(start + timeout - now())
            # A client may be slow to take the last of its response.
            await look_until(lambda: not activity.unsent, start + timeout)
            for connection in list(activity.connections):
                # Closed in good order it would wait for a peer that reads nothing.
                connection.abort()
            # What was broken off ends now, the application's part of it too.
            end = max(now() + LAST_WORDS, start + timeout)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(activity.finish(), end - now())
            await look_until(lambda: not self._requests.busy, end)
            await self._clusters.stop()
        finally:
            self._site.finish()
            for pool in self._pools:
                pool.close()
