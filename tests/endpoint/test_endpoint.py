"""`sockjs_bridge.endpoint.endpoint`: what a SockJS URL answers."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.inbound import WAITING_SENDS
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import State
from sockjs_bridge.core.transports import RECEIVING
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.outcomes import Answer, phrase
from sockjs_bridge.endpoint.request import Request
from tests.endpoint.replies import Reply
from tests.support import HandClock, Recorder, RecordingHandler, make_endpoint, make_hub

HOST = "app.example.com"
OTHER = "https://other.example"
NO_CACHE = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
PLAIN = "text/plain; charset=UTF-8"
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

SESSION_ACTIONS = ["xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"]
SEND_ACTIONS = ["xhr_send", "jsonp_send"]
OPTIONED = ["info", *SESSION_ACTIONS, *SEND_ACTIONS]

every_receiver = pytest.mark.parametrize("action", SESSION_ACTIONS)
every_session_url = pytest.mark.parametrize("action", [*SESSION_ACTIONS, *SEND_ACTIONS])
every_sender = pytest.mark.parametrize("action", SEND_ACTIONS)
websockets = pytest.mark.parametrize("action", ["websocket", "raw-websocket"])


def method_of(action: str) -> str:
    return RECEIVING[action].method if action in RECEIVING else "POST"


def ask(
    endpoint: Endpoint,
    action: str,
    method: str | None = None,
    *,
    query: str = "c=cb",
    session_id: str = "abc",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    peer: Peer | None = None,
) -> Reply:
    """Send a request for `/echo/000/abc/action` or the like."""
    if method is None:
        method = "POST" if action in SEND_ACTIONS else method_of(action)
        if action not in RECEIVING and action not in SEND_ACTIONS:
            method = "GET"
    target = protocol.Target("/echo", action, session_id)
    request = Request(method, query, headers or {}, HOST, body, peer or Peer())
    return Reply.of(endpoint.handle(target, request))


def broken() -> Peer:
    """Return the other end of a connection that broke."""
    peer = Peer()
    peer.broken = True
    return peer


def value(reply: Reply | Answer, name: str) -> str | None:
    found = [text for key, text in reply.headers if key.lower() == name.lower()]
    assert len(found) < 2, f"{name} is there {len(found)} times"
    return found[0] if found else None


def open_session(endpoint: Endpoint, action: str = "xhr") -> tuple[Session, RecordingHandler]:
    reply = ask(endpoint, action)
    assert reply.session is not None
    handler = RecordingHandler()
    reply.session.accept(handler)
    return reply.session, handler


@pytest.fixture
def endpoint() -> Endpoint:
    return make_endpoint(allowed_origins=[OTHER])


# Being served


def test_not_served() -> None:
    endpoint = Endpoint("echo", bool, Settings())
    with pytest.raises(RuntimeError, match="endpoint echo is not served"):
        _ = endpoint.manager
    assert endpoint.sessions == endpoint.all_sessions == []


@pytest.mark.parametrize("resume_window", [0, 60])
def test_sessions_that_are_about_to_open(resume_window: int) -> None:
    endpoint = make_endpoint(resume_window=resume_window)
    new = endpoint.manager.create("new", RECEIVING["xhr"])
    assert (endpoint.sessions, endpoint.all_sessions) == ([], [new])
    new.accept(RecordingHandler())
    assert endpoint.sessions == endpoint.all_sessions == [new]


def test_its_parts() -> None:
    endpoint = make_endpoint(heartbeat_delay=7)
    assert endpoint.name == "echo"
    assert endpoint.match("/echo")
    assert not endpoint.match("/echo2")
    assert endpoint.manager.settings.heartbeat_delay == 7


# Greeting


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_greeting(endpoint: Endpoint, method: str) -> None:
    """Exactly `Welcome to SockJS!` and a line end; no cookie."""
    reply = ask(endpoint, "greeting", method)
    assert (reply.status, reply.body) == (200, b"Welcome to SockJS!\n")
    assert reply.headers == [("Content-Type", PLAIN)]


def test_greeting_to_another_origin() -> None:
    """It tells nothing, so it is for everybody."""
    assert ask(make_endpoint(), "greeting", headers={"Origin": OTHER}).status == 200


# Wrong methods


@pytest.mark.parametrize(
    ("action", "method", "allow"),
    [
        ("greeting", "POST", "GET"),
        ("iframe", "POST", "GET"),
        ("info", "POST", "OPTIONS, GET"),
        ("info", "HEAD", "OPTIONS, GET"),
        ("xhr", "GET", "OPTIONS, POST"),
        ("xhr_streaming", "GET", "OPTIONS, POST"),
        ("eventsource", "POST", "OPTIONS, GET"),
        ("htmlfile", "POST", "OPTIONS, GET"),
        ("jsonp", "POST", "OPTIONS, GET"),
        ("xhr_send", "GET", "OPTIONS, POST"),
        ("jsonp_send", "PUT", "OPTIONS, POST"),
        ("websocket", "POST", "GET"),
        ("raw-websocket", "PUT", "GET"),
        ("websocket", "OPTIONS", "GET"),
    ],
)
def test_wrong_method(endpoint: Endpoint, action: str, method: str, allow: str) -> None:
    """405 with `Allow`, no `Content-Type`, empty body; defect 14: no session is made."""
    reply = ask(endpoint, action, method, headers=UPGRADE)
    assert (reply.status, reply.body, value(reply, "Allow")) == (405, b"", allow)
    assert value(reply, "Content-Type") is None
    assert len(endpoint.manager) == 0


# Info


def test_info(endpoint: Endpoint) -> None:
    reply = ask(endpoint, "info")
    assert reply.status == 200
    assert value(reply, "Content-Type") == "application/json; charset=UTF-8"
    assert value(reply, "Cache-Control") == NO_CACHE
    info = json.loads(reply.body)
    assert info.pop("entropy") in range(2**32)
    assert info == {"websocket": True, "origins": ["*:*"], "cookie_needed": False}


def test_entropy_differs(endpoint: Endpoint) -> None:
    values = {json.loads(ask(endpoint, "info").body)["entropy"] for _ in range(10)}
    assert len(values) == 10


def test_info_tells_the_settings() -> None:
    endpoint = make_endpoint(transports="xhr-polling raw-websocket", jsessionid=True)
    reply = ask(endpoint, "info")
    info = json.loads(reply.body)
    assert (info["websocket"], info["cookie_needed"]) == (False, True)
    assert value(reply, "Set-Cookie") is None


# CORS


@pytest.mark.parametrize("action", OPTIONED)
def test_without_an_origin(endpoint: Endpoint, action: str) -> None:
    """`*`, no credentials header; always `Vary: Origin`."""
    reply = ask(endpoint, action)
    assert value(reply, "Access-Control-Allow-Origin") == "*"
    assert value(reply, "Access-Control-Allow-Credentials") is None
    assert value(reply, "Vary") == "Origin"


@pytest.mark.parametrize("action", OPTIONED)
@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"Origin": OTHER}, OTHER),
        ({"Origin": "HTTPS://OTHER.example"}, "HTTPS://OTHER.example"),
        ({"Origin": f"https://{HOST}"}, f"https://{HOST}"),
        ({"Referer": f"{OTHER}/chat?x"}, OTHER),
    ],
)
def test_allowed_origin(
    endpoint: Endpoint, action: str, headers: dict[str, str], origin: str
) -> None:
    """It is echoed verbatim, with credentials; Referer's stands in for it."""
    reply = ask(endpoint, action, headers=headers)
    assert value(reply, "Access-Control-Allow-Origin") == origin
    assert value(reply, "Access-Control-Allow-Credentials") == "true"
    assert value(reply, "Vary") == "Origin"


def test_null_origin_is_echoed_where_all_are_allowed() -> None:
    reply = ask(make_endpoint(allowed_origins="*"), "info", headers={"Origin": "null"})
    assert value(reply, "Access-Control-Allow-Origin") == "null"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("action", [*OPTIONED, "websocket", "raw-websocket"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_refused_origin(endpoint: Endpoint, action: str, method: str, origin: str) -> None:
    """403 before anything is created, and no CORS header."""
    reply = ask(endpoint, action, method, headers={"Origin": origin, **UPGRADE})
    assert (reply.status, reply.body, value(reply, "Vary")) == (403, b"Forbidden", "Origin")
    assert not [name for name, _ in reply.headers if name.startswith("Access-Control")]
    assert len(endpoint.manager) == 0


@pytest.mark.parametrize("action", OPTIONED)
def test_preflight(endpoint: Endpoint, action: str) -> None:
    """OPTIONS: cached for a year; the methods; the wanted headers verbatim; no session."""
    wanted = "X-One, content-type"
    headers = {"Origin": OTHER, "Access-Control-Request-Headers": wanted}
    headers["Access-Control-Request-Method"] = "OPTIONS, POST"
    reply = ask(endpoint, action, "OPTIONS", headers=headers)
    assert (reply.status, reply.body) == (204, b"")
    assert value(reply, "Cache-Control") == "public, max-age=31536000"
    assert int(value(reply, "Access-Control-Max-Age") or 0) > 1000000
    expires = value(reply, "Expires")
    assert expires is not None
    assert expires.endswith("GMT")
    assert parsedate_to_datetime(expires).tzinfo is not None
    methods = (value(reply, "Access-Control-Allow-Methods") or "").split(", ")
    assert methods == ["OPTIONS", "GET" if action == "info" else method_of(action)]
    assert value(reply, "Access-Control-Allow-Headers") == wanted
    assert value(reply, "Access-Control-Allow-Origin") == OTHER
    assert len(endpoint.manager) == 0


@pytest.mark.parametrize("headers", [{}, {"Access-Control-Request-Headers": ""}])
def test_preflight_that_wants_no_headers(endpoint: Endpoint, headers: dict[str, str]) -> None:
    """None if empty or absent."""
    reply = ask(endpoint, "xhr_send", "OPTIONS", headers=headers)
    assert value(reply, "Access-Control-Allow-Headers") is None


@pytest.mark.parametrize(
    "reply",
    [
        lambda endpoint: ask(endpoint, "xhr", "PUT", headers={"Origin": OTHER}),
        lambda endpoint: ask(endpoint, "xhr_send", headers={"Origin": OTHER}),
        lambda endpoint: ask(endpoint, "jsonp", query="", headers={"Origin": OTHER}),
        lambda endpoint: endpoint.unread(Request("POST", "", {"Origin": OTHER}, HOST), 413),
        lambda endpoint: endpoint.unread(Request("POST", "", {"Origin": OTHER}, HOST), 408),
    ],
)
def test_cors_on_errors(endpoint: Endpoint, reply: Any) -> None:
    """CORS headers on error responses too."""
    answer = reply(endpoint)
    assert answer.status >= 400
    assert value(answer, "Access-Control-Allow-Origin") == OTHER


# Bodies that are not read


def test_too_large(endpoint: Endpoint) -> None:
    reply = endpoint.unread(Request("POST", "", {}, HOST), 413)
    assert (reply.status, reply.body) == (413, b"Payload too large.")
    assert value(reply, "Content-Type") == PLAIN
    assert value(reply, "Access-Control-Allow-Origin") == "*"


def test_too_slow(endpoint: Endpoint) -> None:
    reply = endpoint.unread(Request("POST", "", {}, HOST), 408)
    assert (reply.status, reply.body) == (408, b"Request timeout.")


def test_too_large_from_a_refused_origin(endpoint: Endpoint) -> None:
    reply = endpoint.unread(Request("POST", "", {"Origin": "https://evil.example"}, HOST), 413)
    assert reply.status == 413
    assert value(reply, "Access-Control-Allow-Origin") is None


# The iframe page


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_iframe(endpoint: Endpoint, method: str) -> None:
    """A fixed body; strong caching, `Expires`, quoted `ETag`; no `Last-Modified`, no cookie."""
    reply = ask(endpoint, "iframe", method)
    assert reply.status == 200
    assert b'<script src="client/sockjs.js"></script>' in reply.body
    assert b"SockJS.bootstrap_iframe();" in reply.body
    assert value(reply, "Content-Type") == "text/html; charset=UTF-8"
    assert value(reply, "Cache-Control") == "public, max-age=31536000"
    assert value(reply, "Expires") is not None
    assert re.fullmatch(r'"[0-9a-f]+"', value(reply, "ETag") or "")
    assert value(reply, "Last-Modified") is value(reply, "Set-Cookie") is None
    assert ask(endpoint, "iframe", query="t=1").body == reply.body


@pytest.mark.parametrize("form", ["%s", " * ", "W/%s", '"x", %s', ' "x" ,W/%s , "y"'])
def test_iframe_that_is_known(endpoint: Endpoint, form: str) -> None:
    """A matching `If-None-Match` gives 304 with no `Content-Type` and no body."""
    etag = value(ask(endpoint, "iframe"), "ETag")
    reply = ask(endpoint, "iframe", headers={"If-None-Match": form.replace("%s", etag or "")})
    assert (reply.status, reply.body) == (304, b"")
    assert value(reply, "Content-Type") is None
    assert value(reply, "ETag") == etag


def test_iframe_that_has_changed(endpoint: Endpoint) -> None:
    assert ask(endpoint, "iframe", headers={"If-None-Match": '"x"'}).status == 200


def test_etag_depends_on_the_body() -> None:
    settings = Settings().override({"allowed_origins": "*"})
    etags = {value(ask(Endpoint("echo", bool, settings, path), "iframe"), "ETag") for path in "ab"}
    assert len(etags) == 2


@pytest.mark.parametrize(("action", "status"), [("iframe", 404), ("jsonp", 404), ("htmlfile", 200)])
def test_same_origin_only(action: str, status: int) -> None:
    """Iframe page and jsonp only serve other origins; htmlfile stays."""
    endpoint = make_endpoint()
    assert ask(endpoint, action).status == status
    assert ask(endpoint, "jsonp_send").body == b"Not found"


# Cookies


@pytest.mark.parametrize(
    ("cookie", "echoed"),
    [
        ("", "dummy"),
        ("a=b", "dummy"),
        ("JSESSIONID=abcdef", "abcdef"),
        ("a=b; JSESSIONID=abc; c=d", "abc"),
        ('JSESSIONID="a b"', '"a b"'),
        ("JSESSIONID=abc ; c=d", "abc"),
        ("a@b=c; [[[;JSESSIONID=abc", "abc"),
        ("JSESSIONID=", "dummy"),
        ("XJSESSIONID=x; jsessionid=y", "dummy"),
        ("JSESSIONID=a\r\nSet-Cookie: x=y", "a"),
        ("JSESSIONID=\u00e9", "dummy"),
        ("[[[", "dummy"),
    ],
)
@every_session_url
def test_cookie(action: str, cookie: str, echoed: str) -> None:
    """`JSESSIONID=dummy; path=/`, or the incoming value echoed; path is the second attribute."""
    endpoint = make_endpoint(jsessionid=True, allowed_origins=OTHER)
    for method in (None, "OPTIONS"):
        reply = ask(endpoint, action, method, headers={"Cookie": cookie})
        assert value(reply, "Set-Cookie") == f"JSESSIONID={echoed}; path=/"


@websockets
def test_cookie_of_websockets(action: str) -> None:
    reply = ask(make_endpoint(jsessionid=True), action, headers=UPGRADE)
    assert value(reply, "Set-Cookie") == "JSESSIONID=dummy; path=/"


@pytest.mark.parametrize("action", ["greeting", "info", "iframe"])
def test_no_cookie_elsewhere(action: str) -> None:
    """Never on greeting, iframe, info."""
    endpoint = make_endpoint(jsessionid=True, allowed_origins=OTHER)
    assert value(ask(endpoint, action), "Set-Cookie") is None


@every_session_url
def test_no_cookie_where_it_is_off(endpoint: Endpoint, action: str) -> None:
    assert value(ask(endpoint, action, headers={"Cookie": "JSESSIONID=x"}), "Set-Cookie") is None


# Receivers


@every_receiver
def test_receiver(endpoint: Endpoint, action: str) -> None:
    """A receiver of a new session; its headers keep middleboxes from holding it back."""
    reply = ask(endpoint, action, query="t=17&c=a.b")
    assert reply.status == 200
    assert reply.transport is RECEIVING[action]
    assert reply.session is endpoint.manager.get("abc", "/echo")
    assert reply.session is not None
    assert reply.session.state is State.NEW
    assert reply.tag == "17"
    assert reply.callback == ("a.b" if reply.transport.takes_callback else "")
    assert value(reply, "Content-Type") == reply.transport.content_type
    assert value(reply, "Cache-Control") == NO_CACHE
    assert value(reply, "X-Accel-Buffering") == "no"
    assert value(reply, "X-Content-Type-Options") == (
        "nosniff" if reply.transport.takes_callback else None
    )
    assert value(reply, "Expires") is value(reply, "Last-Modified") is None


@every_receiver
def test_receiver_of_a_known_session(endpoint: Endpoint, action: str) -> None:
    first = ask(endpoint, action).session
    assert ask(endpoint, "xhr").session is first
    assert ask(endpoint, action, session_id="other").session is not first


def test_session_of_another_base(endpoint: Endpoint) -> None:
    """A route with a pattern has one set of sessions for each base: ids do not meet."""
    request = Request("POST", "", {}, HOST)
    first, second = (
        Reply.of(endpoint.handle(protocol.Target(base, "xhr", "abc"), request)).session
        for base in "ab"
    )
    assert first is not second
    assert first is not None
    first.accept(RecordingHandler())
    send = Request("POST", "", {}, HOST, b'["x"]')
    for base, status in (("a", 204), ("b", 404)):
        outcome = endpoint.handle(protocol.Target(base, "xhr_send", "abc"), send)
        assert Reply.of(outcome).status == status


@pytest.mark.parametrize(
    ("query", "tag"),
    [
        *[("", None), ("t=", None), ("t=" + "1" * 65, None), ("t=1", "1"), ("x=1&t=a%20b", "a b")],
        *[("t=token&t=1", "1"), ("t=1&v=2&t=%31", "1"), ("t=&t=1", "1"), ("t=1&t=", None)],
        ("t=" + "x" * 1000 + "&t=1", "1"),
    ],
)
def test_tag(endpoint: Endpoint, query: str, tag: str | None) -> None:
    """An application's own query may hold a `t` too; the client's is the last one."""
    assert ask(endpoint, "xhr", query=query).tag == tag


@every_receiver
def test_any_query_is_tolerated(endpoint: Endpoint, action: str) -> None:
    assert ask(endpoint, action, query="&&=;%ff&c=cb&t=%ff&x").session is not None


@pytest.mark.parametrize("action", ["htmlfile", "jsonp"])
@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("", b'"callback" parameter required'),
        ("c=", b'"callback" parameter required'),
        ("callback=", b'"callback" parameter required'),
        ("c=%20", b'invalid "callback" parameter'),
        ("c=alert(1)", b'invalid "callback" parameter'),
        ("c=%3Cscript%3E", b'invalid "callback" parameter'),
        ("c=" + "x" * 33, b'invalid "callback" parameter'),
        ("c=a%0A", b'invalid "callback" parameter'),
    ],
)
def test_bad_callback(endpoint: Endpoint, action: str, query: str, complaint: bytes) -> None:
    """500, checked before the session is touched or made."""
    reply = ask(endpoint, action, query=query)
    assert (reply.status, reply.body) == (500, complaint)
    assert len(endpoint.manager) == 0


@pytest.mark.parametrize("action", ["htmlfile", "jsonp"])
@pytest.mark.parametrize(
    "query",
    [
        *("c=%61b", "callback=ab", "c=ab&callback=x", "callback=x&c=ab"),
        *("c=own&c=ab", "c=alert(1)&t=1&c=ab", "callback=own&callback=ab"),
    ],
)
def test_callback(endpoint: Endpoint, action: str, query: str) -> None:
    """`c` (N: or `callback`), URL-decoded; of the application's own and the client's, the last."""
    assert ask(endpoint, action, query=query).callback == "ab"


@every_receiver
def test_too_many_sessions(action: str) -> None:
    """`max_sessions`: beyond: 503 with `Retry-After`; who is in stays in."""
    endpoint = make_endpoint(limit=1, allowed_origins=OTHER)
    known = ask(endpoint, action).session
    reply = ask(endpoint, action, session_id="other")
    assert (reply.status, reply.body, reply.session) == (503, b"Too many sessions.", None)
    assert value(reply, "Retry-After") == "5"
    assert ask(endpoint, action).session is known


def test_disabled_transports() -> None:
    """A disabled transport: 404, raw websocket too."""
    endpoint = make_endpoint(transports="eventsource", allowed_origins=OTHER)
    for action in ("xhr", "xhr_streaming", "htmlfile", "jsonp", "jsonp_send"):
        for method in (None, "OPTIONS", "PUT"):
            assert ask(endpoint, action, method).status == 404
    for action in ("websocket", "raw-websocket"):
        assert ask(endpoint, action, headers=UPGRADE).status == 404
    assert len(endpoint.manager) == 0
    assert ask(endpoint, "eventsource").session is not None


@pytest.mark.parametrize(
    ("transports", "action", "there"),
    [
        ("jsonp-polling", "xhr_send", False),
        ("jsonp-polling", "jsonp_send", True),
        ("htmlfile", "xhr_send", True),
        ("xhr-polling", "jsonp_send", False),
        ("websocket raw-websocket", "xhr_send", False),
    ],
)
def test_senders_of_the_transports_that_are_on(transports: str, action: str, there: bool) -> None:
    endpoint = make_endpoint(transports=transports, allowed_origins=OTHER)
    assert (ask(endpoint, action, "OPTIONS").status == 204) is there


# Sends


@pytest.mark.parametrize(
    ("action", "headers", "body", "status", "answer"),
    [
        ("xhr_send", {}, b'["a","b"]', 204, b""),
        ("xhr_send", {"Content-Type": "application/xml"}, b'["a","b"]', 204, b""),
        ("jsonp_send", FORM, b"d=[%22a%22,%22b%22]", 200, b"ok"),
        ("jsonp_send", {"Content-Type": "text/plain"}, b'["a","b"]', 200, b"ok"),
    ],
)
def test_send(
    endpoint: Endpoint,
    action: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    answer: bytes,
) -> None:
    """xhr_send: 204, empty; jsonp_send: 200 `ok`; both `text/plain; charset=UTF-8`."""
    session, handler = open_session(endpoint)
    reply = ask(endpoint, action, headers=headers, body=body)
    assert (reply.status, reply.body, reply.busy) == (status, answer, None)
    assert value(reply, "Content-Type") == PLAIN
    assert value(reply, "Cache-Control") == NO_CACHE
    assert handler.calls == [("opened",), ("received", "a", "b")]
    assert session.bytes_in == len(body)


@every_sender
@pytest.mark.parametrize(
    ("body", "complaint"), [(b"", b"Payload expected."), (b'["a', b"Broken JSON encoding.")]
)
def test_bad_send(endpoint: Endpoint, action: str, body: bytes, complaint: bytes) -> None:
    """500; the session lives on, and a correct repeat is judged anew."""
    session, handler = open_session(endpoint)
    for _ in range(2):
        reply = ask(endpoint, action, body=body, query="t=1", peer=broken())
        assert (reply.status, reply.body) == (500, complaint)
    assert session.state is State.OPEN
    assert handler.calls == [("opened",)]


@every_sender
def test_send_to_an_unknown_session(endpoint: Endpoint, action: str) -> None:
    """404, and no session is made."""
    reply = ask(endpoint, action, body=b'["a"]')
    assert (reply.status, reply.body) == (404, b"Not found")
    assert len(endpoint.manager) == 0


@every_sender
def test_send_before_the_session_is_open(endpoint: Endpoint, action: str) -> None:
    """Defect 14: no message is delivered before "open"."""
    ask(endpoint, "xhr")
    assert ask(endpoint, action, body=b'["a"]').status == 404


@every_sender
def test_send_to_a_websocket(endpoint: Endpoint, action: str) -> None:
    """Defect 4: a WebSocket session is unknown to HTTP, by its URL's id and by its own."""
    session = ask(endpoint, "websocket", headers=UPGRADE).session
    assert session is not None
    handler = RecordingHandler()
    session.accept(handler)
    for session_id in ("abc", session.id):
        assert ask(endpoint, action, session_id=session_id, body=b'["a"]').status == 404
    assert handler.calls == [("opened",)]


def test_send_to_a_closing_session(endpoint: Endpoint) -> None:
    """Closing session: 204, dropped."""
    session, handler = open_session(endpoint)
    session.close(3000, "bye")
    assert ask(endpoint, "xhr_send", body=b'["a"]').status == 204
    assert handler.calls == [("opened",), ("closed", 3000, "bye")]


@every_sender
def test_repeated_send(endpoint: Endpoint, action: str) -> None:
    """Same `t`, same body, another connection: answered alike, and not delivered twice."""
    _, handler = open_session(endpoint)
    first = ask(endpoint, action, query="t=1", body=b'["a"]', peer=broken())
    again = ask(endpoint, action, query="t=1", body=b'["a"]')
    assert (first.status, first.headers, first.body) == (again.status, again.headers, again.body)
    assert handler.inbox == ["a"]


@pytest.mark.parametrize(
    ("query", "body", "peer"),
    [
        ("t=2", b'["a"]', "broken"),
        ("t=1", b'["b"]', "broken"),
        ("t=1", b'["a"]', "same"),
        ("", b'["a"]', "broken"),
        ("t=", b'["a"]', "broken"),
    ],
)
def test_send_that_is_no_repeat(endpoint: Endpoint, query: str, body: bytes, peer: str) -> None:
    """Another `t` or body or none, or the same connection: a new message."""
    _, handler = open_session(endpoint)
    first = broken()
    ask(endpoint, "xhr_send", query="t=1", body=b'["a"]', peer=first)
    again = first if peer == "same" else None
    ask(endpoint, "xhr_send", query=query, body=body, peer=again)
    assert len(handler.inbox) == 2


def test_equal_sends_that_the_client_numbers_otherwise(endpoint: Endpoint) -> None:
    """jsonp's client sends no `t`, but a number of its own behind the application's `t`."""
    _, handler = open_session(endpoint)
    for number in (1, 2, 2):
        query = f"t=token&i={number}"
        ask(endpoint, "xhr_send", query=query, body=b'["a"]', peer=broken())
    assert handler.inbox == ["a", "a"]


@pytest.mark.parametrize("query", ["", "t=", "t=" + "1" * 65])
def test_sends_without_a_tag_are_no_repeats(endpoint: Endpoint, query: str) -> None:
    """An absurd `t` is none: a session remembers what it is given."""
    _, handler = open_session(endpoint)
    for _ in range(2):
        ask(endpoint, "xhr_send", query=query, body=b'["a"]', peer=broken())
    assert handler.inbox == ["a", "a"]


def test_busy_handler() -> None:
    """`max_inbound`: the send is answered late."""
    endpoint = make_endpoint(max_inbound=2)
    session, handler = open_session(endpoint)
    assert ask(endpoint, "xhr_send", body=b'["a"]').busy is None
    reply = ask(endpoint, "xhr_send", body=b'["b"]')
    assert (reply.status, reply.busy) == (204, session)
    assert handler.inbox == ["a", "b"]


@every_sender
def test_crowd_of_sends(action: str) -> None:
    """More sends than a client that sends in turn can have: 503, and nothing is delivered."""
    endpoint = make_endpoint(max_inbound=1, allowed_origins=OTHER)
    session, handler = open_session(endpoint)
    for _ in range(WAITING_SENDS):
        reply = ask(endpoint, action, body=b'["a"]')
        assert reply.busy is session
        session.when_ready(lambda: None)
    reply = ask(endpoint, action, body=b'["a"]')
    assert (reply.status, reply.body) == (503, b"Too many sends at once.")
    assert value(reply, "Retry-After") == "5"
    for _ in range(WAITING_SENDS):
        # One at a time, as the handler takes them.
        assert handler.inbox == ["a"]
        handler.inbox.clear()
        session.ready()
    assert handler.inbox == []


@pytest.mark.parametrize("many", [3, 21_000])
def test_send_of_more_than_there_is_room_for(many: int) -> None:
    """`max_inbound` holds within one send too: the rest waits, and the answer with it."""
    endpoint = make_endpoint(max_inbound=2)
    session, handler = open_session(endpoint)
    texts = [str(number) for number in range(many)]
    reply = ask(endpoint, "xhr_send", body=json.dumps(texts).encode())
    assert reply.busy is session
    answered: list[int] = []
    session.when_ready(lambda: answered.append(len(taken)))
    taken: list[str] = []
    while handler.inbox:
        assert len(handler.inbox) <= 2
        taken.append(handler.inbox.pop(0))
        session.ready()
    assert taken == texts
    assert answered == [many - 1]


# WebSockets


@websockets
@pytest.mark.parametrize(
    "headers",
    [
        UPGRADE,
        {"Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade"},
        {"Upgrade": " websocket ", "Connection": "upgrade"},
    ],
)
def test_websocket(endpoint: Endpoint, action: str, headers: dict[str, str]) -> None:
    reply = ask(endpoint, action, headers=headers)
    assert reply.status == 101
    assert reply.transport.name == action
    assert reply.session is not None
    assert reply.session.state is State.NEW
    assert reply.tag is None


@websockets
@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, b'Can "Upgrade" only to "WebSocket".'),
        ({"Connection": "Upgrade"}, b'Can "Upgrade" only to "WebSocket".'),
        ({"Upgrade": "h2c", "Connection": "Upgrade"}, b'Can "Upgrade" only to "WebSocket".'),
        ({"Upgrade": "websocket"}, b'"Connection" must be "Upgrade".'),
        ({"Upgrade": "websocket", "Connection": "close"}, b'"Connection" must be "Upgrade".'),
    ],
)
def test_no_upgrade(endpoint: Endpoint, action: str, headers: dict[str, str], text: bytes) -> None:
    """`/websocket` without an upgrade, or with `Connection: close`: 400."""
    reply = ask(endpoint, action, headers=headers)
    assert (reply.status, reply.body) == (400, text)
    assert len(endpoint.manager) == 0


@websockets
def test_too_many_websockets(action: str) -> None:
    endpoint = make_endpoint(limit=0)
    reply = ask(endpoint, action, headers=UPGRADE)
    assert (reply.status, reply.session) == (503, None)
    assert value(reply, "Retry-After") == "5"


def test_websockets_share_a_session_id(endpoint: Endpoint) -> None:
    """A session id may be used by several WebSockets at once."""
    first, second = (ask(endpoint, "websocket", headers=UPGRADE).session for _ in range(2))
    assert first is not second


# Anything


@given(
    action=st.sampled_from(["greeting", "iframe", "websocket", "raw-websocket", *OPTIONED]),
    method=st.sampled_from(["GET", "POST", "OPTIONS", "HEAD", "PUT", "x"]),
    query=st.text(),
    headers=st.dictionaries(
        st.sampled_from(
            [
                *("Origin", "Referer", "Cookie", "Upgrade", "Connection", "Content-Type"),
                *("If-None-Match", "Access-Control-Request-Headers", "Sec-Fetch-Site"),
            ]
        ),
        st.text(),
    ),
    body=st.binary(),
    opened=st.booleans(),
)
def test_any_request_is_answered(
    action: str, method: str, query: str, headers: dict[str, str], body: bytes, opened: bool
) -> None:
    endpoint = make_endpoint(allowed_origins="*", jsessionid=True)
    if opened:
        session, _ = open_session(endpoint)
        session.attach(Recorder())
    reply = ask(endpoint, action, method, query=query, headers=headers, body=body)
    assert reply.status in (101, 200, 204, 304, 400, 403, 404, 405, 500)
    if reply.session is not None:
        assert reply.body == b""


def test_started_again_has_no_session() -> None:
    endpoint = make_endpoint()
    ask(endpoint, "xhr")
    endpoint.start(make_hub(limit=1))
    assert len(endpoint.manager) == 0


def test_phrase() -> None:
    """A status that has no phrase is passed on with some word."""
    assert phrase(403) == "Forbidden"
    assert phrase(499) == "Refused"


# Who is refused


@pytest.mark.parametrize("action", ["info", "xhr", "xhr_send", "websocket", "raw-websocket"])
def test_a_refused_origin_is_logged(action: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once, and again when the clock has gone on."""
    clock = HandClock()
    endpoint = make_endpoint(clock)
    for wait in (0, 30, 31):
        clock.advance(wait)
        assert ask(endpoint, action, headers={"Origin": OTHER}).status == 403
    assert len(caplog.messages) == 2
    assert all(OTHER in line for line in caplog.messages)


@pytest.mark.parametrize("action", ["greeting", "iframe"])
def test_what_anybody_may_have_is_no_refusal(action: str, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(make_endpoint(), action, headers={"Origin": OTHER}).status in (200, 404)
    assert caplog.messages == []


@pytest.mark.parametrize(("scheme", "status"), [("https", 403), ("http", 200), ("", 200)])
def test_the_scheme_that_was_asked_by(scheme: str, status: int) -> None:
    headers = {"Origin": f"http://{HOST}"}
    request = Request("GET", "", headers, HOST, scheme=scheme)
    outcome = make_endpoint().handle(protocol.Target("/echo", "info"), request)
    assert Reply.of(outcome).status == status


# Sessions of other processes


class Alone:
    """Fulfils `Homes`; nobody else is there."""

    node = "home1"
    secret = b"x" * 32
    history = None
    declared = None

    def __init__(self) -> None:
        self.gone: list[tuple[str, str]] = []

    async def start(self, clock: object) -> None:
        raise AssertionError

    async def stop(self) -> None:
        raise AssertionError

    def ended(self, base: str, session_id: str) -> None:
        self.gone.append((base, session_id))


def wanted(endpoint: Endpoint, target: protocol.Target, method: str, **headers: str) -> Any:
    return endpoint.missing(target, Request(method, "c=cb", headers, HOST))


def test_session_that_is_not_here() -> None:
    endpoint = make_endpoint(allowed_origins="*")
    for action in SESSION_ACTIONS:
        target = protocol.Target("/echo", action, "abc")
        found = wanted(endpoint, target, method_of(action))
        assert found == ("/echo", "abc", True, False, "", 5.0)
        # Refused in any process alike.
        assert wanted(endpoint, target, "OPTIONS") is None
        assert wanted(endpoint, target, "DELETE") is None
    for action in SEND_ACTIONS:
        found = wanted(endpoint, protocol.Target("/echo", action, "abc"), "POST")
        assert found == ("/echo", "abc", False, False, "", 5.0)
    for action in ("websocket", "raw-websocket", "info", "iframe", "greeting"):
        assert wanted(endpoint, protocol.Target("/echo", action, "abc"), "GET", **UPGRADE) is None


def test_resumable_session_that_is_not_here() -> None:
    endpoint = make_endpoint()
    session = "a" * 22

    def target(action: str) -> protocol.Target:
        return protocol.Target("/echo", action, session, resumable=True, home="home1")

    for action in ("xhr", "xhr_streaming"):
        found = wanted(endpoint, target(action), "POST")
        assert found == ("/echo", session, True, True, "home1", 60.0)
        assert wanted(endpoint, target(action), "GET") is None
    assert wanted(endpoint, target("xhr_send"), "POST").opens is False
    assert wanted(endpoint, target("websocket"), "GET", **UPGRADE).opens is True
    assert wanted(endpoint, target("websocket"), "GET") is None
    assert wanted(endpoint, target("xhr"), "POST", Origin=OTHER) is None
    off = make_endpoint(resume_window=0)
    assert wanted(off, target("xhr"), "POST") is None


def test_other_processes_hear_of_a_session_s_end() -> None:
    homes = Alone()
    endpoint = make_endpoint()
    endpoint.start(make_hub(HandClock()), homes=homes)
    ask(endpoint, "xhr")
    target = protocol.Target("/echo", "xhr", "abc")
    assert wanted(endpoint, target, "POST") is None
    [session] = endpoint.manager
    session.finish()
    assert homes.gone == [("/echo", "abc")]
    assert wanted(endpoint, target, "POST") is not None
