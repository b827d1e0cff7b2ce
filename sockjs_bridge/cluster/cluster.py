"""The processes that serve one application together: its parts, and in which order they begin."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import string
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sockjs_bridge.cluster.factory import make_store
from sockjs_bridge.cluster.link import Link
from sockjs_bridge.cluster.linkframes import LinkError
from sockjs_bridge.cluster.links import Links
from sockjs_bridge.cluster.relay import Home, Relay
from sockjs_bridge.cluster.store import Entry, Position, Store, StoreError
from sockjs_bridge.cluster.streams import Accept
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.core.history import History
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.endpoint.homes import ClusterError

logger = logging.getLogger("sockjs_bridge.cluster")

_LETTERS: Final = string.digits + string.ascii_lowercase
#: How often a lease is renewed while it holds.
RENEWALS: Final = 0.3
#: Seconds that the end waits for the store.
LAST_WORDS: Final = 1.0


class Cluster:
    """This process's part in a cluster; fulfils `Homes` and `Listener`.

    Args:
        settings: of the application.
        application: its name, by which others are told apart that use the same store.

    Attributes:
        node: the name of this process.
        secret: the same in all processes, once started.
        history: of rooms; None where they are this process's alone.
        relay: finds the homes of sessions, once started.
    """

    relay: Relay

    def __init__(self, settings: Settings, application: str = "") -> None:
        self._settings = settings
        self._application = application
        self.node = "".join(secrets.choice(_LETTERS) for _ in range(10))
        self.secret = b""
        self.history: History | None = None
        self._links = Links(self.node, settings.cluster_secret, settings.cluster_name)
        self._store: Store | None = None
        self._clock: Clock | None = None
        self._address = ""
        self._ended = False

    # The beginning, in two steps: endpoints need the first, the second needs the server

    async def start(self, clock: Clock, monitor: Monitor) -> None:
        """Begins to share what is shared; see `Homes.start`.

        Raises:
            ClusterError: that cannot be.
        """
        settings = self._settings
        try:
            store = make_store(
                settings.cluster, settings.cluster_name, clock, application=self._application
            )
            await store.start(self.node, self)
        except StoreError as error:
            raise ClusterError(f"sockjs.cluster: {error}") from None
        self._store = store
        self._clock = clock
        self.secret = hashlib.sha256(b"networks\n" + store.secret).digest()
        self.relay = Relay(store, self.node, clock)

    async def serve(self, accept: Accept) -> None:
        """Lets other processes in, and says that this one lives.

        Args:
            accept: where the streams begin that they open.

        Raises:
            ClusterError: that cannot be.
        """
        try:
            self._address = await self._links.listen(self._settings.cluster_listen, accept)
            noted: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
            self._renew(partial(_set, noted))
            result = await noted
        except LinkError as error:
            raise ClusterError(str(error)) from None
        if result is not None:
            raise ClusterError(f"sockjs.cluster: {result}")

    def _renew(self, done: Callable[[Any], object]) -> None:
        if self._ended:
            return
        assert self._store is not None and self._clock is not None
        lease = self._settings.cluster_lease
        about = json.dumps({"address": self._address})
        self._store.lease(about, lease, done)
        self._clock.call_at(self._clock.time() + lease * RENEWALS, partial(self._renew, _nothing))

    async def stop(self) -> None:
        """Ends its part: others are told, links are cut."""
        self._ended = True
        self._links.close()
        if self._store is None:
            return
        told: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        self._store.release(partial(_set, told))
        await asyncio.wait([told], timeout=LAST_WORDS)
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

    # What the store says by itself

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        """A message was published; see `Listener.heard`."""

    def handled(self) -> None:
        """All of one read was handed over; see `Listener.handled`."""

    def subscribed(self, room: str) -> None:
        """A room is heard; see `Listener.subscribed`."""

    def told(self, text: str) -> None:
        """Another process has something to say; see `Listener.told`."""

    def connected(self, *, same: bool) -> None:
        """The store can be reached; see `Listener.connected`."""

    def lost(self, error: StoreError) -> None:
        """The store cannot be reached; see `Listener.lost`."""
        logger.warning("what the processes share cannot be reached: %s", error)


def _set(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _nothing(result: object) -> None:
    """Wants to hear nothing."""
