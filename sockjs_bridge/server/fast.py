"""Answers plain requests of sessions that are open, within ``data_received``.

For each request aiohttp makes a task, a request and a response, which costs several times what the
endpoint does, and long-polling consists of nothing else.
"""

from __future__ import annotations

from functools import partial

from sockjs_bridge.core.session import State
from sockjs_bridge.core.transports import RECEIVING, SENDING
from sockjs_bridge.endpoint.actions import Action
from sockjs_bridge.endpoint.outcomes import Reply, Request
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.fast_opening import FastOpenings
from sockjs_bridge.server.plain import MAX_FORMS, Known, PlainRequest
from sockjs_bridge.server.proxy import MalformedForwarded, TrustedProxy
from sockjs_bridge.server.receivers import HttpReceiver
from sockjs_bridge.server.site import Site

_POLLS_AND_SENDS = {*RECEIVING, *SENDING}


class FastReader:
    """Answers polls and sends of open sessions, and opens WebSockets.

    Args:
        site: where the endpoints are.
        openings: open WebSockets.
        proxy: what a reverse proxy may tell of its clients.
        url_scheme: ``http`` or ``https``, as the server is reached without a proxy.
    """

    def __init__(
        self, site: Site, openings: FastOpenings, proxy: TrustedProxy, url_scheme: str
    ) -> None:
        self._site = site
        self._openings = openings
        self._proxy = proxy
        self._url_scheme = url_scheme

    def answer(self, request: PlainRequest, connection: PeerConnection) -> bool:
        """Answers a request; see `PeerConnection`."""
        if connection.activity.stopping:
            return False
        if request.head is not None and request.head.upgrades:
            if not self._openings.begin(request.head, connection):
                return False
            connection.begin()
            return True
        reply = self._handle(request, connection)
        if reply is None:
            return False
        connection.begin()
        if (session := reply.session) is not None:
            receiver = HttpReceiver(connection, session, reply, connection.finished)
            receiver.start()
            session.attach(receiver)
        elif reply.busy is not None:
            reply.busy.when_ready(partial(connection.respond, reply))
        else:
            connection.respond(reply)
        return True

    def _handle(self, request: PlainRequest, connection: PeerConnection) -> Reply | None:
        """Has the endpoint answer a request.

        Returns:
            None where it is no poll or send of an open session, or where the application is to
            be asked who makes it.
        """
        action = request.action
        if action is None:
            action = self._action(request, connection)
            if action is None:
                return None
            # Behind other WSGI code another request may show that the path means something else.
            if request.form and self._site.lasting(action.base):
                forms = connection.forms
                if len(forms) >= MAX_FORMS:
                    forms.clear()
                forms[request.form] = Known(len(request.body), action)
        session = action.session
        if (
            session is None
            or session.state is State.NEW
            or len(request.body) > action.manager.settings.max_message_size
        ):
            return None
        reply = action.take(session, request.query, request.body, connection.flow)
        return None if reply.unproven is not None else reply

    def _action(self, request: PlainRequest, connection: PeerConnection) -> Action | None:
        head = request.head
        if head is None or head.target.startswith("//") or "#" in head.target:
            return None
        host, scheme = head.headers["Host"], self._url_scheme
        if self._proxy.headers:
            try:
                client = self._proxy.apply(connection.addresses.peer, scheme, head.headers)
            except MalformedForwarded:
                return None
            host, scheme = client.host, client.scheme
        path = head.target.partition("?")[0]
        found = self._site.find(path, host.lower() if self._site.by_host else "")
        if found is None:
            return None
        endpoint, target = found
        if target.action not in _POLLS_AND_SENDS or not endpoint.settings.fast:
            return None
        parts = Request(head.method, "", head.headers, host, scheme=scheme)
        return endpoint.action(target, parts)
