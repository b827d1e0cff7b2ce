"""Answers plain requests within ``data_received``: of sessions that are open, and for WebSockets.

For each request aiohttp makes a task, a request and a response, which costs several times what the
endpoint does, and long-polling consists of nothing else. What came whole, alone and plain, for an
open session or as a WebSocket's handshake, is answered here. All else goes to aiohttp as it came:
it alone decides what is odd.
"""

from __future__ import annotations

from functools import partial

from sockjs_bridge.core.transports import RECEIVING, SENDING
from sockjs_bridge.endpoint.actions import Action
from sockjs_bridge.endpoint.outcomes import Prove, Receiving, Wait
from sockjs_bridge.endpoint.resumable import ResumableAction
from sockjs_bridge.server.clusters import Clusters
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.openings import Openings
from sockjs_bridge.server.plain import MAX_FORMS, Known, PlainRequest
from sockjs_bridge.server.receivers import HttpReceiver
from sockjs_bridge.server.routing import Router
from sockjs_bridge.server.site import Site

_POLLS_AND_SENDS = {*RECEIVING, *SENDING}


class FastReader:
    """Answers polls and sends of open sessions, and opens WebSockets.

    Args:
        site: where the endpoints are.
        router: finds them.
        openings: of sessions.
        clusters: of the applications.
    """

    def __init__(self, site: Site, router: Router, openings: Openings, clusters: Clusters) -> None:
        self._site = site
        self._router = router
        self._openings = openings
        self._clusters = clusters

    def answer(self, request: PlainRequest, connection: PeerConnection) -> bool:
        """Answers a request; see `PeerConnection`."""
        if connection.activity.stopping:
            return False
        head = request.head
        if head is not None and head.upgrades:
            return self._openings.begin(head, connection)
        action = request.action or self._action(request, connection)
        if action is None:
            return False
        outcome = action.take_open(request.query, request.body, connection.flow)
        if outcome is None and action.homes is not None and self._clusters.front is not None:
            return self._clusters.front.fast.begin(action, request, connection)
        if outcome is None or isinstance(outcome, Prove):
            # The application is to be asked, or aiohttp says what is wrong.
            return False
        connection.begin()
        if isinstance(outcome, Receiving):
            receiver = HttpReceiver(connection, outcome, connection.finished)
            receiver.start()
            outcome.attach(receiver)
        elif isinstance(outcome, Wait):
            outcome.session.when_ready(partial(connection.respond, outcome.answer))
        else:
            if outcome.status >= 400:
                action.manager.monitor.refused(outcome.status)
            connection.respond(outcome)
        return True

    def _action(
        self, request: PlainRequest, connection: PeerConnection
    ) -> Action | ResumableAction | None:
        """Finds what a request of a form that was not known asks for, and remembers it.

        Returns:
            None where it is no poll or send.
        """
        routed = self._router.plain(request.head, connection) if request.head else None
        if routed is None or routed.target.action not in _POLLS_AND_SENDS:
            return None
        action = routed.endpoint.action(routed.target, routed.parts())
        # Behind other WSGI code another request may show that the path means something else.
        if action is not None and request.form and self._site.lasting(action.base):
            forms = connection.forms
            if len(forms) >= MAX_FORMS:
                forms.clear()
            forms[request.form] = Known(len(request.body), action)
        return action
