"""The processes that serve one application together: the parts of that, and how they begin."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, Final

from sockjs_bridge.cluster.clusterrooms import ClusterRooms
from sockjs_bridge.cluster.declared import DeclaredRooms
from sockjs_bridge.cluster.drain import spread
from sockjs_bridge.cluster.factory import make_store
from sockjs_bridge.cluster.hub import ClusterHub
from sockjs_bridge.cluster.link import Link
from sockjs_bridge.cluster.linkframes import LinkError, PeerGone, Refused
from sockjs_bridge.cluster.links import Links
from sockjs_bridge.cluster.nodes import About, Left, Nodes, make_name
from sockjs_bridge.cluster.outages import Outages
from sockjs_bridge.cluster.presence import ClusterPresences
from sockjs_bridge.cluster.relay import Home, Relay
from sockjs_bridge.cluster.store import Entry, Position, Store, StoreError
from sockjs_bridge.cluster.streams import Accept
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.history import History
from sockjs_bridge.core.hub import Hub
from sockjs_bridge.core.protocol import GO_AWAY
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.signals import GONE
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.homes import ClusterError, Missing, Process

logger = logging.getLogger("sockjs_bridge.cluster")

#: Why a balancer is to send nobody here (`Readiness`).
FENCED: Final = "fenced"
#: Is told to a process to see whether it hears the store: a signal of a kind that nobody knows.
PROBE: Final = '["probe",0]'


class Cluster:
    """This process's part in a cluster.

    It fulfils `Homes`, and hears the store (`Listener`), of other processes (`NodeListener`) and of
    its own lease (`LeaseHolder`).

    Args:
        settings: of the application.
        endpoints: of the application.
        application: its name, by which others are told apart that use the same store.

    Attributes:
        node: the name of this process, once started: it may be a fork of the one that made this.
        secret: the same in all processes, once started.
        history: the rooms, once started.
        declared: which of them have a history.
        drain: see `Homes.drain`.
        relay: finds the homes of sessions, once started.
    """

    relay: Relay
    _links: Links
    _presences: ClusterPresences
    _store: Store
    _clock: Clock
    _outages: Outages

    def __init__(self, settings: Settings, endpoints: Endpoints, application: str = "") -> None:
        self._settings = settings
        self.drain = settings.drain
        self._endpoints = endpoints
        self._application = application
        self.node = ""
        self.secret = b""
        self.history: History | None = None
        self.declared = DeclaredRooms()
        self._address = ""
        self._started = self._connected = self._leaving = False
        # What there is once the endpoints have started, and others are let in too.
        self._hub: Hub | None = None
        self._rooms: ClusterHub | None = None
        self._nodes: Nodes | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        endpoints.when_served(self._serves)

    # The beginning: the store, then the endpoints, then the links

    async def start(self, clock: Clock) -> None:
        """Begins to share what is shared; see `Homes.start`.

        Raises:
            ClusterError: that cannot be.
        """
        settings, endpoints = self._settings, self._endpoints
        self.node = make_name()
        self._clock, self._outages = clock, Outages(clock)
        try:
            store = self._store = make_store(
                *(settings.cluster, settings.cluster_name, clock),
                application=self._application,
                rooms=self.declared.declared.items(),
            )
            await store.start(self.node, self)
        except StoreError as error:
            raise ClusterError(f"sockjs.cluster: {error}") from None
        self._started = True
        self._links = Links(
            *(self.node, settings.cluster_secret, settings.cluster_name),
            judges=lambda: self._nodes is not None and self._nodes.judges,
            ended=self._suspect,
        )
        self.secret = hashlib.sha256(b"networks\n" + store.secret).digest()
        self.relay = Relay(store, self.node, clock, self._taken)
        rooms = self.history = ClusterRooms(store, self.node, self._everybody, endpoints.monitor)
        for pattern, bounds in self.declared.declared.items():
            rooms.declare(pattern, bounds)
        self._presences = endpoints.presences = ClusterPresences(
            endpoints.rooms, endpoints.signals, store, self.node
        )
        endpoints.signals.carry_by(self._carry)

    def _serves(self, hub: Hub) -> None:
        assert isinstance(self.history, ClusterRooms)
        self._hub, self._rooms = hub, self.history.hub
        if self._connected:
            self._rooms.connected(same=True)
        self._take_part()

    async def serve(self, accept: Accept) -> None:
        """Lets other processes in, and says that this one lives.

        Args:
            accept: where the streams begin that they open.

        Raises:
            ClusterError: that cannot be.
        """
        try:
            self._address = await self._links.listen(self._settings.cluster_listen, accept)
        except LinkError as error:
            raise ClusterError(str(error)) from None
        noted: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        lease = self._settings.cluster_lease
        self._store.lease(self._about().text, lease, partial(_set, noted))
        if (refused := await noted) is not None:
            raise ClusterError(f"sockjs.cluster: {refused}")
        self._take_part()

    def _take_part(self) -> None:
        if self._hub is None or not self._address:
            return
        self._nodes = Nodes(
            *(self._store, self._clock, self.node, self._settings.cluster_lease, self._about),
            *(self._endpoints.signals, self, self, self._hub.claim, self._ask),
        )
        self._nodes.begin()

    async def stop(self) -> None:
        """Ends its part: others are told, links are cut."""
        if self._nodes is not None:
            self._nodes.end()
        if self._rooms is not None:
            self._rooms.stop()
        for task in self._tasks:
            task.cancel()
        if self._started:
            self._links.close()
            await self._store.stop()

    # What others know and ask

    def _about(self) -> About:
        if self._hub is None:
            return About(self._address)
        sessions = self._hub.capacity.taken
        # As often as the lease is renewed.
        self._hub.spread = spread(sessions, self.others)
        return About(self._address, sessions, leaving=self._leaving)

    @property
    def others(self) -> int:
        """How many other processes take new sessions."""
        others = {} if self._nodes is None else self._nodes.others
        return sum(not about.leaving for about in others.values())

    def processes(self) -> list[Process]:
        """Lists the processes, this one first; see `Homes.processes`."""
        sessions = 0 if self._hub is None else self._hub.capacity.taken
        others = {} if self._nodes is None else {**self._nodes.others}
        return [
            Process(self.node, sessions, self._leaving, own=True),
            *(Process(node, it.sessions, it.leaving) for node, it in sorted(others.items())),
        ]

    def leave(self) -> None:
        """Lets the others know that this process takes no new sessions."""
        # Who has others to leave to knows them.
        assert self._nodes is not None
        self._leaving = True
        self._nodes.tell()

    def _everybody(self) -> list[Recipient]:
        return [session for endpoint in self._endpoints for session in endpoint.sessions]

    def _carry(self, text: str) -> None:
        def told(result: int | StoreError) -> None:
            if isinstance(result, StoreError):
                # This process at least.
                self._endpoints.signals.hear(text)

        self._store.tell(None, text, told)

    def _ask(self, node: str, done: Any) -> None:
        """Asks another process, past the store; see `lease.Ask`."""

        async def ask() -> None:
            about = None if self._nodes is None else self._nodes.get(node)
            try:
                link = await self._links.link(node, "" if about is None else about.address)
            except LinkError:
                done(None)
            else:
                link.ask(done)

        task = asyncio.get_running_loop().create_task(ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Sessions

    def known(self, missing: Missing) -> tuple[str, Link] | None:
        """Returns which process has a session, and the link to it, if both are there."""
        home = self.relay.known(missing)
        link = None if home is None else self._links.get(home.node)
        return None if home is None or link is None else (home.node, link)

    async def link(self, home: Home) -> Link:
        """Returns the link to another process.

        Raises:
            LinkError: it cannot be had.
        """
        return await self._links.link(home.node, About.parse(home.about).address)

    async def died(self, node: str, error: LinkError) -> bool:
        """Tells whether a process has died to which no link could be had, whatever its lease says.

        Between hosts it takes two witnesses: nobody listens at its address, and the store has no
        connection of it.

        Args:
            node: its name.
            error: of the link.
        """
        if not isinstance(error, Refused):
            return isinstance(error, PeerGone)
        # Where the store was away, those that live are about to come back to it, too.
        if not self._sees_store():
            return False
        heard: asyncio.Future[int | StoreError] = asyncio.get_running_loop().create_future()
        self._store.tell(node, PROBE, partial(_set, heard))
        return await heard == 0 and self._sees_store()

    def _sees_store(self) -> bool:
        return self._connected and self._nodes is not None and self._nodes.judges

    def ended(self, base: str, session_id: str) -> None:
        """Hears that a stock session over HTTP is over; see `Homes.ended`."""
        self.relay.ended(base, session_id)

    def _taken(self, base: str, session_id: str) -> None:
        """Ends a session that another process has: of this one nothing reaches its client."""
        for endpoint in self._endpoints:
            session = endpoint.manager.get(session_id, base)
            if session is not None:
                session.close(*GO_AWAY)
                session.finish()

    # What the store says by itself

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        """A message was published; see `Listener.heard`."""
        # Nothing is subscribed before there are rooms.
        assert self._rooms is not None
        self._rooms.heard(room, position, entry)

    def handled(self) -> None:
        """All of one read was handed over; see `Listener.handled`."""
        if self._rooms is not None:
            self._rooms.handled()

    def subscribed(self, room: str) -> None:
        """A room is heard; see `Listener.subscribed`."""
        assert self._rooms is not None
        self._rooms.subscribed(room)

    def told(self, text: str) -> None:
        """Another process has something to say; see `Listener.told`."""
        self._endpoints.signals.hear(text)

    def connected(self, *, same: bool) -> None:
        """The store can be reached; see `Listener.connected`."""
        again, self._connected = self._rooms is not None, True
        if self._nodes is not None:
            self._nodes.connected(same=same)
            living = {node: about.text for node, about in self._nodes.others.items()}
            self.relay.reconnected(living, self._settings.cluster_lease)
        if self._rooms is not None:
            self._rooms.connected(same=same)
            self._presences.connected()
        self._outages.over()
        if again:
            self._endpoints.signals.missed()

    def lost(self, error: StoreError) -> None:
        """The store cannot be reached; see `Listener.lost`."""
        self._connected = False
        self._outages.lost(error)
        if self._rooms is not None:
            self._rooms.lost(error)
            self._presences.lost()

    # What is heard of other processes

    def _suspect(self, node: str) -> None:
        if self._nodes is not None:
            self._nodes.suspect(node)

    def came(self, node: str, about: About) -> None:
        """A process lives that was not known; see `NodeListener.came`."""
        logger.info("process %s takes part, at %s", node, about.address)
        # Who looked just before has taken it for none.
        self.relay.doubt(node, gone=False)

    def went(self, node: str) -> None:
        """A process has ended; see `NodeListener.went`."""
        logger.info("process %s takes no part any more", node)
        # It may have stood still only, and take part again by the same name.
        self.relay.doubt(node, gone=False)

    def swept(self, node: str, left: Left) -> None:
        """Members of rooms went with a process; see `NodeListener.swept`."""
        self._presences.swept(node, left)
        self._endpoints.signals.hear_alone(GONE, left)

    # What follows from the lease of this one

    def fenced(self, *, fenced: bool) -> None:
        """Resumable sessions may not be served, or may again; see `LeaseHolder.fenced`."""
        readiness = self._endpoints.readiness
        if fenced:
            logger.warning("others may have taken this process for dead: it waits for the store")
            readiness.block(FENCED)
        else:
            readiness.unblock(FENCED)

    def lapsed(self, done: Any) -> None:
        """Resumable sessions are to end; see `LeaseHolder.lapsed`."""
        logger.warning("others have taken this process for dead: its resumable sessions end")
        self._lapse(chain.from_iterable([each.lapse() for each in self._endpoints]), done)

    def _lapse(self, steps: Iterator[None], done: Any) -> None:
        try:
            next(steps)
        except StopIteration:
            done()
        else:
            self._clock.call_soon(partial(self._lapse, steps, done))

    def restored(self) -> None:
        """This process has a lease again; see `LeaseHolder.restored`."""
        logger.warning("this process takes part again")
        self.relay.restored()
        self._presences.restored()

    def degraded(self, *, degraded: bool) -> None:
        """Nobody reaches the store, or somebody does again; see `LeaseHolder.degraded`."""
        if degraded:
            logger.warning("no process reaches what they share: each goes on by itself")
        self._endpoints.monitor.degraded(degraded)


def _set(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
