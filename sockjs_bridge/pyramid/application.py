"""What the bridge keeps for an application: its endpoints, its rooms, its threads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sockjs_bridge.core.contracts import Channel, Member, Recipient
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.pyramid.attempt import note_act
from sockjs_bridge.pyramid.checks import checked_message, checked_room
from sockjs_bridge.pyramid.connections import Connection
from sockjs_bridge.pyramid.notices import KIND
from sockjs_bridge.pyramid.sessions import WebSocketSession
from sockjs_bridge.pyramid.threads import BlockingThreads


class SockJS:
    """The real-time side of an application: ``request.sockjs`` and ``registry.sockjs``.

    Its methods may be called from any view, thread or task. Under another server (waitress, a
    script) there are no connections, and the methods have no effect.

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
        self.warned: set[tuple[str, ...]] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {[*self.endpoints]}>"

    def broadcast(
        self,
        message: str,
        room: str | None = None,
        exclude: Iterable[Connection | WebSocketSession] = (),
    ) -> int:
        """Sends a message to many connections. It is encoded once for all of them.

        It goes to the connections that are there when it is called. The order of calls in different
        threads is not defined.

        Args:
            message: any text.
            room: the name of a room; None means all connections of the application.
            exclude: connections that do not get it.

        Returns:
            How many connections it goes to. Some of them may end before it has left.

        Raises:
            TypeError: the message or the room's name is not a string, or `exclude` is not a list of
                connections.
            ValueError: the room's name is empty.
        """
        checked_message(message)
        if isinstance(exclude, (Connection, WebSocketSession)):
            # A blocking view's can be iterated over: that would wait for its messages.
            raise TypeError("exclude is a list of connections: write exclude=[...]")
        channels = {_channel_of(connection) for connection in exclude}
        sessions: list[Recipient]
        if room is None:
            sessions = [session for endpoint in self.endpoints for session in endpoint.sessions]
        else:
            checked_room(room)
            history = self.endpoints.history
            if history is not None and self.endpoints.served and history.keeps(room):
                note_act()
                return history.broadcast(room, message, channels)
            sessions = self.endpoints.rooms.members(room)
        left_out = set(sessions).intersection(channels) if channels else frozenset[Recipient]()
        count = len(sessions) - len(left_out)
        if count:
            note_act()
            send = self.endpoints.broadcasts.send
            self.endpoints.clock.call_from_thread(send, sessions, message, left_out)
        return count

    def notify(self, topic: str, data: Any = None) -> None:
        """Tells all processes of the application something, this one too.

        Connections hear nothing: the subscribers of `Notified` are called, in each process.
        It is how processes do what each has to do for its own connections.

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
