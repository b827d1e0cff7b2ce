"""The scheme that a page's origin is judged by, and what the log says, by whatever way it came."""

from __future__ import annotations

import pytest

from tests.server.test_skins import SKINS
from tests.server.wire import HANDSHAKE, OPEN, Unplugged

PROXY = {"trusted_proxy": "192.0.2.1"}
STRANGER = {"trusted_proxy": "198.51.100.1"}
every_skin = pytest.mark.parametrize("skin", SKINS)

INFO = b"GET /talk/info HTTP/1.1\r\nHost: here\r\n\r\n"
SEND = b"POST /talk/0/known/xhr_send HTTP/1.1\r\nHost: here\r\nContent-Length: 7\r\n\r\n"
RAW = HANDSHAKE.replace(b"/talk/0/ws/websocket", b"/talk/websocket")


async def status(server: Unplugged, request: bytes, *headers: str) -> int:
    """Send a request with further headers."""
    line, rest = request.split(b"\r\n", 1)
    more = "".join(f"{header}\r\n" for header in headers).encode()
    wire = server.connect()
    wire.feed(line + b"\r\n" + more + rest + (b'["hey"]' if request is SEND else b""))
    await server.quiet()
    wire.close()
    return int(wire.written.split(b" ")[1])


@every_skin
@pytest.mark.parametrize(
    ("options", "forwarded", "refused"),
    [
        ({"url_scheme": "https"}, (), True),
        ({}, (), False),
        (PROXY, ("X-Forwarded-Proto: https",), True),
        (PROXY, ("X-Forwarded-Proto: wss",), True),
        (PROXY, ("X-Forwarded-Proto: http",), False),
        (PROXY, (), False),
        ({**PROXY, "url_scheme": "https"}, (), True),
        ({**PROXY, "url_scheme": "https"}, ("X-Forwarded-Proto: http",), False),
        (STRANGER, ("X-Forwarded-Proto: https",), False),
    ],
)
async def test_a_page_that_came_by_http(skin, options, forwarded, refused):
    """It is another page than one of https, where that is known; `https` always passes."""
    settings, more = SKINS[skin]
    async with Unplugged(settings, {**more, **options}) as server:
        await server.open()
        for request, right in ((INFO, 200), (SEND, 204), (HANDSHAKE, 101), (RAW, 101)):
            for origin in ("Origin: http://here", "Referer: http://here/page"):
                expected = 403 if refused else right
                assert await status(server, request, origin, *forwarded) == expected
            assert await status(server, request, "Origin: https://here", *forwarded) == right
        assert len(server.heard) == (1 if refused else 3)


@every_skin
async def test_who_is_refused_is_in_the_log(skin, server_log):
    """One line for an origin, however many requests of whatever kind it makes."""
    settings, more = SKINS[skin]
    async with Unplugged(settings, more) as server:
        await server.open()
        for request in (INFO, OPEN, SEND, HANDSHAKE, RAW) * 2:
            assert await status(server, request, "Origin: https://evil.example:8443") == 403
    (line,) = server_log()
    assert line.startswith(
        "sockjs_bridge.server WARNING the SockJS route 'talk' refused the origin"
    )
    assert "'https://evil.example:8443'" in line
    assert "'http://here'" in line
    assert "allowed_origins" in line
