"""Which endpoint a request is for."""

from __future__ import annotations

from typing import NamedTuple

from sockjs_bridge.core import protocol
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.request import Request, RequestHead
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.plain import Head
from sockjs_bridge.server.proxy import Client, MalformedForwarded
from sockjs_bridge.server.site import Site
from sockjs_bridge.server.wsgi.host import WSGIHost


class Routed(NamedTuple):
    """A request, and the endpoint that it is for.

    Attributes:
        head: of the request.
        client: who made it.
        connection: over which it came.
        endpoint: what it is for.
        target: what it asks of that.
    """

    head: RequestHead
    client: Client
    connection: PeerConnection
    endpoint: Endpoint
    target: protocol.Target

    def parts(self, body: bytes = b"") -> Request:
        """Returns what the endpoint looks at."""
        head, client = self.head, self.client
        query = head.raw_path.partition("?")[2]
        peer = self.connection.flow
        who = client.host, body, peer, client.scheme, client.remote
        return Request(head.method, query, head.headers, *who)


class Router:
    """Finds the endpoint that a plain request is for.

    Args:
        site: where the endpoints are.
        host: tells clients from proxies.
    """

    def __init__(self, site: Site, host: WSGIHost) -> None:
        self._site = site
        self._host = host

    def plain(self, head: Head, connection: PeerConnection) -> Routed | None:
        """Finds what a plain request is for.

        Args:
            head: of the request.
            connection: over which it came.

        Returns:
            None where aiohttp is to read it, and to judge.
        """
        raw = head.raw_path
        if raw.startswith("//") or "#" in raw:
            return None
        try:
            client = self._host.client_of(head, connection.addresses.peer)
        except MalformedForwarded:
            return None
        path = raw.partition("?")[0]
        found = self._site.find(path, client.host.lower() if self._site.by_host else "")
        if found is None:
            return None
        endpoint, target = found
        if not endpoint.settings.fast:
            return None
        if head.upgrades and target.action == "greeting":
            target = target._replace(action="raw-websocket")
        return Routed(head, client, connection, endpoint, target)
