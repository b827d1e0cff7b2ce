"""How running servers hear of what was changed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from queue import Queue
from threading import Barrier, Thread

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import NoResultFound, OperationalError

from pyramid_chat import notices, open_database
from pyramid_chat.database import Database
from pyramid_chat.limits import Busy
from pyramid_chat.models import Notice, now
from pyramid_chat.notices import MEMBERSHIP, NAME, SIGN_INS, Watch
from pyramid_chat.settings import Settings
from tests.pyramid_chat.conftest import PATIENCE, either_database


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "EVERY", 0.01)


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    database = open_database(Settings.parse(tmp_path, {"sqlalchemy.url": database_url}))
    yield database
    database.engine.dispose()


def post(database: Database, *arguments: object) -> None:
    with database.writing() as session, session.begin():
        notices.post(session, *arguments)


class Heard:
    """What was heard, and what goes wrong with it."""

    def __init__(self) -> None:
        self._queue: Queue[tuple[str, int, int | None]] = Queue()
        self.trouble: list[Exception] = []

    def hear(self, notice: Notice) -> None:
        if self.trouble:
            raise self.trouble.pop()
        self._queue.put((notice.topic, notice.user_id, notice.room_id))

    def next(self) -> tuple[str, int, int | None]:
        return self._queue.get(timeout=PATIENCE)


@either_database
def test_they_come_once_and_in_order(database: Database) -> None:
    post(database, NAME, 1)
    one, two = Heard(), Heard()
    watches = [Watch(database, heard.hear) for heard in (one, two)]
    for watch in watches:
        watch.enter("here")
        watch.enter("gone")
        watch.leave("gone")
        watch.leave("never here")
    posted = [(SIGN_INS, 2, None), (MEMBERSHIP, 3, 7), (NAME, 4, None)]
    for notice in posted:
        post(database, *notice)
    for heard in (one, two):
        assert [heard.next() for _ in posted] == posted
    for watch in watches:
        watch.leave("here")
    post(database, SIGN_INS, 5)
    # Who comes back hears what is new from then on.
    watches[0].enter("here")
    post(database, SIGN_INS, 6)
    assert one.next() == (SIGN_INS, 6, None)
    watches[0].leave("here")


@pytest.mark.parametrize("error", [OperationalError("", {}, Exception()), Busy("held")])
def test_what_was_not_heard_comes_again(
    database: Database, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    heard = Heard()
    heard.trouble = [error, error]
    watch = Watch(database, heard.hear)
    watch.enter("here")
    post(database, NAME, 1)
    post(database, NAME, 2)
    assert [heard.next()[1], heard.next()[1]] == [1, 2]
    watch.leave("here")
    # Once, not at each look.
    assert [record.levelname for record in caplog.records if "looked for" in record.message] == [
        "WARNING"
    ]


@pytest.mark.parametrize("error", [NoResultFound(), ValueError("x")])
def test_one_that_fails_holds_up_no_other(
    database: Database, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    heard = Heard()
    heard.trouble = [error]
    watch = Watch(database, heard.hear)
    watch.enter("here")
    post(database, NAME, 1)
    post(database, NAME, 2)
    assert heard.next()[1] == 2
    watch.leave("here")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_later_one_is_seen_no_sooner(database: Database) -> None:
    """Who has allotted an id and not committed holds up the next one."""
    heard = Heard()
    watch = Watch(database, heard.hear)
    watch.enter("here")
    with database.writing() as session, session.begin():
        notices.post(session, NAME, 1)
        other = Thread(target=post, args=(database, NAME, 2))
        other.start()
        with database.session() as looking:
            waits = text(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
            while not looking.scalar(waits):
                assert looking.scalars(select(Notice.id)).all() == []
    other.join(PATIENCE)
    assert [heard.next()[1], heard.next()[1]] == [1, 2]
    watch.leave("here")


@either_database
def test_old_ones_are_forgotten_and_their_ids_are_not_used_again(database: Database) -> None:
    post(database, NAME, 1)
    with database.writing() as session, session.begin():
        old = session.scalars(select(Notice)).one()
        old.created = now() - notices.KEPT - timedelta(seconds=1)
        number = old.id
    post(database, NAME, 2)
    with database.session() as session:
        (left,) = session.scalars(select(Notice))
        assert (left.user_id, left.id > number) == (2, True)


def test_where_the_database_is_away_nobody_is_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    watch = Watch(database, heard.hear)

    def away() -> None:
        raise OperationalError("", {}, Exception())

    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr(database, "session", away)
        watch.enter("here")
    watch.enter("here")
    post(database, NAME, 1)
    assert heard.next()[1] == 1
    watch.leave("here")


def test_many_may_come_at_once(database: Database) -> None:
    heard = Heard()
    watch = Watch(database, heard.hear)
    together = Barrier(8)

    def enter(number: int) -> None:
        together.wait(PATIENCE)
        watch.enter(number)

    threads = [Thread(target=enter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    post(database, NAME, 1)
    post(database, NAME, 2)
    assert [heard.next()[1], heard.next()[1]] == [1, 2]
    for number in range(8):
        watch.leave(number)


def test_nothing_looks_any_more_when_the_last_has_left(database: Database) -> None:
    watch = Watch(database, Heard().hear)
    for _ in range(20):
        watch.enter("here")
        assert watch._thread is not None
        thread = watch._thread
        watch.leave("here")
        assert not thread.is_alive()
        assert database.engine.pool.checkedout() == 0
