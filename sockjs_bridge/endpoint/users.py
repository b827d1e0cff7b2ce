"""The connections of a user: closed in all processes of an application."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sockjs_bridge.core.signals import Signals

logger = logging.getLogger("sockjs_bridge.session")

#: The kind of signals by which a process has others close the connections of a user.
KIND = "close_user"


class UserSession(Protocol):
    """A session, as far as its user matters."""

    id: str
    userid: str | None

    def close(self, code: int, reason: str) -> None:
        """Closes it: what is sent leaves first."""
        raise NotImplementedError

    def fail(self) -> None:
        """Ends it at once."""
        raise NotImplementedError


class Users:
    """Closes the connections of users.

    Args:
        signals: by which processes tell each other.
        sessions: returns all sessions of this process, those that are about to open too.
    """

    def __init__(self, signals: Signals, sessions: Callable[[], Iterable[UserSession]]) -> None:
        self._signals = signals
        self._sessions = sessions
        # Its own signals come back to a process, which has done it at once. Not drawn here: the
        # process may be forked.
        self._origin = ""
        signals.on(KIND, self._hear)

    def close(self, userid: str, code: int, reason: str) -> None:
        """Closes all connections of a user, in all processes; on the loop.

        Args:
            userid: as text.
            code: the close code (RFC 6455, 7.4.2).
            reason: a few words for the client.
        """
        self._origin = self._origin or secrets.token_hex(8)
        self._close(userid, code, reason)
        self._signals.say(KIND, [self._origin, userid, code, reason])

    def _hear(self, data: Any) -> None:
        origin, userid, code, reason = data
        if origin != self._origin:
            self._close(userid, code, reason)

    def _close(self, userid: str, code: int, reason: str) -> None:
        for session in self._sessions():
            if session.userid == userid:
                try:
                    session.close(code, reason)
                except Exception:
                    # The others have to hear of it too.
                    logger.exception("%s: closing failed", session.id)
                    session.fail()
