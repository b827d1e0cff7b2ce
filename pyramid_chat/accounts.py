"""What is done to accounts by who looks after the chat, or by their owners.

Every change holds at once, on open connections too (`pyramid_chat.notices`). All sessions here have
to be such as may write.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from pyramid_chat import files, notices, people, rooms
from pyramid_chat.database import alone
from pyramid_chat.models import DIRECT, Membership, ResetLink, Room, SignIn, User, now
from pyramid_chat.names import folded

REMOVED_NAME = "Removed account"
"""Under which what somebody said stays, whose account was removed."""
LINK_LIFE = timedelta(hours=1)
"""How long a link for a new password is good."""
TOKEN = "[A-Za-z0-9_-]{43}"
"""What the token of such a link looks like."""


def rename(session: Session, user: User, name: str) -> bool:
    """Gives somebody another name, with which they sign in from now on.

    Args:
        session: see above.
        user: who.
        name: a checked one.

    Returns:
        False where they have it already.

    Raises:
        BadInput: somebody else has the name, or one that looks like it.
    """
    if user.name == name:
        return False
    people.check_free(session, name, user.id)
    user.name, user.folded = name, folded(name)
    session.flush()
    notices.post(session, notices.NAME, user.id)
    return True


def set_password(session: Session, user: User, password: str, keep: str | None = None) -> None:
    """Keeps another password's hash; whoever used the one before is signed out.

    Args:
        session: see above.
        user: whose.
        password: its hash.
        keep: the sign-in that stays.
    """
    people.set_password(session, user.id, password)
    session.execute(delete(ResetLink).where(ResetLink.user_id == user.id))
    sign_out(session, user, keep)


def sign_ins(session: Session, user_id: int) -> list[SignIn]:
    """Lists the browsers that somebody is signed in with, the one that was seen last first."""
    query = select(SignIn).where(SignIn.user_id == user_id)
    return list(session.scalars(query.order_by(SignIn.seen.desc(), SignIn.id)))


def end_sign_in(session: Session, user_id: int, kept_digest: str) -> bool:
    """Ends one sign-in of somebody.

    Args:
        session: see above.
        user_id: who.
        kept_digest: of the sign-in's id, which no page shows.

    Returns:
        False where there is none.
    """
    for one in sign_ins(session, user_id):
        if digest(one.id) == kept_digest:
            session.delete(one)
            notices.post(session, notices.SIGN_INS, user_id)
            return True
    return False


def sign_out(session: Session, user: User, keep: str | None = None) -> int:
    """Ends the sign-ins of somebody, and with them their connections.

    Args:
        session: see above.
        user: who.
        keep: the sign-in that stays.

    Returns:
        How many there were.
    """
    ended = delete(SignIn).where(SignIn.user_id == user.id, SignIn.id != (keep or ""))
    count = len(session.scalars(ended.returning(SignIn.id)).all())
    notices.post(session, notices.SIGN_INS, user.id)
    return count


def disable(session: Session, user: User) -> bool:
    """Signs somebody out who cannot sign in any more.

    Returns:
        False where that is so already.
    """
    was = user.disabled
    user.disabled = True
    session.execute(delete(ResetLink).where(ResetLink.user_id == user.id))
    sign_out(session, user)
    return not was


def enable(session: Session, user: User) -> bool:
    """Lets somebody sign in again; False where they may."""
    was = user.disabled
    user.disabled = False
    session.flush()
    return was


def set_admin(session: Session, user: User, admin: bool) -> bool:
    """Makes somebody an administrator, or takes that back; False where it is so already."""
    changed = user.admin != admin
    user.admin = admin
    session.flush()
    notices.post(session, notices.ADMIN, user.id)
    return changed


def remove(session: Session, user: User) -> None:
    """Removes an account: its name is free, its owner is out, and in no room any more.

    What they said stays, as said by a removed account; their files go. Direct rooms stay, for the
    other one.
    """
    # Before any room: of two removals one waits here, and not each for the other.
    alone(session.connection())
    joined = session.scalars(
        select(Membership.room_id)
        .join(Room, Room.id == Membership.room_id)
        .where(Membership.user_id == user.id, Room.kind != DIRECT)
        .order_by(Membership.room_id)
    ).all()
    for room_id in joined:
        rooms.leave(session, room_id, user.id)
        notices.post(session, notices.MEMBERSHIP, user.id, room_id)
    files.remove_of_person(session, user.id)
    user.removed, user.admin = True, False
    # Nobody's name folds to that: it would have no space around it.
    user.name, user.folded, user.password = REMOVED_NAME, f" removed {user.id}", ""
    disable(session, user)
    notices.post(session, notices.NAME, user.id)


def digest(token: str) -> str:
    """Returns what may be known of a secret: of a link's token, or a sign-in's id."""
    return hashlib.sha256(token.encode()).hexdigest()


def make_reset_link(session: Session, user: User) -> str:
    """Makes the one link by which somebody may set a new password; one before is worthless.

    Returns:
        Its token, which is kept nowhere.
    """
    over = or_(ResetLink.user_id == user.id, ResetLink.expires < now())
    session.execute(delete(ResetLink).where(over))
    token = secrets.token_urlsafe(32)
    session.add(ResetLink(digest=digest(token), user_id=user.id, expires=now() + LINK_LIFE))
    session.flush()
    return token


def reset_user(session: Session, token: str) -> User | None:
    """Finds whose password a link is for; None where the link is not good (any more)."""
    return session.scalar(
        select(User)
        .join(ResetLink, ResetLink.user_id == User.id)
        .where(ResetLink.digest == digest(token), ResetLink.expires > now())
    )


def use_reset_link(session: Session, token: str, password: str) -> User | None:
    """Sets a new password by a link, which is worthless from then on.

    Args:
        session: see above.
        token: of the link.
        password: its hash.

    Returns:
        Whose; None where the link is not good (any more).
    """
    # Of two who use it at once one deletes it.
    used = delete(ResetLink).where(ResetLink.digest == digest(token), ResetLink.expires > now())
    user_id = session.scalar(used.returning(ResetLink.user_id))
    if user_id is None:
        return None
    user = session.get_one(User, user_id)
    set_password(session, user, password)
    return user
