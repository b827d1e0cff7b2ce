"""A client whose session survives its connections: what comes down, and what the session becomes.

The skin that does I/O fulfils `links.Network`, hands on what arrives (`connected`, `line`, `ended`,
`answered`, `failed`), and calls `on_deadline` when `deadline` says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sockjs_bridge.client.resume import policy
from sockjs_bridge.client.resume.counts import count_of
from sockjs_bridge.client.resume.links import Link
from sockjs_bridge.client.resume.policy import Way
from sockjs_bridge.client.resume.states import ClientEvent, ClientState
from sockjs_bridge.client.resume.timing import Timing

#: Seconds beyond which no server spreads those that it sends away.
LONGEST_MOVE = 3600.0


class ResumableClient(Timing):
    """One connection of an application, over all its sessions."""

    _move_at: float | None = None
    _stales = 0
    # The gaps that were told, by their rooms' keys and where these go on: each is told once.
    _missed: frozenset[tuple[str, str]] = frozenset()

    def start(self) -> None:
        """Begins."""
        self._try_ways()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the session, when all that was sent before is handled."""
        before = self._enter(ClientEvent.CLOSE)
        if before is None:
            return
        self._closing = code, reason
        if before is ClientState.MOVING and not self.counts.last:
            self._end(code, reason)
        else:
            # While it moves, what waits goes out in the next session.
            self._pump()

    # What comes down

    def line(self, link: Link, text: str) -> None:
        """Takes a line of a response, whole, without its line end, or a WebSocket's text."""
        if link.over or link.session != self.session:
            return
        link.heard_at = self._time()
        try:
            self._read(link, text)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            # No server of ours, or something in between that changes what it carries.
            self._distrust(link)

    def _read(self, link: Link, text: str) -> None:
        kind = text[:1]
        if kind == "o" and link.number is None and not self._welcomed:
            self._unsupported()
        elif kind == "h":
            pass
        elif kind == "c":
            code, reason = json.loads(text[1:])
            if 4400 <= code <= 4499:
                # The application's pipeline, which tells a status.
                self._deny(code - 4000, str(reason))
            else:
                self._end(int(code), str(reason))
        elif kind == "r":
            self._told(link, json.loads(text[1:]))
        elif kind == "a":
            self._take(link, json.loads(text[1:]))
        elif kind == "p":
            room, position, messages = json.loads(text[1:])
            if type(position) is not str:
                raise ValueError("no position")
            epoch, _, number = position.rpartition("-")
            last = int(number) + max(0, len(messages) - 1)
            # A link that was replaced may bring what another one has brought before.
            news = (link.number or 0) + max(0, len(messages) - 1) > self.counts.received
            self._take(link, messages)
            if news:
                self.positions.hear(str(room), f"{epoch}-{last}")
        else:
            raise ValueError("unknown line")

    def _take(self, link: Link, messages: list[str]) -> None:
        if (
            link.number is None
            or type(messages) is not list
            or not all(type(text) is str for text in messages)
        ):
            raise ValueError("no welcome, or no messages")
        known = self.counts.received + 1 - link.number
        fresh = messages[max(0, known) :]
        link.number += len(messages)
        self.counts.received += len(fresh)
        if fresh:
            link.fruitful = True
            self._worked()
            self._listener.received(fresh)
        self._got(len(fresh), sum(map(len, fresh)))

    def _told(self, link: Link, told: dict[str, Any]) -> None:
        if type(told) is not dict or type(told.get("lost", {})) is not dict:
            raise ValueError("no object")
        if "from" in told:
            if not self._welcome(link, told):
                return
        elif "at" in told and told["at"] != (link.number or 0) - 1:
            raise ValueError("the server counts otherwise")
        if "received" in told and not self._confirm(count_of(told["received"])):
            raise ValueError("the server has got what was never sent")
        if "pong" in told:
            self._pong(link)
        if told.get("ack"):
            self._acknowledge()
        if "missed" in told:
            self._miss([(str(key), str(name), *place) for key, name, *place in told["missed"]])
        if "stale" in told:
            self._stale(count_of(told["stale"]))
        elif "lost" in told:
            self._lose_at(told["lost"])
        elif "moved" in told:
            # Without a welcome it was not told what the server has handled.
            self._move(told["moved"], doubtful=link.number is None)
        elif "from" in told:
            self._pump()

    def _miss(self, rooms: Iterable[tuple[str, str, *tuple[Any, ...]]]) -> None:
        # The server repeats it until a message behind it is acknowledged, and has no other way to
        # be sure: in a quiet room each poll would have the application load everything again.
        gaps = {(key, str(place)): (key, name) for key, name, *place in rooms}
        news = [gaps[gap] for gap in gaps if gap not in self._missed]
        self._missed |= gaps.keys()
        if news:
            self._listener.missed(news)

    def _welcome(self, link: Link, told: dict[str, Any]) -> bool:
        number, received = count_of(told["from"]), count_of(told["received"])
        another = "limit" in told and told.get("incarnation") != self._incarnation
        if self._welcomed and another:
            # A late copy of a first request has made one more session, in another process.
            self._distrust(link)
            return False
        if number > self.counts.received + 1:
            # A hole: what is missing is nowhere.
            self._lose(None)
            return False
        link.number = number
        link.expected = received + 1
        link.upto = max(link.upto, received) if link.way is Way.WEBSOCKET else link.upto
        if "limit" in told:
            self.limit = int(told["limit"])
            self._heartbeat = float(told["heartbeat"])
            self._incarnation = told.get("incarnation")
            home = str(told.get("home") or "")
            self.home = home and f"-{home}"
            self._policy.entered(str(told.get("net")))
        first, self._welcomed = not self._welcomed, True
        if first:
            self._begun_at = self._time()
        if self._current is None or link.request >= self._current.request:
            self._took_over(link)
        if first:
            self._enter(ClientEvent.WELCOME)
            self._listener.opened()
        elif self._enter(ClientEvent.WELCOME) is not None:
            self._listener.resumed()
        return True

    def _stale(self, newest: int) -> None:
        if newest <= self._request:
            # By a request of ours: what has taken over answers.
            return
        self._stales += 1
        if self._stales >= policy.STALES:
            # Somebody else has this session.
            self._lose(None)
            return
        self._request = newest

    # What becomes of the session

    def _lose_at(self, lost: dict[str, Any]) -> None:
        self._lose(count_of(lost["received"]) if "received" in lost else None)

    def _lose(self, received: int | None) -> None:
        if received is not None:
            self._confirm(min(received, self.counts.last))
        self._enter(ClientEvent.LOST)
        settled = self.counts.settled
        self._renew(doubtful=True)
        self._listener.lost(settled)
        self._go_on()

    def _move(self, seconds: float, *, doubtful: bool) -> None:
        if not 0 <= seconds <= LONGEST_MOVE:
            raise ValueError("no time to move in")
        self._enter(ClientEvent.MOVED)
        self._renew(doubtful=doubtful)
        self._move_at = self._time() + self._policy.part_of(seconds)
        self._listener.moved()

    def _renew(self, *, doubtful: bool) -> None:
        """Has a new session begin with what was not confirmed."""
        self._leave_all()
        begun_at, self._begun_at = self._begun_at, None
        # Two servers that know nothing of each other lose a session in turns, or send it away,
        # however much each of them says at its beginning.
        self._fruitful = begun_at is not None and self._time() >= begun_at + policy.SETTLED
        self._post = self._post_at = self._ask_at = None
        self._acknowledged()
        self.counts.begin_again(doubtful=doubtful)
        self.session, self.key = self._token(), self._token()
        self.home = ""
        self._request = self._stales = 0
        self._welcomed = False
        self._incarnation = None
        self._missed = frozenset()

    def _go_on(self) -> None:
        if self.state is ClientState.CLOSING and not self.counts.last:
            code, reason = self._closing or (1000, "")
            self._end(code, reason)
        else:
            self._try_again()

    def _deny(self, status: int, reason: str) -> None:
        self._listener.denied(status)
        self._end(4000 + status, reason)

    def _unsupported(self) -> None:
        self._listener.unsupported()
        self._end(4404, "Not supported")

    def _end(self, code: int, reason: str) -> None:
        self._enter(ClientEvent.END)
        self._leave_all()
        self._post = self._post_at = self._ask_at = None
        self._move_at = self._unacknowledged_at = None
        self._listener.closed(code, reason)

    # Time

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        if self._move_at is None:
            return super().deadline()
        return self._move_at

    def on_deadline(self, now: float) -> None:
        """Does what is due."""
        if self._move_at is not None:
            if now >= self._move_at:
                self._move_at = None
                self._enter(ClientEvent.DUE)
                self._go_on()
            return
        super().on_deadline(now)
