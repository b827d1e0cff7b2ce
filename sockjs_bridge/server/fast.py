"""Answers plain requests within ``data_received``: of sessions that are open, or that begin.

For each request aiohttp makes a task, a request and a response, which costs several times what the
endpoint does, and long-polling consists of nothing else. What came whole, alone and plain, for a
session, is answered here. All else goes to aiohttp as it came: it alone decides what is odd.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from sockjs_bridge.core.transports import RECEIVING, SENDING
from sockjs_bridge.endpoint.actions import Action
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.outcomes import Answer, Prove, Receiving, Wait
from sockjs_bridge.endpoint.resumable import ResumableAction
from sockjs_bridge.server.clusters import Clusters
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.openings import Openings
from sockjs_bridge.server.plain import MAX_FORMS, Known, PlainRequest
from sockjs_bridge.server.receivers import HttpReceiver
from sockjs_bridge.server.routing import Routed, Router
from sockjs_bridge.server.site import Site

logger = logging.getLogger("sockjs_bridge.server")

_POLLS_AND_SENDS = {*RECEIVING, *SENDING}


class FastReader:
    """Answers polls and sends of open sessions, and opens sessions.

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

    def answer(
        self, request: PlainRequest, connection: PeerConnection
    ) -> Callable[[], bool] | bool:
        """Answers a request; see `PeerConnection`."""
        if connection.activity.stopping:
            return False
        head = request.head
        if head is not None and head.upgrades:
            return partial(self._openings.begin, head, connection)
        action, routed = request.action, None
        if action is None and head is not None:
            routed = self._router.plain(head, connection)
            action = None if routed is None else self._action(request, routed)
        if action is None:
            return False
        outcome = action.take_open(request.query, request.body, connection.flow)
        if outcome is None and action.homes is not None and self._clusters.front is not None:
            return self._clusters.front.fast.begin(action, request, connection)
        if isinstance(outcome, Prove):
            # The application is to be asked.
            return False
        if outcome is None:
            return routed is not None and partial(self._open, request, routed)
        connection.begin()
        if isinstance(outcome, Receiving):
            receiver = HttpReceiver(connection, outcome, connection.finished)
            receiver.start()
            outcome.attach(receiver)
        elif isinstance(outcome, Wait):
            outcome.session.when_ready(partial(connection.respond, outcome.answer))
        else:
            self._respond(action, outcome, connection)
        return True

    @staticmethod
    def _respond(
        asked: Action | ResumableAction | Endpoint, answer: Answer, connection: PeerConnection
    ) -> None:
        if answer.status >= 400:
            asked.manager.monitor.refused(answer.status)
        connection.respond(answer)

    def _open(self, request: PlainRequest, routed: Routed) -> bool:
        """Begins a session whose first request is a poll or a stream, or says that there is none.

        Returns:
            False where it is neither, or the application is to be asked who that is.
        """
        endpoint, target, connection = routed.endpoint, routed.target, routed.connection
        if target.action not in RECEIVING:
            return False
        if len(request.body) > endpoint.settings.max_message_size:
            return False
        outcome = endpoint.handle(target, routed.parts(request.body))
        if not isinstance(outcome, Answer | Receiving):
            return False
        # What is handled once more is counted once more, too.
        connection.begin()
        if isinstance(outcome, Answer):
            self._respond(endpoint, outcome, connection)
            return True
        receiver = HttpReceiver(connection, outcome, connection.finished)
        if outcome.opening is None:
            receiver.start()
            outcome.attach(receiver)
        else:
            outcome.attach(receiver)
            self._openings.spawn(self._ask(routed, outcome, receiver))
        return True

    async def _ask(self, routed: Routed, attach: Receiving, receiver: HttpReceiver) -> None:
        """Asks the application about a new session, and begins the response."""
        connection = routed.connection
        try:
            if (opening := attach.opening) is not None and not receiver.ended:
                _, headers = await self._openings.open_session(routed, opening)
                attach.headers += headers
            if not connection.lost:
                receiver.start_opened()
                if connection.half_closed and not receiver.ended:
                    # The peer said already that it sends no more, and would have to wait.
                    receiver.abort()
        except Exception:
            head = routed.head
            logger.exception("%s %s: the session could not open", head.method, head.raw_path)
            connection.abort()

    def _action(self, request: PlainRequest, routed: Routed) -> Action | ResumableAction | None:
        """Finds what a request of a form that was not known asks for, and remembers it.

        Returns:
            None where it is no poll or send.
        """
        if routed.target.action not in _POLLS_AND_SENDS:
            return None
        action = routed.endpoint.action(routed.target, routed.parts())
        # Behind other WSGI code another request may show that the path means something else.
        if action is not None and request.form and self._site.lasting(action.base):
            forms = routed.connection.forms
            if len(forms) >= MAX_FORMS:
                forms.clear()
            forms[request.form] = Known(len(request.body), action)
        return action
