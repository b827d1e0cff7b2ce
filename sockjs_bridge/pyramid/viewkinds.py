"""Which views serve connections, and how: the view predicate, and what a view's code tells."""

from __future__ import annotations

import inspect
from types import CodeType, FunctionType
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from sockjs_bridge.endpoint.handshake import HANDSHAKE
from sockjs_bridge.pyramid.sessions import WebSocketSession

# What a view names to have the connection.
_CONNECTION = {"websocket", "ws_connection"}


class WebSocketPredicate:
    """The view predicate ``websocket``: the request opens a connection, or it does not.

    Args:
        wanted: which of the two.
        config: unused; part of Pyramid's interface.

    Raises:
        pyramid.exceptions.ConfigurationError: it is neither.
    """

    def __init__(self, wanted: bool, config: object) -> None:
        if not isinstance(wanted, bool):
            raise ConfigurationError(f"websocket={wanted!r} cannot be: allowed is True or False")
        self.wanted = wanted

    def text(self) -> str:
        """Returns what introspection shows."""
        return f"websocket = {self.wanted}"

    phash = text

    def __call__(self, context: object, request: Request) -> bool:
        """Decides for one request."""
        return (HANDSHAKE in request.environ) == self.wanted


def wants_connections(info: Any) -> bool:
    """Tells, of a deriver's view, whether it is declared for connections."""
    return any(
        isinstance(predicate, WebSocketPredicate) and predicate.wanted
        for predicate in info.predicates
    )


def is_session_class(view: object) -> bool:
    """Tells whether a view is a `WebSocketSession`."""
    return inspect.isclass(view) and issubclass(view, WebSocketSession)


def is_asynchronous(view: Any, attr: str | None) -> bool:
    """Tells whether a view, or the method of it that ``attr`` names, is an ``async def`` one."""
    if attr is None and not inspect.isclass(view) and inspect.iscoroutinefunction(view):
        return True
    return inspect.iscoroutinefunction(getattr(view, attr or "__call__", None))


def names_connection(view: Any, attr: str | None, *, receives: bool = False) -> bool:
    """Tells whether a view's own code names the connection of its request.

    What it calls is not looked into.

    Args:
        view: a function, an object that is called, or a class.
        attr: the name of its method, if it is not called itself.
        receives: ``request.receive()`` counts too.
    """
    functions: list[Any]
    if inspect.isclass(view):
        functions = [*vars(view).values()]
    else:
        functions = [getattr(view, attr or "__call__", None), view]
    names = _CONNECTION | {"receive"} if receives else _CONNECTION
    codes = map(_code_of, functions)
    return any(_names(code, names) for code in codes if code is not None)


def _code_of(function: Any) -> CodeType | None:
    if isinstance(function, property):
        function = function.fget
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        # Some objects have an attribute of any name.
        return None
    try:
        code = getattr(inspect.unwrap(function), "__code__", None)
    except ValueError:
        return None
    return code if isinstance(code, CodeType) else None


def _names(code: CodeType, names: set[str]) -> bool:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return not names.isdisjoint(code.co_names) or any(_names(each, names) for each in inner)
