"""The processes that serve one application together: its parts, and in which order they begin."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Final

from sockjs_bridge.cluster.clusterrooms import ClusterRooms
from sockjs_bridge.cluster.declared import DeclaredRooms
from sockjs_bridge.cluster.factory import make_store
from sockjs_bridge.cluster.link import Link
from sockjs_bridge.cluster.linkframes import LinkError
from sockjs_bridge.cluster.links import Links
from sockjs_bridge.cluster.nodes import About, Left, Nodes, make_name
from sockjs_bridge.cluster.relay import Home, Relay
from sockjs_bridge.cluster.store import Entry, Position, Store, StoreError
from sockjs_bridge.cluster.streams import Accept
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.history import History
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.homes import ClusterError

logger = logging.getLogger("sockjs_bridge.cluster")

#: Why this process is to get no new clients, where others may take it for dead.
FENCED: Final = "fenced"


class Cluster:
    """This process's part in a cluster; fulfils `Homes`, and what its parts call.

    Those are `Listener`, `NodeListener` and `LeaseHolder`.

    Args:
        settings: of the application.
        endpoints: of it.
        application: its name, by which others are told apart that use the same store.

    Attributes:
        node: the name of this process.
        secret: the same in all processes, once started.
        declared: which rooms have a history.
        history: all rooms, once started.
        relay: finds the homes of sessions, once started.
        nodes: the other processes, once it serves.
    """

    relay: Relay
    nodes: Nodes

    def __init__(self, settings: Settings, endpoints: Endpoints, application: str = "") -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._application = application
        self.node = make_name()
        self.secret = b""
        self.declared = DeclaredRooms()
        self.history: History | None = None
        self._rooms: ClusterRooms | None = None
        self._links = Links(self.node, settings.cluster_secret, settings.cluster_name)
        self._store: Store | None = None
        self._address = ""
        # The second step is done: rooms and processes are to hear how it stands with the store.
        self._serves = self._reached = False
        self._tasks: set[asyncio.Task[None]] = set()

    def _everybody(self) -> list[Recipient]:
        return [session for endpoint in self._endpoints for session in endpoint.sessions]

    # The beginning, in two steps: endpoints need the first, the second needs the server

    async def start(self, clock: Clock, monitor: Monitor) -> None:
        """Begins to share what is shared; see `Homes.start`.

        Raises:
            ClusterError: that cannot be.
        """
        settings, rooms = self._settings, self.declared.patterns
        try:
            store = make_store(
                settings.cluster,
                settings.cluster_name,
                clock,
                application=self._application,
                rooms=rooms,
            )
            await store.start(self.node, self)
        except StoreError as error:
            raise ClusterError(f"sockjs.cluster: {error}") from None
        self._store = store
        self._clock = clock
        self._monitor = monitor
        self.secret = hashlib.sha256(b"networks\n" + store.secret).digest()
        self.relay = Relay(store, self.node, clock)
        self._rooms = ClusterRooms(store, self.node, self._everybody, monitor, rooms)
        self.history = self._rooms
        self._endpoints.signals.carry_by(self._carry)

    async def serve(self, accept: Accept) -> None:
        """Lets other processes in, and says that this one lives.

        Args:
            accept: where the streams begin that they open.

        Raises:
            ClusterError: that cannot be.
        """
        store, history = self._store, self._rooms
        assert store is not None and history is not None
        try:
            self._address = await self._links.listen(self._settings.cluster_listen, accept)
        except LinkError as error:
            raise ClusterError(str(error)) from None
        hub, signals = self._endpoints.hub, self._endpoints.signals
        self.nodes = Nodes(
            store,
            self._clock,
            self.node,
            self._settings.cluster_lease,
            self._about,
            signals,
            self,
            self,
            hub.claim,
            self._ask,
        )
        self._links.judges = lambda: self.nodes.judges
        self._links.ended = self.nodes.suspect
        self._serves = True
        if self._reached:
            self.nodes.connected(same=True)
            history.hub.connected(same=True)
        self.nodes.begin()

    def _about(self) -> About:
        leaving = bool(self._endpoints.readiness.reasons)
        return About(self._address, self._endpoints.hub.capacity.taken, leaving)

    async def stop(self) -> None:
        """Ends its part: others are told, links are cut."""
        self._links.close()
        if self._store is None:
            return
        if self._serves:
            self.nodes.end()
        if self._rooms is not None:
            self._rooms.hub.stop()
        # What was said is written before it ends.
        await self._store.stop()

    # Sessions

    async def link(self, home: Home) -> Link:
        """Returns the link to another process.

        Raises:
            LinkError: it cannot be had.
        """
        try:
            address = json.loads(home.about)["address"]
        except (ValueError, TypeError, KeyError):
            raise LinkError("it does not say where it is") from None
        return await self._links.link(home.node, str(address))

    def ended(self, base: str, session_id: str) -> None:
        """Hears that a stock session over HTTP is over; see `Homes.ended`."""
        self.relay.ended(base, session_id)

    # What processes say to each other

    def _carry(self, text: str) -> None:
        """Has a signal heard by all processes (`Signals.carry_by`)."""
        assert self._store is not None
        self._store.tell(None, text, partial(self._carried, text))

    def _carried(self, text: str, result: int | StoreError) -> None:
        if isinstance(result, StoreError):
            logger.warning("what was said to all processes reached this one alone: %s", result)
            self._endpoints.signals.hear(text)

    def _ask(self, node: str, done: Callable[[bool | None], object]) -> None:
        """Asks a process whether it reaches the store (`lease.Ask`)."""
        about = self.nodes.get(node)
        if about is None:
            done(None)
            return
        task = asyncio.get_running_loop().create_task(self._ask_by_link(node, about, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_by_link(
        self, node: str, about: About, done: Callable[[bool | None], object]
    ) -> None:
        try:
            link = await self._links.link(node, about.address)
        except LinkError:
            done(None)
        else:
            link.ask(done)

    # What the store says by itself

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        """A message was published; see `Listener.heard`."""
        if self._serves and self._rooms is not None:
            self._rooms.hub.heard(room, position, entry)

    def handled(self) -> None:
        """All of one read was handed over; see `Listener.handled`."""
        if self._serves and self._rooms is not None:
            self._rooms.hub.handled()

    def subscribed(self, room: str) -> None:
        """A room is heard; see `Listener.subscribed`."""
        if self._rooms is not None:
            self._rooms.hub.subscribed(room)

    def told(self, text: str) -> None:
        """Another process has something to say; see `Listener.told`."""
        self._endpoints.signals.hear(text)

    def connected(self, *, same: bool) -> None:
        """The store can be reached; see `Listener.connected`."""
        self._reached = True
        if self._serves and self._rooms is not None:
            logger.info("what the processes share can be reached again")
            self._rooms.hub.connected(same=same)
            self.nodes.connected(same=same)
            self._endpoints.signals.missed()

    def lost(self, error: StoreError) -> None:
        """The store cannot be reached; see `Listener.lost`."""
        self._reached = False
        logger.warning("what the processes share cannot be reached: %s", error)
        if self._serves and self._rooms is not None:
            self._rooms.hub.lost(error)

    # Other processes

    def came(self, node: str, about: About) -> None:
        """A process lives; see `NodeListener.came`."""
        logger.info("process %s has come", node)

    def went(self, node: str) -> None:
        """A process has ended; see `NodeListener.went`."""
        logger.info("process %s is gone", node)
        self.relay.doubt(node, gone=True)

    def swept(self, node: str, left: Left) -> None:
        """Members of rooms went with a process; see `NodeListener.swept`."""

    # What follows from the lease of this process

    def fenced(self, *, fenced: bool) -> None:
        """Resumable sessions wait, or go on; see `LeaseHolder.fenced`."""
        if fenced:
            logger.warning("others may take this process for dead: resumable sessions wait")
            self._endpoints.readiness.block(FENCED)
        else:
            self._endpoints.readiness.unblock(FENCED)

    def lapsed(self, done: Callable[[], object]) -> None:
        """Resumable sessions end; see `LeaseHolder.lapsed`."""
        logger.error("others took this process for dead: its resumable sessions end")
        self._go_on(chain.from_iterable([each.lapse() for each in self._endpoints]), done)

    def _go_on(self, steps: Iterator[None], done: Callable[[], object]) -> None:
        for _ in steps:
            self._clock.call_soon(partial(self._go_on, steps, done))
            return
        done()

    def restored(self) -> None:
        """This process lives again for others; see `LeaseHolder.restored`."""
        self.relay.restored()

    def degraded(self, *, degraded: bool) -> None:
        """Nobody reaches the store, or somebody does again; see `LeaseHolder.degraded`."""
        self._monitor.degraded(degraded)
        if degraded:
            logger.error("no process reaches what they share: each goes on by itself")
