"""What the command ``pyramid-chat``, or another process, has changed: how running servers hear it.

Who changes something posts notices in the same transaction. Every process that has connections
looks for new ones each second, and tells its own connections. That needs nothing but the database.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from pyramid_chat.database import Database, alone, is_away
from pyramid_chat.limits import Busy
from pyramid_chat.models import Notice, now

logger = logging.getLogger("pyramid_chat")

SIGN_INS, NAME, ADMIN = "sign-ins", "name", "admin"
"""What a notice is about: somebody's browsers, their name, that they look after the chat,"""
MEMBERSHIP, REMOVED = "membership", "removed"
"""that they are in a room, that they have removed it,"""
OPTIONS = "options"
"""or what they have set on the page of administrators."""
KEPT = timedelta(days=1)
"""How long a notice is kept. A server whose database is away for longer may miss some."""


def post(session: Session, topic: str, user_id: int, room_id: int | None = None) -> None:
    """Has all servers hear of a change when the transaction is committed.

    Args:
        session: that may write.
        topic: one of those above.
        user_id: whose it is.
        room_id: in which room, where it is one's.
    """
    # So that none with a smaller id is committed after one that was seen.
    alone(session.connection())
    session.execute(delete(Notice).where(Notice.created < now() - KEPT))
    session.add(Notice(topic=topic, user_id=user_id, room_id=room_id))
    session.flush()


class Watch:
    """Looks for notices in a thread of its own, as long as this process has connections.

    Args:
        database: where they are.
        hear: called with each, in order, in that thread.
        begin: called before the first look, for what was changed while nobody looked.
        tidy: called after each look, for what is to be done now and then.
    """

    #: Seconds between two looks.
    EVERY = 1.0

    def __init__(
        self,
        database: Database,
        hear: Callable[[Notice], None],
        begin: Callable[[], None] = lambda: None,
        tidy: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._hear = hear
        self._begin = begin
        self._tidy = tidy
        self._lock = threading.Lock()
        self._connections: set[object] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, connection: object) -> None:
        """Looks for what is changed from now on, at least until the connection leaves.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer; nothing is looked for.
        """
        with self._lock:
            if not self._connections:
                newest = self._newest()
                self._begin()
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop, newest), name="chat-notices", daemon=True
                )
                self._thread.start()
            self._connections.add(connection)

    def leave(self, connection: object) -> None:
        """Looks for nothing any more where that was the last connection."""
        with self._lock:
            self._connections.discard(connection)
            if self._connections or self._thread is None:
                return
            self._stop.set()
            thread, self._thread = self._thread, None
        # Whoever closes the database after the last connection finds it unused.
        thread.join(2 * self._database.timeout)

    def _newest(self) -> int:
        with self._database.session() as session:
            return session.scalar(select(func.max(Notice.id))) or 0

    def _run(self, stop: threading.Event, heard: int) -> None:
        away = False
        while not stop.wait(self.EVERY):
            try:
                with self._database.session() as session:
                    query = select(Notice).where(Notice.id > heard).order_by(Notice.id)
                    notices = list(session.scalars(query))
                for notice in notices:
                    self._hear_one(notice)
                    heard = notice.id
                away = False
                if self._tidy is not None:
                    self._tidy()
            except (SQLAlchemyError, Busy) as error:
                # From the same notice on, until it was heard.
                if not away:
                    logger.warning("changes of accounts cannot be looked for: %s", error)
                away = True

    def _hear_one(self, notice: Notice) -> None:
        try:
            self._hear(notice)
        except Exception as error:
            if is_away(error) or isinstance(error, Busy):
                raise
            # It would fail each time, and the next ones have to be heard.
            logger.exception("a change of the account %d could not be told", notice.user_id)
