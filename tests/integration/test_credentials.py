"""Later requests of a session, as an attacker would make them (api.md, sections 7 and 8).

Everything is sent raw: what a browser's client would never send, others may.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie

import pytest
from pyramid.httpexceptions import HTTPServiceUnavailable, HTTPTooManyRequests

from sockjs_bridge.client import TRANSPORTS, ConnectionClosed
from sockjs_bridge.testing import serve
from tests.conformance.rawclient import Connection, Response
from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    Client,
    Headers,
    Session,
    assert_cors,
    quoted,
    receive_messages,
)
from tests.integration.support import HTTP_TRANSPORTS as CLIENT_TRANSPORTS
from tests.integration.support import Journal, closing, connected, eventually
from tests.pkgs import members_app
from tests.pkgs.members_app import REISSUE, TIMEOUT, Members

ALLOWED = "https://app.example.com"
# jsonp only serves other origins, so it is on where one is allowed.
SETTINGS = {"sockjs.allowed_origins": ALLOWED}
SIGNED_OUT = quoted(4401, "Unauthorized")
SILENCED = quoted(4403, "Forbidden")
BUSY = quoted(2010, "Another connection still open")

every_transport = pytest.mark.parametrize("transport", HTTP_TRANSPORTS)
every_policy = pytest.mark.parametrize(
    "policy", [members_app.Policy, members_app.LegacyPolicy, members_app.EqualPolicy]
)

_tags = itertools.count()


class Club:
    """The members' application, served.

    Attributes:
        members: what the application knows of them.
        app: the application itself.
        client: connections to it.
    """

    def __init__(self, members: Members, app, client: Client) -> None:
        self.members = members
        self.app = app
        self.client = client

    @property
    def trips(self) -> int:
        """How many requests have reached the application."""
        return len(self.members.trips)

    def session(self, headers: Headers, transport: str = "xhr", endpoint: str = "/club") -> Session:
        """Name a session that nobody else has."""
        session = self.client.session(endpoint, transport, f"tag=t{next(_tags)}")
        session.headers = headers
        return session

    def opened(self, headers: Headers, transport: str = "xhr", endpoint: str = "/club") -> Session:
        """Open a session, and wait until the application knows."""
        session = self.session(headers, transport, endpoint).open()
        eventually(lambda: self.seen(session))
        return session

    def tell(self, session: Session, *messages: str) -> None:
        """Have the application send messages to a session."""
        sockjs, room = self.app.registry.sockjs, session.query.replace("=", ":")
        for message in messages:
            assert sockjs.broadcast(message, room=room) == 1

    def seen(self, session: Session) -> list[tuple]:
        """Return what the application saw of a session."""
        return self.members.journal.events(session.query.removeprefix("tag="))

    def wait_for(self, session: Session, *event) -> None:
        """Wait until the application saw something of a session."""
        eventually(lambda: event in self.seen(session))

    def cookie(self, userid: str, *more: str, age: float = 0.0) -> Headers:
        """Return the headers of a member who signed in some seconds ago."""
        return [("Cookie", "; ".join([self.members.ticket(userid, age), *more]))]

    def post(self, path: str, body: str = "", headers: Headers | None = None) -> Response:
        """Send a page's form."""
        form = [("Content-Type", "application/x-www-form-urlencoded"), *(headers or [])]
        answer = self.client.post(path, body, form)
        assert answer.status == 200, answer.text
        return answer


def basic(userid: str, password: str) -> tuple[str, str]:
    credentials = base64.b64encode(f"{userid}:{password}".encode()).decode()
    return "Authorization", f"Basic {credentials}"


def make_club(wrap=lambda app: app, **options) -> Iterator[Club]:
    members = Members(Journal())
    app = members_app.main(members=members, **{**SETTINGS, **options})
    with serve(wrap(app)) as url:
        client = Client(url)
        yield Club(members, app, client)
        client.close()


@pytest.fixture(scope="module")
def one_club() -> Iterator[Club]:
    yield from make_club()


@pytest.fixture
def club(one_club: Club) -> Iterator[Club]:
    """The club on an ordinary day."""
    yield one_club
    members = one_club.members
    members.talkers = set(members.passwords)
    members.ahead = 0.0
    members.failing = lambda: None
    members.gate.clear()
    members.arrived.clear()


@pytest.fixture
def policy_club(policy: type) -> Iterator[Club]:
    """A club with another policy."""
    yield from make_club(policy=policy)


class Jar:
    """A browser's cookies of one host."""

    def __init__(self, headers: Headers) -> None:
        self.cookies = SimpleCookie(dict(headers)["Cookie"])

    def take(self, response: Response) -> list[str]:
        """Keep the cookies of a response, and return their names in order."""
        names = []
        for line in response.all("Set-Cookie"):
            found = SimpleCookie(line)
            names += list(found)
            for name, morsel in found.items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return names

    @property
    def headers(self) -> Headers:
        """What the browser sends."""
        pairs = [f"{name}={morsel.value}" for name, morsel in self.cookies.items()]
        return [("Cookie", "; ".join(pairs))] if pairs else []


def with_headers(session: Session, headers: Headers) -> Session:
    """Return the same session in another's hands."""
    return Session(
        session.client, session.endpoint, session.transport, session.query, headers, session.id
    )


def end_stream(session: Session) -> None:
    """Have a stream end by its limit: now nobody receives."""
    if session.transport.streaming:
        session.send("x" * 200)
        assert "x" * 200 in session.receive()
        assert session.stream is not None and session.stream.chunk() == b""
        session.stream = None


def assert_refused(thief: Session) -> None:
    """Neither URL lets somebody else in, again and again."""
    for _ in range(2):
        for answer in (thief.attach(), thief.post('["injected"]')):
            assert (answer.status, answer.body) == (403, b"Forbidden")
            assert answer.all("Set-Cookie") == []


def assert_goes_on(club: Club, session: Session, *waiting: str) -> None:
    """Whoever opened the session has lost nothing, and nobody else was heard in it."""
    if waiting:
        assert receive_messages(session, len(waiting)) == list(waiting)
    _, name = club.seen(session)[0]
    session.send("here I am")
    assert receive_messages(session, 1) == [f"{name}: here I am"]
    events = [event for event in club.seen(session) if event != ("message", "x" * 200)]
    assert events == [("open", name), ("message", "here I am")]


# A stolen id


STRANGERS: dict[str, Callable[[Club], Headers]] = {
    "another member's ticket": lambda club: club.cookie("mallory"),
    "another member's password": lambda club: [basic("mallory", "malice")],
    "a ticket and a password": lambda club: [*club.cookie("mallory"), basic("ada", "lovelace")],
    "a ticket behind other cookies": lambda club: [
        ("Cookie", f"lang=en; JSESSIONID=x; {club.members.ticket('mallory')}")
    ],
    "a ticket in another field": lambda club: [("Cookie", "lang=en"), *club.cookie("mallory")],
    "another spelling": lambda club: [("cOOKIE", club.members.ticket("mallory"))],
}


@every_transport
@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("moment", ["while a receiver waits", "between two receivers"])
def test_somebody_else(club: Club, transport: str, stranger: str, moment: str) -> None:
    """403 at each URL, and the session goes on: nothing is lost, read or injected."""
    # The victim's own cookies come in two fields, as some gateways send them.
    ada = club.opened([("Cookie", "lang=en"), *club.cookie("ada")], transport)
    waiting: Connection | None = None
    if moment == "between two receivers":
        end_stream(ada)
        club.tell(ada, "one", "two")
    elif not ada.transport.streaming:
        waiting = ada.start()
    assert_refused(with_headers(ada, STRANGERS[stranger](club)))
    if waiting is not None:
        club.tell(ada, "three")
        assert ada.finish(waiting) == 'a["three"]'
    assert_goes_on(club, ada, *(["one", "two"] if moment == "between two receivers" else []))


NOBODIES: dict[str, Callable[[Club], Headers]] = {
    "nothing": lambda club: [],
    "the cookies but the ticket": lambda club: [("Cookie", "lang=en")],
    "a forged ticket": lambda club: [("Cookie", "auth_tkt=" + "0" * 140 + "ada!")],
    "an old ticket": lambda club: club.cookie("ada", age=TIMEOUT + 1),
    "a wrong password": lambda club: [basic("ada", "byron")],
    "a forged ticket after another member's": lambda club: [
        *club.cookie("mallory"),
        ("Cookie", "auth_tkt=ada"),
    ],
    "a ticket in quotes": lambda club: [
        ("Cookie", 'JSESSIONID="; ' + club.members.ticket("mallory") + '; x="')
    ],
    "no member's ticket": lambda club: club.cookie("eve"),
}


@every_transport
@pytest.mark.parametrize("nobody", NOBODIES)
@pytest.mark.parametrize("by", ["receiving", "sending"])
def test_nobody(club: Club, transport: str, nobody: str, by: str) -> None:
    """Signed out: refused, and the session ends with 4401; what waited in it is told to nobody."""
    ada = club.opened([("Cookie", "lang=en"), *club.cookie("ada")], transport)
    end_stream(ada)
    club.tell(ada, "secret")
    later = with_headers(ada, NOBODIES[nobody](club))
    if by == "receiving":
        assert later.receive() == SIGNED_OUT
    else:
        assert later.post('["injected"]').status == 403
    club.wait_for(ada, "close", 4401, "Unauthorized")
    for session in (ada, later):
        assert with_headers(ada, session.headers).receive() == SIGNED_OUT
        assert session.post('["too late"]').status in (200, 204)
    assert ("message", "injected") not in club.seen(ada)
    assert ("message", "too late") not in club.seen(ada)


@every_transport
def test_signed_out_while_a_receiver_waits(club: Club, transport: str) -> None:
    """The receiver that waits is told, and the send is refused."""
    ada = club.opened(club.cookie("ada"), transport)
    poll = None if ada.transport.streaming else ada.start()
    assert with_headers(ada, []).post('["signed out"]').status == 403
    assert (ada.receive() if poll is None else ada.finish(poll)) == SIGNED_OUT
    club.wait_for(ada, "close", 4401, "Unauthorized")


@every_transport
def test_guessed_id(club: Club, transport: str) -> None:
    """An id that nobody has is no way in: what opens with it is the guesser's own."""
    ada = club.opened(club.cookie("ada"), transport)
    for number in range(20):
        guess = with_headers(ada, club.cookie("mallory"))
        guess.id = f"{ada.id}{number}"
        assert guess.post('["injected"]').status == 404
    guess.query = "tag=guess"
    guess.open()
    guess.send("hello")
    assert receive_messages(guess, 1) == ["mallory: hello"]
    assert_goes_on(club, ada)


@every_transport
def test_the_id_at_another_endpoint(club: Club, transport: str) -> None:
    """An id is one session's of one endpoint."""
    ada = club.opened(club.cookie("ada"), transport)
    other = with_headers(ada, [])
    other.endpoint = "/square"
    assert other.post('["injected"]').status == 404
    assert_goes_on(club, ada)


def test_the_id_of_a_websocket(club: Club, skin: str) -> None:
    """Neither the id in its URL nor its own one is any session's over HTTP."""
    headers = club.cookie("ada")
    websocket = club.client.websocket(f"/club/000/seen-{skin}/websocket?tag={skin}", headers)
    assert websocket.recv() == "o"
    eventually(lambda: club.app.registry.sockjs.members(f"tag:{skin}"))
    (connection,) = club.app.registry.sockjs.members(f"tag:{skin}")
    for id_ in (f"seen-{skin}", connection.websocket.id):
        for thief in (club.cookie("mallory"), headers, []):
            session = club.session(thief)
            session.id = id_
            assert session.post('["injected"]').status == 404
    mine = club.session(club.cookie("mallory"))
    mine.id = f"seen-{skin}"
    mine.open()
    mine.send("hello")
    assert receive_messages(mine, 1) == ["mallory: hello"]
    websocket.send('["still here"]')
    assert websocket.recv() == 'a["ada: still here"]'
    events = club.members.journal.events(skin)
    assert events == [("open", "ada"), ("message", "still here")]


@every_transport
def test_during_the_handshake(club: Club, transport: str) -> None:
    """Who opens the session is not known yet: others are refused without being asked."""
    ada = club.session(club.cookie("ada"), transport, "/gated")
    waiting = ada.start()
    assert club.members.arrived.wait(5)
    trips = club.trips
    for headers in (club.cookie("mallory"), []):
        thief = with_headers(ada, headers)
        assert thief.attach().status == 403
        assert thief.post('["injected"]').status == 404
    assert ada.post('["too early"]').status == 404
    assert ada.receive() == BUSY
    assert club.trips == trips
    club.members.gate.set()
    assert ada.finish(waiting) == "o"
    ada.stream = None
    waiting.close()


# Cookies that change


@every_transport
def test_ticket_that_is_issued_again(club: Club, transport: str) -> None:
    """AuthTktCookieHelper's new ticket comes with the opening, once, and the session goes on."""
    jar = Jar(club.cookie("ada", age=REISSUE + 1))
    before = jar.headers
    ada = club.session(before, transport)
    opening = ada.attach()
    assert jar.take(opening) == ["auth_tkt"]
    assert jar.headers != before
    assert ada.first_frame(opening) == "o"
    if ada.transport.streaming:
        ada.stream = opening
    ada.headers = jar.headers
    trips = club.trips
    for number in range(3):
        answer = ada.post(f'["{number}"]')
        assert answer.status in (200, 204)
        assert jar.take(answer) == []
    assert receive_messages(ada, 3) == [f"ada: {number}" for number in range(3)]
    assert club.trips == trips + 1


@every_transport
@pytest.mark.parametrize("by", ["receiving", "sending"])
def test_ticket_that_is_issued_again_by_the_question(club: Club, transport: str, by: str) -> None:
    """The question is a request as any other: its new ticket is sent along, once."""
    jar = Jar(club.cookie("ada"))
    ada = club.opened(jar.headers, transport)
    end_stream(ada)
    club.tell(ada, "waiting")
    club.members.ahead = REISSUE + 1
    jar.cookies["lang"] = "en"
    before = ada.headers = jar.headers
    answer = ada.post('["hello"]') if by == "sending" else ada.attach()
    assert answer.status in (200, 204)
    assert jar.take(answer) == ["auth_tkt"]
    assert jar.headers != before
    # One tab has the new ticket already while requests with the former one are on their way.
    trips = club.trips
    for headers in (before, jar.headers, before, jar.headers):
        ada.headers = headers
        ada.send("again")
    assert club.trips == trips + 1
    ada.stream = None


@every_transport
def test_ticket_that_is_issued_again_to_another_tab(club: Club, transport: str) -> None:
    """A page of the same browser got it; again and again, for longer than a ticket lasts."""
    jar = Jar(club.cookie("ada"))
    ada = club.opened(jar.headers, transport)
    for number in range(8):
        club.members.ahead += TIMEOUT / 3
        page = club.client.get("/", jar.headers)
        assert page.status == 200
        assert jar.take(page) == []
        # The page itself asked nobody; one with a permission does.
        question = club.session(jar.headers)
        assert jar.take(question.attach()) == ["auth_tkt"]
        ada.headers = jar.headers
        ada.send(str(number))
        assert receive_messages(ada, 1) == [f"ada: {number}"]


@every_transport
def test_cookie_that_changes_with_each_request(club: Club, transport: str) -> None:
    """A tracking cookie: the application is asked once for each value, and the session goes on."""
    ticket = club.members.ticket("ada")
    ada = club.opened([("Cookie", ticket)], transport)
    trips = club.trips
    for number in range(10):
        ada.headers = [("Cookie", f"visit={number}; {ticket}; more={number}")]
        ada.send(str(number))
        ada.send("same again")
        assert receive_messages(ada, 2) == [f"ada: {number}", "ada: same again"]
        assert club.trips == trips + number + 1
    assert with_headers(ada, club.cookie("mallory")).attach().status == 403


@every_transport
def test_jsessionid_is_no_question(club: Club, transport: str) -> None:
    """The endpoint's own cookie, which browsers send from the second request on."""
    jar = Jar(club.cookie("ada"))
    ada = club.session(jar.headers, transport, "/sticky")
    opening = ada.attach()
    assert jar.take(opening) == ["JSESSIONID"]
    assert ada.first_frame(opening) == "o"
    ada.stream = opening if ada.transport.streaming else None
    trips = club.trips
    for headers in (jar.headers, [("Cookie", "JSESSIONID=other; " + ada.headers[0][1])]):
        ada.headers = headers
        ada.send("hello")
        assert receive_messages(ada, 1) == ["ada: hello"]
    assert club.trips == trips


def test_jsessionid_of_the_application(club: Club) -> None:
    """Where the endpoint does not set it, people may sign in by it."""
    ada = club.opened(club.cookie("ada", "JSESSIONID=of ada"))
    trips = club.trips
    ada.headers = club.cookie("ada", "JSESSIONID=of mallory")
    ada.send("hello")
    assert club.trips == trips + 1


# Who is who


@pytest.mark.filterwarnings("ignore:Authentication and authorization policies")
@every_policy
def test_policies(policy_club: Club, policy: type) -> None:
    """A user id is compared, whatever the identity is; without one, identities that can be."""
    club = policy_club
    ada = club.opened(club.cookie("ada"))
    assert_refused(with_headers(ada, club.cookie("mallory")))
    ada.headers = club.cookie("ada", "lang=en", age=1)
    assert_goes_on(club, ada)
    ada.headers = []
    assert ada.receive() == SIGNED_OUT


@pytest.mark.parametrize("policy", [members_app.NamelessPolicy])
def test_identities_that_cannot_be_compared(policy_club: Club, policy: type) -> None:
    """Two requests' identities are never equal: only the same headers go on."""
    club = policy_club
    ada = club.opened(club.cookie("ada"))
    assert_refused(with_headers(ada, club.cookie("ada", "lang=en")))
    assert_goes_on(club, ada)


@every_transport
def test_opened_by_nobody(club: Club, transport: str) -> None:
    """The id is all; the application is not asked again, whoever signs in or out."""
    visitor = club.opened([], transport, "/square")
    trips = club.trips
    for headers in (club.cookie("ada"), club.cookie("mallory"), [], [basic("ada", "x")]):
        visitor.headers = headers
        visitor.send("hello")
        assert receive_messages(visitor, 1) == ["None: hello"]
    assert club.trips == trips


def test_two_browsers_of_one_member(club: Club) -> None:
    """Each has a ticket and a session of its own; to the application they are one member."""
    first = club.opened(club.cookie("ada", age=1))
    other = club.opened([basic("ada", "lovelace")])
    for session in (first, other):
        session.send("hello")
        assert receive_messages(session, 1) == ["ada: hello"]
    # One's own id in the other browser is the same member's.
    first.headers, other.headers = other.headers, first.headers
    for session in (first, other):
        session.send("swapped")
        assert receive_messages(session, 1) == ["ada: swapped"]
    first.headers = []
    assert first.receive() == SIGNED_OUT
    other.send("still here")
    assert receive_messages(other, 1) == ["ada: still here"]


@every_transport
def test_another_member_in_the_same_browser(club: Club, transport: str) -> None:
    """Who signed in after the one who opened the session is somebody else."""
    jar = Jar(club.cookie("ada"))
    ada = club.opened(jar.headers, transport)
    end_stream(ada)
    club.tell(ada, "for ada")
    jar.take(club.post("/sign-in", "name=mallory&password=malice", jar.headers))
    assert_refused(with_headers(ada, jar.headers))
    assert_goes_on(club, ada, "for ada")


def test_password_with_each_request(club: Club) -> None:
    """The second way in is compared like the first one."""
    ada = club.opened([basic("ada", "lovelace")])
    trips = club.trips
    ada.send("hello")
    assert receive_messages(ada, 1) == ["ada: hello"]
    assert club.trips == trips
    assert_refused(with_headers(ada, [basic("mallory", "malice")]))
    ada.headers = [basic("ada", "byron")]
    assert ada.receive() == SIGNED_OUT


# What the application says


@every_transport
def test_permission_that_is_taken_away(club: Club, transport: str) -> None:
    """The next question finds it out: 4403, and what waited is told to nobody."""
    ada = club.opened(club.cookie("ada"), transport)
    end_stream(ada)
    club.tell(ada, "secret")
    club.members.talkers.discard("ada")
    later = with_headers(ada, club.cookie("ada", "lang=en"))
    assert later.post('["injected"]').status == 403
    assert later.receive() == SILENCED
    club.wait_for(ada, "close", 4403, "Forbidden")
    assert ("message", "injected") not in club.seen(ada)


@every_transport
def test_nothing_is_asked_while_nothing_changes(club: Club, transport: str) -> None:
    """The same headers pass at once: for the rest there are rooms (see below)."""
    ada = club.opened(club.cookie("ada"), transport)
    trips = club.trips
    club.members.talkers.discard("ada")
    club.members.ahead = TIMEOUT + 1
    assert_goes_on(club, ada)
    assert club.trips == trips


@every_transport
def test_redirection(club: Club, transport: str) -> None:
    """What sends a page elsewhere, at the handshake or later, lets no connection go on."""
    ada = club.session(club.cookie("ada", "rules=old"), transport, "/ruled").open()
    assert ada.receive() == quoted(4302, "Found")
    ada = club.opened(club.cookie("ada"), transport, "/ruled")
    later = with_headers(ada, club.cookie("ada", "rules=old"))
    answer = later.post('["injected"]')
    assert (answer.status, answer["Location"]) == (403, None)
    assert ada.receive() == quoted(4302, "Found")


@every_transport
def test_refusal_that_sets_a_cookie(club: Club, transport: str) -> None:
    """The client comes back with it, and hears why it was refused."""
    club.members.talkers.discard("ada")
    jar = Jar(club.cookie("ada"))
    ada = club.session(jar.headers, transport, "/greeting")
    opening = ada.attach()
    assert jar.take(opening) == ["visit"]
    assert ada.first_frame(opening) == "o"
    ada.headers = jar.headers
    ada.stream = opening if ada.transport.streaming else None
    assert ada.receive() == SILENCED


def raises(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@every_transport
@pytest.mark.parametrize(
    "error", [RuntimeError("no database"), HTTPServiceUnavailable(), HTTPTooManyRequests()]
)
def test_application_that_fails(
    club: Club, transport: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows who it is: refused, and the session is untouched."""
    ada = club.opened(club.cookie("ada"), transport)
    end_stream(ada)
    club.tell(ada, "waiting")
    club.members.failing = raises(error)
    changed = with_headers(ada, club.cookie("ada", "lang=en"))
    assert_refused(changed)
    club.members.failing = lambda: None
    ada.headers = changed.headers
    assert_goes_on(club, ada, "waiting")


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "302 Found"])
def test_filter_in_front(status: str) -> None:
    """A WSGI filter that asks for a key: its 401 says that nobody is signed in any more."""

    def guard(app):
        def guarded(environ, start_response):
            if "key=right" not in environ.get("HTTP_COOKIE", ""):
                start_response(status, [("Location", "/key"), ("Set-Cookie", "asked=1")])
                return [b"where is the key?"]
            return app(environ, start_response)

        return guarded

    for club in make_club(guard):
        ada = club.opened(club.cookie("ada", "key=right"))
        thief = with_headers(ada, club.cookie("mallory"))
        if status.startswith("401"):
            assert thief.receive() == SIGNED_OUT
            club.wait_for(ada, "close", 4401, "Unauthorized")
        else:
            assert_refused(thief)
            assert_goes_on(club, ada)


@every_transport
def test_the_question_does_not_touch_the_connection(club: Club, transport: str) -> None:
    """A root factory that greets, joins and closes does so to who opens, and to nobody later."""
    sockjs = club.app.registry.sockjs
    ada = club.opened(club.cookie("ada"), transport, "/eager")
    assert receive_messages(ada, 1) == ["welcome ada"]
    (before,) = sockjs.members(ada.query.replace("=", ":"))
    rooms = before.rooms
    assert "user:ada" in rooms
    assert_refused(with_headers(ada, club.cookie("mallory")))
    ada.headers = club.cookie("ada", "lang=en")
    assert_goes_on(club, ada)
    (after,) = sockjs.members(ada.query.replace("=", ":"))
    assert after is before
    assert after.rooms == rooms
    assert before not in sockjs.members("user:mallory")


# Headers


SMUGGLED: dict[str, Callable[[Club], Headers]] = {
    "a forged ticket, then mallory's": lambda club: [
        ("Cookie", "auth_tkt=ada"),
        *club.cookie("mallory"),
    ],
    "a header that WSGI names alike": lambda club: [
        *club.cookie("mallory"),
        ("Cookie_", "x"),
        ("HTTP_COOKIE", club.members.ticket("ada")),
    ],
    "two ways at once": lambda club: [
        *club.cookie("mallory"),
        basic("ada", "lovelace"),
        basic("mallory", "malice"),
    ],
    "methods and users by header": lambda club: [
        *club.cookie("mallory"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("X-Forwarded-User", "ada"),
        ("Remote-User", "ada"),
    ],
}


@every_transport
@pytest.mark.parametrize("smuggled", SMUGGLED)
def test_smuggled_headers(club: Club, transport: str, smuggled: str) -> None:
    """The endpoint and the application read the same headers, so none is let through by one."""
    ada = club.opened(club.cookie("ada"), transport)
    assert_refused(with_headers(ada, SMUGGLED[smuggled](club)))
    assert_goes_on(club, ada)


@every_transport
def test_two_authorizations(club: Club, transport: str) -> None:
    """Which of the two an application reads is its own affair: together they are none it knows."""
    ada = club.opened([basic("ada", "lovelace")], transport)
    later = with_headers(ada, [basic("ada", "lovelace"), basic("mallory", "malice")])
    assert later.post('["injected"]').status == 403
    assert ada.receive() == SIGNED_OUT


@every_transport
def test_folded_headers(club: Club, transport: str) -> None:
    """RFC 9112, 5.2: a line that continues the one before is refused, or read as one."""
    ada = club.opened(club.cookie("ada"), transport)
    ticket = club.members.ticket("mallory")
    thief = with_headers(ada, [("Cookie", f"lang=en;\r\n {ticket}")])
    for answer in (thief.attach(), thief.post('["injected"]')):
        assert answer.status in (400, 403)
    assert_goes_on(club, ada)


@every_transport
def test_cors_of_a_refusal(club: Club, transport: str) -> None:
    """The page of an allowed origin may read that it was refused; another one is not answered."""
    ada = club.opened(club.cookie("ada"), transport)
    for headers in (club.cookie("mallory"), []):
        thief = with_headers(ada, [*headers, ("Origin", ALLOWED)])
        answer = thief.post('["injected"]')
        assert answer.status == 403
        assert_cors(answer, ALLOWED)
        if headers:
            answer = thief.attach()
            assert answer.status == 403
            assert_cors(answer, ALLOWED)


@every_transport
@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ALLOWED}.evil.example"])
def test_another_origin(club: Club, transport: str, origin: str) -> None:
    """Another site's page has the visitor's own cookies, and is refused all the same."""
    ada = club.opened(club.cookie("ada"), transport)
    trips = club.trips
    evil = with_headers(ada, [*ada.headers, ("Origin", origin)])
    for answer in (evil.attach(), evil.post('["injected"]')):
        assert answer.status == 403
        assert answer["Access-Control-Allow-Origin"] is None
    signed_out = with_headers(ada, [("Origin", origin)])
    assert signed_out.attach().status == 403
    assert club.trips == trips
    assert_goes_on(club, ada)


# Repeats, and many at once


@pytest.mark.parametrize("transport", ["xhr", "jsonp"])
def test_repeat_with_other_cookies(club: Club, transport: str) -> None:
    """The browser repeats by itself, with the cookies of now: still a repeat, and still hers."""
    ada = club.session(club.cookie("ada"), transport)
    assert ada.finish(ada.start("1")) == "o"
    assert ada.post('["hello"]', "t=2").status in (200, 204)
    assert ada.finish(ada.start("3")) == 'a["ada: hello"]'
    for thief in (club.cookie("mallory"),):
        stolen = with_headers(ada, thief)
        assert stolen.post('["hello"]', "t=2").status == 403
        assert stolen.attach("3").status == 403
    ada.headers = club.cookie("ada", "lang=en")
    assert ada.post('["hello"]', "t=2").status in (200, 204)
    assert ada.finish(ada.start("3")) == 'a["ada: hello"]'
    assert club.seen(ada) == [("open", "ada"), ("message", "hello")]
    ada.headers = []
    assert ada.finish(ada.start("3")) == SIGNED_OUT


@every_transport
def test_many_sends_at_once(club: Club, transport: str) -> None:
    """Twenty with one new cookie: each is asked about, each is delivered once."""
    ada = club.opened(club.cookie("ada"), transport)
    before = ada.headers
    ada.headers = club.cookie("ada", "lang=en")
    trips = club.trips
    answers = at_once([send_later(ada, [str(number)]) for number in range(20)])
    assert {answer.status for answer in answers} <= {200, 204}
    assert club.trips <= trips + 20
    numbers = {f"ada: {number}" for number in range(20)}
    assert set(receive_messages(ada, 20)) == numbers
    # Neither the former cookie nor the new one is a question now.
    trips = club.trips
    for headers in (before, ada.headers):
        ada.headers = headers
        ada.send("again")
    assert club.trips == trips


@every_transport
def test_many_thieves_at_once(club: Club, transport: str) -> None:
    """Polls and sends, beside the victim's own: none gets in or out."""
    ada = club.opened(club.cookie("ada"), transport)
    end_stream(ada)
    club.tell(ada, "one", "two")
    thief = with_headers(ada, club.cookie("mallory"))
    requests = [send_later(thief, ["injected"]) for _ in range(10)]
    requests += [(thief.start(), thief.transport.method) for _ in range(10)]
    assert {answer.status for answer in at_once(requests)} == {403}
    assert_goes_on(club, ada, "one", "two")


@pytest.mark.parametrize("transport", ["xhr", "jsonp"])
def test_many_polls_at_once(club: Club, transport: str) -> None:
    """One waits; the others are told so, whoever was asked about first."""
    ada = club.opened(club.cookie("ada"), transport)
    ada.headers = club.cookie("ada", "lang=en")
    polls = [ada.start() for _ in range(20)]
    answered = 0
    while answered < 19:
        for poll in list(polls):
            if not poll.is_quiet(0.05):
                assert ada.finish(poll) == BUSY
                polls.remove(poll)
                answered += 1
    club.tell(ada, "for one of them")
    (poll,) = polls
    assert ada.finish(poll) == 'a["for one of them"]'
    assert_goes_on(club, ada)


def send_later(session: Session, messages: list[str]) -> tuple[Connection, str]:
    """Send messages, and leave the answer unread."""
    body = json.dumps(messages)
    headers = list(session.headers)
    if session.transport.send_path == "jsonp_send":
        headers.append(("Content-Type", "text/plain"))
    connection = session.client.connect()
    connection.start_request("POST", session.url(session.transport.send_path), headers, body)
    return connection, "POST"


def at_once(requests: list[tuple[Connection, str]]) -> list[Response]:
    """Read the answers to requests that are all on their way."""
    answers = [connection.response(method) for connection, method in requests]
    for answer in answers:
        _ = answer.body
    return answers


# The recipe: rooms


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("endpoint", ["club", "desk"])
@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [("/sign-out", 4401, "Unauthorized"), ("/silence", 4403, "Forbidden")],
)
async def test_connections_are_closed_at_once(
    club: Club, transport: str, endpoint: str, path: str, code: int, reason: str
) -> None:
    """Signing out, or losing the permission, ends all of a member's connections, and no others."""
    url = f"{club.client.url}/{endpoint}"
    ada, grace = (dict(club.cookie(name)) for name in ("ada", "grace"))
    async with (
        connected(url, transport, headers=ada) as one,
        connected(url, transport, headers=ada) as two,
        connected(url, transport, headers=grace) as other,
    ):
        for client in (one, two, other):
            await client.send("hello")
            await client.recv()
        club.post(path, "name=ada", list(ada.items()))
        for client in (one, two):
            assert await closing(client) == (code, reason)
        await other.send("hello")
        assert await other.recv() == "grace: hello"


@every_transport
def test_signing_out_during_the_handshake(club: Club, transport: str) -> None:
    """A connection that its root factory has put into the room does not escape."""
    ada = club.session(club.cookie("ada"), transport, "/gated")
    waiting = ada.start()
    assert club.members.arrived.wait(5)
    club.post("/sign-out", "", ada.headers)
    club.members.gate.set()
    assert ada.finish(waiting) == SIGNED_OUT
    waiting.close()
    assert with_headers(ada, []).receive() == SIGNED_OUT
    assert club.seen(ada) == []


def test_signing_out_during_the_handshake_of_a_websocket(club: Club) -> None:
    """Its handshake is refused."""
    headers = club.cookie("ada")
    with ThreadPoolExecutor() as pool:
        target = "/gated/000/x/websocket?tag=gated"
        opening = pool.submit(club.client.websocket, target, headers)
        assert club.members.arrived.wait(5)
        club.post("/sign-out", "", headers)
        club.members.gate.set()
        assert opening.result().handshake.status == 503
    assert club.members.journal.events("gated") == []


@pytest.mark.parametrize("transport", CLIENT_TRANSPORTS)
async def test_sign_out_by_the_browser_alone(club: Club, transport: str) -> None:
    """The cookie is gone, the recipe was not used: the next request ends it."""
    headers = dict(club.cookie("ada"))
    tag = f"t{next(_tags)}"
    async with connected(f"{club.client.url}/club?tag={tag}", transport, headers=headers) as ada:
        await ada.send("hello")
        assert await ada.recv() == "ada: hello"
        headers.clear()
        if "polling" in transport:
            # The poll that waits came with the former cookies, and is answered yet.
            assert club.app.registry.sockjs.broadcast("last words", room=f"tag:{tag}") == 1
            assert await ada.recv() == "last words"
            assert await closing(ada) == (4401, "Unauthorized")
        else:
            with pytest.raises(ConnectionClosed):
                await ada.send("signed out")
    events = await club.members.journal.wait(tag, "close")
    assert events[1:] == [("message", "hello"), ("close", 4401, "Unauthorized")]


async def test_a_frame_is_no_request(club: Club) -> None:
    """A WebSocket makes no later request: it goes on until the recipe ends it."""
    url = f"{club.client.url}/club?tag=frames"
    async with connected(url, "websocket", headers=dict(club.cookie("ada"))) as ada:
        await club.members.journal.wait("frames", "open")
        club.members.ahead = TIMEOUT + 1
        club.members.talkers.clear()
        await ada.send("hello")
        assert await ada.recv() == "ada: hello"
