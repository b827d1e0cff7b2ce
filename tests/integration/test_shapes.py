"""Every shape of a view for connections, over every transport (issue 3, "All four styles")."""

from __future__ import annotations

import aiohttp
import pytest

from sockjs_bridge.client import TRANSPORTS
from sockjs_bridge.testing import serve
from tests.integration.support import connected
from tests.pkgs import shapes_app

# jsonp is on where another origin is allowed.
SETTINGS = {"sockjs.allowed_origins": "https://app.example.com"}

SHAPES = [
    *(f"blocking/{shape}" for shape in shapes_app.SHAPES),
    "blocking/both",
    *(f"async/{shape}" for shape in shapes_app.SHAPES),
    "session/stacked",
    "session/second",
    "session/directive",
    "session/keyword",
]
PAGES = ["blocking/defaults", "blocking/predicate", "blocking/both"]
PAGES += ["async/defaults", "async/predicate"]


@pytest.fixture(scope="module")
def shapes():
    with serve(shapes_app.main(**SETTINGS)) as url:
        yield url


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_echo(shapes, shape, transport):
    """The view that was declared for the route serves it, message by message."""
    name = shape.replace("/", " ")
    async with connected(f"{shapes}/{shape}", transport) as client:
        for text in ("hello", "“ü” 😀"):
            await client.send(text)
            assert await client.recv() == f"{name}: {text}"


@pytest.mark.parametrize("shape", SHAPES)
async def test_page(shapes, shape):
    """A plain GET is the page's view where there is one, and the protocol's greeting elsewhere."""
    async with aiohttp.ClientSession() as http, http.get(f"{shapes}/{shape}") as response:
        text = await response.text()
    page = f"the page of {shape.replace('/', '_')}"
    assert (response.status, text) == (200, page if shape in PAGES else "Welcome to SockJS!\n")
