"""A WSGI application hosted on aiohttp, in a pool of daemon threads.

Section names refer to PEP 3333.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import logging
import re
import sys
import tempfile
from dataclasses import replace
from functools import lru_cache
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

from aiohttp import HttpVersion11, web

from sockjs_bridge.endpoints import INQUIRY, Inquiry
from sockjs_bridge.server.accesslog import CLIENT, REMOTE_USER
from sockjs_bridge.server.addresses import addresses_of
from sockjs_bridge.server.proxy import Client, MalformedForwarded, TrustedProxy
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.wsgi_exchange import ClientGone, Exchange, FileWrapper, Head
from sockjs_bridge.server.wsgi_response import SERVER_NAME, WSGIResponse

__all__ = ("ThreadPool", "WSGIHost")

logger = logging.getLogger("sockjs_bridge.server")

# RFC 9112 section 3.2.2: scheme, authority (without user information), path and query.
_ABSOLUTE_FORM = re.compile(rb"[A-Za-z][\w+.-]*://(?:[^/?#]*@)?([^/?#]*)(.*)", re.DOTALL)
# Who is gone hears no status; the access log tells it by nginx's number.
_CLIENT_CLOSED_REQUEST = 499


class WSGIHost:
    """Call a WSGI application for the requests that aiohttp reads.

    The server around it is a `sockjs_bridge.server.reader.RequestServer`.

    Args:
        app: The application.
        pool: Where it runs.
        proxy: Which proxies are believed; by default none.
        spool_size: Bytes of a request body kept in memory; a longer one goes to disk.
        max_body_size: Most bytes of a request body; beyond: 413.
        body_timeout: Seconds without a byte of the body after which 408 is answered.
        send_timeout: Seconds in which a client must take the next 256 KiB of a response.
        url_scheme: ``http`` or ``https``, as the server is reached without a proxy.
    """

    def __init__(
        self,
        app: WSGIApplication,
        pool: ThreadPool,
        *,
        proxy: TrustedProxy | None = None,
        spool_size: int = 524_288,
        max_body_size: int = 1_073_741_824,
        body_timeout: float = 60.0,
        send_timeout: float = 60.0,
        url_scheme: str = "http",
    ) -> None:
        self._app = app
        self._pool = pool
        self._proxy = proxy or TrustedProxy()
        self._spool_size = spool_size
        self._max_body_size = max_body_size
        self._body_timeout = body_timeout
        self._send_timeout = send_timeout
        self._url_scheme = url_scheme

    def client(self, request: web.BaseRequest) -> Client:
        """Return who made the request, and remember it on the request for the access log.

        Raises:
            MalformedForwarded: A trusted proxy sent nonsense; 400 is the answer.
        """
        known: Client | None = request.get(CLIENT)
        if known is not None:
            return known
        peer = addresses_of(request).peer
        client = self._proxy.apply(peer, self._url_scheme, request.headers)
        authority, _, _ = split_target(request.raw_path)
        # RFC 9112 section 3.2.2: an absolute-form target overrules Host.
        if authority and client.host == request.headers.get("Host", ""):
            client = replace(client, host=authority)
        request[CLIENT] = client
        return client

    def environ(self, request: web.BaseRequest, *, body: BinaryIO | None = None) -> dict[str, Any]:
        """Build the environ of a request ("environ Variables").

        Args:
            request: The request.
            body: Its body, read to the end and rewound; None for an empty one.

        Raises:
            MalformedForwarded: As `client`.
        """
        client = self.client(request)
        _, path, query = split_target(request.raw_path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path_info(path),
            "QUERY_STRING": query,
            "REQUEST_URI": _native(request.raw_path),
            "SERVER_PROTOCOL": _protocol(request.version),
            "SERVER_SOFTWARE": SERVER_NAME,
            "REMOTE_ADDR": client.remote,
            "REMOTE_HOST": client.remote,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": client.scheme,
            "wsgi.input": io.BytesIO() if body is None else body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }
        _add_addresses(environ, request, client)
        _add_headers(environ, request, client)
        chunked = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
        if chunked or "CONTENT_LENGTH" in environ:
            # The length is known by now, also of a body that came in chunks.
            stream = environ["wsgi.input"]
            environ["CONTENT_LENGTH"] = str(stream.seek(0, io.SEEK_END))
            stream.seek(0)
        return environ

    async def call(self, environ: dict[str, Any]) -> tuple[int, str, list[tuple[str, str]]]:
        """Run the application to its end and drop the body.

        Args:
            environ: The environ; the application may change it.

        Returns:
            Status code, reason and headers.

        Raises:
            Exception: Whatever the application raised.
        """
        exchange = Exchange(self._app, environ, _discard)
        head = await self._pool.run(exchange.drain)
        return head.status, head.reason, head.headers

    async def serve(
        self, request: web.BaseRequest, inquiry: Inquiry | None = None
    ) -> web.StreamResponse:
        """Answer a request with what the application says.

        Args:
            request: The request.
            inquiry: Where the application may say that the request is for an endpoint; nothing
                is sent then.
        """
        try:
            self.client(request)
            body = await self._read_body(request)
        except _Refused as refused:
            return self._refusal(request, refused.status, refused.text)
        except MalformedForwarded as error:
            logger.warning("refused a request of %s: %s", addresses_of(request).peer, error)
            return self._refusal(request, 400, "Bad Request")
        except ConnectionError:
            return self._gone(request)
        return await self._run(request, body, inquiry or Inquiry())

    async def _run(
        self, request: web.BaseRequest, body: BinaryIO, inquiry: Inquiry
    ) -> web.StreamResponse:
        environ = self.environ(request, body=body)
        environ[INQUIRY] = inquiry
        stream = _Stream(request, self._send_timeout, inquiry)
        exchange = Exchange(self._app, environ, stream.send)
        try:
            job = self._pool.submit(_run_exchange, exchange, stream, environ, body)
        except RuntimeError as error:
            body.close()
            logger.error("refused a request: %s", error)
            return self._refusal(request, 503, "Service Unavailable")
        try:
            whole = await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if job.cancel():
                body.close()
            stream.abandon()
            raise
        except Exception:
            # Logged where it was raised.
            return self._failed(request, stream)
        user = environ.get("REMOTE_USER")
        if user:
            request[REMOTE_USER] = str(user)
        if stream.response is not None:
            return stream.response
        return WSGIResponse(request, cast(Head, exchange.head), whole, self._send_timeout)

    async def _read_body(self, request: web.BaseRequest) -> BinaryIO:
        """Read the body to its end, into memory or, if it is long, to disk."""
        if request.transport is None:
            raise ConnectionResetError("the client is gone")
        if (request.content_length or 0) > self._max_body_size:
            raise _Refused(413, "Content Too Large")
        body: BinaryIO = io.BytesIO()
        if not request.can_read_body:
            return body
        await send_continue(request)
        size = 0
        try:
            while block := await self._next_block(request):
                size += len(block)
                if size > self._max_body_size:
                    raise _Refused(413, "Content Too Large")
                if size > self._spool_size and isinstance(body, io.BytesIO):
                    body = await asyncio.to_thread(_to_disk, body)
                if isinstance(body, io.BytesIO):
                    body.write(block)
                else:
                    await asyncio.to_thread(body.write, block)
        except BaseException:
            body.close()
            raise
        body.seek(0)
        return body

    async def _next_block(self, request: web.BaseRequest) -> bytes:
        try:
            async with asyncio.timeout(self._body_timeout):
                return await request.content.readany()
        except TimeoutError:
            raise _Refused(408, "Request Timeout") from None
        except web.RequestPayloadError:
            raise _Refused(400, "Bad Request") from None

    def _failed(self, request: web.BaseRequest, stream: _Stream) -> WSGIResponse:
        if stream.response is not None:
            stream.response.abort()
            return stream.response
        return WSGIResponse.plain(request, 500, "Internal Server Error", self._send_timeout)

    def _refusal(self, request: web.BaseRequest, status: int, text: str) -> WSGIResponse:
        response = WSGIResponse.plain(request, status, text, self._send_timeout)
        response.force_close()
        return response

    def _gone(self, request: web.BaseRequest) -> WSGIResponse:
        response = self._refusal(request, _CLIENT_CLOSED_REQUEST, "Client Closed Request")
        response.abort()
        return response


class _Refused(Exception):
    """A request that is answered without the application."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _Stream:
    """Carries blocks from the application's thread to the loop, one at a time."""

    def __init__(self, request: web.BaseRequest, send_timeout: float, inquiry: Inquiry) -> None:
        self.response: WSGIResponse | None = None
        self.broken = False
        self._request = request
        self._send_timeout = send_timeout
        self.inquiry = inquiry
        self._loop = asyncio.get_running_loop()

    def send(self, head: Head, block: bytes) -> None:
        """Send a block and wait until the next may come; called in the thread."""
        if self.inquiry.found is not None:
            self.broken = True
            raise ClientGone("the endpoint answers in place of the application")
        coroutine = self._write(head, block)
        try:
            sent = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            # The loop ended while the application was at work.
            coroutine.close()
            self.broken = True
            raise ClientGone("the server has stopped") from None
        try:
            sent.result()
        except (ConnectionError, concurrent.futures.CancelledError):
            self.broken = True
            raise ClientGone("the client is gone") from None

    def abandon(self) -> None:
        """Have the thread's next block fail; called on the loop."""
        self.broken = True
        if self.response is not None:
            self.response.abort()

    async def _write(self, head: Head, block: bytes) -> None:
        if self.broken:
            raise ConnectionResetError("the request was given up")
        if self.response is None:
            self.response = WSGIResponse(self._request, head, None, self._send_timeout)
        await self.response.write(block)


def _run_exchange(
    exchange: Exchange, stream: _Stream, environ: dict[str, Any], body: BinaryIO
) -> bytes | None:
    try:
        return exchange.run()
    except BaseException:
        # The application cannot help it that its client left.
        level = logging.DEBUG if stream.broken else logging.ERROR
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        logger.log(level, "%s %r failed", method, path, exc_info=True)
        raise
    finally:
        inquiry = stream.inquiry
        # What went to disk is longer than messages are.
        if inquiry.found is not None and isinstance(body, io.BytesIO):
            inquiry.body = body.getvalue()
        body.close()


def _discard(head: Head, block: bytes) -> None:
    """Take a block of a body that nobody reads."""


def _to_disk(body: io.BytesIO) -> BinaryIO:
    # Whoever runs the application closes it.
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
    file.write(body.getbuffer())
    return file


async def send_continue(request: web.BaseRequest) -> None:
    """Ask a client that waits for it to go on with its body (RFC 9110 section 10.1.1)."""
    if (
        request.version >= HttpVersion11
        and request.headers.get("Expect", "").lower() == "100-continue"
    ):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp takes a response for begun when something was sent.
        request.writer.output_size = 0


def split_target(raw_path: str) -> tuple[str, bytes, str]:
    """Split a request target (RFC 9112 section 3.2): authority, path, query.

    A fragment, which a client should have kept to itself, is dropped.
    """
    if raw_path[:1] == "/" and raw_path.isascii() and "#" not in raw_path:
        # Nearly all.
        before, _, behind = raw_path.partition("?")
        return "", before.encode(), behind
    target = raw_path.encode("utf-8", "surrogateescape").partition(b"#")[0]
    authority = b""
    if not target.startswith(b"/"):
        match = _ABSOLUTE_FORM.fullmatch(target)
        if match is None:
            # "*" and the authority of CONNECT: a target without a path.
            return "", b"", ""
        authority, target = match[1], match[2]
        if not target.startswith(b"/"):
            target = b"/" + target
    path, _, query = target.partition(b"?")
    return authority.decode("latin-1"), path, query.decode("latin-1")


def path_info(path: str | bytes) -> str:
    """Unquote a path once, and keep its bytes as latin-1 ("Unicode Issues").

    Slashes that begin it become one: an application that writes the path ``//other.example/``
    into a redirect would send its visitor to that host.
    """
    text = unquote_to_bytes(path).decode("latin-1")
    return "/" + text.lstrip("/") if text else ""


@lru_cache(16)
def _protocol(version: tuple[int, int]) -> str:
    return f"HTTP/{version[0]}.{version[1]}"


def _native(text: str) -> str:
    """Turn what aiohttp decoded as UTF-8 into a native string ("Unicode Issues")."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _add_addresses(environ: dict[str, Any], request: web.BaseRequest, client: Client) -> None:
    peer, peer_port, host, port = addresses_of(request)
    environ["SERVER_NAME"] = f"[{host}]" if ":" in host else host or "localhost"
    default = "443" if client.scheme == "https" else "80"
    environ["SERVER_PORT"] = client.server_port or port or default
    remote_port = client.remote_port or (peer_port if client.remote == peer else "")
    if remote_port:
        environ["REMOTE_PORT"] = remote_port


# Headers that many clients send alike: their values are kept once for all open sessions. None of
# them is a secret, which would outlive its session here.
_COMMON = {
    *("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_CACHE_CONTROL"),
    *("HTTP_CONNECTION", "HTTP_HOST", "HTTP_ORIGIN", "HTTP_PRAGMA", "HTTP_SEC_FETCH_DEST"),
    *("HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_WEBSOCKET_EXTENSIONS"),
    *("HTTP_SEC_WEBSOCKET_VERSION", "HTTP_UPGRADE", "HTTP_USER_AGENT"),
}
#: Bytes of a name or a value that is kept.
_KEPT = 256


def _add_headers(environ: dict[str, Any], request: web.BaseRequest, client: Client) -> None:
    for raw_name, raw_value in request.raw_headers:
        # X_In and X-In would be one variable, so that a client could overwrite what a proxy set.
        if b"_" in raw_name:
            continue
        name, key = _variable(raw_name) if len(raw_name) <= _KEPT else _new_variable(raw_name)
        if name in client.untrusted:
            continue
        if key in _COMMON and len(raw_value) <= _KEPT:
            value = _common_value(raw_value)
        else:
            value = raw_value.decode("latin-1")
        if key in environ:
            # RFC 6265 section 5.4 and RFC 9110 section 5.3.
            separator = "; " if key == "HTTP_COOKIE" else ", "
            value = f"{environ[key]}{separator}{value}"
        environ[key] = value
    for name, value in client.trimmed.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = _native(value)
    if client.host:
        host = _native(client.host)
        if environ.get("HTTP_HOST") != host:
            environ["HTTP_HOST"] = host


def _new_variable(raw_name: bytes) -> tuple[str, str]:
    """Return a header's name in lower case, and its key in the environ."""
    name = raw_name.decode("latin-1")
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    return name.lower(), key


# The keys of silent sessions are the same strings too.
_variable = lru_cache(512)(_new_variable)


@lru_cache(512)
def _common_value(raw_value: bytes) -> str:
    return raw_value.decode("latin-1")
