"""State machines as tables: what moves sessions, links and clients from one state to the next."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from sockjs_bridge.native import mypyc_attr

S = TypeVar("S", bound=enum.Enum)
E = TypeVar("E", bound=enum.Enum)


class TableEnum(enum.Enum):
    """A state or an event: what tables are looked up by."""

    # An enumeration's own is a function in Python, called twice for each look-up: polls come often.
    __hash__ = object.__hash__


@mypyc_attr(allow_interpreted_subclasses=True)
class StateMachine(Generic[S, E]):
    """What has a state. A subclass says where it begins, and by which table it moves on.

    Attributes:
        state: where it stands; nothing else assigns it.
    """

    __slots__ = ("state",)

    # No class variable has the type of a subclass's parameter.
    _initial: ClassVar[Any]
    #: What follows; an event that is missing for a state is passed over there.
    _table: ClassVar[Mapping[tuple[Any, Any], Any]]

    def __init__(self) -> None:
        self.state: S = self._initial

    def _enter(self, event: E) -> S | None:
        """Moves on.

        Returns:
            The state before; None where the event means nothing there.
        """
        before = self.state
        state: S | None = self._table.get((before, event))
        if state is None:
            return None
        self.state = state
        return before
