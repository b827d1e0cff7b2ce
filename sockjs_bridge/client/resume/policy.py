"""When which way is tried, and how long it is trusted: numbers, and decisions on them.

Source: "The client: hedged, proven, remembered" of the protocol page. All times are seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field


class Way(enum.Enum):
    """How a session reaches its client; the order is that of preference."""

    WEBSOCKET = "websocket"
    STREAM = "xhr_streaming"
    POLL = "xhr"


#: The second way begins so much later, where nothing is known of the network.
HEDGE = 0.15
#: The bounds of that where a way has worked before: 2 round trips and `HEDGE_MARGIN`.
HEDGE_MARGIN, MIN_HEDGE, MAX_HEDGE = 0.1, 0.15, 0.8
#: How long it is remembered what worked.
REMEMBERED = 1800.0
#: How long a way is on probation after its welcome, and how often it is pinged there.
PROBATION, PROBATION_PING = 60.0, 2.5
#: How often it is pinged afterwards.
STEADY_PING = 20.0
#: How long a pong is waited for: on probation at least, and round trips; afterwards.
PROBATION_PATIENCE, PROBATION_ROUND_TRIPS, STEADY_PATIENCE = 2.0, 3, 4.0
#: How long it is waited for a sign of what was sent: at least, and round trips.
SEND_PATIENCE, SEND_ROUND_TRIPS = 2.0, 4
#: How long a request that sends may take at the server.
ANSWER = 1.0
#: How long the pong of a probe is waited for: what holds a response does so for 5 s.
PROBE_PATIENCE = 4.0
#: A connection that lived so long has worked, though nothing was to go over it.
SETTLED = 5.0
#: So many responses in a row may end in good order at once, with nothing in them.
EMPTY_RESPONSES, EMPTY = 3, 1.0
#: How often a server that tells it only when asked is asked what it has handled: at first, at last.
ASK_HANDLED, MAX_ASK_HANDLED = 0.05, 1.0
#: A way that broke so often on probation is left out, so long at first and at last.
STRIKES, LEFT_OUT, MAX_LEFT_OUT = 2, 300.0, 3600.0
#: Bounds of the pauses where no way works.
MIN_PAUSE, MAX_PAUSE = 0.5, 30.0
#: What is asked for where silence kills: a part of what was survived.
SILENCE_PART = 0.7
#: So often may it be told ``stale`` without having caused it.
STALES = 3
#: Acknowledgements over a WebSocket: messages, bytes, seconds. They only free the server's memory:
#: the request that resumes says what has come anyway.
ACK_MESSAGES, ACK_BYTES, ACK_AFTER = 512, 65536, 15.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A way that is tried.

    Attributes:
        way: the way.
        at: when, in seconds of the clock.
    """

    way: Way
    at: float


@dataclass(slots=True)
class Record:
    """What is known of a way.

    Attributes:
        strikes: how often it broke on probation.
        left_out_until: when it is tried again, in seconds of the clock.
        pause: how long it is left out the next time.
        silences: how long it had been silent when it died, the last two.
    """

    strikes: int = 0
    left_out_until: float = 0.0
    pause: float = LEFT_OUT
    silences: list[float] = field(default_factory=list)


class Policy:
    """Decides which ways are tried.

    Args:
        ways: those that may be; one alone where the caller named it.
        random: returns a number from 0 to below 1.

    Attributes:
        round_trip: the last one that was seen.
        heartbeat: the silence that the network stands, None where nothing speaks against 25 s.
    """

    def __init__(self, ways: tuple[Way, ...], random: Callable[[], float]) -> None:
        self.ways = ways
        self.round_trip = 0.1
        self.heartbeat: float | None = None
        self._random = random
        self._records = {way: Record() for way in Way}
        self._failures = 0
        self._worked: tuple[Way, float] | None = None
        self._net: str | None = None

    def plan(self, now: float, *, all_ways: bool = False) -> list[Attempt]:
        """Returns what is tried where there is no way, the first at once.

        Args:
            now: seconds of the clock.
            all_ways: none worked, so that none is left out.
        """
        open_ways = [
            way for way in self.ways if all_ways or self._records[way].left_out_until <= now
        ]
        open_ways = open_ways or list(self.ways)
        # A stream is proved beside a poll, it is no way in.
        ways = [way for way in open_ways if way is not Way.STREAM] or open_ways
        known = self._worked
        later = HEDGE
        if known is not None and now < known[1] + REMEMBERED and known[0] in open_ways:
            ways = [known[0], *(way for way in ways if way is not known[0])]
            later = min(MAX_HEDGE, max(MIN_HEDGE, 2 * self.round_trip + HEDGE_MARGIN))
        return [Attempt(way, now + later * index) for index, way in enumerate(ways)]

    def better(self, than: Way, now: float) -> list[Way]:
        """Returns the ways that are worth a try beside one that works."""
        order = list(Way)
        return [
            way
            for way in self.ways
            if order.index(way) < order.index(than) and self._records[way].left_out_until <= now
        ]

    def next_look(self, than: Way, now: float) -> float | None:
        """Returns when a way that is left out may be tried again beside one that works."""
        order = list(Way)
        times = [
            self._records[way].left_out_until
            for way in self.ways
            if order.index(way) < order.index(than) and self._records[way].left_out_until > now
        ]
        return min(times, default=None)

    def worked(self, way: Way, now: float) -> None:
        """Hears that a way brought something on, or lived for a while."""
        self._failures = 0
        self._worked = way, now

    def entered(self, net: str) -> None:
        """Hears by which network the server sees this client: of another one nothing is known."""
        if self._net not in (None, net):
            self._records = {way: Record() for way in Way}
            self._worked = self.heartbeat = None
        self._net = net

    def steady(self, way: Way) -> None:
        """Hears that a way got over its probation."""
        self._records[way] = Record(silences=self._records[way].silences)

    def failed(self, way: Way, now: float) -> None:
        """Hears that a way did not come up beside another one."""
        record = self._records[way]
        record.left_out_until = now + record.pause
        record.pause = min(MAX_LEFT_OUT, 2 * record.pause)
        record.strikes = 0

    def broke(self, way: Way, now: float, lived: float, silence: float) -> None:
        """Hears that a way broke which had a welcome.

        Args:
            way: the way.
            now: seconds of the clock.
            lived: how long after its welcome.
            silence: how long nothing had gone either way.
        """
        record = self._records[way]
        # The poll is the way in: there is none to fall back on.
        if lived < PROBATION and way is not Way.POLL:
            record.strikes += 1
            if record.strikes >= STRIKES:
                self.failed(way, now)
        record.silences = [*record.silences[-1:], silence]
        if len(record.silences) == 2 and min(record.silences) >= 5:
            self.heartbeat = min(25.0, max(5.0, SILENCE_PART * min(record.silences)))

    def pause(self) -> float:
        """Returns how long to wait before all ways are tried again: full jitter."""
        longest = min(MAX_PAUSE, MIN_PAUSE * (1 << self._failures))
        self._failures = min(self._failures + 1, 10)
        return longest * self._random()

    def part_of(self, seconds: float) -> float:
        """Returns a random part of a time that the server told."""
        return seconds * self._random()

    def ping_every(self, lived: float) -> float:
        """Returns how often a way is pinged.

        Args:
            lived: seconds since its welcome.
        """
        every = PROBATION_PING if lived < PROBATION else STEADY_PING
        return every if self.heartbeat is None else min(every, self.heartbeat)

    def patience(self, lived: float) -> float:
        """Returns how long a pong is waited for."""
        if lived < PROBATION:
            return max(PROBATION_PATIENCE, PROBATION_ROUND_TRIPS * self.round_trip)
        return STEADY_PATIENCE

    @property
    def send_patience(self) -> float:
        """How long it is waited for a sign of what was sent."""
        return max(SEND_PATIENCE, SEND_ROUND_TRIPS * self.round_trip)
