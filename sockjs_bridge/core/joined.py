"""What entering a room came to."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

#: Of who was in none. Each ``frozenset()`` is another object, of 216 bytes.
NO_ROOMS: Final[frozenset[str]] = frozenset()


class Joined:
    """What `join` returns: true if the connection is in the room now.

    It equals True or False, too. It may be awaited, which gives the object itself. Asynchronous
    code can wait for `recovered` in this way, if a room's history must be asked for elsewhere.

    Attributes:
        recovered: True: the client had said which messages of the room it has (`add_sockjs_rooms`).
            It gets all later ones; there may be none. False: the history does not reach back far
            enough, and the client was told. None: the client has said nothing about the room, or
            the room has no history.
    """

    __slots__ = ("_joined", "_recovered")

    def __init__(self, joined: bool, recovered: bool | None = None) -> None:
        self._joined = joined
        self._recovered = recovered

    @property
    def recovered(self) -> bool | None:
        """See there."""
        return self._recovered

    def __bool__(self) -> bool:
        return self._joined

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (bool, Joined)) and bool(other) is self._joined

    def __hash__(self) -> int:
        return hash(self._joined)

    def __repr__(self) -> str:
        return f"<Joined {self._joined} recovered={self.recovered}>"

    def __await__(self) -> Generator[object, None, Joined]:
        yield from ()
        return self


#: The connection is in the room, and no history was asked for.
IN = Joined(True)
#: The connection is over.
REFUSED = Joined(False)
