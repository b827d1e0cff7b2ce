"""What `pyramid.config.Configurator.add_request_method` adds, kept in one class for all requests.

Pyramid makes a class of its own for each request as soon as one property is added, and binds each
method to it beforehand: that takes longer than the rest of a short request, a silent session keeps
the class for its whole life, and neither is free before the garbage collector finds the circles.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pyramid.interfaces import IRequestExtensions
from pyramid.registry import Registry

#: Classes of requests that are remembered. There is one, unless a factory of requests chooses.
CLASSES = 16
# Like Pyramid's own: without them zope.interface would make specifications for the new class.
_INTERFACES = ("__implemented__", "__provides__")


class RequestClass:
    """Stands among the methods that Pyramid binds and sets, under the name ``__class__``.

    What it binds to is therefore the class that the request gets.

    Args:
        members: by name.
    """

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members
        self._extended = lru_cache(CLASSES)(self._extend)

    def __get__(self, request: Any, kind: type) -> type:
        attributes = vars(request)
        for name in self._members.keys() & attributes.keys():
            # Set by a factory of requests: what is added replaces it.
            del attributes[name]
        return self._extended(kind)

    def _extend(self, kind: type) -> type:
        if getattr(kind, "_sockjs_bridge_members", None) is self._members:
            # A copy of a request, for a subrequest.
            return kind
        interfaces = {name: getattr(kind, name) for name in _INTERFACES if hasattr(kind, name)}
        own = {"__module__": kind.__module__, "_sockjs_bridge_members": self._members}
        extended = type(kind.__name__, (kind,), {**own, **self._members})
        for name, value in interfaces.items():
            setattr(extended, name, value)
        return extended


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
