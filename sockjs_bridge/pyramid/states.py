"""Who runs the hooks of a session class, or waits to, as a table.

========  =====================================================================
state     what there is
========  =====================================================================
IDLE      nothing runs, and no task waits
POOL      a job in the pool, which may be queued there yet; no task waits
TASK      a task that runs hooks, or is about to
WAITING   a task that waits for a call
STALE     the same; it waits since the last tick, a second or so
========  =====================================================================

What moves it on stands in `TRANSITIONS`, and `IMPOSSIBLE` says why other pairs do not come up: a
call that is queued during a run is no event, as the run will come to it. All events are on the
loop; a job says by the clock that its turn is over.
"""

from __future__ import annotations

from enum import StrEnum


# Of strings: these are looked up for each message, and an enumeration's own hash is slow.
class State(StrEnum):
    """Who runs the hooks of a session, or waits to."""

    IDLE = "idle"
    POOL = "pool"
    TASK = "task"
    WAITING = "waiting"
    STALE = "stale"


class Event(StrEnum):
    """What moves it on."""

    #: A call waits, of a plain hook.
    PLAIN = "plain"
    #: A call waits, of an asynchronous hook.
    ASYNC = "async"
    #: What ran has ended its turn, or could not begin it.
    PAUSED = "paused"
    #: A second or so has passed.
    TICK = "tick"
    #: Nothing waits, and nothing will: the session is over, or its client never said anything.
    LAST = "last"


class Action(StrEnum):
    """What a transition does."""

    #: Starts a job in the pool.
    SUBMIT = "submit"
    #: Starts a task.
    SPAWN = "spawn"
    #: Tells the task that waits what to go on with.
    RESUME = "resume"
    #: Tells the task that waits to end.
    DISMISS = "dismiss"


# By these names they are not looked up in an enumeration each time, which is slow as well.
IDLE, POOL, TASK, WAITING, STALE = State
PLAIN, ASYNC, PAUSED, TICK, LAST = Event
SUBMIT, SPAWN, RESUME, DISMISS = Action

#: The next state, and what is done on the way. A task that waits leaves a plain hook to the pool:
#: it ends first, and the call that still waits is the next event.
TRANSITIONS: dict[tuple[State, Event], tuple[State, Action | None]] = {
    (IDLE, PLAIN): (POOL, SUBMIT),
    (IDLE, ASYNC): (TASK, SPAWN),
    (IDLE, TICK): (IDLE, None),
    (IDLE, LAST): (IDLE, None),
    (POOL, PAUSED): (IDLE, None),
    (POOL, TICK): (POOL, None),
    (TASK, PAUSED): (WAITING, None),
    (TASK, TICK): (TASK, None),
    (WAITING, PLAIN): (IDLE, DISMISS),
    (WAITING, ASYNC): (TASK, RESUME),
    (WAITING, TICK): (STALE, None),
    (WAITING, LAST): (IDLE, DISMISS),
    (STALE, PLAIN): (IDLE, DISMISS),
    (STALE, ASYNC): (TASK, RESUME),
    (STALE, TICK): (IDLE, DISMISS),
    (STALE, LAST): (IDLE, DISMISS),
}

#: The states in which an event does not come up, and why.
IMPOSSIBLE: dict[Event, tuple[frozenset[State], str]] = {
    PLAIN: (frozenset({POOL, TASK}), "what runs comes to the call by itself"),
    ASYNC: (frozenset({POOL, TASK}), "what runs comes to the call by itself"),
    LAST: (frozenset({POOL, TASK}), "what runs looks for it when it pauses"),
    PAUSED: (frozenset({IDLE, WAITING, STALE}), "nothing runs"),
}
