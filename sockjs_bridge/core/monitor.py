"""What is counted: nothing, unless somebody asks for it."""

from __future__ import annotations


class Monitor:
    """What is counted. Everything here does nothing: subclass it for what is of interest.

    Called on the loop in the midst of all work, `refused`, `handshake` and `hook` in any thread: a
    method adds integers, calls nothing back and never raises. Given to `Hub` when that is made.
    """

    def opened(self, transport: str) -> None:
        """A session opened: the application has accepted it.

        Args:
            transport: by the name that the SockJS client gives it; so in all methods.
        """

    def ended(self, transport: str, code: int) -> None:
        """A session that had opened is over, and its application was told so.

        Args:
            transport: the last one.
            code: the close code (RFC 6455, 7.4).
        """

    def refused(self, status: int) -> None:
        """A request for an endpoint was refused.

        Args:
            status: of the response.
        """

    def handshake(self, status: int, seconds: float) -> None:
        """The application was asked whether a session may open.

        Args:
            status: of its response; below 300 it may.
            seconds: until that was there; waiting for a thread is a part of it.
        """

    def hook(self, name: str, seconds: float) -> None:
        """A hook of a session class has returned, or raised.

        Args:
            name: of the hook.
            seconds: that it took, with its transaction.
        """

    def dropped(self, count: int) -> None:
        """Messages that waited for a client were thrown away: it is gone, or too slow.

        Args:
            count: of messages.
        """

    def messages_in(self, transport: str, count: int, size: int) -> None:
        """Messages arrived.

        Args:
            transport: by which they were sent.
            count: of messages.
            size: bytes in which they arrived.
        """

    def messages_out(self, transport: str, count: int, size: int) -> None:
        """A frame with messages left.

        Args:
            transport: that carries it.
            count: of messages.
            size: bytes of the frame.
        """

    def broadcast(self, recipients: int) -> None:
        """A message for many was sent.

        Args:
            recipients: how many sessions it is for.
        """

    def missed(self, clients: int) -> None:
        """Clients are told that messages of a room are missing, which cannot be had any more.

        Args:
            clients: how many of this process.
        """

    # Many processes: these come from what a cluster shares.

    def relayed(self, outcome: str) -> None:
        """A request of a session that lives in another process was handed on there.

        Args:
            outcome: what came of it, in a word; of few that are known beforehand, as each is
                counted by itself.
        """

    def engine(self, seconds: float) -> None:
        """The engine has answered that it has a message for many; of those under way one is told.

        Args:
            seconds: from the call to the answer.
        """

    def unpublished(self, count: int) -> None:
        """Messages for many did not reach the engine, and are lost for other processes.

        Args:
            count: of messages.
        """

    def degraded(self, on: bool) -> None:
        """The engine cannot be reached, and this process goes on by itself; or it can be again.

        Args:
            on: False where it can be reached again.
        """

    @property
    def traffic(self) -> Monitor | None:
        """Itself, None where it counts no messages: then nothing is called for each of them."""
        counting = type(self).messages_in, type(self).messages_out
        nothing = Monitor.messages_in, Monitor.messages_out
        return None if counting == nothing else self
