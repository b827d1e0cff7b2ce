"""The ways of a client: which are begun, proved and left."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sockjs_bridge.client.resume import policy
from sockjs_bridge.client.resume.links import Link, Listener, Network
from sockjs_bridge.client.resume.policy import Attempt, Policy, Way
from sockjs_bridge.client.resume.positions import Positions
from sockjs_bridge.client.resume.sending import Sending
from sockjs_bridge.client.resume.states import ClientEvent, ClientState


class Asking(Sending):
    """What asks.

    Attributes:
        links: the connections that there are.
        client: the client's id, which outlives sessions.
        positions: what came of rooms with history, by the rooms' keys.
    """

    def __init__(
        self,
        network: Network,
        listener: Listener,
        time: Callable[[], float],
        token: Callable[[], str],
        chosen: Policy,
    ) -> None:
        super().__init__(network, listener, time, token, chosen)
        self.links: list[Link] = []
        self.client = token()
        self.positions = Positions()
        self._request = 0
        self._welcomed = False
        self._heartbeat = 25.0
        self._attempts: list[Attempt] = []
        # When all ways are tried again, and when better ones are.
        self._retry_at: float | None = None
        self._better_at: float | None = None
        self._fruitless = 0
        self._empty_responses = 0
        # When the present session was welcomed first.
        self._begun_at: float | None = None
        self._pings = 0

    # Beginning

    def _try_again(self, after: float = 0.0) -> None:
        """Begins the ways anew: at once where something came or went since the last time.

        Otherwise after a pause that grows: a way that is welcomed and breaks, again and again, must
        not keep both ends busy.

        Args:
            after: seconds that the server asks to wait.
        """
        if self._fruitful:
            self._fruitful, self._fruitless = False, 0
        self._fruitless += 1
        pause = max(after, 0.0 if self._fruitless == 1 else self._policy.pause())
        if pause:
            self._retry_at = self._time() + pause
        else:
            self._try_ways()

    def _try_ways(self) -> None:
        """Begins what the policy has planned, the first way at once."""
        self._retry_at = None
        attempts = self._policy.plan(self._time(), all_ways=self._fruitless > 1)
        for link in self.links:
            if link.way is Way.WEBSOCKET and link.up and link.pinged_at is None:
                # It was replaced, or never asked: it may say hello at no cost.
                self._network.write(link, self._hello(link))
                attempts = [attempt for attempt in attempts if attempt.way is not link.way]
                break
        self._attempts = attempts
        self._run_attempts()

    def _run_attempts(self) -> None:
        now = self._time()
        while self._attempts and self._attempts[0].at <= now:
            self._open(self._attempts.pop(0).way, now_please=True)

    def _open(self, way: Way, *, probe: bool = False, now_please: bool = False) -> Link:
        now = self._time()
        link = Link(way, self.session, now, new=not self._welcomed, probe=probe)
        link.heard_at = now
        if way is not Way.WEBSOCKET:
            if probe:
                self._pings += 1
                link.body = {"key": self.key, "probe": self._pings}
                link.asked_at = now
            else:
                link.body = self._hello(link, now_please=now_please)
        self.links.append(link)
        self._network.open(link)
        return link

    def _hello(self, link: Link, *, now_please: bool = False) -> dict[str, Any]:
        """Makes a receive request, which is the newest."""
        counts = self.counts
        for other in self.links:
            other.replaced = other.request > 0
        self._request += 1
        link.request, link.asked_at = self._request, self._time()
        link.replaced = False
        link.acknowledged = counts.received
        link.held = link.way is Way.POLL and self._welcomed and not now_please
        body: dict[str, Any] = {
            "key": self.key,
            "request": link.request,
            "received": counts.received,
        }
        budget = self._budget
        if not self._welcomed:
            budget -= self.positions.fit(budget // 2)
            body |= {"new": True, "client": self.client, "base": counts.base}
            # A process that died may have done what went up with a request before this one.
            doubtful = max(counts.repeated, counts.offered)
            body |= {"repeated": doubtful, "rooms": {**self.positions}}
        if self._incarnation is not None:
            body["incarnation"] = self._incarnation
        if now_please and link.way is Way.POLL:
            body["now"] = True
        if self._policy.heartbeat is not None:
            body["heartbeat"] = self._policy.heartbeat
        first = counts.arrived + 1
        messages = counts.after(first, budget)
        if messages and (len(messages) > 1 or len(json.dumps(messages)) <= budget):
            body["first"], body["messages"] = first, messages
            link.upto = counts.arrived + len(messages)
            counts.offered = max(counts.offered, link.upto)
            if not self._welcomed and link.way is not Way.WEBSOCKET:
                counts.copied = counts.offered
        self._acknowledged()
        return body

    def connected(self, link: Link) -> None:
        """Hears that the handshake of a WebSocket is done."""
        if link.over:
            return
        now = self._time()
        link.up, link.heard_at = True, now
        if self._current is None:
            self._network.write(link, self._hello(link))
        else:
            # It is proved before it takes over: a dead one costs nothing.
            self._ping(link, now)

    def _ping(self, link: Link, now: float) -> None:
        self._pings += 1
        link.pinged_at = now
        self._network.write(link, {"ping": self._pings})

    def _pong(self, link: Link) -> None:
        now = self._time()
        if link.pinged_at is not None:
            self._policy.round_trip = now - link.pinged_at
            link.pinged_at = None
        if link is self._current:
            link.next_ping = now + self._policy.ping_every(now - link.welcomed_at)
        elif link.probe:
            self._leave(link)
            if self._current is not None and self._current.way is Way.POLL:
                self._open(Way.STREAM)
        elif link.way is Way.WEBSOCKET and (link.replaced or not link.request):
            self._network.write(link, self._hello(link))

    def _took_over(self, link: Link) -> None:
        """Notes that a way was welcomed: it is the current one."""
        now = self._time()
        before, self._current = self._current, link
        if before is not link:
            link.welcomed_at = now
        link.pinged_at = None
        link.next_ping = now + policy.PROBATION_PING
        self._attempts.clear()
        self._retry_at = None
        if not link.held:
            self._policy.round_trip = now - link.asked_at
        if before is not None and before is not link and before.way is Way.WEBSOCKET:
            if link.way is Way.WEBSOCKET:
                self._leave(before)
            elif before.pinged_at is None:
                # It takes over again, if it lives.
                self._ping(before, now)
        self._look_for_better()

    def _look_for_better(self) -> None:
        current, now = self._current, self._time()
        if current is None or self.state is ClientState.CLOSING:
            return
        under_way = {link.way for link in self.links if link is not current}
        for way in self._policy.better(current.way, now):
            if way not in under_way:
                self._open(way, probe=way is Way.STREAM)
        self._better_at = self._policy.next_look(current.way, now)

    def _ask_now(self) -> None:
        """Asks by a poll what is the case; its answer decides."""
        self._open(
            Way.POLL if Way.POLL in self._policy.ways else self._policy.ways[0], now_please=True
        )

    # Ending

    def _leave(self, link: Link) -> None:
        """Drops a connection."""
        link.over = True
        self.links.remove(link)
        if link is self._current:
            self._current = None
        self._network.close(link)

    def _leave_all(self) -> None:
        for link in [*self.links]:
            self._leave(link)
        self._attempts.clear()
        self._retry_at = self._better_at = None

    def ended(
        self, link: Link, status: int | None = None, *, clean: bool = False, after: float = 0.0
    ) -> None:
        """Hears that a connection is over.

        Args:
            link: the connection.
            status: of an HTTP answer, or the code of a WebSocket's close frame; None where
                there is none.
            clean: a response ended in good order.
            after: seconds that the server asks to wait.
        """
        if link.over:
            return
        link.over = True
        self.links.remove(link)
        current = link is self._current
        if current:
            self._current = None
        if self._is_final(link, status):
            pass
        elif current and link.replaced and self._newer_than(link):
            # That one takes over.
            pass
        elif current and clean and self._is_whole(link):
            # By its limit, its age, or with what it had: nothing broke.
            self._current = self._open(link.way)
            self._current.welcomed_at = link.welcomed_at
        elif current:
            self._broke(link, after)
        elif not (link.replaced and self._newer_than(link)):
            self._did_not_come_up(link, after)

    def _is_final(self, link: Link, status: int | None) -> bool:
        """Acts on what ends the session, or says that there is none."""
        if link.way is Way.WEBSOCKET and not link.up and len(self._policy.ways) > 1:
            # That asked for nothing yet, and what stands in between refuses WebSockets as it likes:
            # the other way is asked at once, and its answer decides.
            return False
        if status is not None and (status in (401, 403) or 4401 <= status <= 4499):
            self._deny(status % 4000, "Denied")
        elif status in (400, 4400):
            self._end(4400, "Bad Request")
        elif status == 413:
            self._end(1009, "Message too big")
        elif status in (404, 405, 501) and not self._welcomed:
            self._unsupported()
        else:
            return False
        return True

    def _is_whole(self, link: Link) -> bool:
        """Tells whether a response that ended in good order was one."""
        if link.number is None or link.way is Way.WEBSOCKET:
            return False
        if link.fruitful or self._time() >= link.asked_at + policy.EMPTY:
            self._empty_responses = 0
        elif link.held or link.way is Way.STREAM:
            self._empty_responses += 1
        return self._empty_responses <= policy.EMPTY_RESPONSES

    def _newer_than(self, link: Link) -> bool:
        return any(other.request > link.request for other in self.links)

    def _broke(self, link: Link, after: float = 0.0) -> None:
        now = self._time()
        if now - link.welcomed_at >= policy.SETTLED:
            self._fruitful = True
            self._policy.worked(link.way, now)
        self._policy.broke(link.way, now, now - link.welcomed_at, now - link.heard_at)
        if self._enter(ClientEvent.BREAK) is not None:
            self._listener.suspended()
        self._try_again(after)

    def _did_not_come_up(self, link: Link, after: float) -> None:
        now = self._time()
        if self._current is not None:
            if link.way is not Way.POLL:
                self._policy.failed(link.way, now)
                self._better_at = self._policy.next_look(self._current.way, now)
            return
        if self._enter(ClientEvent.BREAK) is not None:
            # What was to take over did not.
            self._listener.suspended()
        if self._attempts:
            # The next one at once, where this one failed fast.
            self._attempts[0] = Attempt(self._attempts[0].way, now)
            self._run_attempts()
        elif not any(not other.probe and (other.request or not other.up) for other in self.links):
            self._try_again(after)

    def _distrust(self, link: Link) -> None:
        """Leaves a link, and asks again from what is there."""
        if link.over:
            # It was left for the first half of a line of which the second makes no sense.
            return
        current = link is self._current
        self._leave(link)
        if current:
            self._broke(link)
        elif not (link.replaced and self._newer_than(link)):
            self._did_not_come_up(link, 0.0)

    def _unsupported(self) -> None:
        raise NotImplementedError
