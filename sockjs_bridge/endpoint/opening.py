"""What the server and the application's framework need of a session that is to open."""

from __future__ import annotations

from typing import Protocol

from sockjs_bridge.core.contracts import Channel
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.resume.contracts import ResumableHandler


class Owned(Protocol):
    """What has an owner, whom the application may be asked about: a session, or its tombstone."""

    @property
    def credentials(self) -> Credentials | None:
        """What requests of it must come with; None where none are asked for."""
        raise NotImplementedError

    def revoke(self, code: int, reason: str) -> None:
        """Closes it without what waits for its client: its user may not read it any more."""
        raise NotImplementedError

    def placeholder(self) -> Opening:
        """Returns one that is over, which the application sees in place of this one."""
        raise NotImplementedError


class Opening(Channel, Owned, Protocol):
    """A session that the application is asked about: a stock one, or one of ``~r1``.

    Attributes:
        credentials: what later requests of it must come with; None where none are asked for.
        userid: who opens it; None where nobody is signed in.
    """

    credentials: Credentials | None
    userid: str | None

    def accept(self, handler: ResumableHandler) -> bool:
        """Opens it; False when it was over before, and the handler is not called then."""
        raise NotImplementedError

    def refuse(self, code: int, reason: str) -> None:
        """Closes it: the application refused it."""
        raise NotImplementedError
