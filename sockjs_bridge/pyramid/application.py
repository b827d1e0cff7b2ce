"""What the bridge keeps for an application: its endpoints, its rooms, its threads."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

from sockjs_bridge.core.contracts import Channel, Member, Recipient
from sockjs_bridge.core.history import EVERYBODY, History
from sockjs_bridge.core.protocol import NORMAL
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.homes import Process
from sockjs_bridge.errors import NotConfirmed
from sockjs_bridge.pyramid.attempt import note_act
from sockjs_bridge.pyramid.checks import checked_close, checked_message, checked_room
from sockjs_bridge.pyramid.confirmation import BroadcastCount
from sockjs_bridge.pyramid.connections import Connection
from sockjs_bridge.pyramid.notices import KIND
from sockjs_bridge.pyramid.presence import PresenceList
from sockjs_bridge.pyramid.sessions import WebSocketSession
from sockjs_bridge.pyramid.threads import BlockingThreads

logger = logging.getLogger("sockjs_bridge.cluster")


class SockJS:
    """The real-time side of an application: ``request.sockjs`` and ``registry.sockjs``.

    Its methods may be called from any view, thread or task. Under another server (waitress, a
    script) there are no connections, and the methods have no effect; in a cluster `broadcast` sends
    to the connections of the processes that serve some, and blocks until the message is published.

    Args:
        settings: the defaults of every endpoint.
        client_path: the URL path of the browser client.

    Attributes:
        endpoints: by the name of their route.
        settings: the defaults of every endpoint.
        threads: of the blocking views.
        connection_routes: the names of the routes with a view that asks for connections.
        page_routes: those with a view that serves pages.
        client_path: the URL path of the browser client.
        hinted: that the server cannot serve connections was logged.
        warned: what else was logged of the application's likely mistakes.
    """

    def __init__(self, settings: Settings, client_path: str) -> None:
        self.endpoints = Endpoints(
            settings.max_sessions, settings.max_body_size, settings.page_threads
        )
        self.settings = settings
        self.threads = BlockingThreads(settings.blocking_threads)
        self.connection_routes: set[str] = set()
        self.page_routes: set[str] = set()
        self.client_path = client_path
        self.hinted = False
        # When it was logged that a message could not be published.
        self._complained: float | None = None
        self.warned: set[tuple[str, ...]] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {[*self.endpoints]}>"

    def broadcast(
        self,
        message: str,
        room: str | None = None,
        exclude: Iterable[Connection | WebSocketSession] = (),
        confirm: bool = False,
    ) -> BroadcastCount:
        """Sends a message to many connections. It is encoded once for all of them.

        It goes to the connections that are there when it is called. The order of calls in different
        threads is not defined. In a cluster it goes to the connections of all processes that are
        there when it arrives. All processes hear the messages of one room in the same order.

        Args:
            message: any text.
            room: the name of a room; None means all connections of the application.
            exclude: connections that do not get it.
            confirm: wait until the cluster's store has the message, 5 s at most. Asynchronous code
                waits with ``await request.sockjs.broadcast(..., confirm=True)``. In one process
                nothing is waited for.

        Returns:
            How many connections of this process it goes to. Some of them may end before it has
            left. It is 0 while messages cannot be published to the cluster's store.

        Raises:
            TypeError: the message or the room's name is not a string, or `exclude` is not a list of
                connections.
            ValueError: the room's name is empty.
            NotConfirmed: the message did not reach the store, or there is no answer.
        """
        checked_message(message)
        if isinstance(exclude, (Connection, WebSocketSession)):
            # A blocking view's can be iterated over: that would wait for its messages.
            raise TypeError("exclude is a list of connections: write exclude=[...]")
        channels = {_channel_of(connection) for connection in exclude}
        if room is not None:
            checked_room(room)
        name = EVERYBODY if room is None else room
        history = self.endpoints.history
        if history is not None and self.endpoints.served and history.carries(name):
            note_act()
            if not confirm:
                return BroadcastCount(history.broadcast(name, message, channels))
            return self._confirmed(history, name, message, channels)
        if self.endpoints.cluster is not None and not self.endpoints.served:
            return self._publish(room, message, confirm=confirm)
        sessions: list[Recipient]
        if room is None:
            sessions = [session for endpoint in self.endpoints for session in endpoint.sessions]
        else:
            sessions = self.endpoints.rooms.members(room)
        left_out = set(sessions).intersection(channels) if channels else frozenset[Recipient]()
        count = len(sessions) - len(left_out)
        if count:
            note_act()
            send = self.endpoints.broadcasts.send
            self.endpoints.clock.call_from_thread(send, sessions, message, left_out)
        return BroadcastCount(count)

    def _publish(self, room: str | None, message: str, *, confirm: bool) -> BroadcastCount:
        """Publishes where another server serves the application, or none; blocks."""
        # Here: who has no cluster imports none of it.
        from sockjs_bridge.cluster.publish import publish
        from sockjs_bridge.cluster.store import StoreError
        from sockjs_bridge.cluster.urls import parse

        if parse(self.settings.cluster).scheme == "memory":
            # It is within one process, where nobody serves the application.
            return BroadcastCount(0)
        note_act()
        try:
            publish(self.settings.cluster, room, message, name=self.settings.cluster_name)
        except StoreError as error:
            if confirm:
                raise NotConfirmed(str(error)) from error
            now = time.monotonic()
            if self._complained is None or now - self._complained >= 1:
                self._complained = now
                logger.error("a message was not published: %s", error)
        return BroadcastCount(0)

    @staticmethod
    def _confirmed(
        history: History, room: str, message: str, exclude: set[Channel]
    ) -> BroadcastCount:
        confirmed: Future[None] = Future()

        def published(error: Exception | None) -> None:
            if error is None:
                confirmed.set_result(None)
            else:
                confirmed.set_exception(error)

        count = history.broadcast(room, message, exclude, published)
        return BroadcastCount(count, confirmed).wait()

    def notify(self, topic: str, data: Any = None) -> None:
        """Tells all processes of the application something, this one too.

        Connections hear nothing: the subscribers of `Notified` are called, in each process.
        It is how processes do what each has to do for its own connections. Under another server
        nobody hears of it.

        Args:
            topic: what it is about.
            data: what is said of it: whatever JSON can hold.

        Raises:
            TypeError: the topic is not a string, or JSON cannot hold the data.
            ValueError: JSON cannot hold the data.
        """
        if not isinstance(topic, str):
            raise TypeError(f"a topic is a str, not {type(topic).__name__}")
        note_act()
        self.endpoints.signals.say(KIND, [topic, data])

    def processes(self) -> list[Process]:
        """Lists the processes that serve the application, the one that is asked first."""
        cluster = self.endpoints.cluster
        if cluster is not None:
            return cluster.processes()
        sessions = self.endpoints.hub.capacity.taken if self.endpoints.served else 0
        return [Process("", sessions, own=True)]

    def presence(self, room: str) -> PresenceList:
        """Lists who is in a room, in all processes: who it is, since when, what is told of them.

        Asynchronous code writes ``await request.sockjs.presence(room)``. Other code waits for the
        cluster's store, 5 s at most. In one process nothing is waited for. Under another server it
        is empty.

        Args:
            room: the name of the room.

        Returns:
            A sequence of `Presence`, in the order in which they joined.

        Raises:
            TypeError: the name is not a string.
            ValueError: the name is empty.
            PresenceUnknown: the store did not answer.
        """
        checked_room(room)
        return PresenceList(partial(self.endpoints.presences.present, room))

    def close_user(self, userid: object, code: int = NORMAL[0], reason: str = NORMAL[1]) -> int:
        """Closes all connections of a user, in all processes.

        Messages that were sent to them before leave first. Connections whose client is away are
        closed too. A process that cannot be reached hears nothing of it; what a user may do has to
        be decided elsewhere, by the security policy and by what hooks check. Under another server
        nobody hears of it.

        Args:
            userid: the ``authenticated_userid`` of the handshake. It is compared as text.
            code: 1000, or 3000 to 4999 (RFC 6455, 7.4.2).
            reason: a few words for the client.

        Returns:
            How many open connections of this process it closes.

        Raises:
            TypeError: the user's id is None, or the reason is not a string.
            ValueError: an application may not use that close code.
        """
        if userid is None:
            raise TypeError("a user's id is not None, which stands for nobody")
        checked_close(code, reason)
        user, endpoints = str(userid), self.endpoints
        if not endpoints.served:
            return 0
        sessions = [session for endpoint in endpoints for session in endpoint.sessions]
        note_act()
        endpoints.clock.call_from_thread(endpoints.users.close, user, code, reason)
        return sum(session.userid == user for session in sessions)

    def members(self, room: str) -> list[Any]:
        """Lists the connections in a room, in the order in which they joined.

        Args:
            room: the name of the room.

        Returns:
            Instances for a session class, `WebSocket` or `AsyncWebSocket` for a view.

        Raises:
            TypeError: the name is not a string.
            ValueError: the name is empty.
        """
        checked_room(room)
        return connections(self.endpoints.rooms.members(room))

    def rooms(self) -> list[str]:
        """Lists the names of the rooms that somebody is in."""
        return self.endpoints.rooms.names()


def connections(members: Iterable[Member]) -> list[Any]:
    """Returns what the application knows members by; one may end in another thread meanwhile.

    Args:
        members: of a room, or of an endpoint.
    """
    found = [member.connection for member in members]
    return [connection for connection in found if connection is not None]


def _channel_of(connection: object) -> Channel:
    if isinstance(connection, WebSocketSession):
        connection = connection.websocket
    if not isinstance(connection, Connection):
        raise TypeError(f"exclude takes connections, not {type(connection).__name__}")
    return connection.channel
