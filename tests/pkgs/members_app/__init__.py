"""A members' club: sign-in by cookie or by password, rooms, and a permission that can be lost.

Who signs out, or loses the permission, is put out of the club at once: each connection enters a
room ``user:<id>``, and the pages close what they find there. That reaches WebSockets too, which
make no later request that could be refused.

A client names its connection by ``?tag=``; `Members.journal` holds what was seen of it.
"""

from __future__ import annotations

import threading
import time

from pyramid.authentication import (
    AuthTicket,
    AuthTktAuthenticationPolicy,
    AuthTktCookieHelper,
    extract_http_basic_credentials,
)
from pyramid.authorization import ACLAuthorizationPolicy, ACLHelper, Allow, Authenticated, Everyone
from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.httpexceptions import HTTPFound, HTTPUnauthorized
from pyramid.request import Request, RequestLocalCache
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.view import view_config

from sockjs_bridge import ConnectionClosed, WebSocketSession, websocket_view

SECRET = "of the members' tickets"
#: Seconds: a ticket lasts, and is issued again when it is as old.
TIMEOUT, REISSUE = 30, 3


class Members:
    """The club: who there is, who may talk, and what went on. Tests hold it too.

    Attributes:
        passwords: of the members.
        talkers: who has the permission to talk.
        ahead: seconds by which the club's clock is ahead.
        trips: for each request that reached the application, its cookies.
        journal: what connections saw.
        failing: raises, in place of answering who somebody is.
        arrived: a handshake waits at the gate.
        gate: lets it go on.
    """

    def __init__(self, journal):
        self.passwords = {"ada": "lovelace", "grace": "hopper", "mallory": "malice"}
        self.talkers = set(self.passwords)
        self.ahead = 0.0
        self.trips = []
        self.journal = journal
        self.failing = lambda: None
        self.arrived = threading.Event()
        self.gate = threading.Event()

    def now(self):
        return time.time() + self.ahead

    def ticket(self, userid, age=0.0):
        """Return the Cookie header of somebody who signed in some seconds ago."""
        headers = Tickets(self, age).remember(Request.blank("/"), userid)
        return headers[0][1].partition(";")[0]


class Tickets(AuthTktCookieHelper):
    """The helper, by the club's clock."""

    def __init__(self, members, age=0.0, **settings):
        super().__init__(
            SECRET, timeout=TIMEOUT, reissue_time=REISSUE, wild_domain=False, **settings
        )
        self.members = members
        self.age = age

    @property
    def now(self):
        return self.members.now()

    def AuthTicket(self, *args, **kw):
        return AuthTicket(*args, time=self.now - self.age, **kw)


class Member:
    """An identity; one request's is never equal to another's."""

    def __init__(self, userid):
        self.userid = userid


class EqualMember(Member):
    """An identity that can be compared."""

    def __eq__(self, other):
        return isinstance(other, EqualMember) and other.userid == self.userid

    __hash__ = None


class Policy:
    """Tickets in cookies, or a name and a password with each request."""

    make_identity = Member

    def __init__(self, members, **settings):
        self.members = members
        self.tickets = Tickets(members, **settings)
        self.cache = RequestLocalCache(self.load_identity)
        self.acl = ACLHelper()

    def load_identity(self, request):
        self.members.failing()
        found = self.tickets.identify(request)
        # A ticket whose member has left the club lets in nobody, whatever password comes with it.
        userid = found["userid"] if found else check_password(self.members, request)
        return self.make_identity(userid) if userid in self.members.passwords else None

    def identity(self, request):
        return self.cache.get_or_create(request)

    def authenticated_userid(self, request):
        return None if request.identity is None else request.identity.userid

    def permits(self, request, context, permission):
        userid = self.authenticated_userid(request)
        principals = [Everyone] + ([Authenticated, userid] if userid else [])
        return self.acl.permits(context, principals, permission)

    def remember(self, request, userid, **kw):
        return self.tickets.remember(request, userid, **kw)

    def forget(self, request, **kw):
        return self.tickets.forget(request)


class NamelessPolicy(Policy):
    """Knows who somebody is, but no user id."""

    def authenticated_userid(self, request):
        return None

    def permits(self, request, context, permission):
        identity = request.identity
        principals = [Everyone] + ([Authenticated, identity.userid] if identity else [])
        return self.acl.permits(context, principals, permission)


class EqualPolicy(NamelessPolicy):
    """The same with identities that can be compared."""

    make_identity = EqualMember


def check_password(members, request):
    found = extract_http_basic_credentials(request)
    if found is not None and members.passwords.get(found.username) == found.password:
        return found.username
    return None


class LegacyPolicy(AuthTktAuthenticationPolicy):
    """An authentication policy as before Pyramid 2."""

    def __init__(self, members, **settings):
        def principals(userid, request):
            members.failing()
            return [] if userid in members.passwords else None

        super().__init__(SECRET, callback=principals, hashalg="sha512", **settings)
        self.cookie = Tickets(members, **settings)


class Club:
    """A root where who talks may talk, and everybody may look."""

    def __init__(self, request):
        self.members = request.registry.members

    @property
    def __acl__(self):
        return [(Allow, userid, "talk") for userid in self.members.talkers]


def gated_club(request):
    """Keep a handshake waiting; its connection is in its member's room already."""
    members = request.registry.members
    if request.websocket is not None:
        request.websocket.join(room_of(name_of(request)))
    members.arrived.set()
    assert members.gate.wait(10)
    return Club(request)


def greeting_club(request):
    """Set a cookie with each response, refusals too, as session factories may do."""
    visit = str(len(request.registry.members.trips))
    request.add_response_callback(lambda request, response: response.set_cookie("visit", visit))
    return Club(request)


def eager_club(request):
    """Use the connection before anybody has said whether it may open."""
    ws, name = request.websocket, name_of(request)
    if ws is not None:
        ws.join(room_of(name))
        ws.send(f"welcome {name}")
        if name != "ada":
            ws.leave("user:ada")
            ws.close(4403, "Members only")
    return Club(request)


def count_trip(event):
    event.request.registry.members.trips.append(event.request.headers.get("Cookie"))


def room_of(userid):
    return f"user:{userid}"


def name_of(request):
    """Return who a request is made by, whichever way the policy tells it."""
    return request.authenticated_userid or getattr(request.identity, "userid", None)


def note(request, *event):
    request.registry.members.journal.record(request.GET.get("tag"), *event)


@websocket_view(route_name="club", permission="talk")
@websocket_view(route_name="gated", permission="talk")
@websocket_view(route_name="greeting", permission="talk")
@websocket_view(route_name="eager", permission="talk")
@websocket_view(route_name="sticky", permission="talk")
@websocket_view(route_name="square")
class Talk(WebSocketSession):
    """Says again what its client says, and who that is."""

    def on_open(self):
        self.name = name_of(self.request)
        self.join(room_of(self.name))
        self.join(f"tag:{self.request.GET.get('tag')}")
        note(self.request, "open", self.name)

    def on_message(self, message):
        note(self.request, "message", message)
        self.send(f"{self.name}: {message}")

    def on_close(self):
        note(self.request, "close", self.close_code, self.close_reason)


@websocket_view(route_name="desk", permission="talk")
def desk(request):
    """The same, as a blocking view."""
    ws, name = request.websocket, name_of(request)
    ws.join(room_of(name))
    note(request, "open", name)
    try:
        while True:
            message = request.receive()
            note(request, "message", message)
            ws.send(f"{name}: {message}")
    except ConnectionClosed:
        note(request, "close", ws.close_code, ws.close_reason)
        raise


def rules(view):
    """Send those to the rules who have not accepted them as they are now."""

    def decorated(context, request):
        if "rules=old" in request.headers.get("Cookie", ""):
            return HTTPFound("/rules")
        return view(context, request)

    return decorated


@websocket_view(route_name="ruled", permission="talk", decorator=rules)
class RuledTalk(Talk):
    """Talk for those who have accepted the rules."""


def expel(request, userid, code, reason):
    """Close all connections of a user, whatever their transport."""
    for connection in request.sockjs.members(room_of(userid)):
        connection.close(code, reason)


PAGE = """<!DOCTYPE html>
<title>The club</title>
<script src="{client}"></script>
<form action="/sign-in" method="post">
  <input name="name"> <input name="password" type="password"> <button>Sign in</button>
</form>
<form action="/sign-out" method="post"><button>Sign out</button></form>
"""


@view_config(route_name="page")
def page(request):
    return Response(PAGE.format(client=request.sockjs_client_url()))


@view_config(route_name="sign_in", request_method="POST")
def sign_in(request):
    userid, password = request.POST["name"], request.POST["password"]
    if request.registry.members.passwords.get(userid) != password:
        raise HTTPUnauthorized()
    request.response.headerlist += remember(request, userid)
    request.response.text = "welcome"
    return request.response


@view_config(route_name="sign_out", request_method="POST")
def sign_out(request):
    userid = request.authenticated_userid
    if userid is not None:
        expel(request, userid, 4401, "Unauthorized")
    request.response.headerlist += forget(request)
    request.response.text = "goodbye"
    return request.response


@view_config(route_name="silence", request_method="POST")
def silence(request):
    """Take the permission to talk from somebody."""
    userid = request.POST["name"]
    request.registry.members.talkers.discard(userid)
    expel(request, userid, 4403, "Forbidden")
    return Response("silenced")


def main(global_config=None, *, members, policy=Policy, ticket=None, **settings):
    """Make the application.

    Args:
        global_config: unused; PasteDeploy's.
        members: of the club.
        policy: who says who somebody is.
        ticket: further settings of the tickets' cookies.
        **settings: of the application.
    """
    with Configurator(settings=settings, root_factory=Club) as config:
        if policy is LegacyPolicy:
            config.set_authentication_policy(policy(members, **(ticket or {})))
            config.set_authorization_policy(ACLAuthorizationPolicy())
        else:
            config.set_security_policy(policy(members, **(ticket or {})))
        config.include("sockjs_bridge")
        config.registry.members = members
        config.add_subscriber(count_trip, NewRequest)
        config.add_route("page", "/")
        config.add_route("sign_in", "/sign-in")
        config.add_route("sign_out", "/sign-out")
        config.add_route("silence", "/silence")
        # Streams end often, so that there is a time between two of them.
        config.add_sockjs_route("club", "/club", response_limit=200)
        config.add_sockjs_route("desk", "/desk")
        config.add_sockjs_route("square", "/square", response_limit=200)
        config.add_sockjs_route("sticky", "/sticky", jsessionid=True)
        config.add_sockjs_route("gated", "/gated", factory=gated_club)
        config.add_sockjs_route("greeting", "/greeting", factory=greeting_club)
        config.add_sockjs_route("eager", "/eager", factory=eager_club)
        config.add_sockjs_route("ruled", "/ruled")
        config.scan(__name__)
        return config.make_wsgi_app()
