"""Which views serve connections, and how: the view predicate, and what a view's code tells."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from dis import get_instructions
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from sockjs_bridge.endpoint.handshake import HANDSHAKE
from sockjs_bridge.pyramid.sessions import WebSocketSession

# What a view names to have the connection.
_CONNECTION = {"websocket", "ws_connection", "receive"}
_LOADS_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
# What a variable or an attribute with the request is called, or ends with.
_REQUEST = ("request", "req")


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


def names_connection(view: Any, attr: str | None) -> bool:
    """Tells whether a view's own code may use the connection of its request.

    What it calls is not looked into; of a class all its methods count.

    Args:
        view: a function, an object that is called, or a class.
        attr: the name of its method, if it is not called itself.
    """
    codes = _called(view, attr)
    if inspect.isclass(view):
        codes = [code for _, code in _members(view)]
    return any(not _CONNECTION.isdisjoint(each.co_names) for code in codes for each in _all(code))


def asks_for_connection(view: Any, attr: str | None) -> bool:
    """Tells whether a view's code asks its request for the connection when the view is called.

    A method asks too if it uses what ``__init__`` has kept of the connection, or another method
    that asks. What else a class has does not count: it may be for other views.

    Args:
        view: a function, an object that is called, or a class.
        attr: the name of its method, if it is not called itself.
    """
    kept: set[str] = set()
    if inspect.isclass(view):
        members = [*_members(view)]
        kept.update(*(_kept(code) for name, code in members if name == "__init__"))
        kept.update([name for name, code in members if _asks(code, kept)])
    return any(_asks(code, kept) for code in _called(view, attr))


def _called(view: Any, attr: str | None) -> list[CodeType]:
    functions = [getattr(view, attr or "__call__", None)]
    if not inspect.isclass(view):
        functions.append(view)
    return [code for code in map(_code_of, functions) if code is not None]


def _members(view: type) -> Iterator[tuple[str, CodeType]]:
    """Yields names and code of what a class has and inherits, what it overrides too."""
    for each in view.__mro__:
        for name, value in vars(each).items():
            if (code := _code_of(value)) is not None:
                yield name, code


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


def _all(code: CodeType) -> Iterator[CodeType]:
    """Yields a code, and those of the functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all(constant)


def _asks(code: CodeType, kept: Collection[str] = ()) -> bool:
    """Tells whether a code takes the connection of a request, or one of these off its ``self``."""
    wanted = _CONNECTION.union(kept)
    for each in _all(code):
        # Few have such a name, and to take code apart is slow.
        if wanted.isdisjoint(each.co_names):
            continue
        for owner, step in pairwise(get_instructions(each)):
            if step.opname not in _LOADS_ATTRIBUTE:
                continue
            if step.argval in _CONNECTION and owner.argrepr.endswith(_REQUEST):
                return True
            if step.argval in kept and owner.argrepr.endswith("self"):
                return True
    return False


def _kept(code: CodeType) -> set[str]:
    """Returns the attributes that ``__init__`` sets to the connection as it is."""
    if _CONNECTION.isdisjoint(code.co_names):
        return set()
    steps = [*get_instructions(code)]
    return {
        last.argval
        for first, last in zip(steps, steps[2:], strict=False)
        if first.argval in _CONNECTION and last.opname == "STORE_ATTR"
    }
