"""The files of the bridge's own client, wherever they are served."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sockjs_bridge.pyramid.config import BRIDGE_CONNECTION, STATIC
from sockjs_bridge.testing import serve
from tests.e2e.chromium import Chromium
from tests.e2e.firefox import Firefox
from tests.e2e.server import PATIENCE
from tests.pkgs import conformance_app

#: Where the files are, below a prefix.
FOLDER = "/below/a/prefix/"
NONCE = "bm9uY2U"

#: Connects so many times, one after the other, and tells what happens in ``window.told``.
TALK = """
import {{ SockJS }} from {client};
const told = [];
const connect = (left) => {{
  const sock = new SockJS({url});
  for (const type of ["open", "error", "close"]) {{
    sock.addEventListener(type, ({{ code }}) => {{
      told.push(code ? [type, code] : [type]);
      if (type === "open") sock.close();
      if (type !== "close") return;
      if (left) connect(left - 1);
      else window.told = told;
    }});
  }}
}};
connect({count} - 1);
"""

ANSWERS = {
    "missing": (404, "text/plain", b"missing"),
    "of another type": (200, "text/html", b"<!doctype html><title>Sign in</title>"),
    "no script": (200, "text/javascript", b"<!doctype html><title>Sign in</title>"),
}
OPENED = [["open"], ["close", 1000]]
FAILED = [["error"], ["close", 1002]]


class Files:
    """A server of the client's files, and of one page: by both names of loopback, two origins.

    Attributes:
        page: its HTML.
        policy: its Content-Security-Policy.
        script: what ``/page.js`` is.
        refused: with what the file for SockJS is answered, first of all.
        asked: where the file for SockJS was asked for.
    """

    def __init__(self) -> None:
        self.page = self.policy = self.script = ""
        self.refused: list[str] = []
        self.asked: list[str] = []

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, type and body."""
        name = path.partition("?")[0].removeprefix(FOLDER)
        if path == "/page":
            return 200, "text/html", self.page.encode()
        if path == "/page.js":
            return 200, "text/javascript", self.script.encode()
        if name == BRIDGE_CONNECTION:
            self.asked.append(path)
            if self.refused:
                return ANSWERS[self.refused.pop(0)]
        file = Path(STATIC, name)
        if path.startswith(FOLDER) and file.is_file():
            return 200, "text/javascript", file.read_bytes()
        return 404, "text/plain", b""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The URL of an echo, for pages of all origins."""
    with serve(conformance_app.main(**{"sockjs.allowed_origins": "*"})) as url:
        yield f"{url}/echo"


@pytest.fixture
def files() -> Iterator[tuple[Files, int]]:
    """Such a server, and its port."""
    own = Files()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = own.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Access-Control-Allow-Origin", "*")
            if self.path == "/page" and own.policy:
                self.send_header("Content-Security-Policy", own.policy)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield own, server.server_port
        server.shutdown()


def told(browser: Chromium | Firefox, page: str) -> list[list[Any]]:
    """Open a page, and return the events of its connections."""
    browser.get(page)
    end = time.monotonic() + PATIENCE
    while (events := browser.execute_script("return window.told || null")) is None:
        assert time.monotonic() < end, browser.errors()
        time.sleep(0.02)
    return list(events)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("policy", ["", "self", "nonce", "nonce and preload"])
def test_served_anywhere_under_any_policy(browser, endpoint, files, policy: str, host: str) -> None:
    """Below a prefix, of the page's origin or another one; it is asked for once."""
    own, port = files
    place = f"http://{host}:{port}{FOLDER}"
    client = json.dumps(f"{place}sockjs-bridge-client.js")
    own.script = TALK.format(client=client, url=json.dumps(endpoint), count=2)
    if policy.startswith("nonce"):
        own.policy = f"script-src 'nonce-{NONCE}' 'strict-dynamic'; object-src 'none'"
        hint = f'<link rel="modulepreload" nonce="{NONCE}" href="{place}{BRIDGE_CONNECTION}">'
        head = hint if "preload" in policy else ""
        own.page = f'{head}<script type="module" nonce="{NONCE}">{own.script}</script>'
    else:
        own.policy = f"script-src 'self' {place}" if policy else ""
        own.page = '<script type="module" src="/page.js"></script>'
    browser.errors()
    assert told(browser, f"http://127.0.0.1:{port}/page") == OPENED * 2
    assert own.asked == [FOLDER + BRIDGE_CONNECTION]
    assert [error for error in browser.errors() if "favicon.ico" not in error] == []


@pytest.mark.parametrize("answer", list(ANSWERS))
def test_what_could_not_be_loaded_is_tried_again(browser, endpoint, files, answer: str) -> None:
    """At once, and by the next connection: Firefox remembers what it could not load."""
    own, port = files
    client = json.dumps(f"{FOLDER}sockjs-bridge-client.js")
    own.page = '<script type="module" src="/page.js"></script>'
    own.script = TALK.format(client=client, url=json.dumps(endpoint), count=4)
    # A connection asks twice. What a browser remembers is not asked for again: then once.
    for refusals, failures in ((1, {0}), (4, {2, 3})):
        own.refused = [answer] * refusals
        events = told(browser, f"http://127.0.0.1:{port}/page")
        failed = events.count(["error"])
        assert failed in failures
        assert events == FAILED * failed + OPENED * (4 - failed)
        assert own.refused == []
    browser.errors()
