"""Answers plain requests of sessions that are open, within ``data_received``.

For each request aiohttp makes a task, a request and a response, which costs several times what the
endpoint does, and long-polling consists of nothing else. What came whole, alone and plain, for an
open session, is answered here. All else goes to aiohttp as it came: it alone decides what is odd.
"""

from __future__ import annotations

from functools import partial

from sockjs_bridge.core.transports import RECEIVING, SENDING
from sockjs_bridge.endpoint.actions import Action
from sockjs_bridge.endpoint.outcomes import Answer, Prove, Receiving, Wait
from sockjs_bridge.endpoint.resumable import ResumableAction
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
    """

    def __init__(self, site: Site, router: Router, openings: Openings) -> None:
        self._site = site
        self._router = router
        self._openings = openings

    def answer(self, request: PlainRequest, connection: PeerConnection) -> bool:
        """Answers a request; see `PeerConnection`."""
        if connection.activity.stopping:
            return False
        if request.head is not None and request.head.upgrades:
            begin = self._openings.judge(request.head, connection)
            if begin is None:
                return False
            connection.begin()
            begin(connection.respond)
            return True
        outcome = self._handle(request, connection)
        if outcome is None:
            return False
        connection.begin()
        if isinstance(outcome, Receiving):
            receiver = HttpReceiver(connection, outcome, connection.finished)
            receiver.start()
            outcome.attach(receiver)
        elif isinstance(outcome, Wait):
            outcome.session.when_ready(partial(connection.respond, outcome.answer))
        else:
            connection.respond(outcome)
        return True

    def _handle(
        self, request: PlainRequest, connection: PeerConnection
    ) -> Answer | Receiving | Wait | None:
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
        outcome = action.take_open(request.query, request.body, connection.flow)
        if isinstance(outcome, Prove):
            return None
        if isinstance(outcome, Answer) and outcome.status >= 400:
            action.manager.monitor.refused(outcome.status)
        return outcome

    def _action(
        self, request: PlainRequest, connection: PeerConnection
    ) -> Action | ResumableAction | None:
        routed = self._router.plain(request.head, connection) if request.head else None
        if routed is None or routed.target.action not in _POLLS_AND_SENDS:
            return None
        return routed.endpoint.action(routed.target, routed.parts())
