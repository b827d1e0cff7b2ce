"""Security: a policy of one's own, ACLs with permissions, predicates that look at the user."""

from pyramid.authorization import ACLHelper, Allow, Authenticated, Deny, Everyone
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPUnauthorized
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import forbidden_view_config, view_config

from sockjs_bridge import WebSocketSession, websocket_view

GROUPS = {"ada": ["group:editors"], "bob": []}


class HeaderPolicy:
    """Believes whoever says who he is."""

    acl = ACLHelper()

    def identity(self, request):
        name = request.headers.get("X-User")
        return {"name": name, "groups": GROUPS[name]} if name in GROUPS else None

    def authenticated_userid(self, request):
        return request.identity and request.identity["name"]

    def permits(self, request, context, permission):
        principals = [Everyone]
        if request.identity is not None:
            principals += [Authenticated, request.identity["name"], *request.identity["groups"]]
        return self.acl.permits(context, principals, permission)

    def remember(self, request, userid, **keywords):
        return []

    def forget(self, request, **keywords):
        return []


class MemberPredicate:
    """The view predicate ``member_of``: the user is in a group."""

    def __init__(self, group, config):
        self.group = group

    def text(self):
        return f"member_of = {self.group}"

    phash = text

    def __call__(self, context, request):
        return request.identity is not None and self.group in request.identity["groups"]


class Room:
    __acl__ = ((Deny, "bob", "talk"), (Allow, Authenticated, "talk"))

    def __init__(self, request):
        self.name = request.matchdict["name"]


class Answer(WebSocketSession):
    """Says who is there."""

    answer = ""

    def on_message(self, message):
        self.send(f"{self.answer} {self.request.authenticated_userid}")


@websocket_view(route_name="room", permission="talk")
class Talk(Answer):
    answer = "talk"


@websocket_view(route_name="default")
class Default(Answer):
    """Has the permission that the application asks for where a view says none."""

    answer = "default"


@websocket_view(route_name="open", permission=NO_PERMISSION_REQUIRED)
class Open(Answer):
    answer = "open"


@websocket_view(route_name="desk", member_of="group:editors", permission=NO_PERMISSION_REQUIRED)
class Desk(Answer):
    answer = "editor"


@websocket_view(route_name="counter", permission=NO_PERMISSION_REQUIRED)
class Counter(Answer):
    """Serves those whom no view with a predicate of its own takes."""

    answer = "counter"


@websocket_view(route_name="counter", member_of="group:editors", permission="talk")
class CounterOfEditors(Answer):
    answer = "editors' counter"


@websocket_view(route_name="signed_in", is_authenticated=True, permission=NO_PERMISSION_REQUIRED)
class SignedIn(Answer):
    answer = "signed in"


@forbidden_view_config()
def log_in(request):
    """Pages send people to the login form; nobody who connects can use one."""
    return HTTPFound("/login", headers={"X-Why": "log in first"})


@forbidden_view_config(route_name="challenge")
def challenge(request):
    return HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="rooms"'})


@forbidden_view_config(route_name="polite")
def polite(request):
    """Renders a page with 200, as some applications do."""
    request.response.text = "We are sorry."
    return request.response


@forbidden_view_config(route_name="frank", websocket=True)
def frank(request):
    """For connections only: pages have the application's own forbidden view."""
    return HTTPUnauthorized()


@view_config(route_name="frank", renderer="string", permission="talk")
def page(request):
    return "a page"


@websocket_view(route_name="frank", permission="talk")
@websocket_view(route_name="challenge", permission="talk")
@websocket_view(route_name="polite", permission="talk")
class Never(Answer):
    answer = "never"


@view_config(route_name="login", renderer="string", permission=NO_PERMISSION_REQUIRED)
def login(request):
    return "the login form"


class Root:
    __acl__ = ((Allow, "ada", "enter"), (Allow, Authenticated, "talk"))

    def __init__(self, request):
        """Nothing is kept."""


def main(global_config=None, **settings):
    with Configurator(settings=settings, root_factory=Root) as config:
        config.include("sockjs_bridge")
        config.set_security_policy(HeaderPolicy())
        config.set_default_permission("enter")
        config.add_view_predicate("member_of", MemberPredicate)
        config.add_sockjs_route("room", "/rooms/{name}", factory=Room)
        for name in (
            "default",
            "open",
            "desk",
            "counter",
            "signed_in",
            "challenge",
            "polite",
            "frank",
        ):
            config.add_sockjs_route(name, f"/{name}")
        config.add_route("login", "/login")
        config.scan(__name__)
        return config.make_wsgi_app()
