"""`core.credentials`, and what `Endpoint` makes of it: who may go on with a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.credentials import KNOWN, UNKNOWN, Credentials, fingerprint
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import State
from sockjs_bridge.core.transports import RECEIVING
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.outcomes import Headers, Proof, Reply, Request
from tests.support import Recorder, RecordingHandler, make_endpoint, settle

OTHER = "https://other.example"
ADA, GRACE = {"Cookie": "user=ada"}, {"Cookie": "user=grace"}
RECEIVERS = ["xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"]
SENDERS = ["xhr_send", "jsonp_send"]

every_receiver = pytest.mark.parametrize("action", RECEIVERS)
every_sender = pytest.mark.parametrize("action", SENDERS)
every_url = pytest.mark.parametrize("action", [*RECEIVERS, *SENDERS])


# The fingerprint


def lines(*items: tuple[str, str]) -> CIMultiDictProxy[str]:
    """Return headers as the server has them."""
    return CIMultiDictProxy(CIMultiDict(items))


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "a=1; b=2", "Authorization": "Basic x"},
        {"cookie": "a=1; b=2", "AUTHORIZATION": "Basic x", "User-Agent": "another"},
        lines(("Cookie", "a=1"), ("Authorization", "Basic x"), ("COOKIE", "b=2")),
    ],
)
@pytest.mark.parametrize("jsessionid", [True, False])
def test_the_same(headers: Mapping[str, str], jsessionid: bool) -> None:
    """Other headers do not count, nor in how many fields the cookies come."""
    assert fingerprint(headers, jsessionid=jsessionid) == fingerprint(
        lines(("Cookie", "a=1; b=2"), ("Authorization", "Basic x")), jsessionid=jsessionid
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "JSESSIONID=dummy; a=1; b=2"},
        {"Cookie": "a=1; JSESSIONID=dummy; b=2"},
        {"Cookie": "a=1; b=2;\tJSESSIONID=of a balancer"},
        lines(("Cookie", "JSESSIONID=x"), ("Cookie", "a=1; b=2")),
    ],
)
def test_jsessionid(headers: Mapping[str, str]) -> None:
    """It does not count where the endpoint sets it; elsewhere it may be what people sign in by."""
    plain = {"Cookie": "a=1; b=2"}
    assert fingerprint(headers, jsessionid=True) == fingerprint(plain, jsessionid=True)
    assert fingerprint(headers) != fingerprint(plain)


@pytest.mark.parametrize("jsessionid", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "a=1"},
        {"Cookie": "a=1; b=2; c=3"},
        {"Cookie": "a=1; b=3"},
        {"Cookie": "a=1; B=2"},
        {"Cookie": "a=1; b=2", "Authorization": "Basic x"},
        {"Cookie": "a=1; b=2\udcff"},
        {"Authorization": "a=1; b=2"},
        {"Cookie": "a=1; b=2; jsessionid=x"},
        {"Cookie": "a=1; b=2; xJSESSIONID=x"},
        lines(("Cookie", "a=1; b=2"), ("Cookie", "a=2")),
        lines(("Cookie", "a=1; b=2"), ("Cookie", "")),
        lines(("Cookie", "a=1; b=2"), ("Authorization", "x"), ("Authorization", "y")),
    ],
)
def test_not_the_same(headers: Mapping[str, str], jsessionid: bool) -> None:
    """Whatever the application could see another user in."""
    plain = {"Cookie": "a=1; b=2"}
    assert fingerprint(headers, jsessionid=jsessionid) != fingerprint(plain, jsessionid=jsessionid)


VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_cookies_and_authorization_do_not_run_together(
    cookies: list[str], authorizations: list[str]
) -> None:
    """What one header holds cannot be shifted into the other."""
    one = lines(*(("Cookie", item) for item in cookies), ("Authorization", "x"))
    other = lines(
        *(("Cookie", item) for item in cookies),
        *(("Authorization", item) for item in authorizations),
    )
    assert (fingerprint(one) == fingerprint(other)) is (",".join(authorizations) == "x")


# What a session remembers


def settled(identity: object, opened_with: bytes) -> Credentials:
    credentials = Credentials(opened_with)
    credentials.settle(identity)
    return credentials


def test_before_the_handshake_is_over() -> None:
    """The same headers only, although nobody is signed in as far as one knows."""
    credentials = Credentials(b"ada")
    assert (credentials.identity, credentials.settled) == (None, False)
    assert credentials.passes(b"ada")
    assert not credentials.passes(b"grace")
    assert not credentials.passes(b"")


def test_somebody() -> None:
    """The same headers only."""
    credentials = settled("ada", b"ada")
    assert (credentials.identity, credentials.settled) == ("ada", True)
    assert credentials.passes(b"ada")
    assert not credentials.passes(b"grace")
    assert not credentials.passes(b"")


def test_nobody() -> None:
    """Whatever they are: the session's id is all there is to compare."""
    credentials = settled(None, b"ada")
    assert credentials.passes(b"ada")
    assert credentials.passes(b"grace")
    assert credentials.passes(b"")


@pytest.mark.parametrize("identity", [0, "", (), False])
def test_an_identity_that_is_false_is_one(identity: object) -> None:
    """None alone stands for nobody; a user's number may be 0."""
    assert not settled(identity, b"ada").passes(b"grace")


def test_renewed() -> None:
    """The former headers are good yet: requests with them may be on their way."""
    credentials = settled("ada", b"ada")
    credentials.renew(b"grace")
    assert credentials.passes(b"ada")
    assert credentials.passes(b"grace")
    assert not credentials.passes(b"")


def test_only_the_last_are_known() -> None:
    """A cookie that changes with each request takes no memory."""
    credentials = settled("ada", b"ada")
    changing = [b"ada, visit %d" % number for number in range(100)]
    for digest in changing:
        credentials.renew(digest)
    assert not credentials.passes(b"ada")
    assert [digest for digest in changing if credentials.passes(digest)] == changing[-KNOWN:]


def test_renewed_again_and_again() -> None:
    """Twenty requests with one new cookie, asked about at once, displace nothing."""
    credentials = settled("ada", b"ada")
    for _ in range(20):
        credentials.renew(b"grace")
    assert credentials.passes(b"ada")
    assert credentials.passes(b"grace")


@pytest.mark.parametrize("jsessionid", [True, False])
def test_jsessionid_of_the_endpoint(jsessionid: bool) -> None:
    """Where it is set, it changes nothing at any time."""
    digest = partial(fingerprint, jsessionid=jsessionid)
    credentials = settled("ada", digest(ADA))
    assert credentials.passes(digest({"Cookie": "JSESSIONID=dummy; user=ada"})) is jsessionid
    credentials.renew(digest(GRACE))
    renewed = {"Cookie": "user=grace; JSESSIONID=dummy"}
    assert credentials.passes(digest(renewed)) is jsessionid


# What a request is answered


@pytest.fixture
def endpoint() -> Endpoint:
    return make_endpoint(allowed_origins=[OTHER])


def make_request(action: str, headers: Mapping[str, str], method: str | None = None) -> Request:
    default = RECEIVING[action].method if action in RECEIVING else "POST"
    body = b'["hello"]' if action == "xhr_send" else b"d=%5B%22hello%22%5D"
    if action in SENDERS:
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return Request(method or default, "c=cb", headers, "app.example.com", body, Peer())


def ask(
    endpoint: Endpoint,
    action: str,
    headers: Mapping[str, str],
    proof: Proof | None = None,
    method: str | None = None,
) -> Reply:
    target = protocol.Target("/echo", action, "abc")
    return endpoint.handle(target, make_request(action, headers, method), proof)


def begin(endpoint: Endpoint, headers: Mapping[str, str] = ADA) -> Session:
    """Have a session's first request arrive; the handshake is under way then."""
    session = ask(endpoint, "xhr", headers).session
    assert session is not None
    return session


def open_session(
    endpoint: Endpoint, identity: object = "ada", headers: Mapping[str, str] = ADA
) -> tuple[Session, RecordingHandler]:
    """Open a session whose first poll is over, with a message waiting."""
    session = begin(endpoint, headers)
    assert session.credentials is not None
    session.credentials.settle(identity)
    handler = RecordingHandler()
    session.accept(handler)
    first = Recorder()
    session.attach(first)
    session.detach(first, lost=False)
    assert first.frames == ["o"]
    session.send("waiting")
    handler.calls.clear()
    return session, handler


def frames_for(reply: Reply) -> list[str]:
    """Attach the receiver that a reply asks for, and return what it is told."""
    assert reply.session is not None
    receiver = Recorder(reply.transport, callback=reply.callback)
    reply.session.attach(receiver)
    reply.session.detach(receiver, lost=False)
    return receiver.frames


def assert_forbidden(reply: Reply) -> None:
    assert (reply.status, reply.body, reply.session) == (403, b"Forbidden", None)
    assert ("Content-Type", "text/plain; charset=UTF-8") in reply.headers


def assert_untouched(endpoint: Endpoint, session: Session, handler: RecordingHandler) -> None:
    """Who opened it goes on as if nothing had happened."""
    assert session.state is State.OPEN
    assert handler.calls == []
    assert endpoint.manager.get("abc", "/echo") is session
    assert ask(endpoint, "xhr_send", ADA).status == 204
    assert handler.calls == [("received", "hello")]
    assert frames_for(ask(endpoint, "xhr", ADA)) == ['a["waiting"]']


@every_receiver
def test_same_headers_receive(endpoint: Endpoint, action: str) -> None:
    """They pass at once."""
    session, _ = open_session(endpoint)
    reply = ask(endpoint, action, ADA)
    assert reply.unproven is None
    assert reply.session is session


@every_sender
def test_same_headers_send(endpoint: Endpoint, action: str) -> None:
    """They pass at once."""
    _, handler = open_session(endpoint)
    assert ask(endpoint, action, ADA).status in (200, 204)
    assert handler.calls == [("received", "hello")]


@every_url
@pytest.mark.parametrize("headers", [{}, GRACE, {**ADA, "Authorization": "Basic x"}])
def test_other_headers_are_asked_about(
    endpoint: Endpoint, action: str, headers: dict[str, str]
) -> None:
    """403 unless the application says otherwise; nothing has happened until it does."""
    session, handler = open_session(endpoint)
    reply = ask(endpoint, action, headers)
    assert_forbidden(reply)
    assert reply.unproven is session
    assert_untouched(endpoint, session, handler)


@every_url
def test_a_request_without_a_session_is_not_asked_about(endpoint: Endpoint, action: str) -> None:
    """A session that it opens has its handshake; there is none to send to."""
    reply = ask(endpoint, action, GRACE)
    assert reply.unproven is None
    assert reply.status == (404 if action in SENDERS else 200)


@every_url
def test_preflight_is_not_asked_about(endpoint: Endpoint, action: str) -> None:
    """A browser sends no credentials with it."""
    session, handler = open_session(endpoint)
    reply = ask(endpoint, action, {"Origin": OTHER}, method="OPTIONS")
    assert (reply.status, reply.unproven) == (204, None)
    assert_untouched(endpoint, session, handler)


@every_url
def test_while_the_handshake_is_under_way(endpoint: Endpoint, action: str) -> None:
    """Nothing is asked: who opens it is not known yet."""
    session = begin(endpoint)
    reply = ask(endpoint, action, GRACE)
    if action in SENDERS:
        assert reply.status == 404
    else:
        assert_forbidden(reply)
    assert reply.unproven is None
    assert session.state is State.NEW


@every_url
def test_opened_by_nobody(endpoint: Endpoint, action: str) -> None:
    """The id is all, also when somebody has signed in meanwhile."""
    open_session(endpoint, None, {})
    for headers in ({}, ADA, GRACE):
        reply = ask(endpoint, action, headers)
        assert (reply.status in (200, 204), reply.unproven) == (True, None)


@every_receiver
def test_proved_receive(endpoint: Endpoint, action: str) -> None:
    """The same identity goes on, with what the application's response brings, and is known now."""
    session, _ = open_session(endpoint)
    cookies: Headers = [("Set-Cookie", "user=ada2"), ("X-Request-Id", "42")]
    reply = ask(endpoint, action, GRACE, Proof(session, 200, "ada", cookies))
    assert reply.unproven is None
    assert [item for item in reply.headers if item in cookies] == cookies
    assert frames_for(reply) == ['a["waiting"]']
    again = ask(endpoint, action, GRACE)
    assert (again.session, again.unproven) == (session, None)
    assert ("X-Request-Id", "42") not in again.headers


@every_sender
def test_proved_send(endpoint: Endpoint, action: str) -> None:
    """The same for what is sent; it is delivered once."""
    session, handler = open_session(endpoint)
    cookies: Headers = [("Set-Cookie", "user=ada2")]
    reply = ask(endpoint, action, GRACE, Proof(session, 200, "ada", cookies))
    assert reply.status in (200, 204)
    assert [item for item in reply.headers if item in cookies] == cookies
    assert handler.calls == [("received", "hello")]
    assert ask(endpoint, action, GRACE).unproven is None


@every_url
@pytest.mark.parametrize(
    ("status", "identity"),
    [
        (200, "grace"),
        (403, "grace"),
        (302, "grace"),
        # The application fails, or does not get to answer.
        (500, "ada"),
        (503, "ada"),
        (500, None),
        (500, UNKNOWN),
        (503, UNKNOWN),
        (200, UNKNOWN),
        (302, UNKNOWN),
        (403, UNKNOWN),
        (429, UNKNOWN),
    ],
)
def test_refused(endpoint: Endpoint, action: str, status: int, identity: object) -> None:
    """Somebody else, and nobody knows who: 403, and the session goes on."""
    session, handler = open_session(endpoint)
    reply = ask(endpoint, action, GRACE, Proof(session, status, identity, [("Set-Cookie", "a=b")]))
    assert_forbidden(reply)
    assert reply.unproven is None
    assert ("Set-Cookie", "a=b") not in reply.headers
    assert ask(endpoint, action, GRACE).unproven is session
    assert_untouched(endpoint, session, handler)


SIGNED_OUT = (4401, "Unauthorized")
ENDS = [
    (200, None, *SIGNED_OUT),
    (302, None, *SIGNED_OUT),
    (401, None, *SIGNED_OUT),
    (403, None, *SIGNED_OUT),
    # By a WSGI filter in front of the application.
    (401, UNKNOWN, *SIGNED_OUT),
    (302, "ada", 4302, "Found"),
    (401, "ada", 4401, "Unauthorized"),
    (403, "ada", 4403, "Forbidden"),
    (404, "ada", 4404, "Not Found"),
    (499, "ada", 4499, "Refused"),
]
every_end = pytest.mark.parametrize(("status", "identity", "code", "reason"), ENDS)


@every_receiver
@every_end
def test_ended_receive(
    endpoint: Endpoint, action: str, status: int, identity: object, code: int, reason: str
) -> None:
    """Signed out, or not allowed any more: the client is told so, and nothing else."""
    session, handler = open_session(endpoint)
    reply = ask(endpoint, action, GRACE, Proof(session, status, identity, [("X-From", "app")]))
    assert reply.status == 200
    assert ("X-From", "app") in reply.headers
    assert handler.calls == [("closed", code, reason)]
    end = f'c[{code},"{reason}"]'
    assert frames_for(reply) == [end]
    # Whoever comes now hears it too.
    for headers in (ADA, GRACE, {}):
        assert frames_for(ask(endpoint, action, headers)) == [end]


@every_sender
@every_end
def test_ended_send(
    endpoint: Endpoint, action: str, status: int, identity: object, code: int, reason: str
) -> None:
    """What is sent is refused; the client's poll hears why."""
    session, handler = open_session(endpoint)
    poll = Recorder(RECEIVING["xhr_streaming"])
    session.attach(poll)
    assert_forbidden(ask(endpoint, action, GRACE, Proof(session, status, identity, [])))
    settle(endpoint.manager)
    assert handler.calls == [("closed", code, reason)]
    assert poll.frames == ['a["waiting"]', f'c[{code},"{reason}"]']
    assert ask(endpoint, action, ADA).status in (200, 204)
    assert handler.calls == [("closed", code, reason)]


def test_revoked_before_the_open_frame_has_left(endpoint: Endpoint) -> None:
    """The client still hears `o` first: without it, it would try its other transports."""
    session = begin(endpoint)
    assert session.credentials is not None
    session.credentials.settle("ada")
    session.accept(RecordingHandler())
    session.send("secret")
    reply = ask(endpoint, "xhr_streaming", {}, Proof(session, 403, None, []))
    assert frames_for(reply) == ["o", 'c[4401,"Unauthorized"]']


def test_a_proof_is_of_one_session(endpoint: Endpoint) -> None:
    """The session ended while the application was asked; another one has its id now."""
    former, _ = open_session(endpoint)
    former.fail()
    session, handler = open_session(endpoint, "grace", {"Cookie": "user=grace, really"})
    reply = ask(endpoint, "xhr", GRACE, Proof(former, 200, "grace", []))
    assert_forbidden(reply)
    assert session.state is State.OPEN
    reply = ask(endpoint, "xhr_send", GRACE, Proof(former, 401, None, []))
    assert_forbidden(reply)
    assert (session.state, handler.calls) == (State.OPEN, [])


@pytest.mark.parametrize(("action", "status"), [("xhr", 200), ("xhr_send", 404)])
def test_the_session_ends_while_the_application_is_asked(
    endpoint: Endpoint, action: str, status: int
) -> None:
    """A poll opens a session of its own then, with its own handshake."""
    former, _ = open_session(endpoint)
    former.fail()
    reply = ask(endpoint, action, GRACE, Proof(former, 200, "ada", []))
    assert reply.status == status
    if reply.session is not None:
        assert (reply.session is former, reply.session.state) == (False, State.NEW)


@pytest.mark.parametrize(
    "end", [lambda session: session.close(1000, "bye"), lambda session: session.revoke(4401, "x")]
)
def test_the_session_closes_while_the_application_is_asked(
    endpoint: Endpoint, end: Callable[[Session], None]
) -> None:
    """Whoever is somebody else reads nothing of what still waits."""
    session, _ = open_session(endpoint)
    end(session)
    reply = ask(endpoint, "xhr", GRACE, Proof(session, 200, "grace", []))
    if session.credentials is None:
        assert frames_for(reply) == ['c[4401,"x"]']
    else:
        assert_forbidden(reply)


@pytest.mark.parametrize("headers", [ADA, GRACE, {}])
def test_refused_handshake(endpoint: Endpoint, headers: dict[str, str]) -> None:
    """Why it was refused may be heard by all: the refusal may have set cookies."""
    session = begin(endpoint)
    session.refuse(4403, "Forbidden")
    assert frames_for(ask(endpoint, "xhr_streaming", headers)) == ["o", 'c[4403,"Forbidden"]']
    assert ask(endpoint, "xhr_send", headers).status == 204


@every_url
@pytest.mark.parametrize("origin", [OTHER, None])
def test_cors_on_refusals(endpoint: Endpoint, action: str, origin: str | None) -> None:
    """The page of an allowed origin can read that it was refused."""
    session, _ = open_session(endpoint)
    headers = GRACE if origin is None else {**GRACE, "Origin": origin}
    reply = ask(endpoint, action, headers, Proof(session, 200, "grace", []))
    assert_forbidden(reply)
    cors = [(name, text) for name, text in reply.headers if name.startswith("Access-Control")]
    assert cors[0] == ("Access-Control-Allow-Origin", origin or "*")
    credentials = ("Access-Control-Allow-Credentials", "true")
    assert (credentials in cors) is (origin is not None)
    assert ("Vary", "Origin") in reply.headers


@every_url
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_another_origin_is_refused_first(endpoint: Endpoint, action: str, origin: str) -> None:
    """The application is not asked, and no CORS header lets the page read the refusal."""
    session, handler = open_session(endpoint)
    reply = ask(endpoint, action, {**GRACE, "Origin": origin})
    assert (reply.status, reply.unproven) == (403, None)
    assert not [name for name, _ in reply.headers if name.startswith("Access-Control")]
    assert_untouched(endpoint, session, handler)
