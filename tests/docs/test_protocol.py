"""The protocol page says what the code does: its tables, its grammar, and its bytes on the wire."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pyramid.config import Configurator

from sockjs_bridge.client.resume import policy
from sockjs_bridge.client.resume import states as client_states
from sockjs_bridge.client.resume.states import ClientEvent, ClientState
from sockjs_bridge.resume import (
    arrivals,
    deadlines,
    frames,
    lines,
    manager,
    probe,
    states,
    telling,
    tombstones,
)
from sockjs_bridge.resume.link_states import LINK_TRANSITIONS, LinkEvent, LinkState
from sockjs_bridge.resume.states import Event, State
from sockjs_bridge.testing import serve
from tests.docs.blocks import DOCS, collect
from tests.docs.test_examples import load
from tests.integration.pserve import ROOT
from tests.integration.support import PATIENCE

PAGE = (DOCS / "protocol.rst").read_text(encoding="utf-8")
BLOCKS = [block for block in collect() if block.page == "protocol"]
#: What goes over the wire, in its order.
WIRE = [block for block in BLOCKS if block.language == "text"]
(CODE,) = [block for block in BLOCKS if block.language == "python"]

#: The blocks that are run here.
RUN = {block.key for block in BLOCKS}

#: What differs from server to server.
DRAWN = (r'"net":"(.*?)"', r'"incarnation":"(.*?)-\d+"')


def section(heading: str) -> str:
    """Return the text below a heading of the page, up to the next of its level."""
    parts = re.split(r"^(\S.*)\n={3,}\n", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def literals(text: str) -> set[str]:
    return set(re.findall(r"``([^`]+)``", text))


#: Numbers that are written out.
NAMED = {4: "four", 5: "five", 8: "eight", 10: "ten"}


# The tables of states


def table(name: str) -> dict[tuple[str, str], str]:
    """Return what stands in a table of states: state and event, and what follows."""
    text = PAGE.partition(f":name: {name}\n\n")[2].partition("\n\n")[0]
    rule, head, _, *rows, _ = (line.removeprefix("   ") for line in text.splitlines())
    columns = [match.span() for match in re.finditer("=+", rule)]
    state, *events = (head[slice(*column)].strip() for column in columns)
    assert state == "state"
    found = {}
    for row in rows:
        before, *cells = (row[slice(*column)].strip() for column in columns)
        found |= {(before, event): cell for event, cell in zip(events, cells, strict=True)}
    return found


@pytest.mark.parametrize(
    ("name", "transitions", "all_states", "events"),
    [
        ("states-of-a-session", states.TRANSITIONS, State, Event),
        ("states-of-a-websocket", LINK_TRANSITIONS, LinkState, LinkEvent),
        ("states-of-a-client", client_states.TRANSITIONS, ClientState, ClientEvent),
    ],
)
def test_tables_of_states(
    name: str,
    transitions: Mapping[tuple[Any, Any], Any],
    all_states: type[Enum],
    events: type[Enum],
) -> None:
    """Every state and event is there, and what follows is what the code looks up."""
    expected = {(state.value, event.value): "" for state in all_states for event in events}
    for (before, event), after in transitions.items():
        expected[before.value, event.value] = after.value
    assert table(name) == expected


# The grammar


def test_keys_of_what_goes_up() -> None:
    """All that a client may say is explained where it says it."""
    receiving, sending = literals(section("Receiving")), literals(section("Sending"))
    assert {field.name for field in fields(frames.ReceiveRequest)} <= receiving
    sent = {field.name for field in fields(frames.Send)} - {"ping"}
    assert sent <= sending
    assert '{"ping":1}' in sending


def test_keys_of_the_first_welcome() -> None:
    """All that the server tells with it is explained; the example below is what it tells."""
    (line,) = re.findall(r'r(\{"from":.*"window":.*\})$', WIRE[0].code, re.MULTILINE)
    assert json.loads(line).keys() <= literals(section("Lines"))


def test_docstrings_name_sections_of_the_page() -> None:
    """Where the code refers to a section of the protocol page, it is there."""
    named = set()
    for path in Path(ROOT / "sockjs_bridge").rglob("*.py"):
        source = " ".join(path.read_text(encoding="utf-8").split())
        for quoted in re.findall(r'((?:"[^"]+"(?:, | and )?)+) of the protocol page', source):
            named |= set(re.findall(r'"([^"]+)"', quoted))
    assert {"URLs", "Receiving", "Sending"} <= named
    assert [name for name in sorted(named) if f"\n{name}\n{'=' * len(name)}\n" not in PAGE] == []


NUMBERS = [
    f"none comes for {deadlines.HELLO_TIMEOUT:g} s",
    f"no sign of life for {deadlines.PONG_TIMEOUT:g} s",
    f"alone after {telling.TELL_AFTER * 1000:g} ms",
    f"stays open for {probe.OPEN_FOR:g} s",
    f"A line of messages has at most {lines.MAX_LINE // 1024} KiB",
    f"number, {frames.MIN_HEARTBEAT} to {frames.MAX_HEARTBEAT}",
    f"at most {frames.MAX_REASON} bytes",
    f"known for {NAMED[tombstones.LIFETIME / 60]} minutes",
    f"has at most {NAMED[manager.MAX_WAITING_LINKS]} such WebSockets",
    f"More than {NAMED[arrivals.WAITING_UPLOADS]} sends",
    f"after {policy.ACK_MESSAGES} messages, {policy.ACK_BYTES // 1024} KiB or",
    f"KiB or {policy.ACK_AFTER:g} s, and when it is asked",
    f"same session {policy.HEDGE * 1000:g} ms later",
    f"two round trips and {policy.HEDGE_MARGIN * 1000:g} ms",
    f"({policy.MIN_HEDGE * 1000:g} to {policy.MAX_HEDGE * 1000:g} ms)",
    f"the last {policy.REMEMBERED / 60:g} minutes",
    f"Within {policy.PROBATION:g} s of its welcome: a ping {policy.PROBATION_PING:g} s after",
    f"{policy.PROBATION_PATIENCE:g} s of patience",
    f"every {policy.STEADY_PING:g} s, with {policy.STEADY_PATIENCE:g} s",
    f"for {NAMED[policy.LEFT_OUT / 60]} minutes, then ten",
    f"a random part of {policy.MIN_PAUSE:g} s, then of 1 s, 2 s, up to {policy.MAX_PAUSE:g} s",
    f"{policy.SILENCE_PART:g} of the silence",
]


@pytest.mark.parametrize("words", NUMBERS)
def test_numbers(words: str) -> None:
    """They are those of the code."""
    assert words in " ".join(PAGE.split())


# The bytes on the wire


class Wire:
    """Plays the examples against a server.

    Args:
        http: for all but the first request.
        stack: closes the WebSocket.
        url: of the endpoint.

    Attributes:
        url: of the endpoint.
        session: the id of the session, from the first example.
        drawn: what the server has drawn in place of what the page shows.
    """

    def __init__(self, http: aiohttp.ClientSession, stack: AsyncExitStack, url: str) -> None:
        self.url = url
        self.session = ""
        self.drawn: dict[str, str] = {}
        self._http = http
        self._stack = stack
        self._answers: dict[str, asyncio.Task[list[str]]] = {}
        self._websocket: aiohttp.ClientWebSocketResponse | None = None

    async def raw(self, lines: list[str]) -> None:
        """Send a request byte by byte, and compare the answer."""
        sent = [line[2:] for line in lines if line[0] == ">"]
        shown = [line[2:] for line in lines if line[0] == "<"]
        (self.session,) = re.findall(r"^POST /echo/~r1/(.*)/xhr ", sent[0])
        blank = sent.index("")
        port = int(self.url.removesuffix("/echo").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = sent[blank + 1].encode()
        writer.write("".join(f"{line}\r\n" for line in sent[: blank + 1]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        size = int(dict(line.split(": ") for line in head[1:])["Content-Length"])
        answer = (await reader.readexactly(size)).decode()
        writer.close()
        for pattern in DRAWN:
            (there,), (here,) = re.findall(pattern, shown[-1]), re.findall(pattern, answer)
            self.drawn[there] = here
        blank = shown.index("")
        assert head[0] == shown[0]
        assert {line for line in head if not line.startswith("Date: ")} == set(shown[:blank])
        assert answer == self.as_here(shown[blank + 1]) + "\n"

    def as_here(self, text: str) -> str:
        """Put what this server has drawn in the place of what the page shows."""
        for there, here in self.drawn.items():
            text = text.replace(there, here)
        return text

    async def play(self, line: str) -> None:
        """Do what a line shows: ``>`` is sent; ``<`` comes, and ``x`` too, but is forgotten.

        Args:
            line: the sign, a transport (behind the id of another session than the first), a text.
        """
        sign, transport, text = (*line.split(" ", 2), "")[:3]
        if sign == ">":
            await self._send(transport, self.as_here(text))
        else:
            assert await self._next(transport) == self.as_here(text)

    async def _send(self, transport: str, text: str) -> None:
        path = transport if "/" in transport else f"{self.session}/{transport}"
        url = f"{self.url}/~r1/{path}"
        if transport != "websocket":
            assert transport not in self._answers
            self._answers[transport] = asyncio.create_task(self._post(url, text))
        elif not text:
            self._websocket = await self._stack.enter_async_context(self._http.ws_connect(url))
        else:
            assert self._websocket is not None
            await self._websocket.send_str(text)

    async def _post(self, url: str, text: str) -> list[str]:
        async with self._http.post(url, data=text) as response:
            assert response.status == 200
            return (await response.text()).splitlines()

    @property
    def silent(self) -> bool:
        """Whether nothing came that was not shown."""
        return not self._answers

    async def _next(self, transport: str) -> str:
        if transport != "websocket":
            lines = await self._answers[transport]
            line = lines.pop(0)
            if not lines:
                del self._answers[transport]
            return line
        assert self._websocket is not None
        message = await self._websocket.receive()
        if message.type is aiohttp.WSMsgType.CLOSE:
            return f"closed {message.data}"
        return str(message.data)


@pytest.mark.parametrize("fast", ["true", "false"])
async def test_bytes_on_the_wire(tmp_path: Path, fast: str) -> None:
    """The examples, one after another, are what a real server answers, by both its readers."""
    config = Configurator(settings={"sockjs.fast": fast})
    config.include("sockjs_bridge")
    config.add_sockjs_route("echo", "/echo")
    config.scan(load(CODE, tmp_path))
    with serve(config.make_wsgi_app()) as url:
        async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            wire = Wire(http, stack, f"{url}/echo")
            first, *others = WIRE
            await wire.raw(first.code.splitlines())
            for block in others:
                for line in block.code.splitlines():
                    await wire.play(line)
            assert wire.silent
