"""The lease of this process: what follows where it cannot renew it; its states: `leasestates`.

Whether it was dead to others is told by the store alone (`Store.sweep`, `Fenced`). Until it has
told, a process that stood still for as long as its lease does nothing that others could have done
in its place. It notices that by the time since its last tick, which `Claim` looks at before
sessions are served: timers may come later than what the network has brought meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from sockjs_bridge.cluster.leasestates import FENCING, LeaseEvent, LeaseLife, LeaseState
from sockjs_bridge.cluster.store import FENCED_FOR, Fenced, Store, StoreError
from sockjs_bridge.core.claim import Claim
from sockjs_bridge.core.contracts import Clock

#: Of the lease: a tick, a renewal, when others are asked, and how long for at most; and from when
#: on a late tick means that this process stood still.
TICK, RENEWAL, OVERDUE, PATIENCE, STALL = 0.1, 0.3, 0.6, 0.2, 0.4


#: Asks a process, past the store, whether it reaches that (`Nodes.judges`); None: no answer came.
Ask = Callable[[str, Callable[[bool | None], object]], object]


class LeaseHolder(Protocol):
    """What has to follow from the state of the lease; called on the loop."""

    def fenced(self, *, fenced: bool) -> None:
        """Resumable sessions may not be served from here on, or may again."""
        raise NotImplementedError

    def lapsed(self, done: Callable[[], object]) -> None:
        """Resumable sessions are to end: they are lost to their clients. `fenced` came before.

        Args:
            done: to be called when all have ended; a lease is taken only then, and new sessions
                with it.
        """
        raise NotImplementedError

    def restored(self) -> None:
        """This process has a lease again, of which others know nothing any more."""
        raise NotImplementedError

    def degraded(self, *, degraded: bool) -> None:
        """Nobody reaches the store from here on, or somebody does again."""
        raise NotImplementedError


class Lease(LeaseLife):
    """The lease of this process.

    Args:
        store: what keeps it.
        clock: of the loop.
        seconds: for which it holds.
        about: returns what others are to know of this process.
        holder: what follows from it.
        claim: of the sessions.
        others: returns the names of the other processes.
        ask: asks one of them; None where there is no way past the store.
    """

    __slots__ = (
        *("_about", "_acked", "_ask", "_asked", "_claim", "_clock", "_ended", "_failed"),
        *("_holder", "_in_doubt", "_others", "_renewed", "_seconds", "_stalled_at", "_store"),
        *("_ticked", "_waiting"),
    )

    def __init__(
        self,
        store: Store,
        clock: Clock,
        seconds: float,
        about: Callable[[], str],
        holder: LeaseHolder,
        claim: Claim,
        others: Callable[[], Collection[str]],
        ask: Ask | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._about = about
        self._holder = holder
        self._claim = claim
        self._others = others
        self._ask = ask
        # When the renewal was sent that the store has noted last.
        self._acked = -math.inf
        # When one was sent last, and when `tick` was called last.
        self._renewed = self._ticked = -math.inf
        self._stalled_at = -math.inf
        # It stood still, and has not heard of the store since.
        self._in_doubt = False
        # The last renewal came to nothing.
        self._failed = False
        # No session of before a lapse is left.
        self._ended = True
        # Which question is under way, of how many answers are missing.
        self._asked = self._waiting = 0

    @property
    def held(self) -> bool:
        """Whether all is well."""
        return self.state is LeaseState.HELD

    def begin(self) -> None:
        """Takes the lease."""
        self._ticked = self._clock.time()
        self._claim.doubt = self._doubt
        self.renew()

    def tick(self) -> None:
        """Does what is due; to be called each `TICK` of the lease."""
        now = self._clock.time()
        ran = not self._stalled(now)
        self._look_for_stall(now)
        self._ticked = now
        if self.state is LeaseState.DEGRADED:
            self._claim.until = now + self._seconds
        due = now >= self._renewed + RENEWAL * self._seconds
        if due:
            self.renew()
        missed = ran and now >= self._acked + OVERDUE * self._seconds
        if (missed and self._move(LeaseEvent.MISS)) or (
            due
            and (
                self.state is LeaseState.DEGRADED
                # Where this process stood still, the store knows best.
                or (self.state is LeaseState.FENCED and self._failed and not self._holds(now))
            )
        ):
            self._ask_others()

    def forgotten(self) -> None:
        """Hears that the store may have forgotten who was declared dead."""
        now = self._clock.time()
        self._look_for_stall(now)
        if self.state is LeaseState.FENCED or now < self._stalled_at + self._seconds:
            # It may have been, and cannot be told any more.
            self._move(LeaseEvent.REFUSE)

    def _holds(self, now: float) -> bool:
        """Whether the store knows of it still, as far as is known here."""
        return now < self._acked + self._seconds

    def _stalled(self, now: float) -> bool:
        return now >= self._ticked + STALL * self._seconds

    def _look_for_stall(self, now: float) -> None:
        if self._stalled(now) and now >= self._claim.until and self._move(LeaseEvent.STALL):
            self._failed = False
            self._stalled_at = now
            self._in_doubt = True
            # What others have answered before.
            self._asked, self._waiting = self._asked + 1, 0
            if now >= self._ticked + FENCED_FOR:
                # It may have been declared dead, and cannot be told any more.
                self._move(LeaseEvent.REFUSE)
            else:
                self.renew()

    def _doubt(self, now: float) -> bool:
        """Is asked for by `Claim` when the lease may be over."""
        self._look_for_stall(now)
        return now < self._claim.until

    # The store

    def renew(self) -> None:
        """Renews it now, with what others are to know."""
        if not self._ended:
            return
        now = self._renewed = self._clock.time()
        if self.state is LeaseState.LAPSED:
            # Anew: nothing of what it was is left.
            self._store.release(lambda result: None)
        self._store.lease(self._about(), self._seconds, partial(self._answered, now))

    def _answered(self, sent: float, result: StoreError | None) -> None:
        if isinstance(result, Fenced):
            self._move(LeaseEvent.REFUSE)
        elif isinstance(result, StoreError):
            self._failed = True
        elif self._ended and sent + self._seconds > self._clock.time():
            self._failed = self._in_doubt = False
            self._acked = max(self._acked, sent)
            self._move(LeaseEvent.RENEW)
            self._claim.until = self._acked + self._seconds

    def _begin_anew(self) -> None:
        self._ended = True
        self.renew()

    # The others

    def _ask_others(self) -> None:
        if self._waiting:
            return
        self._asked += 1
        others = [] if self._ask is None else self._others()
        self._waiting = len(others)
        if not others or self._ask is None:
            self._unreached()
            return
        number = self._asked
        self._clock.call_at(
            self._clock.time() + PATIENCE * self._seconds, partial(self._give_up, number)
        )
        for node in others:
            self._ask(node, partial(self._told, number))

    def _told(self, number: int, reaches: bool | None) -> None:
        if number != self._asked or not self._waiting:
            return
        self._waiting = 0 if reaches else self._waiting - 1
        if not self._waiting:
            if reaches:
                self._move(LeaseEvent.REACHED)
            else:
                self._unreached()

    def _give_up(self, number: int) -> None:
        if number == self._asked and self._waiting:
            self._waiting = 0
            self._unreached()

    def _unreached(self) -> None:
        # Who stood still may have been declared dead before the store went: only that can tell.
        if not (self.state is LeaseState.FENCED and self._in_doubt):
            self._move(LeaseEvent.UNREACHED)

    # What follows

    def _move(self, event: LeaseEvent) -> bool:
        """Moves on, and has done what follows from that; False where nothing does."""
        before = self._enter(event)
        if before is None:
            return False
        state, holder = self.state, self._holder
        if state in FENCING:
            self._claim.until = -math.inf
        elif state is LeaseState.DEGRADED:
            self._claim.until = self._clock.time() + self._seconds
        if (before is LeaseState.DEGRADED) != (state is LeaseState.DEGRADED):
            holder.degraded(degraded=state is LeaseState.DEGRADED)
        if (before in FENCING) != (state in FENCING):
            holder.fenced(fenced=state in FENCING)
        if state is LeaseState.LAPSED:
            self._ended = False
            holder.lapsed(self._begin_anew)
        elif before is LeaseState.LAPSED:
            holder.restored()
        return True
