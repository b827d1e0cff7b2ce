"""`ReconnectingSockJS` against a real server that comes and goes.

The page and the session class are those of docs/howto/reconnecting.rst, in jsdom under Node.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from chameleon import PageTemplate
from pyramid.config import Configurator

from sockjs_bridge.testing import serve
from tests.docs.blocks import collect

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
JS = ROOT / "js"
DRIVER = Path(__file__).parent / "node" / "page.mjs"
CLIENT = ROOT / "sockjs_bridge" / "static" / "sockjs-bridge-client.js"
BLOCKS = {block.caption: block.code for block in collect() if block.page == "howto/reconnecting"}
#: The blocks of the documentation that are run here.
RUN = {("howto/reconnecting", caption) for caption in ("notes.pt", "notes.js", "notes.py")}
TRANSPORTS = ["websocket", "xhr-streaming", "xhr-polling"]
LIMIT = 100
"""Seconds that a Node process may take."""


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    """The server's side of the example, and what it has kept: it outlives a server."""
    path = tmp_path / "notes.py"
    path.write_text(BLOCKS["notes.py"], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("example_notes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def application(view: type) -> Any:
    """Make an application with one view for connections."""
    with Configurator() as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("notes", "/notes")
        config.add_websocket_view(view, route_name="notes")
        return config.make_wsgi_app()


class Page:
    """The page in its process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []

    def until(self, event: str, status: str = "", length: int = 0) -> dict[str, Any]:
        """Wait for what the page tells: of a status, or of a list of at least that length."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self.told.append(told)
            if (
                told["event"] == event
                and told.get("status", "") == status
                and told.get("length", 0) >= length
            ):
                return told
        pytest.fail(f"no {event} {status} {length or ''}: {self.told[-5:]}")


@contextmanager
def browsing(
    folder: Path, url: str, transport: str, texts: list[str], **job: Any
) -> Iterator[Page]:
    """Open the page, and have the user write texts."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing: install Node 20")
    request = SimpleNamespace(
        sockjs_bridge_client_url=lambda: CLIENT.as_uri(),
        static_path=lambda name: f"/{name}",
        route_path=lambda name: f"{url}/{name}",
    )
    script = folder / "notes.mjs"
    made = "new ReconnectingSockJS(endpoint)"
    assert made in BLOCKS["notes.js"]
    only = f'new ReconnectingSockJS(endpoint, {{ transports: ["{transport}"] }})'
    script.write_text(BLOCKS["notes.js"].replace(made, only), encoding="utf-8")
    whole = {
        "modules": str(JS),
        "html": PageTemplate(BLOCKS["notes.pt"])(request=request),
        "script": str(script),
        "texts": texts,
        "stored": {},
        "limit": LIMIT,
        **job,
    }
    # Node 20 has no WebSocket without it.
    command = [node, "--experimental-websocket", "--no-warnings", str(DRIVER), json.dumps(whole)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Page(process)
        finally:
            process.kill()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_exactly_once_and_in_order(module: ModuleType, tmp_path: Path, transport: str) -> None:
    """The server goes and comes back; the list shows nothing of it."""
    texts = [f"{n}: “ümläut” </li>" for n in range(60)]
    with ExitStack() as first:
        url = first.enter_context(serve(application(module.Notes), shutdown_timeout=0.1))
        with browsing(tmp_path, url, transport, texts) as page:
            page.until("list", length=15)
            first.close()
            kept = len(module.notes)
            # With the new session comes what the server has.
            with serve(application(module.Notes), listen=urlsplit(url).netloc):
                done = page.until("done")
    assert kept >= 15
    assert list(module.notes.values()) == texts
    assert done["texts"] == texts
    assert page.told[0] == {"event": "status", "status": "connecting"}
    assert {"event": "status", "status": f"open: {transport}"} in page.told


def test_the_outbox_survives_a_reload(module: ModuleType, tmp_path: Path) -> None:
    """What was written while the server was away goes out from the next page."""
    texts = ["one", "two", "three"]
    with serve(application(module.Notes)) as url:
        pass
    with browsing(tmp_path, url, "websocket", texts, leave=True) as page:
        left = page.until("done")
    assert (left["texts"], len(left["stored"])) == ([], 1)
    with (
        serve(application(module.Notes), listen=urlsplit(url).netloc),
        browsing(tmp_path, url, "xhr-polling", [], stored=left["stored"]) as page,
    ):
        assert page.until("done")["texts"] == texts
    assert list(module.notes.values()) == texts


def test_a_refused_text_does_not_hold_up_the_next(module: ModuleType, tmp_path: Path) -> None:
    """The server says no to one, and the page goes on."""
    texts = ["one", "x" * 201, "two"]
    with (
        serve(application(module.Notes)) as url,
        browsing(tmp_path, url, "websocket", texts) as page,
    ):
        page.until("status", status="Please be brief.")
        assert page.until("done")["texts"] == ["one", "two"]
    assert list(module.notes.values()) == ["one", "two"]
