"""The clusters of the applications that a server serves.

Where no application has one, nothing of them is imported.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sockjs_bridge.core.basemanager import BaseManager
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.homes import ClusterError, Homes
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.connection import Answers
from sockjs_bridge.server.reader import RequestServer

if TYPE_CHECKING:
    from sockjs_bridge.cluster.drain import Pace
    from sockjs_bridge.server.relaying import Front

logger = logging.getLogger("sockjs_bridge.server")


class Clusters:
    """Has applications join their clusters; made on the loop.

    Args:
        clock: of the loop.
        timeout: seconds in which the server ends.

    Attributes:
        front: relays requests; None where no application has a cluster.
    """

    def __init__(self, clock: Clock, timeout: float) -> None:
        self.front: Front | None = None
        self._clock = clock
        self._timeout = timeout
        self._joining: dict[Homes, asyncio.Future[None]] = {}
        self._served: tuple[RequestServer, Activity, Answers | None] | None = None

    async def join(self, endpoints: Endpoints) -> None:
        """Has an application join its cluster, if it has one; before its endpoints start.

        Raises:
            ClusterError: that cannot be.
        """
        cluster = endpoints.cluster
        if cluster is None:
            return
        if cluster.drain is not None and cluster.drain > self._timeout:
            raise ClusterError(
                f"sockjs.drain = {cluster.drain:g} is longer than shutdown_timeout ="
                f" {self._timeout:g} of the server, in which all has to end"
            )
        if cluster not in self._joining:
            self._joining[cluster] = asyncio.ensure_future(self._join(cluster))
        await asyncio.shield(self._joining[cluster])

    async def found(self, endpoints: Endpoints) -> bool:
        """As `join`, for an application that a request has found: the server runs.

        Returns:
            False where it cannot be; that is logged.
        """
        try:
            await self.join(endpoints)
        except ClusterError as error:
            logger.critical("%s", error)
            self._joining = {
                each: joining
                for each, joining in self._joining.items()
                if each is not endpoints.cluster
            }
            return False
        return True

    async def _join(self, cluster: Homes) -> None:
        await cluster.start(self._clock)
        if self._served is not None:
            await self._serve(cluster)

    async def serve(
        self, server: RequestServer, activity: Activity, answer: Answers | None
    ) -> None:
        """Lets other processes in: what they relay is answered like what comes by sockets.

        Args:
            server: of aiohttp.
            activity: of the server.
            answer: see `PeerConnection`.

        Raises:
            ClusterError: that cannot be.
        """
        self._served = server, activity, answer
        for cluster in self._joining:
            await self._serve(cluster)

    async def _serve(self, cluster: Homes) -> None:
        from sockjs_bridge.server.relaying import Front, let_in

        assert self._served is not None
        self.front = self.front or Front()
        await let_in(cluster, *self._served)

    def drain(self, sessions: int) -> Pace | None:
        """Returns how fast clients are to leave for other processes; None where there are none.

        Args:
            sessions: how many there are here.
        """
        clusters = list(self._joining)
        others = min((cluster.others for cluster in clusters), default=0)
        if not others:
            return None
        from sockjs_bridge.cluster.drain import SHARE, pace

        drains = [SHARE * self._timeout if each.drain is None else each.drain for each in clusters]
        for cluster in clusters:
            cluster.leave()
        return pace(sessions, others, min(drains), BaseManager.BATCH)

    def leave(self) -> None:
        """Ends what is relayed to other processes: this one ends, not the sessions."""
        if self.front is not None:
            self.front.leave()

    async def stop(self) -> None:
        """Leaves all clusters; nothing is served any more."""
        for cluster in self._joining:
            await cluster.stop()
