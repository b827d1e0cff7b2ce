"""The states of what calls a session class's hooks: the table, and a handler for each row of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.pyramid.attempt import note_transient
from sockjs_bridge.pyramid.hooks import SessionHandler
from sockjs_bridge.pyramid.states import IMPOSSIBLE, TRANSITIONS, Action, Event, State
from tests.pyramid.support import Connected, HandWorkers, Opening

# The table


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_every_pair_is_in_the_table_or_impossible(state, event):
    states, reason = IMPOSSIBLE.get(event, (frozenset(), ""))
    assert ((state, event) in TRANSITIONS) is (state not in states)
    assert reason or not states


def test_every_state_can_be_reached_and_left():
    reached = {after for (before, _), (after, _) in TRANSITIONS.items() if before is not after}
    left = {before for (before, _), (after, _) in TRANSITIONS.items() if before is not after}
    assert reached == left == {*State}


def test_a_task_that_waits_is_always_told():
    """Whoever leaves the states of waiting says to the task what it is to do."""
    waiting = {State.WAITING, State.STALE}
    for (before, _), (after, action) in TRANSITIONS.items():
        told = action in (Action.RESUME, Action.DISMISS)
        assert told is (before in waiting and after not in waiting)


# The handler, a row at a time


class Ticking(HandWorkers):
    """Workers whose ticks the test makes, and whose coroutines run on its loop.

    Attributes:
        tasks: all that ever ran.
    """

    def __init__(self):
        super().__init__()
        self.ticks = set()
        self.tasks = []

    def spawn(self, coroutine):
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))

    def repeat(self, function):
        self.ticks.add(function)

    def tick(self):
        for function in [*self.ticks]:
            if not function():
                self.ticks.discard(function)

    @property
    def alive(self):
        return [task for task in self.tasks if not task.done()]


class Asynchronous(WebSocketSession):
    async def on_message(self, message):
        """Is done at once."""


class Plain(WebSocketSession):
    def on_message(self, message):
        """Is done at once."""


class PlainEnd(Asynchronous):
    def on_close(self):
        """Is done at once."""


class Row:
    """A handler in a state of its own making."""

    def __init__(self, session_class, monitor=None):
        self.opening = Opening()
        self.workers = self.opening.workers = Ticking()
        self.handler = SessionHandler(
            session_class,
            self.opening.request,
            self.opening.clock,
            self.workers,
            monitor=monitor or Monitor(),
        )
        assert self.opening.session.accept(self.handler)

    @property
    def state(self):
        return self.handler._state

    def say(self, *messages):
        self.opening.session.deliver([*messages], 1)

    def close(self):
        self.opening.session.close(1000, "")

    async def turn(self):
        """Let tasks run until all are done or wait."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def reach(self, state):
        if state is State.IDLE:
            return
        self.say("first")
        if state in (State.WAITING, State.STALE):
            await self.turn()
        if state is State.STALE:
            self.workers.tick()
        assert self.state is state

    async def cause(self, event):
        if event in (Event.PLAIN, Event.LAST):
            self.close()
        elif event is Event.ASYNC:
            self.say("next")
        elif event is Event.TICK:
            self.handler._tick()
        else:
            await self.turn()
            self.workers.run()
            self.opening.clock.settle()


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
async def test_row(state, event):
    """Every row of the table, with all that follows from it."""
    session_class = Asynchronous
    if state is State.POOL:
        session_class = Plain
    elif event is Event.PLAIN:
        session_class = PlainEnd
    row = Row(session_class)
    await row.reach(state)
    spawned, jobs = len(row.workers.tasks), len(row.workers.jobs)
    await row.cause(event)
    after, action = TRANSITIONS[state, event]
    if event is Event.PLAIN:
        # The task goes first, and the pool has the call.
        after = State.POOL
        assert len(row.workers.jobs) == jobs + 1
    elif event is Event.PAUSED and state is State.POOL:
        assert row.workers.jobs == []
    assert row.state is after
    assert len(row.workers.tasks) == spawned + (action is Action.SPAWN)
    await row.turn()
    # The one that waits, if there is one.
    ended = action is Action.DISMISS or after in (State.IDLE, State.POOL)
    assert len(row.workers.alive) == (0 if ended else 1)


async def test_a_task_waits_for_two_ticks_at_least():
    """It may have begun to wait just before the first; a call in between counts anew."""
    row = Row(Asynchronous)
    await row.reach(State.STALE)
    row.say("in between")
    await row.turn()
    row.workers.tick()
    assert row.state is State.STALE
    row.workers.tick()
    assert row.state is State.IDLE
    await row.turn()
    assert (row.workers.alive, row.workers.ticks) == ([], set())


# What it costs


async def test_one_task_for_many_messages():
    """Counted: a task for a session that goes on speaking, and none of the pool."""
    row = Row(Asynchronous)
    for number in range(100):
        row.say(str(number))
        await row.turn()
    assert (len(row.workers.tasks), row.workers.jobs) == (1, [])
    row.workers.tick()
    row.workers.tick()
    await row.turn()
    row.say("after a while")
    await row.turn()
    assert len(row.workers.tasks) == 2


async def test_no_task_stays_for_a_client_that_never_spoke():
    class Opens(WebSocketSession):
        async def on_open(self):
            """Is done at once."""

    row = Row(Opens)
    await row.turn()
    assert (row.state, len(row.workers.tasks), row.workers.alive) == (State.IDLE, 1, [])


async def test_one_job_for_messages_that_wait_together():
    """Counted: as many jobs as turns, one call to the loop for each."""
    row = Row(Plain)
    row.say(*map(str, range(SessionHandler.FAIR * 3)))
    jobs = 0
    while row.workers.jobs:
        jobs += len(row.workers.jobs)
        row.workers.run()
        row.opening.clock.settle()
    assert jobs == 3
    assert row.state is State.IDLE


# Out of the ordinary


async def test_call_for_a_task_that_was_cancelled_as_it_waited():
    """The server's stop may be slower than a last message: another task runs its hook."""
    calls = []

    class Noting(WebSocketSession):
        async def on_message(self, message):
            calls.append(message)

    row = Row(Noting)
    row.say("a")
    await row.turn()
    (task,) = row.workers.tasks
    task.cancel()
    row.say("b")
    await row.turn()
    assert task.cancelled()
    assert calls == ["a", "b"]


async def test_a_task_that_was_cancelled_in_the_midst_of_a_hook_leaves_nothing():
    """Nothing follows, and nobody goes on asking for a session that is over."""

    class Waiting(WebSocketSession):
        async def on_message(self, message):
            await asyncio.Event().wait()

    row = Row(Waiting)
    row.say("a")
    await row.turn()
    assert len(row.workers.ticks) == 1
    row.close()
    row.workers.tasks[0].cancel()
    await row.turn()
    assert (row.state, row.workers.alive) == (State.TASK, [])
    row.workers.tick()
    assert row.workers.ticks == set()


async def test_end_for_a_task_that_was_cancelled_as_it_waited():
    row = Row(Asynchronous)
    row.say("a")
    await row.turn()
    row.workers.tasks[0].cancel()
    await row.turn()
    row.close()
    assert (row.state, row.workers.alive) == (State.IDLE, [])


async def test_nothing_follows_a_task_that_was_cancelled_in_a_hook():
    calls = []

    class Waits(WebSocketSession):
        async def on_message(self, message):
            calls.append(message)
            await asyncio.Event().wait()

    row = Row(Waits)
    row.say("a", "b")
    await row.turn()
    row.close()
    row.workers.tasks[0].cancel()
    await row.turn()
    row.workers.tick()
    assert (calls, row.state, len(row.workers.tasks)) == (["a"], State.TASK, 1)


class Changing(WebSocketSession):
    """Its hook is plain or not, by the number of the message that is next."""

    def __init__(self, request):
        super().__init__(request)
        self.calls = []
        self.running = 0

    @property
    def on_message(self):
        kinds, number = self.request.registry.kinds, len(self.calls)
        return self.plain if kinds[number : number + 1] == "p" else self.asynchronous

    def plain(self, message):
        assert self.running == 0
        self.calls.append(message)

    async def asynchronous(self, message):
        assert self.running == 0
        self.running += 1
        await asyncio.sleep(0)
        self.running -= 1
        self.calls.append(message)


@given(
    kinds=st.text("pa", max_size=12),
    steps=st.lists(st.sampled_from(["say", "turn", "run", "tick"]), max_size=30),
)
def test_any_order_of_events(kinds, steps):
    """Whatever comes when: each message is handed over once, in order, one at a time."""

    async def main():
        row = Row(Changing)
        row.opening.request.registry.kinds = kinds
        said = []
        for step in [*steps, *["turn", "run"] * (len(steps) + 1)]:
            if step == "say":
                said.append(str(len(said)))
                row.say(said[-1])
            elif step == "turn":
                await row.turn()
            elif step == "tick":
                row.workers.tick()
            else:
                row.workers.run()
                row.opening.clock.settle()
            assert len(row.workers.alive) <= 2, "one that ends, and one"
        session = row.opening.session.connection
        assert session.calls == said
        row.close()
        await row.turn()
        assert (row.state, row.workers.alive) == (State.IDLE, [])

    asyncio.run(main())


# What is counted


#: Seconds that a hook takes.
SLOW = 0.01


class Counting(Monitor):
    """Counts hooks by name, and what they take."""

    def __init__(self):
        self.hooks = Counter()
        self.seconds = Counter()

    def hook(self, name, seconds):
        self.hooks[name] += 1
        self.seconds[name] += seconds


class Counted(WebSocketSession):
    """Its hooks of either kind; one message is taken at its second try, another one fails late."""

    tries = 0

    async def on_open(self):
        """Is done at once."""

    def on_message(self, message):
        if message == "again" and not self.tries:
            self.tries = 1
            error = RuntimeError(message)
            note_transient(error)
            raise error
        if message == "fail":
            time.sleep(SLOW)
            raise RuntimeError(message)

    async def on_close(self):
        """Is done at once."""


def test_monitor():
    """Each call of a hook is counted, in the whole application, and none that is not made."""
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_sockjs_route("counted", "/counted", session=Counted)
    monitor = Counting()
    connected = Connected(config.make_wsgi_app(), "/counted", monitor=monitor)
    connected.say("a", "again", "fail", "behind it", "and that")
    assert monitor.hooks == {"on_open": 1, "on_message": 4, "on_close": 1}
    assert monitor.seconds["on_message"] > SLOW
    assert monitor.seconds.keys() == monitor.hooks.keys()


def test_monitor_that_counts_no_hooks():
    """It is not called for each message, as it does nothing."""

    def fails(name, seconds):
        raise AssertionError(name)

    monitor = Monitor()
    monitor.hook = fails
    row = Row(Plain, monitor)
    row.say("a")
    row.workers.run()
    assert row.handler.backlog() == 0
