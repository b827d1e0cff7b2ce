"""What `pyramid.config.Configurator.add_request_method` adds, kept in one class for all requests.

Pyramid makes a class of its own for each request as soon as one property is added, and binds each
method to it beforehand: that takes longer than the rest of a short request, a silent session keeps
the class for its whole life, and neither is free before the garbage collector finds the circles.

The request of a connection lives longer than what is reified on it: a database session, a user. So
the class notes what it reified, and `let_go` has it made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from pyramid.decorator import reify
from pyramid.interfaces import IRequestExtensions
from pyramid.registry import Registry
from pyramid.request import Request

from sockjs_bridge.pyramid.transactions import ManagerProperty

#: Classes of requests that are remembered. There is one, unless a factory of requests chooses.
CLASSES = 16
# Like Pyramid's own: without them zope.interface would make specifications for the new class.
_INTERFACES = ("__implemented__", "__provides__")

#: The attribute of a request that has what was reified, by name, if there is anything.
REIFIED = "_sockjs_bridge_reified"
# The attribute of its class that has what was added to it.
_MEMBERS = "_sockjs_bridge_members"
# The attribute that has the user who made the handshake.
_USERID = "_sockjs_bridge_userid"
# What Pyramid's own class reifies for the one response of a request.
_OF_THE_RESPONSE = ("finished_callbacks", "response", "response_callbacks")


class Reified:
    """Makes an attribute of a request at its first use, as `pyramid.decorator.reify`, and notes it.

    From then on the attribute is the request's own, and costs nothing more.

    Args:
        name: of the attribute.
        make: makes the value.
    """

    def __init__(self, name: str, make: Callable[[Any], Any]) -> None:
        self._name = name
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(self, request: Any, kind: type | None = None) -> Any:
        if request is None:
            return self
        attributes = vars(request)
        value = attributes[self._name] = self._make(request)
        attributes.setdefault(REIFIED, {})[self._name] = value
        return value


def note_properties(request: Request) -> None:
    """Has what `pyramid.request.Request.set_property` reifies noted too, from now on.

    It gives the request a class of its own, derived from that of all. What wraps an attribute that
    Pyramid itself reifies and that stays, as pyramid_debugtoolbar does with the session, changes
    nothing in that.

    Args:
        request: of a handshake.
    """
    attributes = vars(request)
    kind = type(request)
    if getattr(kind, _MEMBERS, None) is None:
        return
    for base in kind.__mro__:  # pragma: no branch - one of them has it, or the class had not
        if _MEMBERS in vars(base):
            return
        for name, member in _noting(vars(base)).items():
            if isinstance(getattr(Request, name, None), reify) and name not in _OF_THE_RESPONSE:
                continue
            setattr(base, name, member)
            if name in attributes:
                attributes.setdefault(REIFIED, {})[name] = attributes[name]


def keep(request: Request, name: str) -> None:
    """Has an attribute that was reified stay, as one that is set by hand.

    Args:
        request: of a connection.
        name: of the attribute.
    """
    vars(request).get(REIFIED, {}).pop(name, None)


def let_go(request: Request) -> None:
    """Drops what was reified for one request's worth of code, its response too.

    What somebody has set by hand stays, in its place too. A silent session holds its request:
    2 KiB of it would be for nothing.

    Args:
        request: of a connection.
    """
    attributes = vars(request)
    for name, value in attributes.pop(REIFIED, {}).items():
        if attributes.get(name) is value:
            del attributes[name]


def note_userid(request: Request) -> Any:
    """Asks who makes a handshake; from then on ``request.authenticated_userid`` is the answer.

    Returns:
        The user's id; None stands for nobody.
    """
    userid = vars(request)[_USERID] = request.authenticated_userid
    return userid


def noted_userid(request: Request) -> Any:
    """Returns what `note_userid` noted; None where it was not called."""
    return vars(request).get(_USERID)


def _userid_property(asked: Any) -> property:
    def authenticated_userid(request: Request) -> Any:
        attributes = vars(request)
        if _USERID in attributes:
            return attributes[_USERID]
        return asked.__get__(request, type(request))

    return property(authenticated_userid, doc=getattr(asked, "__doc__", None))


class RequestClass:
    """Stands among the methods that Pyramid binds and sets, under the name ``__class__``.

    What it binds to is therefore the class that the request gets.

    Args:
        members: by name.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = {**members, **_noting(members)}
        if isinstance(manager := members.get("tm"), reify):
            self._members["tm"] = ManagerProperty(manager.wrapped)
        self._extended = lru_cache(CLASSES)(self._extend)

    def __get__(self, request: Any, kind: type) -> Any:
        attributes = vars(request)
        for name in self._members.keys() & attributes.keys():
            # Set by a factory of requests: what is added replaces it.
            del attributes[name]
        return self._extended(kind)

    def _extend(self, kind: Any) -> Any:
        if getattr(kind, _MEMBERS, None) is self._members:
            # A copy of a request, for a subrequest.
            return kind
        interfaces = {name: getattr(kind, name) for name in _INTERFACES if hasattr(kind, name)}
        own = {"__module__": kind.__module__, _MEMBERS: self._members}
        members = {**_noting(_added(kind)), **self._members}
        asked = members.get("authenticated_userid") or kind.authenticated_userid
        members["authenticated_userid"] = _userid_property(asked)
        extended = type(kind.__name__, (kind,), {**own, **members})
        for name, value in interfaces.items():
            setattr(extended, name, value)
        return extended


def _noting(members: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what stands in for those members of a class that are reified."""
    noting: dict[str, Any] = {}
    for name, member in members.items():
        # Those of classes derived from them do what nobody knows.
        if type(member) is reify:
            noting[name] = Reified(name, member.wrapped)
        elif type(member) is cached_property:
            noting[name] = Reified(name, member.func)
    return noting


def _added(kind: type) -> dict[str, Any]:
    """Returns what a class of requests adds to Pyramid's, and what that makes for the response."""
    added: dict[str, Any] = {}
    for base in kind.__mro__:
        own = base not in Request.__mro__
        for name, member in vars(base).items():
            if own or name in _OF_THE_RESPONSE:
                added.setdefault(name, member)
    return added


def share_request_class(registry: Registry) -> None:
    """Has all requests of an application share a class; what is added later is added as ever.

    Args:
        registry: of the application, which is complete.
    """
    extensions = registry.queryUtility(IRequestExtensions)
    if extensions is None or "__class__" in extensions.methods:
        return
    members = {**extensions.methods, **extensions.descriptors}
    extensions.methods = {"__class__": RequestClass(members)}
    extensions.descriptors = {}
