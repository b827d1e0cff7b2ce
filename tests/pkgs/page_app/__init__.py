"""A page with the browser's client, and the ledger that it writes to.

The page has the client as ``window.sock``, and what it was told as ``window.told``.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from sockjs_bridge import websocket_view
from tests.pkgs import ledger_app

CLOSE = "close"
"""The message after which the session is closed."""

WAIT = "wait"
"""What a message begins with that is handled when ``/release`` was asked for."""

WHERE = "where"
"""The message that is answered with the id of the process that has the session."""

HOLD_LIMIT = 20.0
"""Seconds after which it is handled all the same, so that a failed test cannot hang."""

PAGE = """<!doctype html>
<title>A page</title>
<link rel="icon" href="data:,">
<script type="module">
import {{ ReconnectingSockJS }} from "{client}";
const asked = new URLSearchParams(location.search);
const sock = new ReconnectingSockJS(asked.get("to"), JSON.parse(asked.get("with")));
window.told = [];
for (const type of ["connecting", "open", "message", "transport", "rtt", "suspended", "resumed",
  "lost", "moved", "missed", "denied", "stopped"]) {{
  sock.addEventListener(type, ({{ detail }}) => window.told.push([type, detail]));
}}
window.addEventListener("pageshow", ({{ persisted }}) => window.told.push(["pageshow", persisted]));
window.inherited = sock.outbox.map(({{ text }}) => text);
sock.connect();
window.sock = sock;
</script>
"""


class Ledger(ledger_app.Ledger):
    """Tells of sessions, too. What it was told outlives processes, as long as the machine runs."""

    def _connect(self):
        database = super()._connect()
        database.execute("pragma synchronous = off")
        return database

    def note(self, event: str) -> None:
        """Enter what became of a session."""
        with closing(self._connect()) as database, database:
            database.execute("create table if not exists lives (event text)")
            database.execute("insert into lives values (?)", (event,))


def forbidden_factory(request):
    """Refuses every visitor."""
    raise HTTPForbidden()


@websocket_view(route_name="denied")
@websocket_view(route_name="ledger")
class Session(ledger_app.Session):
    """A session of the ledger that is in a room, and can be closed."""

    def on_open(self):
        self.join("all")
        self.request.registry.ledger.note("open")

    def on_message(self, message):
        if message.startswith(WAIT):
            self.request.registry.gate.wait(HOLD_LIMIT)
        if message == CLOSE:
            self.close(4321, "Enough")
        elif message == WHERE:
            self.send(str(os.getpid()))
        else:
            super().on_message(message)

    def on_close(self):
        self.request.registry.ledger.note(f"close {self.close_code} {self.close_reason}")


def page(request):
    return Response(PAGE.format(client=request.sockjs_bridge_client_url()))


def elsewhere(request):
    return Response('<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">')


def say(request):
    request.sockjs.broadcast(request.GET["text"], room="all")
    return Response("said")


def release(request):
    request.registry.gate.set()
    return Response("released")


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.ledger = Ledger(settings["ledger"])
        config.add_sockjs_route("ledger", "/ledger")
        config.add_sockjs_route("denied", "/denied", factory=forbidden_factory)
        config.registry.gate = threading.Event()
        for view in (page, elsewhere, say, release):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__)
        config.scan()
        return config.make_wsgi_app()
