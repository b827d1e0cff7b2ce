"""Links that invite to a room: whoever has one may join, for a time.

Only a hash of a link's token is kept. A link is worth nothing where it has run out or is used up,
and as long as who made it could not invite anybody by hand.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from pyramid.request import Request
from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from pyramid_chat import accounts, rooms
from pyramid_chat.conversation import moment
from pyramid_chat.database import AWAY, Database
from pyramid_chat.errors import Problem, rate_limited
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import PRIVATE, PUBLIC, Invitation, Membership, Room, User, now
from pyramid_chat.names import BadInput
from pyramid_chat.throttle import Throttle, network_of

MAX_USES = 1000
"""How many may join by a link that says how many."""
MAX_DIGITS = 6
"""Fewer digits than that such a number has."""
MAX_INVITATIONS = 20
"""Links of a room that there are at a time."""


@dataclass(frozen=True, slots=True)
class Invited:
    """What somebody is told who has a good link.

    Attributes:
        id: of the link.
        room_id: where it leads.
        room: the room's name.
        maker: the name of who made it.
        admits: whether who has no account may make one, though others may not.
    """

    id: int
    room_id: int
    room: str
    maker: str
    admits: bool


def checked_uses(text: str) -> int | None:
    """Reads how many may join by a link; "" stands for any number.

    Raises:
        BadInput: it is no such number.
    """
    text = text.strip()
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS else 0
    if not 1 <= number <= MAX_USES:
        raise BadInput(f"How many may use it is a number from 1 to {MAX_USES}.", "uses")
    return number


def make(
    session: Session,
    room_id: int,
    user_id: int,
    *,
    lifetime: int,
    uses: int | None = None,
    admits: bool = False,
) -> tuple[Invitation, str]:
    """Makes a link.

    Args:
        session: that may write.
        room_id: where it leads.
        user_id: who makes it.
        lifetime: seconds for which it is good.
        uses: how many may join by it; None: any number.
        admits: whether who has no account may make one.

    Returns:
        It, and its token, which is kept nowhere.

    Raises:
        Problem: the room has enough of them.
    """
    # Of two that are made at once one is counted before the other.
    session.execute(select(Room.id).where(Room.id == room_id).with_for_update())
    session.execute(delete(Invitation).where(Invitation.expires < now()))
    count = select(func.count()).where(Invitation.room_id == room_id)
    if session.scalars(count).one() >= MAX_INVITATIONS:
        text = f"A room has at most {MAX_INVITATIONS} links. End one that nobody needs any more."
        raise Problem(409, text)
    token = secrets.token_urlsafe(32)
    made = Invitation(
        digest=accounts.digest(token),
        room_id=room_id,
        maker_id=user_id,
        expires=now() + timedelta(seconds=lifetime),
        uses=uses,
        admits=admits,
    )
    session.add(made)
    session.flush()
    return made, token


def told(made: Invitation, maker: str) -> JSONObject:
    """Returns what members of a room are told of one of its links.

    Args:
        made: the link.
        maker: the name of who made it.
    """
    return {
        "id": made.id,
        "maker": {"id": made.maker_id, "name": maker},
        "expires": moment(made.expires),
        "uses": made.uses,
        "used": made.used,
        "admits": made.admits,
    }


def of_room(session: Session, room_id: int) -> list[JSONObject]:
    """Lists the links of a room that are good, the newest first."""
    query = (
        select(Invitation, User.name)
        .join(User, User.id == Invitation.maker_id)
        .join(Room, Room.id == Invitation.room_id)
        .where(Invitation.room_id == room_id, *_good())
        .order_by(Invitation.id.desc())
    )
    return [told(made, name) for made, name in session.execute(query)]


def revoke(session: Session, room_id: int, invitation_id: int) -> bool:
    """Ends a link of a room; False where there is none."""
    mine = (Invitation.room_id == room_id, Invitation.id == invitation_id)
    ended = delete(Invitation).where(*mine).returning(Invitation.id)
    return session.scalar(ended) is not None


def find(session: Session, token: str) -> Invited | None:
    """Returns where a link leads; None where it is not good, for whatever reason."""
    query = (
        select(Invitation, Room.name, User.name, User.admin)
        .join(Room, Room.id == Invitation.room_id)
        .join(User, User.id == Invitation.maker_id)
        .where(Invitation.digest == accounts.digest(token), *_good())
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    made, room, maker, admin = row
    # Only as long as its maker could open the registration for all.
    return Invited(made.id, made.room_id, room, maker, made.admits and admin)


def _good() -> tuple[ColumnElement[bool], ...]:
    inside = select(Membership.user_id).where(
        Membership.room_id == Room.id, Membership.user_id == User.id
    )
    return (
        Invitation.expires > now(),
        or_(Invitation.uses.is_(None), Invitation.used < Invitation.uses),
        Room.kind.in_((PUBLIC, PRIVATE)),
        Room.archived.is_(None),
        User.disabled.is_(False),
        inside.exists(),
    )


def use(
    session: Session, token: str, user_id: int, *, new: bool = False
) -> tuple[int, bool] | None:
    """Makes somebody a member by a link.

    Args:
        session: that may write.
        token: of the link.
        user_id: who joins.
        new: they made their account by it, too.

    Returns:
        The room, and whether they were not in it before; None where the link is not good (any
        more). Who was there already has not used it, unless they are new.

    Raises:
        pyramid_chat.rooms.TooMany: they are in too many rooms.
    """
    if (found := find(session, token)) is None:
        return None
    # From here on nobody else changes the room, or uses one of its links.
    session.execute(select(Room.id).where(Room.id == found.room_id).with_for_update())
    if find(session, token) is None:
        return None
    joined = rooms.join(session, found.room_id, user_id)
    if joined or new:
        mine = update(Invitation).where(Invitation.id == found.id)
        session.execute(mine.values(used=Invitation.used + 1))
    return found.room_id, joined


def invited(request: Request, token: str) -> Invited:
    """Returns where a link leads; who guesses has to wait.

    Raises:
        Problem: it is not good, or too many that came from there were not.
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    throttle: Throttle = request.registry.chat_throttle
    database: Database = request.registry.chat_database
    network = network_of(request.remote_addr)
    if wait := throttle.invitations.take(network):
        raise rate_limited(wait)
    with database.session() as session:
        found = find(session, token)
    if found is None:
        raise worthless()
    throttle.invitations.give_back(network)
    return found


def worthless() -> Problem:
    """Returns what is told to who has a link that is not good, whyever: nothing of the room."""
    return Problem(404, "This invitation is not valid. Ask the person who sent it for another one.")


def admitting(request: Request, path: str) -> str | None:
    """Returns the token of a link by which somebody may make an account.

    Args:
        request: the current one.
        path: to which they want to go.

    Returns:
        It; None where the path is none of a good link that admits, or it is not known.
    """
    token = path.rpartition("/")[2]
    if not token or path != request.route_path("invitation", token=token):
        return None
    with suppress(*AWAY, Problem):
        return token if invited(request, token).admits else None
    return None
