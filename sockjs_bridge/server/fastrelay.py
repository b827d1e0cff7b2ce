"""Plain requests of sessions that live in another process, relayed within ``data_received``.

A poll or a send whose home is known, and reached already, goes over as it came. All else is left to
aiohttp, and to `sockjs_bridge.server.relaying` then.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from sockjs_bridge.cluster.cluster import Cluster
from sockjs_bridge.cluster.linkframes import LinkError
from sockjs_bridge.endpoint.actions import Action
from sockjs_bridge.endpoint.resumable import ResumableAction
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.forwarded import Forwarded, UnderWay, relays_of
from sockjs_bridge.server.plain import PlainRequest

logger = logging.getLogger("sockjs_bridge.server")

#: Requests whose links broke that are left to aiohttp in one go, and seconds until the next go: a
#: process that dies had many, which are not to hold up the loop.
AT_ONCE: Final = 50
PAUSE: Final = 0.01


class FastRelay:
    """Relays plain requests.

    Args:
        under_way: what is relayed.
    """

    def __init__(self, under_way: UnderWay) -> None:
        self._under_way = under_way
        self._broken: deque[_Asked] = deque()

    def begin(
        self, action: Action | ResumableAction, request: PlainRequest, connection: PeerConnection
    ) -> bool:
        """Relays a request.

        Args:
            action: what it asks for; no session that is open here can take it.
            request: the request.
            connection: over which it came; nothing else is under way on it.

        Returns:
            False, and nothing is done, where aiohttp is to see to it.
        """
        if (
            connection.relayed
            or connection.half_closed
            or self._under_way.leaving
            or len(request.body) > action.manager.settings.max_message_size
        ):
            return False
        found = self._reach(action, connection)
        if found is None:
            return False
        node, forwarded = found
        connection.begin()
        forwarded.begin(_Asked(self, action, request, connection, node), request.whole)
        return True

    def _reach(
        self, action: Action | ResumableAction, connection: PeerConnection
    ) -> tuple[str, Forwarded] | None:
        cluster, missing = action.homes, action.missing
        if missing is None or not isinstance(cluster, Cluster):
            return None
        known = cluster.known(missing)
        if known is None:
            return None
        node, link = known
        relays = relays_of(connection)
        try:
            forwarded = relays.to(node) or relays.open(node, link, self._under_way)
        except LinkError:
            return None
        return None if forwarded.stream.paused else (node, forwarded)

    def again(self, asked: _Asked) -> bool:
        """Sends a request that the home has not read, over another virtual connection."""
        found = self._reach(asked.action, asked.connection)
        if found is not None:
            found[1].begin(asked, asked.request.whole)
        return found is not None

    def broke(self, asked: _Asked) -> None:
        """Has aiohttp see to a request soon: its home is looked for anew."""
        self._broken.append(asked)
        if len(self._broken) == 1:
            asked.connection.activity.clock.call_soon(self._pass_on)

    def _pass_on(self) -> None:
        some = [self._broken.popleft() for _ in range(min(AT_ONCE, len(self._broken)))]
        if self._broken:
            clock = some[0].connection.activity.clock
            clock.call_at(clock.time() + PAUSE, self._pass_on)
        for asked in some:
            if not asked.connection.lost:
                try:
                    asked.connection.pass_on(asked.request.whole)
                except Exception:
                    # The others must not wait for ever because of this one.
                    logger.exception("a request could not be sent again")
                    asked.connection.abort()


class _Asked:
    """A request that was relayed; fulfils `Asker`."""

    __slots__ = ("_again", "_node", "_relay", "action", "connection", "request")

    def __init__(
        self,
        relay: FastRelay,
        action: Action | ResumableAction,
        request: PlainRequest,
        connection: PeerConnection,
        node: str,
    ) -> None:
        self.action = action
        self.request = request
        self.connection = connection
        self._node = node
        self._relay = relay
        self._again = False

    def ended(self, status: int, *, last: bool) -> None:
        """See `Asker.ended`."""
        self.action.manager.monitor.relayed("relayed")
        missing, cluster = self.action.missing, self.action.homes
        if missing is not None and isinstance(cluster, Cluster):
            cluster.relay.answered(missing, status)
        self.connection.finished()
        if last:
            self.connection.flow.close()

    def closed(self, status: int, *, broken: bool) -> None:
        """See `Asker.closed`."""
        connection = self.connection
        if status and not broken:
            self.ended(status, last=True)
        elif status or (connection.half_closed and not broken):
            # The client must not take what it has for all; or waits for nothing.
            connection.abort()
        elif broken or self._again or not self._try_again():
            monitor, cluster = self.action.manager.monitor, self.action.homes
            missing = self.action.missing
            assert isinstance(cluster, Cluster)
            cluster.relay.doubt(self._node, gone=False)
            again = broken and missing is not None and missing.may_come_twice
            if again and not connection.half_closed:
                self._relay.broke(self)
                return
            monitor.relayed("unreachable")
            monitor.refused(503)
            connection.respond(self.action.unreachable())

    def _try_again(self) -> bool:
        # The home has closed what was idle, just before it could read the request.
        self._again = True
        return self._relay.again(self)
