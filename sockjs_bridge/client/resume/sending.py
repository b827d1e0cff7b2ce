"""The way up of a client: what waits goes out over the way that works, and again until it is known.

Over HTTP one request is on its way at a time, and after a failure the same goes again; a WebSocket
takes what it has not taken, and is told the number where another way got some through meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sockjs_bridge.client.resume import policy
from sockjs_bridge.client.resume.counts import Counts, count_of
from sockjs_bridge.client.resume.links import Link, Listener, Network, Post
from sockjs_bridge.client.resume.policy import Policy, Way
from sockjs_bridge.client.resume.states import ClientLife, ClientState

#: Bytes of a request, before the server has told its limit.
LIMIT = 65536
#: Bytes of a request beside its messages.
OVERHEAD = 1024


class Sending(ClientLife):
    """What goes up.

    Attributes:
        counts: what both ends count.
        session: the id of the present session.
        key: what proves that this is its client.
        home: the process that has it, with a hyphen before it; empty where that is not known.
        limit: bytes of a request that the server takes.
    """

    def __init__(
        self,
        network: Network,
        listener: Listener,
        time: Callable[[], float],
        token: Callable[[], str],
        chosen: Policy,
    ) -> None:
        super().__init__()
        self.counts = Counts()
        self.session = token()
        self.key = token()
        self.home = ""
        self.limit = LIMIT
        self._network = network
        self._listener = listener
        self._time = time
        self._token = token
        self._policy = chosen
        self._current: Link | None = None
        # Which session of this id it is: a late copy of a first request may make another one.
        self._incarnation: str | None = None
        self._post: Post | None = None
        # When a send that failed goes again.
        self._post_at: float | None = None
        # How long after one that brought nothing on the next goes.
        self._send_pause = policy.ASK_HANDLED
        # How often in a row nothing answered one: a slow way up needs more time for the same.
        self._unanswered = 0
        # Up to which message the application waits for the server to have handled it, when the
        # server is asked again, and how long that was put off.
        self._wanted = 0
        self._ask_at: float | None = None
        self._ask_pause = policy.ASK_HANDLED
        # Something came or went since it was tried last to get a way.
        self._fruitful = False
        self._closing: tuple[int, str] | None = None
        # Since when something is not acknowledged, and how many bytes that is.
        self._unacknowledged_at: float | None = None
        self._unacknowledged_bytes = 0
        self._ack_wanted = False

    def send(self, text: str) -> int:
        """Has a message wait in its order; it goes out as soon as there is a way.

        Returns:
            Its number over all sessions.

        Raises:
            ValueError: it is larger than the server takes.
            ConnectionError: the client is closed, or closing.
        """
        if self.state in (ClientState.CLOSING, ClientState.CLOSED):
            raise ConnectionError("The connection is closed.")
        if len(json.dumps(text)) + OVERHEAD > self.limit:
            raise ValueError(f"a message of more than {self.limit - OVERHEAD} bytes")
        number = self.counts.add(text)
        self._pump()
        return number

    def want_handled(self) -> None:
        """Has the server asked what it has handled, where it does not tell by itself."""
        self._wanted = self.counts.settled + self.counts.last - self.counts.handled
        self._ask_at, self._ask_pause = None, policy.ASK_HANDLED
        self._pump()

    @property
    def way(self) -> Way | None:
        """The way in use; None while there is none."""
        return None if self._current is None else self._current.way

    @property
    def _budget(self) -> int:
        return self.limit - OVERHEAD

    def _pump(self) -> None:
        """Sends what waits, as far as the present way takes it."""
        link = self._current
        if link is not None and link.way is Way.WEBSOCKET:
            self._pump_websocket(link)
        elif self._usable and self._post is None and self._post_at is None:
            self._pump_post()

    @property
    def _usable(self) -> bool:
        """Whether a welcome came, and no break since."""
        return self.state is ClientState.OPEN or (
            self.state is ClientState.CLOSING and self._current is not None
        )

    def _pump_websocket(self, link: Link) -> None:
        counts = self.counts
        if link.upto <= counts.handled:
            link.sent_at = self._time()
        link.upto = max(link.upto, counts.arrived)
        while messages := counts.after(link.upto + 1, self._budget):
            first = link.upto + 1
            link.upto += len(messages)
            counts.offered = max(counts.offered, link.upto)
            if first == link.expected:
                self._network.write(link, messages)
            else:
                # Another way got some through meanwhile.
                self._network.write(link, {"first": first, "messages": messages})
            link.expected = link.upto + 1
        if self._closing is not None and not link.said_close:
            link.said_close = True
            self._network.write(link, {"close": list(self._closing)})

    def _pump_post(self) -> None:
        counts = self.counts
        first = counts.arrived + 1
        messages = counts.after(first, self._budget)
        whole = counts.arrived + len(messages) == counts.last
        asked = self.way is Way.POLL and counts.settled < self._wanted and self._ask_at is None
        if not (messages or asked or self._ack_wanted or self._closing is not None):
            return
        body: dict[str, Any] = {"key": self.key, "received": counts.received}
        if self._incarnation is not None:
            body["incarnation"] = self._incarnation
        if messages:
            body["first"], body["messages"] = first, messages
        if self._closing is not None and whole:
            body["close"] = list(self._closing)
        counts.offered = max(counts.offered, counts.arrived + len(messages))
        self._acknowledged()
        self._post = Post(self.session, body, self._time())
        self._network.post(self._post)

    def answered(self, post: Post, status: int, answer: dict[str, Any]) -> None:
        """Hears how a send was answered.

        Args:
            post: the request.
            status: of the answer.
            answer: its JSON; empty where it has none.
        """
        if post is not self._post:
            return
        self._post = None
        self._unanswered = 0
        match status:
            case 200:
                self._count(post, answer)
            case 401 | 403:
                self._deny(status, "Denied")
            case 400:
                self._end(4400, "Bad Request")
            case 413:
                self._end(1009, "Message too big")
            case 404:
                # That alone says nothing: a receive request decides.
                self._post_at = self._time() + self._policy.pause()
                self._ask_now()
            case _:
                self._send_later()

    def _count(self, post: Post, answer: dict[str, Any]) -> None:
        counts = self.counts
        before = counts.arrived, counts.handled
        try:
            arrived, received = count_of(answer.get("arrived")), count_of(answer.get("received"))
        except ValueError:
            self._send_later()
            return
        if arrived > counts.arrived:
            self._worked()
        counts.arrived = max(counts.arrived, min(arrived, counts.last))
        self._confirm(received)
        ends = self._closing is not None or "closed" in answer
        if (counts.arrived, counts.handled) != before:
            self._send_pause = policy.ASK_HANDLED
        elif ends or counts.arrived < counts.last:
            # It takes nothing now, or has yet to handle what the end waits for, and says so at
            # once; where it has thought about it for as long, the same goes again at once.
            self._post_at = max(self._time(), post.sent_at + self._send_pause)
            self._send_pause = min(policy.MAX_ASK_HANDLED, 2 * self._send_pause)
        match answer:
            case {"closed": _}:
                # What was sent before the end may be under way: a receive request tells both.
                self._ask_now()
            case {"lost": {"received": int(handled)}}:
                self._lose(handled)
            case {"lost": _}:
                self._lose(None)
            case _ if counts.arrived == counts.last and counts.settled < self._wanted:
                # A poll tells that only when it ends.
                self._ask_at = self._time() + self._ask_pause
                self._ask_pause = min(policy.MAX_ASK_HANDLED, 2 * self._ask_pause)
                self._pump()
            case _:
                self._pump()

    def failed(self, post: Post) -> None:
        """Hears that nobody knows whether a send arrived: the same goes again."""
        if post is self._post:
            self._post = None
            self._send_later()

    def _send_later(self) -> None:
        self._post_at = self._time() + self._policy.pause()

    def _unanswered_at(self) -> float:
        """Returns when a request that sends counts as lost."""
        if self._post is None:
            return float("inf")
        patience = (policy.ANSWER + self._policy.send_patience) * (1 << min(self._unanswered, 5))
        return self._post.sent_at + patience

    def _drop_post(self) -> None:
        """Takes a request that sends for lost, and the way with it, if that is silent too."""
        post = self._post
        assert post is not None
        self._network.drop(post)
        self._unanswered += 1
        self.failed(post)
        link = self._current
        if link is not None and link.way is not Way.WEBSOCKET and link.heard_at <= post.sent_at:
            self._distrust(link)

    def _confirm(self, handled: int) -> bool:
        before = self.counts.handled
        if not self.counts.confirm(handled):
            return False
        if self.counts.handled > before:
            self._worked()
            self._listener.handled(self.counts.settled)
        return True

    def _worked(self) -> None:
        """Notes that something came or went."""
        self._fruitful = True
        if self._current is not None:
            self._policy.worked(self._current.way, self._time())

    # What has come down

    def _got(self, count: int, size: int) -> None:
        """Notes that messages came, and acknowledges them where that is due."""
        link = self._current
        if link is None or link.way is not Way.WEBSOCKET or not count:
            return
        self._unacknowledged_bytes += size
        if self._unacknowledged_at is None:
            self._unacknowledged_at = self._time()
        if (
            self.counts.received - self.counts.acknowledged >= policy.ACK_MESSAGES
            or self._unacknowledged_bytes >= policy.ACK_BYTES
        ):
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Says what has come, by the way that there is."""
        link = self._current
        if link is not None and link.way is Way.WEBSOCKET:
            # A server that asks and asks must not have it write and write.
            if self.counts.received > link.acknowledged:
                link.acknowledged = self.counts.received
                self._network.write(link, {"received": self.counts.received})
            self._acknowledged()
        elif self.counts.received > self.counts.acknowledged:
            self._ack_wanted = True
            self._pump()

    def _acknowledged(self) -> None:
        self.counts.acknowledged = self.counts.received
        self._unacknowledged_at = None
        self._unacknowledged_bytes = 0
        self._ack_wanted = False

    def _ask_now(self) -> None:
        raise NotImplementedError

    def _deny(self, status: int, reason: str) -> None:
        raise NotImplementedError

    def _end(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def _distrust(self, link: Link) -> None:
        raise NotImplementedError

    def _lose(self, received: int | None) -> None:
        raise NotImplementedError
