"""The bridge's own client in Chromium and Firefox, over each transport, also from another's page.

What js/tests/client has shown under Node holds for the network stacks of browsers too.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sockjs_bridge.testing import serve
from tests.e2e.chromium import Chromium
from tests.e2e.firefox import Firefox
from tests.e2e.server import PATIENCE
from tests.pkgs import conformance_app
from tests.proxies.behaviour import Behaviour
from tests.proxies.middlebox import Middlebox
from tests.proxies.tcp import in_thread

PEERS = Path(__file__).parents[2] / "js" / "tests" / "client" / "peers.js"
TRANSPORTS = ["websocket", "xhr-streaming", "xhr-polling"]

#: Connects, and tells what happens in ``window.story``. Texts are made and compared in the page:
#: lone surrogates do not come through WebDriver.
TALK = r"""
const [client, url, options, job] = arguments;
const texts = {
  none: [],
  many: Array.from({ length: 200 }, (_, number) => `${number} \u00fcml\u00e4ut \u{1f680}`),
  // Every code unit, lone surrogates too.
  units: Array.from({ length: 16 }, (_, block) => String.fromCharCode(
    ...Array.from({ length: 4096 }, (__, index) => 4096 * block + index))),
  large: ["x".repeat(60000), "\u00fc".repeat(30000), "", "\u8a9e".repeat(20000), "y".repeat(60000)],
}[job.texts];
const told = { events: [], wrong: [], got: 0 };
window.story = null;
import(client).then(({ SockJS }) => {
  const sock = new SockJS(url, null, options);
  sock.onopen = () => {
    told.events.push("open");
    told.transport = sock.transport;
    for (const text of texts) sock.send(text);
    if (job.script) sock.send(JSON.stringify(job.script));
    else if (!texts.length && job.close) sock.close(...job.close);
  };
  sock.onmessage = ({ data }) => {
    if (data !== texts[told.got]) told.wrong.push([told.got, data.slice(0, 50)]);
    told.got += 1;
    if (told.got === texts.length && job.close) sock.close(...job.close);
  };
  sock.onheartbeat = () => {
    told.events.push("heartbeat");
    if (job.close) sock.close(...job.close);
  };
  sock.onerror = () => told.events.push("error");
  sock.onclose = ({ code, reason, wasClean }) => {
    told.events.push("close");
    window.story = { ...told, close: [code, reason, wasClean] };
  };
}).catch((error) => { window.story = { error: String(error) }; });
"""


class Site(NamedTuple):
    """A server with the client and all endpoints of the conformance tests.

    Attributes:
        url: of the server.
        client: the path of the client.
    """

    url: str
    client: str


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[Site, Site]]:
    """Two of them, on two ports."""
    settings = {"sockjs.allowed_origins": "*"}
    apps = [conformance_app.main(**settings) for _ in range(2)]
    with serve(apps[0]) as own, serve(apps[1]) as other:
        yield Site(own, client_path(apps[0])), Site(other, client_path(apps[1]))


def client_path(app: Any) -> str:
    """Return the path of the client, as a view of the application would."""
    folder, _, _ = app.registry.sockjs.client_path.rpartition("/")
    return f"{folder}/sockjs-bridge-client.js"


@pytest.fixture
def quiet(browser: Chromium | Firefox) -> Iterator[None]:
    """The console shows no error and no warning."""
    browser.errors()
    yield
    # The pages have no icon.
    assert [error for error in browser.errors() if "/favicon.ico" not in error] == []


def talk(
    browser: Chromium | Firefox,
    page: Site,
    url: str,
    transports: list[str] | None = None,
    **job: Any,
) -> dict[str, Any]:
    """Have a fresh page connect, and return what it tells when the connection is closed.

    Args:
        browser: that has the page.
        page: the site that it is of.
        url: of the endpoint.
        transports: that may be used.
        job: see `TALK`.
    """
    browser.get(f"{page.url}/release?tag=nobody")
    options = {} if transports is None else {"transports": transports}
    browser.execute_script(TALK, page.client, url, options, {"texts": "none", **job})
    end = time.monotonic() + PATIENCE
    while (story := browser.execute_script("return window.story")) is None:
        assert time.monotonic() < end, "the connection was not closed"
        time.sleep(0.02)
    assert "error" not in story, story
    assert story["wrong"] == []
    return dict(story)


@pytest.mark.usefixtures("quiet")
@pytest.mark.turns("texts")
@pytest.mark.parametrize("texts", ["many", "units", "large"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_echo(browser, sites, transport: str, texts: str) -> None:
    """Everything comes back as it was, once and in order; then the page closes."""
    own, _ = sites
    close = [3001, "my “reason”"]
    told = talk(browser, own, "/echo", [transport], texts=texts, close=close)
    assert told["transport"] == transport
    assert told["got"] == {"many": 200, "units": 16, "large": 5}[texts]
    assert told["events"] == ["open", "close"]
    assert told["close"] == [*close, True]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_origin(browser, sites, transport: str) -> None:
    """The page is another site's: cookies go along, and no preflight is needed."""
    own, other = sites
    url = f"{own.url.replace('127.0.0.1', 'localhost')}/echo?a=b"
    told = talk(browser, other, url, [transport], texts="many", close=[])
    assert (told["transport"], told["got"]) == (transport, 200)
    assert told["close"] == [1000, "Normal closure", True]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_server_closes(browser, sites, transport: str) -> None:
    """Its code and reason, at once or later."""
    own, _ = sites
    told = talk(browser, own, "/close", [transport])
    assert (told["events"], told["close"]) == (["open", "close"], [3000, "Go away!", True])
    script = [["close", 4321, "“reason” %41"]]
    told = talk(browser, own, "/script", [transport], script=script)
    assert (told["events"], told["close"]) == (["open", "close"], [4321, "“reason” %41", True])


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_heartbeats(browser, sites, transport: str) -> None:
    own, _ = sites
    script: list[Any] = []
    told = talk(browser, own, "/fast_heartbeat", [transport], script=script, close=[])
    assert told["events"] == ["open", "heartbeat", "close"]


@pytest.mark.usefixtures("quiet")
def test_a_websocket_is_the_first_choice(browser, sites) -> None:
    own, _ = sites
    assert talk(browser, own, "/echo", close=[])["transport"] == "websocket"


@pytest.mark.parametrize(("hold", "transport"), [(0, "xhr-streaming"), (math.inf, "xhr-polling")])
def test_behind_a_proxy(browser, sites, hold: float, transport: str) -> None:
    """One that never answers the handshake; one that also holds each response until it is whole."""
    own, _ = sites
    with in_thread(Middlebox(own.url, Behaviour(upgrade="unanswered", hold=hold))) as proxy:
        site = Site(proxy.url, own.client)
        told = talk(browser, site, "/echo", texts="many", close=[])
    assert (told["transport"], told["got"]) == (transport, 200)
    assert told["close"] == [1000, "Normal closure", True]


@pytest.fixture(scope="module")
def sockjs_node() -> Iterator[str]:
    """sockjs-node, on another port than any page."""
    script = (
        f"import {{ sockjsNode }} from {json.dumps(PEERS.as_uri())};\n"
        "console.log((await sockjsNode()).url);\n"
        "process.stdin.on('end', () => process.exit()).resume();\n"
    )
    command = ["node", "--input-type=module", "-e", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sockjs_node(browser, sites, sockjs_node: str, transport: str) -> None:
    """A server that is not ours, of another origin: `/info` is asked first."""
    own, _ = sites
    told = talk(browser, own, f"{sockjs_node}/echo", [transport], texts="units", close=[])
    assert (told["transport"], told["got"]) == (transport, 16)
    told = talk(browser, own, f"{sockjs_node}/close", [transport])
    assert (told["events"], told["close"]) == (["open", "close"], [3000, "Go away!", True])


def test_fallbacks(browser, sites) -> None:
    """What the server does not have is passed over; the console tells what was refused."""
    own, _ = sites
    assert talk(browser, own, "/disabled_websocket_echo", close=[])["transport"] == "xhr-streaming"
    assert talk(browser, own, "/xhr_only", close=[])["transport"] == "xhr-polling"
    told = talk(browser, own, "/disabled_websocket_echo", ["websocket"])
    assert told["close"] == [2000, "All transports failed", False]
    told = talk(browser, own, "/nothing")
    assert told["events"] == ["error", "close"]
    assert told["close"] == [1002, "Cannot connect to server", False]
