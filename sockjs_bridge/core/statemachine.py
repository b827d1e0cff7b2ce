"""State machines as tables: what moves sessions, links and clients from one state to the next."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Generic, TypeVar

S = TypeVar("S", bound=enum.Enum)
E = TypeVar("E", bound=enum.Enum)


class TableEnum(enum.Enum):
    """A state or an event: what tables are looked up by."""

    # An enumeration's own is a function in Python, called twice for each look-up: polls come often.
    __hash__ = object.__hash__


class StateMachine(Generic[S, E]):
    """What has a state. A subclass says where it begins, and by which table it moves on.

    Attributes:
        state: where it stands; nothing else assigns it.
    """

    __slots__ = ("state",)

    _initial: S
    #: What follows; an event that is missing for a state is passed over there.
    _table: Mapping[tuple[S, E], S]

    def __init__(self) -> None:
        self.state = self._initial

    def _enter(self, event: E) -> S | None:
        """Moves on.

        Returns:
            The state before; None where the event means nothing there.
        """
        before = self.state
        state = self._table.get((before, event))
        if state is None:
            return None
        self.state = state
        return before
