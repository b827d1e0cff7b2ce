"""Who is connected, and what they are told when something has changed.

The bridge's rooms have names of their own here: ``room-3`` are the connections that hear what
happens in room 3, ``typing-3`` are the same, for what is of no use later, ``user-5`` those of one
person, ``sign-in-…`` those of one browser, and ``everybody``.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from pyramid.registry import Registry
from pyramid.request import Request
from sqlalchemy.exc import SQLAlchemyError

from pyramid_chat import conversation, people, rooms
from pyramid_chat.coalescer import Coalescer
from pyramid_chat.database import Database
from pyramid_chat.limits import MESSAGES, ROOM_CHANGES, Busy, Limits, Locks
from pyramid_chat.messages import JSONObject, encode
from pyramid_chat.models import PUBLIC
from pyramid_chat.people import Identity
from pyramid_chat.presence import ONLINE, OwnPresence, Presence, SharedPresence, people_of
from pyramid_chat.reactions import Teller
from pyramid_chat.settings import Settings
from sockjs_bridge import MembersGone, Notified, SockJS, WebSocketSession

logger = logging.getLogger("pyramid_chat")

EVERYBODY = "everybody"
SIGNED_OUT = (4401, "Signed out")
"""How the connections of a browser are closed that was signed out."""
UNSURE = (4503, "Try again")
"""How a connection is closed that can be told nothing for certain; its page comes back."""


def room_name(room_id: int) -> str:
    """Returns the name of the connections that hear what happens in a room."""
    return f"room-{room_id}"


def typing_name(room_id: int) -> str:
    """Returns the name of the connections that hear who is typing in a room."""
    return f"typing-{room_id}"


def user_name(user_id: int) -> str:
    """Returns the name of one person's connections."""
    return f"user-{user_id}"


def sign_in_name(sign_in_id: str) -> str:
    """Returns the name of one browser's connections."""
    return f"sign-in-{sign_in_id}"


class Listener(WebSocketSession):
    """A connection that hears rooms.

    Attributes:
        user: whose it is.
        previews: the rooms that it hears without being in them.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        # As long as the connection lives: it is not asked for at each message.
        self.user: Identity = request.identity
        request.chat_identity = self.user
        self.previews: set[int] = set()

    def know(self, user: Identity) -> None:
        """Knows its person by another name, or that they look after the chat."""
        self.user = self.request.chat_identity = user

    @property
    def member_of(self) -> set[int]:
        """The rooms that it hears as a member."""
        prefix = room_name(0)[:-1]
        heard = {name.removeprefix(prefix) for name in self.rooms if name.startswith(prefix)}
        return {int(room_id) for room_id in heard} - self.previews

    # Called by whoever holds the memberships of the person.

    def subscribe(self, room_id: int) -> None:
        """Hears a room as a member."""
        self.previews.discard(room_id)
        self._hear(room_id)

    def preview(self, room_id: int) -> None:
        """Hears a room without being in it."""
        self.previews.add(room_id)
        self._hear(room_id)

    def unsubscribe(self, room_id: int) -> None:
        """Hears a room no more."""
        self.previews.discard(room_id)
        self.leave(room_name(room_id))
        self.leave(typing_name(room_id))

    def _hear(self, room_id: int) -> None:
        self.join(room_name(room_id))
        self.join(typing_name(room_id))


class Live:
    """What the connections of one process share.

    Args:
        sockjs: the bridge's, ``registry.sockjs``.
        database: to look into when others are told of a change.
        settings: of the chat.
        limits: makes its limits.

    Attributes:
        presence: who is here.
        messages: how many messages somebody may send.
        requests: how much else somebody may ask for.
        rooms: how many rooms somebody may make, and put others into.
        changes: how many changes of rooms and memberships somebody may make that others hear of.
        connections: how many connections somebody may open.
        coalescer: for what is told at most every second.
        reactions: tells rooms of reactions.
    """

    #: Requests a minute, and at once: a page makes a few when it opens a room.
    REQUESTS = (1200, 200)
    #: New rooms and invitations, a minute and at once: they concern others.
    ROOMS = (10, 30)
    #: Connections, a minute and at once: a restart brings back all tabs.
    CONNECTIONS = (120, 60)

    def __init__(
        self, sockjs: SockJS, database: Database, settings: Settings, limits: Limits
    ) -> None:
        self._sockjs = sockjs
        self._database = database
        self._several = limits.shared
        self._process = secrets.token_hex(8)
        self._locks = Locks(settings.database_timeout)
        # SQLite has one writer at a time, and lets others try again and again, in no order.
        self._side_by_side = settings.url.get_backend_name() != "sqlite"
        self.presence: Presence = (
            SharedPresence(sockjs, self._tell_presence)
            if limits.shared
            else OwnPresence(self._tell_presence)
        )
        self.messages = limits.make(MESSAGES, settings.messages_per_minute, settings.message_burst)
        self.requests = limits.make("requests", *self.REQUESTS)
        self.rooms = limits.make("rooms", *self.ROOMS)
        # As many as messages: others hear them, too.
        self.changes = limits.make(
            ROOM_CHANGES, settings.messages_per_minute, settings.message_burst
        )
        self.connections = limits.make("connections", *self.CONNECTIONS)
        self.coalescer = Coalescer()
        self.reactions = Teller(self.tell)
        # By room, the version from which on it is not known what others were told.
        self._doubts: dict[int, int] = {}

    def room(self, room_id: int) -> AbstractContextManager[None]:
        """Holds a room: it is changed and told of by one thread at a time, in order.

        With SQLite, which has one writer, that holds all of them.

        Raises:
            pyramid_chat.limits.Busy: another one takes too long.
        """
        return self._locks.hold(room_name(room_id) if self._side_by_side else "rooms")

    def user(self, user_id: int) -> AbstractContextManager[None]:
        """Holds somebody's memberships; taken before any room.

        Raises:
            pyramid_chat.limits.Busy: another one takes too long.
        """
        return self._locks.hold(user_name(user_id))

    def tell(self, event: JSONObject, name: str, exclude: Iterable[Listener] = ()) -> None:
        """Tells connections something.

        Args:
            event: what.
            name: whose, see above.
            exclude: those that are not told.
        """
        self._sockjs.broadcast(encode(event), room=name, exclude=list(exclude))

    def _tell_presence(self, person: JSONObject, online: bool) -> None:
        event = {"type": "presence", "user": person, "online": online}
        key = ("presence", person["id"])
        if self.coalescer.first(key):
            self.tell(event, EVERYBODY)
        else:
            self.coalescer.call(key, partial(self._tell_presence_later, event))

    def _tell_presence_later(self, event: JSONObject) -> None:
        """Tells how things are by now, which another process may have told meanwhile."""
        told = self._presence_now(event)
        self.tell(told, EVERYBODY)
        # It may have changed while that was told.
        if (now := self._presence_now(told)) != told:
            self._tell_presence(now["user"], now["online"])

    def _presence_now(self, event: JSONObject) -> JSONObject:
        here = self.presence.online()
        return event if here is None else event | {"online": event["user"]["id"] in here}

    def listeners(self, name: str) -> list[Listener]:
        """Lists connections."""
        found: list[Listener] = self._sockjs.members(name)
        return found

    def doubt(self, room_id: int, version: int) -> None:
        """Notes that a change may or may not be in the database: the connection broke.

        Args:
            room_id: whose lock is held.
            version: of the room after the change.
        """
        self._doubts[room_id] = min(version, self._doubts.get(room_id, version))

    def settle(self, room_id: int) -> int:
        """Tells a room what it was not told because it was in doubt. Its lock is held.

        Returns:
            The version up to which it has been told now; 0 where nothing was in doubt.
        """
        version = self._doubts.get(room_id)
        if version is None:
            return 0
        with self._database.session() as session:
            missed = conversation.since(session, room_id, version - 1)
        for message in missed["messages"]:
            self.tell(message, room_name(room_id))
        # Of more than a page they learn by the gap.
        del self._doubts[room_id]
        told_up_to: int = missed["version"]
        return told_up_to

    # What every process does for its own connections. The one in which something was changed does
    # so at once, the others when they hear of it.

    def membership_changed(self, room_id: int, user_id: int) -> None:
        """Lets somebody's connections hear a room, or no more, and tells all whom it concerns.

        What they are told is what the database says now, so that it does not matter in which
        order this is called for changes that happen at once.
        """
        self._others("membership", room_id, user_id)
        name = user_name(user_id)
        try:
            with self.user(user_id), self.room(room_id):
                with self._database.session() as session:
                    told = rooms.told_to(session, [user_id], room_id)
                self._hear_membership(room_id, user_id, told)
        except (SQLAlchemyError, Busy) as error:
            self._give_up(self.listeners(name), error)
        tell = partial(self._tell_member, room_id, user_id)
        self.coalescer.call(("member", room_id, user_id), tell)

    def _tell_member(self, room_id: int, user_id: int) -> None:
        """Tells who hears a room whether somebody is in it now."""
        try:
            with self.room(room_id):
                with self._database.session() as session:
                    event = rooms.told_member(session, room_id, user_id)
                self.tell(event, room_name(room_id))
        except (SQLAlchemyError, Busy) as error:
            self._give_up(self.listeners(room_name(room_id)), error)

    def membership_changed_elsewhere(self, room_id: int, user_id: int) -> None:
        """As `membership_changed`, where another process has told the room."""
        if not (listeners := self.listeners(user_name(user_id))):
            return
        try:
            with self.user(user_id), self.room(room_id):
                with self._database.session() as session:
                    told = rooms.told_to(session, [user_id], room_id)
                self._hear_membership(room_id, user_id, told)
        except (SQLAlchemyError, Busy) as error:
            self._give_up(listeners, error)

    def _hear_membership(
        self, room_id: int, user_id: int, told: dict[int, list[JSONObject]]
    ) -> None:
        event = (
            {"type": "room", "room": told[user_id][0]}
            if told
            else {"type": "left", "room": room_id}
        )
        for listener in self.listeners(user_name(user_id)):
            if told:
                listener.subscribe(room_id)
            else:
                listener.unsubscribe(room_id)
            listener.send(encode(event))

    def room_changed(self, room_id: int) -> None:
        """Tells all who hear a room what it is like now; at most every second."""
        self.coalescer.call(("room", room_id), partial(self._tell_room, room_id))

    def _tell_room(self, room_id: int) -> None:
        self._others("room", room_id)
        self.room_changed_elsewhere(room_id)

    def room_changed_elsewhere(self, room_id: int) -> None:
        """As `room_changed`, where all processes have been told."""
        try:
            with self.room(room_id):
                listeners = self.listeners(room_name(room_id))
                users = {listener.user.id for listener in listeners}
                with self._database.session() as session:
                    told = rooms.told_to(session, users, room_id)
                    stranger = rooms.load(session, room_id, 0)
                for listener in listeners:
                    if mine := told.get(listener.user.id):
                        listener.send(encode({"type": "room", "room": mine[0]}))
                    elif stranger is not None and stranger.kind == PUBLIC:
                        known = replace(stranger, admin=listener.user.admin)
                        listener.send(encode({"type": "room", "room": known.told()}))
        except (SQLAlchemyError, Busy) as error:
            self._give_up(self.listeners(room_name(room_id)), error)

    def signed_out(self, sign_in_id: str) -> None:
        """Closes the connections of a browser."""
        self._others("signed-out", sign_in_id)
        self.signed_out_elsewhere(sign_in_id)

    def signed_out_elsewhere(self, sign_in_id: str) -> None:
        """As `signed_out`, where all processes have been told."""
        for listener in self.listeners(sign_in_name(sign_in_id)):
            listener.close(*SIGNED_OUT)

    def look_again(self) -> None:
        """Sees to it that connections hear what they may: something may not have been heard of."""
        listeners = self.listeners(EVERYBODY)
        try:
            with self._database.session() as session:
                here = people.signed_in(session, {listener.user.sign_in for listener in listeners})
            for listener in listeners:
                if listener.user.sign_in not in here:
                    listener.close(*SIGNED_OUT)
                    continue
                with self.user(listener.user.id), self._database.session() as session:
                    now = set(people.rooms_of(session, listener.user.id))
                for room_id in now ^ listener.member_of:
                    self.membership_changed_elsewhere(room_id, listener.user.id)
        except (SQLAlchemyError, Busy) as error:
            self._give_up(listeners, error)

    def _others(self, topic: str, *about: object) -> None:
        """Has the other processes do the same for their connections."""
        if self._several:
            self._sockjs.notify(f"chat {topic}", [self._process, *about])

    def members_gone(self, event: MembersGone) -> None:
        """Hears that a process has died, and who was there."""
        if isinstance(self.presence, SharedPresence):
            self.presence.gone(people_of(who for room, who in event.members if room == ONLINE))

    def heard(self, notice: Notified) -> None:
        """Hears what a process has to say to all."""
        if notice.topic is None:
            self.look_again()
            return
        hearers: dict[str, Callable[..., None]] = {
            "chat membership": self.membership_changed_elsewhere,
            "chat room": self.room_changed_elsewhere,
            "chat signed-out": self.signed_out_elsewhere,
        }
        hear = hearers.get(notice.topic)
        if hear is not None and notice.data[0] != self._process:
            hear(*notice.data[1:])

    def _give_up(self, listeners: list[Listener], error: Exception) -> None:
        # They would hear too much or too little; when they come back, they hear what is right.
        logger.warning("connections are closed, as they cannot be told of a change: %s", error)
        for listener in listeners:
            listener.close(*UNSURE)


def live_of(registry: Registry) -> Live:
    """Returns what the connections of an application share."""
    live: Live = registry.chat_live
    return live
