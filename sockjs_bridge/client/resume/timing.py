"""When something of a client is due, and which connections are given up for their silence."""

from __future__ import annotations

from sockjs_bridge.client.resume import policy
from sockjs_bridge.client.resume.asking import Asking
from sockjs_bridge.client.resume.links import Link
from sockjs_bridge.client.resume.policy import Way

#: Seconds that a WebSocket's handshake may take.
HANDSHAKE_TIMEOUT = 10.0
#: Seconds by which a heartbeat may be late.
HEARTBEAT_SLACK = 5.0


class Timing(Asking):
    """What time has done."""

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        due = [self._retry_at, self._better_at, self._post_at, self._ask_at]
        if self._post is not None:
            due.append(self._unanswered_at())
        if self._attempts:
            due.append(self._attempts[0].at)
        if self._unacknowledged_at is not None:
            due.append(self._unacknowledged_at + policy.ACK_AFTER)
        due += [at for at in map(self._silent_at, self.links) if at < float("inf")]
        current = self._current
        if current is not None and current.way is Way.WEBSOCKET and current.pinged_at is None:
            due.append(self._ping_at(current))
        return min((at for at in due if at is not None), default=None)

    def _ping_at(self, link: Link) -> float:
        """Returns when the current WebSocket is pinged: sooner where a sign is missing."""
        if link.upto > self.counts.handled:
            heard_at = max(link.heard_at, link.sent_at)
            return min(link.next_ping, heard_at + self._policy.send_patience)
        return link.next_ping

    def _silent_at(self, link: Link) -> float:
        """Returns when a connection counts as dead."""
        lived = self._time() - link.welcomed_at
        patience = self._policy.patience(lived if link.number is not None else 0.0)
        if link.way is Way.WEBSOCKET:
            if not link.up:
                return link.opened_at + HANDSHAKE_TIMEOUT
            if link.pinged_at is not None:
                return link.pinged_at + patience
            if link.request and (link.number is None or link.asked_at > link.welcomed_at):
                return link.asked_at + max(patience, HANDSHAKE_TIMEOUT)
            return float("inf")
        quiet = self._heartbeat + HEARTBEAT_SLACK
        if link.probe:
            return link.asked_at + min(patience, policy.PROBE_PATIENCE)
        if link.number is None and not link.held:
            return link.asked_at + max(patience, HANDSHAKE_TIMEOUT)
        return max(link.heard_at, link.asked_at) + quiet + patience

    def on_deadline(self, now: float) -> None:
        """Does what is due."""
        for link in [*self.links]:
            if not link.over and now >= self._silent_at(link):
                self._give_up(link, now)
        current = self._current
        if current is not None and current.way is Way.WEBSOCKET:
            if now >= current.welcomed_at + policy.PROBATION:
                self._policy.steady(Way.WEBSOCKET)
            if current.pinged_at is None and now >= self._ping_at(current):
                self._ping(current, now)
        if self._unacknowledged_at is not None and (
            now >= self._unacknowledged_at + policy.ACK_AFTER
        ):
            self._unacknowledged_at = None
            self._acknowledge()
        if now >= self._unanswered_at():
            self._drop_post()
        if self._ask_at is not None and now >= self._ask_at:
            self._ask_at = None
            self._pump()
        if self._post_at is not None and now >= self._post_at:
            self._post_at = None
            self._pump()
        if self._retry_at is not None and now >= self._retry_at and self._current is None:
            self._try_ways()
        self._run_attempts()
        if self._better_at is not None and now >= self._better_at:
            self._better_at = None
            self._look_for_better()

    def _give_up(self, link: Link, now: float) -> None:
        if link.pinged_at is not None and link.heard_at > link.pinged_at:
            # Any frame is a sign of life.
            link.pinged_at = None
            link.next_ping = now
            return
        self._distrust(link)
