"""The npm `sockjs-client` in Node, over each transport that it has there: a client not ours.

In Node it has four: websocket (of `faye-websocket`), xhr-streaming, xhr-polling and eventsource (of
the npm package `eventsource`). The others need a document.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pkgs.scenario_app import LATE, Served, served

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).parent / "node" / "client.cjs"

LIMIT = 60
"""Seconds that a Node process may take."""

TRANSPORTS = ["websocket", "xhr-streaming", "xhr-polling", "eventsource"]
HTTP = TRANSPORTS[1:]

TEXTS = [
    "",
    "plain",
    "\"quotes\" 'and' \\backslashes\\",
    "%41 %80 %2B %23 % %zz",
    "ümläut – Ελληνικά – 日本語",
    "\U0001f600 beyond the BMP",
    "\u2028 line \u2029 separators \u200c\u200f\u2060",
    "\ufeff\ufffe\uffff\ufff0",
    "\0 NUL \x01\x02\x1f\x7f\x80\x9f",
    "\r\n lines \n\n\r",
    "</script><script>",
    'a["b"]',
    "c[3000,'x']",
    "o",
    "h",
    " ",
]
LONE_SURROGATES = ["\ud800", "x\udfffy", "\udc00\ud800"]

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_http = pytest.mark.parametrize("transport", HTTP)


class Story(list[dict[str, Any]]):
    """What the client told, line by line."""

    def all(self, event: str) -> list[dict[str, Any]]:
        """Return all lines of one kind."""
        return [line for line in self if line["event"] == event]

    @property
    def messages(self) -> list[str]:
        """The messages, in the order in which they came."""
        return [line["data"] for line in self.all("message")]

    @property
    def transports(self) -> list[str]:
        """The transports over which it opened."""
        return [line["transport"] for line in self.all("open")]

    @property
    def close(self) -> tuple[int, str]:
        """The close code and reason: the one close event, the last event of all."""
        assert len(self.all("close")) == 1, self
        assert self[-1]["event"] == "close", self
        return self[-1]["code"], self[-1]["reason"]


def run(url: str, transports: str | list[str] | None = None, **job: Any) -> Story:
    """Run the client until it has what the job expects, or is closed.

    Args:
        url: the endpoint's.
        transports: what it may use; None for all.
        job: see `client.cjs`.
    """
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: install Node 20")
    if not (ROOT / "js" / "node_modules" / "sockjs-client").is_dir():
        pytest.fail(
            "js/node_modules has no sockjs-client: run `make test`, or `npm ci --prefix js`"
        )
    whole = {"modules": str(ROOT / "js"), "url": url, "messages": [], "limit": LIMIT, **job}
    if transports is not None:
        whole["transports"] = transports
    done = subprocess.run(
        [node, str(DRIVER), json.dumps(whole)], capture_output=True, timeout=LIMIT + 10, check=False
    )
    assert not done.stderr, done.stderr.decode()
    story = Story(json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0, (done.returncode, story[-3:])
    return story


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as server:
        yield server


def echoed(server: Served, transport: str, messages: list[str], **job: Any) -> Story:
    """Have messages echoed, and see that each comes back once, in order."""
    url = server.endpoint("echo")
    story = run(url, transport, messages=messages, expect=len(messages), **job)
    assert story.transports == [transport]
    assert story.messages == messages
    assert story.close == (1000, "Normal closure")
    return story


@each_transport
def test_echo(server: Served, transport: str) -> None:
    """100 messages come back in order: Unicode, surrogates, quotes, `%41`, NUL (JSONEncoding)."""
    texts = [*TEXTS, *LONE_SURROGATES]
    echoed(server, transport, [f"{n}:{texts[n % len(texts)]}" for n in range(100)])


@each_transport
def test_bare_texts(server: Served, transport: str) -> None:
    """A message may be empty, or look like a frame."""
    echoed(server, transport, [*TEXTS, *LONE_SURROGATES])


def test_raw_websocket(server: Served) -> None:
    """A plain WebSocket client gets each text as a frame of its own (RawWebsocket)."""
    messages = [f"{n}:{TEXTS[n % len(TEXTS)]}" for n in range(100)]
    url = server.endpoint("echo")
    story = run(url, "raw", messages=messages, expect=100)
    assert story.messages == messages
    assert story.close[0] == 1000


def test_raw_websocket_close(server: Served) -> None:
    """On a raw WebSocket the close frame carries the application's code and reason."""
    story = run(server.endpoint("echo"), "raw", messages=["close!"])
    assert story.close == (4321, "my “reason” %41")


@each_transport
def test_large_message(server: Served, transport: str) -> None:
    """A message of 60 KB, near `max_message_size`, crosses unharmed both ways."""
    echoed(server, transport, ["x" * 60_000, "after"])


@each_transport
def test_close_by_the_server(server: Served, transport: str) -> None:
    """`onclose` has the application's code and reason, after what was sent (HandlingClose)."""
    messages = ["before", "close!"]
    story = run(server.endpoint("echo"), transport, messages=messages)
    assert story.transports == [transport]
    assert story.messages == ["before"]
    assert story.close == (4321, "my “reason” %41")


@pytest.mark.parametrize(
    ("transport", "code"),
    [
        ("websocket", 1000),
        # HTTP cannot say goodbye: the stream breaks off, or no poll comes any more.
        ("xhr-streaming", 1002),
        ("eventsource", 1002),
        ("xhr-polling", 1006),
    ],
)
def test_close_by_the_client(transport: str, code: int) -> None:
    """When the client closes, the application is told, once (sockjs-wire.md, "Sessions")."""
    with served(disconnect_delay=LATE) as server:
        story = run(server.endpoint("echo", "a"), transport, messages=["a"], expect=1)
        assert story.close == (1000, "Normal closure")
        assert server.desk.wait("a", "close")[0][0] == code
        server.wait_over("echo")
    assert len(server.desk.events("a", "close")) == 1


@each_http
def test_refused_over_http(server: Served, transport: str) -> None:
    """A refused handshake opens and closes at once: the client tries nothing else (api.md 7)."""
    story = run(server.endpoint("forbidden"), transport)
    assert story.transports == [transport]
    assert story.close == (4403, "Forbidden")


def test_refused_over_websocket(server: Served) -> None:
    """A WebSocket handshake is refused with 403: the client's only transport has failed."""
    story = run(server.endpoint("forbidden"), "websocket")
    assert story.transports == []
    assert story.close == (2000, "All transports failed")


def test_refused_over_all(server: Served) -> None:
    """With all transports to choose from, the client hears 4403 from the first over HTTP."""
    story = run(server.endpoint("forbidden"))
    assert story.transports == ["xhr-streaming"]
    assert story.close == (4403, "Forbidden")


def test_no_endpoint(server: Served) -> None:
    """Where there is no endpoint, /info is 404, and the client says that it cannot connect."""
    story = run(server.endpoint("nowhere"))
    assert story.transports == []
    assert story.close == (1002, "Cannot connect to server")


def test_first_choice(server: Served) -> None:
    """Left alone, the client takes the WebSocket."""
    story = run(server.endpoint("echo"), messages=["a"], expect=1)
    assert (story.transports, story.messages) == (["websocket"], ["a"])


@pytest.mark.parametrize("transports", [None, ["websocket", "xhr-streaming"]])
def test_disabled_websocket(server: Served, transports: list[str] | None) -> None:
    """/info says that WebSocket is off, and the client takes the next (InfoTest)."""
    story = run(server.endpoint("httponly"), transports, messages=["a"], expect=1)
    assert (story.transports, story.messages) == (["xhr-streaming"], ["a"])


def test_only_a_disabled_websocket(server: Served) -> None:
    """With nothing to fall back to, the client reports that all transports failed."""
    story = run(server.endpoint("httponly"), "websocket")
    assert story.close == (2000, "All transports failed")


@pytest.mark.parametrize("transport", ["htmlfile", "jsonp-polling", "iframe-eventsource"])
def test_no_other_transports(server: Served, transport: str) -> None:
    """The client has no transport in Node but those that are tested here."""
    story = run(server.endpoint("echo"), transport)
    assert (story.transports, story.close[0]) == ([], 2000)


@each_transport
def test_heartbeats(transport: str) -> None:
    """Heartbeats reach the client's script over every transport, and the session lives on."""
    with served(heartbeat_delay=0.1) as server:
        tag = "beats"
        story = run(
            server.endpoint("echo", tag), transport, messages=["alive"], expect=1, heartbeats=4
        )
        assert story.messages == ["alive"]
        assert len(story.all("heartbeat")) >= 4
        assert len(server.desk.events(tag, "open")) == 1


@each_transport
def test_response_limit(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    """64 KB of messages over responses of 4 KB: none is lost, doubled or reordered."""
    caplog.set_level("INFO", "sockjs_bridge.access")
    with served(response_limit=4096) as server:
        echoed(server, transport, [f"{n}:" + "x" * 1000 for n in range(64)])
    if transport != "websocket":
        receiving = {"xhr-streaming": "/xhr_streaming", "xhr-polling": "/xhr"}
        suffix = receiving.get(transport, "/eventsource") + " HTTP"
        # A frame is not split, so a response may hold more than the limit, but not two of them.
        assert sum(suffix in record.getMessage() for record in caplog.records) >= 8


@each_transport
def test_server_stops(transport: str) -> None:
    """A server that stops closes its clients with c[3000,"Go away!"]."""
    stories: list[Story] = []
    with served() as server:
        url = server.endpoint("echo", "last")
        thread = threading.Thread(target=lambda: stories.append(run(url, transport)))
        thread.start()
        server.desk.connection("last")
        server.wait_attached("echo")
    thread.join(LIMIT)
    assert stories[0].close == (3000, "Go away!")
