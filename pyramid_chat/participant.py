"""How a connection of the chat begins and ends: what it is told, who is here, what it hears."""

from __future__ import annotations

import logging

from pyramid.request import Request
from sqlalchemy.orm import Session

from pyramid_chat import live, people, rooms
from pyramid_chat.database import is_away
from pyramid_chat.limits import Busy
from pyramid_chat.live import EVERYBODY, Listener, Live
from pyramid_chat.messages import JSONObject, encode

logger = logging.getLogger("pyramid_chat")


class Participant(Listener):
    """A connection whose person is here for others: welcomed, suspended, back, or gone."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._present = False
        self._away = False

    @property
    def live(self) -> Live:
        """What all connections share."""
        return live.live_of(self.request.registry)

    @property
    def database(self) -> Session:
        """The database, in the transaction of the moment."""
        session: Session = self.request.dbsession
        return session

    def on_open(self) -> None:
        """Tells the page who it is and what rooms there are; from then on it hears all of them."""
        if self.request.GET.get("user", str(self.user.id)) != str(self.user.id):
            # Somebody else has signed in meanwhile: what the page has is not theirs to say.
            self._send({"type": "welcome", "user": self.user.person, "rooms": [], "online": []})
            self.close(*live.SIGNED_OUT)
            return
        try:
            if self.live.connections.take(self.user.id):
                # Its page comes back, later each time.
                self.close(*live.UNSURE)
                return
            if (mine := self._mine()) is not None:
                timeout = self.request.registry.chat_settings.session_timeout
                people.seen(self.request.registry.chat_database, self.user.sign_in, timeout)
                self._come(mine)
                self._listen(mine)
                for person, online in self.live.presence.look_again(self):
                    self._send({"type": "presence", "user": person, "online": online})
        except Exception as error:
            if not (is_away(error) or isinstance(error, Busy)):
                raise
            logger.warning("a connection could not be welcomed: %s", error)
            self.close(*live.UNSURE)

    def on_suspend(self) -> None:
        """The page is out of reach: somebody who may come back, but is not here."""
        self._go()
        self._away = True

    def on_resume(self) -> None:
        """The page is back."""
        self._away = False
        if self._present:
            self.live.presence.come(self)

    def on_close(self) -> None:
        """Tells the others, if it was the person's last connection."""
        self._go()
        self.request.registry.chat_watch.leave(self)

    def _go(self) -> None:
        if self._present and not self._away:
            self.live.presence.go(self)

    # How it begins.

    def _mine(self) -> list[JSONObject] | None:
        """Returns the person's rooms; None, and closes, where they have signed out."""
        with self.transaction():
            if (user := people.identify(self.database, self.user.sign_in)) is None:
                self.close(*live.SIGNED_OUT)
                return None
            self.user = self.request.chat_identity = user
            return rooms.told_to(self.database, [self.user.id]).get(self.user.id, [])

    def _come(self, mine: list[JSONObject]) -> None:
        def welcome(online: list[int]) -> None:
            # The first that it hears; what changes from now on comes behind it.
            self._send(
                {"type": "welcome", "user": self.user.person, "rooms": mine, "online": online}
            )
            self.join(EVERYBODY)

        self._present = True
        self.live.presence.come(self, welcome)

    def _listen(self, before: list[JSONObject]) -> None:
        """Hears the rooms, and looks again whether something happened in the meantime."""
        self.request.registry.chat_watch.enter(self)
        self.join(live.sign_in_name(self.user.sign_in))
        known = {room["id"]: room for room in before}
        with self.live.user(self.user.id):
            # Memberships do not change for this connection until it hears all rooms.
            for room_id in known:
                self.subscribe(room_id)
            self.join(live.user_name(self.user.id))
            mine = self._mine()
            if mine is None:
                return
            now = {room["id"]: room for room in mine}
            for room_id in now.keys() - known.keys():
                self.subscribe(room_id)
            for room_id in known.keys() - now.keys():
                self.unsubscribe(room_id)
                self._send({"type": "left", "room": room_id})
            for room_id in [room_id for room_id in now if now[room_id] != known.get(room_id)]:
                with self.live.room(room_id), self.transaction():
                    # Under its lock, so that no message is told between looking and telling.
                    told = rooms.told_to(self.database, [self.user.id], room_id)
                    if told:
                        self._send({"type": "room", "room": told[self.user.id][0]})

    def _send(self, event: JSONObject) -> None:
        self.send(encode(event))
