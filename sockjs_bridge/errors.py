"""The exceptions that views and clients share."""

from __future__ import annotations


class ConnectionClosed(Exception):
    """The connection is over. Raised out of a view, it ends the view quietly.

    Attributes:
        code: the close code, as a browser's ``CloseEvent`` has it: the one that either side gave,
            or 1006 when the connection was lost.
        reason: the reason that goes with it, possibly empty.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason
