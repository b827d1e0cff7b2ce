"""The exceptions that views and clients share."""

from __future__ import annotations


class ConnectionClosed(Exception):
    """The connection is over. If a view does not catch it, it ends the view quietly.

    Attributes:
        code: the close code, as in a browser's ``CloseEvent``: the one that either side gave, or
            1006 if the connection was lost.
        reason: the reason that belongs to it, possibly empty.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class NotConfirmed(Exception):
    """A broadcast with ``confirm=True`` was not published, or nobody knows: it may have been.

    Code that broadcasts it again may send it twice.
    """


class PresenceUnknown(Exception):
    """Who is in a room is not known: the cluster's store cannot be reached, or does not answer."""
