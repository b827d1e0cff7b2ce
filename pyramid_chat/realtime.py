"""The connections of the chat."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pyramid_chat import (
    conversation,
    live,
    memberships,
    messages,
    moderation,
    reactions,
    rooms,
)
from pyramid_chat.database import RETRY_AFTER, is_away
from pyramid_chat.limits import Busy, Limit, seconds
from pyramid_chat.messages import JSONObject, Refused
from pyramid_chat.models import Message
from pyramid_chat.participant import Participant
from pyramid_chat.rooms import RoomContext
from sockjs_bridge import websocket_view

logger = logging.getLogger("pyramid_chat")

MAX_PREVIEWS = 20
"""Rooms that one connection may look at without being in them."""

Change = Callable[[Session, RoomContext, int], tuple[JSONObject, bool]]
Tell = Callable[[JSONObject, str], None]
WRITES = messages.Post | messages.Edit | messages.Delete | messages.React
"""What counts as a message."""


@websocket_view(route_name="chat", permission="view")
class ChatSession(Participant):
    """One browser's connection. The hooks are plain methods: they run in a pool of threads."""

    def on_message(self, message: str) -> None:
        """Does what the page asks for, or tells it why not."""
        if not self._present:
            # It is being closed.
            return
        request: messages.Request | None = None
        try:
            try:
                request = messages.parse(message, self.message_id)
            except Refused:
                self._take(self.live.requests)
                raise
            self._do(request)
        except Refused as refused:
            self._refuse(refused, request)
        except Exception as error:
            away = is_away(error) or isinstance(error, Busy)
            if away:
                logger.warning("%s: the database does not answer: %s", self.user.name, error)
                text = "The chat cannot reach its database. It tries again."
            else:
                logger.exception("a request of %r failed", self.user.name)
                text = "Something went wrong. Nothing was changed."
            again = RETRY_AFTER if away else None
            self._refuse(Refused("unavailable", text, retry_after=again), request)

    # What a page may ask for.

    def _do(self, request: messages.Request) -> None:
        bucket = self.live.messages if isinstance(request, WRITES) else self.live.requests
        self._take(bucket)
        try:
            match request:
                case messages.Post():
                    self._post(request)
                case messages.Edit():
                    self._change(request.room, partial(self._edit, request))
                case messages.Delete():
                    self._change(request.room, partial(self._delete, request), "moderate")
                case messages.React():
                    self._change(request.room, partial(self._react, request), tell=self._reacted)
                case messages.Open():
                    self._open(request)
                case messages.Close():
                    self._close(request)
                case messages.History() | messages.Since() | messages.Around():
                    with self.transaction():
                        self._visible(request.room)
                        page = conversation.page(self.database, request)
                    self._send(page)
                case messages.Read():
                    self._read(request)
                case messages.Typing():
                    self._typing(request)
                case messages.Ping():
                    self._send({"type": "pong", "n": request.n})
        except Refused:
            raise
        except Exception:
            # It was not the person's fault, who will try again.
            bucket.give_back(self.user.id)
            raise

    def _open(self, request: messages.Open) -> None:
        with self.live.user(self.user.id):
            with self.transaction():
                context = self._visible(request.room)
            if context.member:
                self.subscribe(request.room)
            elif request.room not in self.previews:
                if len(self.previews) >= MAX_PREVIEWS:
                    raise Refused("too-many", f"You look at {MAX_PREVIEWS} rooms already.")
                self.preview(request.room)
        if context.invited:
            # SQLite lets nobody write who has looked before, in the same transaction.
            with self.transaction():
                memberships.look_into(self.database, request.room, self.user.id)
        # Only now: what it hears already cannot be missing here.
        with self.transaction():
            context = self._visible(request.room)
            opened = {
                "type": "opened",
                "room": rooms.told_of(self.database, context),
                "members": rooms.members(self.database, request.room),
            }
        self._send(opened)

    def _close(self, request: messages.Close) -> None:
        with self.live.user(self.user.id):
            if request.room in self.previews:
                self.unsubscribe(request.room)

    def _post(self, request: messages.Post) -> None:
        def post(session: Session, context: RoomContext, version: int) -> tuple[JSONObject, bool]:
            if (before := self._replayed(session, request)) is not None:
                return before, False
            return conversation.say(session, version, self.user, request), True

        try:
            self._change(request.room, post)
        except IntegrityError:
            # The same key came in another room at the same time.
            with self.transaction():
                before = self._replayed(self.database, request)
            if before is None:
                raise
            self._send(before)

    def _replayed(self, session: Session, request: messages.Post) -> JSONObject | None:
        """Returns the message that has the key already.

        Raises:
            Refused: it is in another room.
        """
        mine = (Message.author_id == self.user.id, Message.key == request.key)
        before = conversation.find(session, *mine)
        if before is not None and before["room"] != request.room:
            raise Refused("key-used", "Another message of yours has that key.")
        return before

    def _edit(
        self, request: messages.Edit, session: Session, context: RoomContext, version: int
    ) -> tuple[JSONObject, bool]:
        message = self._message(request, session)
        if message.deleted:
            raise Refused("no-message", "That message was deleted.")
        changed = message.text != request.text
        if changed:
            conversation.edit(session, message, version, request.text)
        return self._answer(request, session), changed

    def _delete(
        self, request: messages.Delete, session: Session, context: RoomContext, version: int
    ) -> tuple[JSONObject, bool]:
        moderator = bool(self.request.has_permission("moderate", context))
        message = self._message(request, session, others=moderator)
        changed = not message.deleted
        if changed and message.author_id == self.user.id:
            conversation.remove(session, message, version)
        elif changed:
            moderation.remove_message(session, context, message, version, self.user)
        return self._answer(request, session), changed

    def _react(
        self, request: messages.React, session: Session, context: RoomContext, version: int
    ) -> tuple[JSONObject, bool]:
        message = self._message(request, session, others=True)
        # To a message that was deleted meanwhile nobody needs to be told that they came too late.
        changed = not message.deleted and reactions.react(
            session, message, version, self.user.id, request.emoji, on=request.on
        )
        return self._answer(request, session), changed

    def _reacted(self, event: JSONObject, name: str) -> None:
        # Who asked is answered at once; others hear of several together.
        self._send(event)
        self.live.reactions.tell(event, name)

    def _answer(
        self, request: messages.Edit | messages.Delete | messages.React, session: Session
    ) -> JSONObject:
        of_room = (Message.room_id == request.room, Message.number == request.number)
        return (conversation.find(session, *of_room) or {}) | {"request": request.key}

    def _message(
        self,
        request: messages.Edit | messages.Delete | messages.React,
        session: Session,
        others: bool = False,
    ) -> Message:
        message = session.get(Message, (request.room, request.number))
        if message is None:
            raise Refused("no-message", "There is no such message.")
        if message.author_id != self.user.id and not others:
            raise Refused("not-author", "That message is not yours.")
        return message

    def _change(
        self, room_id: int, change: Change, *permissions: str, tell: Tell | None = None
    ) -> None:
        """Changes the messages of a room in a transaction, and tells who hears it.

        Args:
            room_id: of the room.
            change: does it; returns what is told, and whether anything was changed.
            permissions: with one of which somebody may do so who may not post.
            tell: tells the room what was changed, by its name; `Live.tell` where there is none.
        """
        with self.live.room(room_id):
            version = None
            try:
                with self.transaction() as transaction:
                    # First of all: from here on others wait for this transaction.
                    version = conversation.next_version(self.database, room_id)
                    if version is None:
                        raise _no_room()
                    context = self._visible(room_id)
                    may = ("post", *permissions)
                    if not any(self.request.has_permission(one, context) for one in may):
                        raise Refused("not-member", "Join the room first.")
                    event, changed = change(self.database, context, version)
                    if not changed:
                        # A version that changes nothing is none.
                        transaction.doom()
            except (Refused, IntegrityError):
                raise
            except Exception:
                if version is not None:
                    self.live.doubt(room_id, version)
                raise
            settled = self.live.settle(room_id)
            if changed and event["version"] > settled:
                (tell or self.live.tell)(event, live.room_name(room_id))
            else:
                # Nothing is new to the others, or they were told what had been in doubt.
                self._send(event)

    def _read(self, request: messages.Read) -> None:
        with self.transaction():
            news = memberships.mark_read(self.database, request.room, self.user.id, request.number)
            context = self._visible(request.room)
            if not context.member:
                raise Refused("not-member", "Join the room first.")
            if request.number > context.version:
                raise Refused("bad-request", "There is no such message yet.")
        if news:
            event = {"type": "read", "room": request.room, "number": request.number}
            self.live.tell(event, live.user_name(self.user.id))

    def _typing(self, request: messages.Typing) -> None:
        with self.transaction():
            context = self._visible(request.room)
            if not self.request.has_permission("post", context):
                raise Refused("not-member", "Join the room first.")
        # Over all of the person's connections.
        if not self.live.coalescer.first(("typing", self.user.id)):
            return
        event = {"type": "typing", "room": request.room, "user": self.user.person}
        mine = self.live.listeners(live.user_name(self.user.id))
        self.live.tell(event, live.typing_name(request.room), exclude=mine)

    def _visible(self, room_id: int) -> RoomContext:
        """Finds a room that the person may see, in the transaction of the moment.

        Raises:
            Refused: there is none, or it is none of theirs: nobody learns which.
        """
        context = rooms.load(self.database, room_id, self.user.id)
        if context is None or not self.request.has_permission("view", context):
            raise _no_room()
        return context

    def _take(self, bucket: Limit) -> None:
        wait = bucket.take(self.user.id)
        if wait:
            text = f"That was too much at once. Go on in {seconds(wait)} s."
            raise Refused("rate-limited", text, retry_after=round(wait, 3))

    def _refuse(self, refused: Refused, request: messages.Request | None) -> None:
        if request is not None:
            refused.key = getattr(request, "key", None)
            refused.room = getattr(request, "room", None)
        self._send(refused.event())


def _no_room() -> Refused:
    return Refused("bad-room", "There is no such room.")
