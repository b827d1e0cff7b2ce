"""The front's side of a relayed client: its requests go to the process that has its session.

A request that was read whole goes over as bytes, and what comes back is written as it comes: both
processes read and write the same HTTP. For each client's connection and each home there is one
virtual connection, as the home tells connections apart. What came over a link itself is never
relayed again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from sockjs_bridge.cluster.cluster import Cluster
from sockjs_bridge.cluster.linkframes import LinkError
from sockjs_bridge.cluster.relay import Home
from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.endpoint.homes import Homes, Missing
from sockjs_bridge.endpoint.outcomes import SOON, UNREACHABLE, Answer
from sockjs_bridge.endpoint.request import Request
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.connection import Answers, PeerConnection
from sockjs_bridge.server.fastrelay import FastRelay
from sockjs_bridge.server.forwarded import Forwarded, UnderWay, as_bytes, gone, relays_of
from sockjs_bridge.server.reader import RequestServer
from sockjs_bridge.server.relayed import RelayedClients
from sockjs_bridge.server.responses import EndpointResponse
from sockjs_bridge.server.routing import Routed

#: How often a request is sent: over a link that breaks, to an address where nobody is, and where
#: it lives then.
ATTEMPTS: Final = 3


class Front:
    """Relays the requests of sessions that live in other processes.

    Attributes:
        fast: does so for plain ones, where all is known.
    """

    def __init__(self) -> None:
        self._under_way = UnderWay()
        self.fast = FastRelay(self._under_way)

    async def serve(
        self, request: web.BaseRequest, routed: Routed, parts: Request
    ) -> web.StreamResponse | None:
        """Relays a request, if its session lives elsewhere.

        Args:
            request: aiohttp's; its body was read.
            routed: the same.
            parts: the same, as an endpoint has it.

        Returns:
            None where it is handled here.
        """
        cluster, connection = routed.endpoint.homes, routed.connection
        missing = routed.endpoint.missing(routed.target, parts)
        if missing is None:
            return None
        assert isinstance(cluster, Cluster)
        monitor = routed.endpoint.manager.monitor
        upgrade = routed.target.action == "websocket"
        if upgrade and connection.half_closed:
            # No frame can come, not even a pong.
            connection.abort()
            return gone()
        for _ in range(ATTEMPTS):
            home = await _locate(cluster, missing)
            if connection.lost:
                if home is None:
                    self.opened_nothing(routed, parts)
                return gone()
            if home is None:
                return None
            if connection.relayed:
                # The front remembers what is not so any more.
                return _unavailable(request, routed, parts)
            if isinstance(home, StoreError):
                break
            try:
                forwarded = await self._reach(connection, cluster, home)
            except LinkError as error:
                # It may have gone just now: who is sure is asked once more.
                cluster.relay.doubt(home.node, gone=await cluster.died(home.node, error))
                continue
            try:
                response = await forwarded.ask(request, as_bytes(routed.head, parts.body), upgrade)
            except LinkError:
                cluster.relay.doubt(home.node, gone=False)
                if missing.may_come_twice and forwarded.stream.over:
                    # Who is killed is seen by its links before it is known to be gone.
                    continue
                break
            if response is not None:
                monitor.relayed("relayed")
                cluster.relay.answered(missing, response.status)
                return response
            # The home has closed what was idle, just before it could read the request.
        monitor.relayed("unreachable")
        return _unavailable(request, routed, parts)

    async def _reach(self, connection: PeerConnection, cluster: Cluster, home: Home) -> Forwarded:
        """Returns the client's virtual connection to a process.

        Raises:
            LinkError: it cannot be reached.
            ConnectionError: the client is gone meanwhile.
        """
        relays = relays_of(connection)
        forwarded = relays.to(home.node)
        if forwarded is None:
            link = await cluster.link(home)
            if connection.lost:
                raise ConnectionResetError("the client is gone")
            forwarded = relays.open(home.node, link, self._under_way)
        return forwarded

    def opened_nothing(self, routed: Routed, parts: Request) -> None:
        """Hears that a request was answered by itself: what was claimed for it is given up."""
        cluster = routed.endpoint.homes
        missing = routed.endpoint.missing(routed.target, parts)
        if missing is not None and isinstance(cluster, Cluster):
            cluster.relay.not_opened(missing)

    def leave(self) -> None:
        """Ends what is relayed, in good order, as far as it would not end by itself."""
        self._under_way.leave()


async def let_in(
    cluster: Homes, server: RequestServer, activity: Activity, answer: Answers | None
) -> None:
    """Has other processes relay to this one.

    Args:
        cluster: of them.
        server: see `RelayedClients`.
        activity: see `RelayedClients`.
        answer: see `RelayedClients`.

    Raises:
        ClusterError: that cannot be.
    """
    assert isinstance(cluster, Cluster)
    await cluster.serve(RelayedClients(server, activity, answer).accept)


async def _locate(cluster: Cluster, missing: Missing) -> Home | StoreError | None:
    found: asyncio.Future[Home | StoreError | None] = asyncio.get_running_loop().create_future()

    def located(home: Home | StoreError | None) -> None:
        if not found.done():
            found.set_result(home)

    cluster.relay.locate(missing, located)
    return await found


def _unavailable(request: web.BaseRequest, routed: Routed, parts: Request) -> EndpointResponse:
    """Answers where the session's home cannot be reached at present."""
    answer = routed.endpoint.unread(parts, 503, routed.target)
    headers = [SOON if name == SOON[0] else (name, value) for name, value in answer.headers]
    routed.endpoint.manager.monitor.refused(503)
    return EndpointResponse(request, Answer(503, headers, UNREACHABLE.encode()))
