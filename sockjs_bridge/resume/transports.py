"""The ways down to a client of ``~r1``: rows with SockJS's names, but without a prelude."""

from __future__ import annotations

from dataclasses import replace

from sockjs_bridge.core import protocol, transports
from sockjs_bridge.core.transports import Transport

POLL = Transport("xhr-polling")
STREAM = Transport("xhr-streaming", streaming=True)
# A frame may be many things (`frames.parse_frame`).
WEBSOCKET = replace(transports.WEBSOCKET, decode=protocol.decode_raw)

#: The receiving transports by the last segment of their URL.
RECEIVING = {"xhr": POLL, "xhr_streaming": STREAM, "websocket": WEBSOCKET}
#: The last segment of the URL that messages are sent to over HTTP.
SEND = "xhr_send"
