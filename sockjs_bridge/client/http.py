"""The HTTP transports of the client: one receiving request at a time, and sends beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from sockjs_bridge.client.connection import Connection, HandshakeError, Options, describe
from sockjs_bridge.client.wire import (
    CALLBACK,
    HTTP_TRANSPORTS,
    UNCOMPRESSED,
    FrameReader,
    extend_url,
)

# Seconds before the next receiving request after a response without a frame. No SockJS server sends
# such responses in a row; a middlebox that does is not hammered.
_EMPTY_RESPONSE_PAUSE = 0.1


@dataclass(slots=True)
class _Batch:
    """The messages of one sending request.

    Attributes:
        messages: in the order in which they were sent.
        taken: done once the server has taken them.
    """

    messages: list[str] = field(default_factory=list, repr=False)
    taken: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class HTTPConnection(Connection):
    """A connection over one of `HTTP_TRANSPORTS`.

    Args:
        http: the aiohttp session that it uses.
        owns_http: it closes that at its end.
        url: of the SockJS session.
        session_id: of the SockJS session.
        options: what was asked for.
        timestamp: gives the ``t`` parameter of each request; None leaves it out.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        owns_http: bool,
        url: URL,
        session_id: str,
        options: Options,
        timestamp: Callable[[], int] | None,
    ) -> None:
        super().__init__(http, owns_http, url, session_id, options)
        self._row = HTTP_TRANSPORTS[options.transport]
        self._timestamp = timestamp
        self._batch = _Batch()
        self._sender: asyncio.Task[None] | None = None

    def _request_url(self, path: str, *query: str) -> URL:
        if self._timestamp is not None:
            query = (*query, f"t={self._timestamp()}")
        return extend_url(self._url, f"/{path}", *query)

    async def _frames(self) -> AsyncGenerator[str, None]:
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self._options.open_timeout,
            sock_read=self._options.idle_timeout,
        )
        query = (f"c={CALLBACK}",) if self._row.has_callback else ()
        while True:
            reader = FrameReader(self._row, self._options.max_size)
            is_empty = True
            async with self._http.request(
                self._row.method,
                self._request_url(self._row.path, *query),
                headers={**UNCOMPRESSED, **self._options.headers},
                allow_redirects=False,
                auto_decompress=False,
                timeout=timeout,
            ) as response:
                if self.status is None:
                    self._accept(response.status, response.headers)
                if response.status != 200:
                    raise HandshakeError(response.status, f"HTTP status {response.status}")
                async for chunk in response.content.iter_any():
                    for frame in reader.feed(chunk):
                        is_empty = False
                        yield frame
            if is_empty:
                await asyncio.sleep(_EMPTY_RESPONSE_PAUSE)

    async def _send(self, message: str) -> None:
        batch = self._batch
        batch.messages.append(message)
        if self._sender is None:
            self._sender = asyncio.create_task(
                self._send_batches(), name=f"sockjs sender {self._session_id}"
            )
        await asyncio.wait({batch.taken, self._over}, return_when=asyncio.FIRST_COMPLETED)
        if not batch.taken.done():
            self._check_open()

    async def _send_batches(self) -> None:
        """Sends what is waiting, one request at a time.

        A task of its own, so that a cancelled `send` takes no other task's message with it.
        """
        try:
            while self._batch.messages:
                batch, self._batch = self._batch, _Batch()
                await self._post(json.dumps(batch.messages, separators=(",", ":")))
                batch.taken.set_result(None)
        except (aiohttp.ClientError, OSError) as error:
            self._finish(1006, f"Sending error: {describe(error)}")
        finally:
            self._sender = None

    async def _post(self, payload: str) -> None:
        async with self._http.post(
            self._request_url(self._row.send_path),
            data={"d": payload} if self._row.sends_form else payload,
            headers=self._options.headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._options.send_timeout),
        ) as response:
            status = response.status
        if status not in (200, 204):
            raise HandshakeError(status, f"HTTP status {status}")

    async def _disconnect(self, code: int, reason: str) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait({self._sender})
