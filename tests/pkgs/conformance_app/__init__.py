"""The application that the conformance tests talk to.

Its endpoints are those that the published protocol suite asks for (``/echo``, ``/close``, ...) and
some that obey their client: a *script* endpoint takes each message as a JSON list of steps.
``/events`` tells what its hooks saw; a test names its session by ``?tag=`` in the opening request,
because an application never learns a session id. ``/waiting`` tells whether a session's receiver is
there.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import ConnectionClosed, WebSocketSession, websocket_view

DISCONNECT_DELAY = 2.5
"""Seconds after which sessions expire where that is what is tested; a busy client may be late."""

BRIEF_DELAY = 0.2
"""The same where no client has to be in time."""

HOLD_LIMIT = 20.0
"""Seconds after which a held handler goes on by itself, so that a failed test cannot hang."""


PAUSE = 0.01
"""Seconds after which somebody looks again for what another process may have done."""


class Recorder:
    """What the hooks saw, by tag, and the gates at which they wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: dict[str, list[list[Any]]] = defaultdict(list)
        self._gates: dict[str, threading.Event] = defaultdict(threading.Event)

    def record(self, tag: str | None, *event: Any) -> None:
        """Append an event and wake those who wait for it."""
        if tag is None:
            return
        with self._changed:
            self._events[tag].append(list(event))
            self._changed.notify_all()

    def wait(self, tag: str, count: int, timeout: float) -> list[list[Any]]:
        """Return the events of a tag as soon as there are `count`, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._events[tag]) >= count, timeout)
            return list(self._events[tag])

    def gate(self, tag: str) -> threading.Event:
        """Return the gate at which the handlers of a tag wait."""
        with self._changed:
            return self._gates[tag]


class SharedGate:
    """A gate at which handlers of several processes wait: it is open when a file is there."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self) -> None:
        """Open it."""
        self._file.touch()

    def wait(self, timeout: float) -> None:
        """Wait until it is open, or `timeout` seconds have passed."""
        end = time.monotonic() + timeout
        while not self._file.exists() and time.monotonic() < end:
            time.sleep(PAUSE)


class SharedRecorder:
    """The same for several processes: a file of each tag, in a folder that they share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, tag: str | None, *event: Any) -> None:
        """Append an event, in one write."""
        if tag is not None:
            with (self._folder / f"{tag}.events").open("ab", buffering=0) as file:
                file.write(json.dumps(event).encode() + b"\n")

    def wait(self, tag: str, count: int, timeout: float) -> list[list[Any]]:
        """Return the events of a tag as soon as there are `count`, or after `timeout` seconds."""
        end = time.monotonic() + timeout
        while len(events := self._events(tag)) < count and time.monotonic() < end:
            time.sleep(PAUSE)
        return events

    def _events(self, tag: str) -> list[list[Any]]:
        try:
            data = (self._folder / f"{tag}.events").read_bytes()
        except FileNotFoundError:
            return []
        # What follows the last line end is being written.
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def gate(self, tag: str) -> SharedGate:
        """Return the gate at which the handlers of a tag wait."""
        return SharedGate(self._folder / f"{tag}.open")


def make_recorder(settings: dict[str, str]) -> Recorder | SharedRecorder:
    """Return the recorder of an application.

    Args:
        settings: the application's; ``conformance.shared`` is a folder that all its processes have.
    """
    folder = settings.get("conformance.shared")
    return SharedRecorder(Path(folder)) if folder else Recorder()


def recorder_of(request: Request) -> Recorder | SharedRecorder:
    return request.registry.conformance_recorder  # type: ignore[no-any-return]


def tag_of(request: Request) -> str | None:
    return request.GET.get("tag")  # type: ignore[no-any-return]


class RecordingSession(WebSocketSession):
    """Records when it was opened, what it was told, and how it was closed."""

    def record(self, *event: Any) -> None:
        recorder_of(self.request).record(tag_of(self.request), *event)

    def on_open(self) -> None:
        self.record("open")

    def on_message(self, message: str) -> None:
        self.record("message", message)

    def on_close(self) -> None:
        self.record("close", self.close_code, self.close_reason)

    def step(self, name: str, *arguments: Any) -> None:
        """Do one step of a script that does not wait."""
        if name == "send":
            self.send(*arguments)
        elif name == "repeat":
            count, size = arguments
            for _ in range(count):
                self.send("x" * size)
        elif name == "close":
            self.close(*arguments)
        elif name == "try_close":
            try:
                self.close(*arguments)
            except ValueError:
                self.record("refused", *arguments)
        elif name == "fail":
            raise RuntimeError("the script asked for it")


@websocket_view(route_name="echo")
@websocket_view(route_name="cookie_needed_echo")
@websocket_view(route_name="disabled_websocket_echo")
@websocket_view(route_name="small_messages")
@websocket_view(route_name="listed_origins")
@websocket_view(route_name="same_origin")
@websocket_view(route_name="slow_open")
@websocket_view(route_name="forbidden")
@websocket_view(route_name="patterned")
@websocket_view(route_name="xhr_only")
@websocket_view(route_name="with_cookie")
class EchoSession(RecordingSession):
    """Sends every message back."""

    def on_message(self, message: str) -> None:
        super().on_message(message)
        self.send(message)


@websocket_view(route_name="close")
class CloseSession(RecordingSession):
    """Closes as soon as it is open."""

    def on_open(self) -> None:
        super().on_open()
        self.close(3000, "Go away!")


@websocket_view(route_name="script")
@websocket_view(route_name="fast_heartbeat")
@websocket_view(route_name="fast_disconnect")
@websocket_view(route_name="brief")
@websocket_view(route_name="short_responses")
@websocket_view(route_name="small_queue")
@websocket_view(route_name="small_inbound")
class ScriptSession(RecordingSession):
    """Obeys the client, in plain hooks."""

    def on_message(self, message: str) -> None:
        super().on_message(message)
        for name, *arguments in json.loads(message):
            if name == "hold":
                recorder_of(self.request).gate(str(tag_of(self.request))).wait(HOLD_LIMIT)
            else:
                self.step(name, *arguments)


@websocket_view(route_name="async_script")
@websocket_view(route_name="async_fast_disconnect")
@websocket_view(route_name="async_brief")
class AsyncScriptSession(RecordingSession):
    """Obeys the client, in asynchronous hooks."""

    async def on_open(self) -> None:  # type: ignore[override]
        super().on_open()

    async def on_message(self, message: str) -> None:  # type: ignore[override]
        super().on_message(message)
        for name, *arguments in json.loads(message):
            if name == "hold":
                gate = recorder_of(self.request).gate(str(tag_of(self.request)))
                await asyncio.to_thread(gate.wait, HOLD_LIMIT)
            else:
                self.step(name, *arguments)

    async def on_close(self) -> None:  # type: ignore[override]
        super().on_close()


@websocket_view(route_name="blocking_echo")
def blocking_echo(request: Request) -> None:
    """Sends every message back, in the style of one thread per connection."""
    recorder, tag = recorder_of(request), tag_of(request)
    recorder.record(tag, "open")
    try:
        while True:
            message = request.receive()
            recorder.record(tag, "message", message)
            request.ws_connection.send(message)
    except ConnectionClosed as closed:
        recorder.record(tag, "close", closed.code, closed.reason)
        raise


@websocket_view(route_name="blocking_close")
def blocking_close(request: Request) -> None:
    """Closes as soon as it is open, in the style of one thread per connection."""
    request.websocket.close(3000, "Go away!")


def events(request: Request) -> Response:
    """Answer with the events of a tag, as soon as there are enough."""
    tag, count = request.GET["tag"], int(request.GET["count"])
    found = recorder_of(request).wait(tag, count, float(request.GET["timeout"]))
    return Response(json.dumps(found), content_type="application/json", charset="UTF-8")


def release(request: Request) -> Response:
    """Open the gate at which the handlers of a tag wait."""
    recorder_of(request).gate(request.GET["tag"]).set()
    return Response("ok")


def waiting(request: Request) -> Response:
    """Answer with the transports whose receiver a session has."""
    # Nothing public tells it, as nothing but a test can use it.
    sessions = [each for endpoint in request.registry.sockjs.endpoints for each in endpoint.manager]
    found = [one._receiver for one in sessions if one.id == request.GET["session"]]
    return Response(json.dumps([one.transport.name for one in found if one is not None]))


def slow_factory(request: Request) -> None:
    """Make the opening of a session wait at the gate of its tag."""
    if request.websocket:
        recorder = recorder_of(request)
        recorder.record(tag_of(request), "handshake")
        recorder.gate(str(tag_of(request))).wait(HOLD_LIMIT)


def forbidden_factory(request: Request) -> None:
    """Refuse every visitor."""
    raise HTTPForbidden()


def cookie_factory(request: Request) -> None:
    """Set a cookie in the response of whatever is requested."""
    request.add_response_callback(lambda request, response: response.set_cookie("seen", "1"))


def main(global_config: Any = None, **settings: str) -> Any:
    """Make the WSGI application.

    Args:
        global_config: what PasteDeploy passes; unused.
        settings: the application's settings, ``sockjs.*`` among them.
    """
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.conformance_recorder = make_recorder(settings)
        add = config.add_sockjs_route
        http_only = ["xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling"]
        add("echo", "/echo", response_limit=4096)
        add("blocking_echo", "/blocking_echo", response_limit=4096)
        add("disabled_websocket_echo", "/disabled_websocket_echo", transports=http_only)
        add("cookie_needed_echo", "/cookie_needed_echo", jsessionid=True)
        add("close", "/close")
        add("blocking_close", "/blocking_close")
        add("script", "/script")
        add("async_script", "/async_script")
        add("fast_heartbeat", "/fast_heartbeat", heartbeat_delay=0.2)
        add("fast_disconnect", "/fast_disconnect", disconnect_delay=DISCONNECT_DELAY)
        add("async_fast_disconnect", "/async_fast_disconnect", disconnect_delay=DISCONNECT_DELAY)
        add("brief", "/brief", disconnect_delay=BRIEF_DELAY)
        add("async_brief", "/async_brief", disconnect_delay=BRIEF_DELAY)
        add("short_responses", "/short_responses", response_max_age=0.3)
        add("small_messages", "/small_messages", max_message_size=1024)
        add("small_queue", "/small_queue", max_queue_size=4096)
        add("small_inbound", "/small_inbound", max_inbound=2, heartbeat_delay=0.2)
        add(
            "listed_origins",
            "/listed_origins",
            allowed_origins=["https://app.example.com", "https://*.example.org"],
        )
        add("same_origin", "/same_origin", allowed_origins=[])
        add("slow_open", "/slow_open", factory=slow_factory)
        add("forbidden", "/forbidden", factory=forbidden_factory)
        add("patterned", "/rooms/{room}")
        add("xhr_only", "/xhr_only", transports="xhr-polling")
        add("with_cookie", "/with_cookie", factory=cookie_factory)
        config.add_route("events", "/events")
        config.add_view(events, route_name="events")
        config.add_route("release", "/release")
        config.add_view(release, route_name="release")
        config.add_route("waiting", "/waiting")
        config.add_view(waiting, route_name="waiting")
        config.scan()
        return config.make_wsgi_app()
