"""People and their sign-ins, in the database."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from pyramid_chat.database import AWAY, Database, alone
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import PUBLIC, Membership, Room, SignIn, User, now
from pyramid_chat.names import BadInput, folded, skeleton, visible
from pyramid_chat.rooms import join

MAX_SIGN_INS = 50
"""Browsers that somebody may be signed in with."""
MAX_FOUND = 50
"""People that a search finds."""
SEEN_EVERY = timedelta(days=1)
"""How exact it is, at the least, when a browser was seen."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is signed in.

    Attributes:
        id: of the user.
        name: of the user.
        sign_in: the browser's.
        admin: whether they look after the chat.
    """

    id: int
    name: str
    sign_in: str
    admin: bool = False

    @property
    def person(self) -> JSONObject:
        """What others are told of them."""
        return {"id": self.id, "name": self.name}


def find(session: Session, name: str) -> User | None:
    """Finds somebody by a name, as anybody may write it."""
    if not visible(name):
        # Nobody is called that, and PostgreSQL would not even look for a NUL.
        return None
    return session.scalar(select(User).where(User.folded == folded(name)))


def check_free(session: Session, name: str, but: int | None = None) -> None:
    """Sees to it that nobody has a name, or one that looks like it, until the transaction's end.

    Args:
        session: that may write.
        name: a checked one.
        but: the id of whose it may be.

    Raises:
        BadInput: somebody has.
    """
    # Else two that look alike could be taken at the same time.
    alone(session.connection())
    looks = skeleton(name)
    others = select(User.name).where(User.removed.is_(False), User.id != (but or 0))
    if any(skeleton(other) == looks for other in session.scalars(others)):
        raise BadInput("Somebody has that name already, or one that looks like it.", "name")


def add(session: Session, name: str, password: str) -> User:
    """Makes an account; its owner is in the first public room.

    Args:
        session: that may write.
        name: a checked one.
        password: its hash.

    Raises:
        BadInput: somebody has the name, or one that looks like it.
    """
    check_free(session, name)
    user = User(name=name, folded=folded(name), password=password)
    session.add(user)
    session.flush()
    first = session.scalar(select(Room.id).where(Room.kind == PUBLIC).order_by(Room.id).limit(1))
    if first is not None:
        join(session, first, user.id)
    return user


def set_password(session: Session, user_id: int, password: str) -> None:
    """Keeps another hash of somebody's password."""
    session.get_one(User, user_id).password = password


def has_password(session: Session, user_id: int, password: str) -> bool:
    """Tells whether somebody may sign in by a hash, which is theirs until the transaction ends.

    To look at a password takes a while, in which it may be changed, and all be signed out.

    Args:
        session: that may write.
        user_id: who.
        password: the hash that was looked at.
    """
    query = select(User.password).where(User.id == user_id, User.disabled.is_(False))
    return session.scalar(query.with_for_update()) == password


def rooms_of(session: Session, user_id: int) -> list[int]:
    """Lists the rooms that somebody is in."""
    return list(session.scalars(select(Membership.room_id).where(Membership.user_id == user_id)))


def sign_in(session: Session, user_id: int, timeout: int, browser: str = "") -> str:
    """Notes that somebody signs in with a browser, and forgets browsers that were given up.

    Of one person more than `MAX_SIGN_INS` are not kept: those that were not seen for longest go.

    Args:
        session: that may write.
        user_id: who.
        timeout: seconds after which a browser counts as given up.
        browser: what its owner knows it by.

    Returns:
        The sign-in's id.
    """
    session.execute(delete(SignIn).where(SignIn.seen < now() - timedelta(seconds=timeout)))
    mine = select(SignIn.id).where(SignIn.user_id == user_id).order_by(SignIn.seen.desc())
    if old := session.scalars(mine.offset(MAX_SIGN_INS - 1)).all():
        session.execute(delete(SignIn).where(SignIn.id.in_(old)))
    new = SignIn(id=secrets.token_urlsafe(32), user_id=user_id, browser=browser)
    session.add(new)
    session.flush()
    return new.id


def sign_out(session: Session, sign_in_id: str) -> None:
    """Forgets a sign-in: its cookie is worth nothing from now on."""
    session.execute(delete(SignIn).where(SignIn.id == sign_in_id))


def identify(session: Session, sign_in_id: str, timeout: int | None = None) -> Identity | None:
    """Returns who is signed in with a browser.

    Args:
        session: to ask.
        sign_in_id: of the browser.
        timeout: seconds after which one that was not seen counts as given up.
    """
    fresh = [SignIn.seen > now() - timedelta(seconds=timeout)] if timeout is not None else []
    row = session.execute(
        select(User.id, User.name, User.admin)
        .join(SignIn, SignIn.user_id == User.id)
        .where(SignIn.id == sign_in_id, User.disabled.is_(False), *fresh)
    ).one_or_none()
    return Identity(row.id, row.name, sign_in_id, row.admin) if row is not None else None


def signed_in(session: Session, sign_in_ids: Collection[str]) -> set[str]:
    """Returns which of some browsers are signed in."""
    query = select(SignIn.id).join(User, User.id == SignIn.user_id)
    query = query.where(SignIn.id.in_(sign_in_ids), User.disabled.is_(False))
    return set(session.scalars(query))


def seen(database: Database, sign_in_id: str, timeout: int) -> None:
    """Notes that a browser is in use; not where that was noted lately, or cannot be at the moment.

    Args:
        database: where.
        sign_in_id: of the browser.
        timeout: seconds after which one that was not seen counts as given up.
    """
    old = now() - min(SEEN_EVERY, timedelta(seconds=timeout / 10))
    unnoted = (SignIn.id == sign_in_id, SignIn.seen < old)
    with suppress(*AWAY):
        with database.session() as session:
            if session.scalar(select(SignIn.id).where(*unnoted)) is None:
                return
        with database.writing() as session, session.begin():
            session.execute(update(SignIn).where(*unnoted).values(seen=now()))


def search(session: Session, words: str) -> list[JSONObject]:
    """Finds people who may sign in, by a part of their names."""
    if not visible(words):
        return []
    query = select(User.id, User.name).where(User.disabled.is_(False))
    query = query.order_by(User.folded).limit(MAX_FOUND)
    if part := folded(words):
        query = query.where(User.folded.contains(part, autoescape=True))
    return [{"id": row.id, "name": row.name} for row in session.execute(query)]
