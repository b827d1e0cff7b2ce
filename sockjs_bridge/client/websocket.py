"""The WebSocket transports of the client: with SockJS frames, and raw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from sockjs_bridge.client.connection import Connection, HandshakeError
from sockjs_bridge.client.wire import ProtocolError, extend_url
from sockjs_bridge.errors import ConnectionClosed


class WebSocketConnection(Connection):
    """A connection over the websocket transport."""

    _websocket: aiohttp.ClientWebSocketResponse | None = None

    def _handshake_url(self) -> URL:
        return extend_url(self._url, "/websocket")

    async def _open_websocket(self) -> aiohttp.ClientWebSocketResponse:
        idle_timeout = self._options.idle_timeout
        try:
            websocket = await self._http.ws_connect(
                self._handshake_url(),
                headers=self._options.headers,
                timeout=aiohttp.ClientWSTimeout(ws_close=self._options.close_timeout),
                # aiohttp waits half as long again for the answer to its ping.
                heartbeat=None if idle_timeout is None else idle_timeout / 1.5,
                max_msg_size=self._options.max_size or 0,
            )
        except aiohttp.ClientResponseError as error:
            raise _refusal(error.history[0] if error.history else error) from error
        self._websocket = websocket
        # aiohttp has no public name for the answer to the handshake.
        response = websocket._response
        if response.history:
            raise _refusal(response.history[0])
        self._accept(response.status, response.headers)
        return websocket

    async def _frames(self) -> AsyncGenerator[str, None]:
        websocket = await self._open_websocket()
        while True:
            message = await websocket.receive()
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    yield message.data
                case aiohttp.WSMsgType.BINARY:
                    raise ProtocolError("Broken framing: a binary message")
                case aiohttp.WSMsgType.CLOSE:
                    # RFC 6455, 7.1.5: 1005 stands for a close frame without a code.
                    raise ConnectionClosed(message.data or 1005, message.extra or "")
                case aiohttp.WSMsgType.ERROR:
                    too_big = websocket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
                    raise ConnectionClosed(1009 if too_big else 1006, str(message.data))
                case _:
                    raise ConnectionClosed(1006, "Connection lost")

    def _encode(self, message: str) -> str:
        return json.dumps([message])

    async def _send(self, message: str) -> None:
        assert self._websocket is not None  # connect() returned, so it is open
        try:
            async with asyncio.timeout(self._options.send_timeout):
                await self._websocket.send_str(self._encode(message))
        except TimeoutError:
            self._finish(1006, "Sending error: timed out")
        except ConnectionError as error:
            # The receiver may be about to read why: a close frame counts for more than this error.
            await asyncio.wait({self._over}, timeout=self._options.close_timeout)
            self._finish(1006, f"Sending error: {error}")
        else:
            return
        self._check_open()

    async def _disconnect(self, code: int, reason: str) -> None:
        if self._websocket is not None:
            await self._websocket.close(code=code, message=reason.encode())


def _refusal(answer: aiohttp.ClientResponse | aiohttp.ClientResponseError) -> HandshakeError:
    """Returns what an answer means that is no WebSocket; aiohttp has followed redirects to it."""
    return HandshakeError(answer.status, f"HTTP status {answer.status}")


class RawWebSocketConnection(WebSocketConnection):
    """A connection over the raw WebSocket: a frame is a message, and the handshake opens."""

    def _handshake_url(self) -> URL:
        return self._url

    def _accept(self, status: int, headers: CIMultiDictProxy[str]) -> None:
        super()._accept(status, headers)
        self._opened.set_result(None)

    def _take(self, frame: str) -> None:
        self._deliver([frame])

    def _encode(self, message: str) -> str:
        return message
