"""What a process does for its own connections when it hears of a change that was made elsewhere."""

from __future__ import annotations

from dataclasses import replace

from pyramid_chat import notices, options, people, rooms
from pyramid_chat.database import Database
from pyramid_chat.live import EVERYBODY, SIGNED_OUT, Live, room_name, user_name
from pyramid_chat.messages import JSONObject, encode
from pyramid_chat.models import Membership, Notice, User
from pyramid_chat.settings import Settings


class Changes:
    """Makes changes of accounts, rooms and options effective on open connections.

    What is done is what the database says now: it does no harm to be told twice, or late.

    Args:
        live: the connections.
        database: to look into.
        settings: of the chat.
    """

    def __init__(self, live: Live, database: Database, settings: Settings) -> None:
        self._live = live
        self._database = database
        self._settings = settings

    def hear(self, notice: Notice) -> None:
        """Does what a notice asks for.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
            pyramid_chat.limits.Busy: somebody else holds a room for too long.
        """
        if notice.topic == notices.SIGN_INS:
            self._sign_ins(notice.user_id)
        elif notice.topic == notices.NAME:
            self._name(notice.user_id)
        elif notice.topic == notices.ADMIN:
            self._admin(notice.user_id)
        elif notice.topic == notices.OPTIONS:
            self.read_options()
        elif notice.topic == notices.MEMBERSHIP and notice.room_id is not None:
            self._membership(notice.room_id, notice.user_id)
        elif notice.topic == notices.REMOVED and notice.room_id is not None:
            self._removed(notice.room_id, notice.user_id)

    def read_options(self) -> None:
        """Lets people send as much as administrators have set.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        with self._database.session() as session:
            now = options.effective(session, self._settings)
        for limit in (self._live.messages, self._live.changes):
            limit.change(now.messages_per_minute, now.message_burst)

    def _sign_ins(self, user_id: int) -> None:
        listeners = self._live.listeners(user_name(user_id))
        with self._database.session() as session:
            here = people.signed_in(session, {listener.user.sign_in for listener in listeners})
        for listener in listeners:
            if listener.user.sign_in not in here:
                listener.close(*SIGNED_OUT)

    def _name(self, user_id: int) -> None:
        with self._database.session() as session:
            person = rooms.person(session, user_id)
        for listener in self._live.listeners(user_name(user_id)):
            listener.know(replace(listener.user, name=person["name"]))
        self._tell({"type": "person", "user": person}, EVERYBODY)

    def _admin(self, user_id: int) -> None:
        """Has somebody's pages know what they may do in each room now."""
        with self._database.session() as session:
            admin = session.get_one(User, user_id).admin
            mine = people.rooms_of(session, user_id)
        for listener in self._live.listeners(user_name(user_id)):
            listener.know(replace(listener.user, admin=admin))
        for room_id in mine:
            self._live.membership_changed_elsewhere(room_id, user_id)

    def _membership(self, room_id: int, user_id: int) -> None:
        self._live.membership_changed_elsewhere(room_id, user_id)
        with self._live.room(room_id):
            with self._database.session() as session:
                person = rooms.person(session, user_id)
                joined = session.get(Membership, (room_id, user_id)) is not None
            event = {"type": "member", "room": room_id, "user": person, "joined": joined}
            self._tell(event, room_name(room_id))

    def _removed(self, room_id: int, admin_id: int) -> None:
        with self._live.room(room_id):
            with self._database.session() as session:
                admin = rooms.person(session, admin_id)
            event = encode({"type": "left", "room": room_id, "removed_by": admin})
            for listener in self._live.listeners(room_name(room_id)):
                listener.unsubscribe(room_id)
                listener.send(event)

    def _tell(self, event: JSONObject, name: str) -> None:
        # Not `Live.tell`: the connections of other processes are told by these.
        text = encode(event)
        for listener in self._live.listeners(name):
            listener.send(text)
