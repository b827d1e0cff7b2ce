"""Rooms and their members, in the database, and what clients are told of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pyramid.authorization import ACLHelper, Allow, Authenticated, Everyone
from sqlalchemy import and_, delete, func, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pyramid_chat import mentions
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import DIRECT, PRIVATE, PUBLIC, Membership, Message, Room, User, now

MAX_MEMBERS = 500
"""Members of a room that a client is told."""
MAX_ROOMS = 200
"""Rooms that somebody may be in: a client is told all of them in one message."""
MAX_INVITED = 200
"""Rooms that others may have somebody in who did not look into them; as many conversations."""
MAX_INVITED_BY_OWNER = 5
"""How many of them may belong to the same person."""
MAX_UNREAD = 999
"""Unread messages that are counted."""

PERMISSIONS = ("post", "topic", "rename", "invite", "leave", "join", "moderate")
"""What somebody may do in a room, apart from looking at it."""
_OF_MEMBERS = {
    PUBLIC: ("view", "post", "topic", "invite", "leave"),
    PRIVATE: ("view", "post", "topic", "invite", "leave"),
    DIRECT: ("view", "post"),
}
_MINE = (Membership.read, Membership.invited, Membership.muted)
_acl = ACLHelper()


class TooMany(Exception):
    """Somebody is in as many rooms as there may be."""

    def __init__(self) -> None:
        super().__init__(f"Nobody can be in more than {MAX_ROOMS} rooms.")


class NotLookedInto(TooMany):
    """Somebody was put into rooms enough that they have not looked into."""

    def __init__(self) -> None:
        Exception.__init__(self, "They have not looked into earlier ones yet.")


def principals(user_id: int | None) -> list[str]:
    """Returns what access control lists know somebody by; None stands for nobody."""
    if user_id is None:
        return [Everyone]
    return [Everyone, Authenticated, f"user:{user_id}"]


@dataclass(frozen=True, slots=True)
class RoomContext:
    """A room as somebody finds it: the context of its views and of what a connection asks for.

    Attributes:
        id: of the room.
        kind: public, private or direct.
        name: "" where it is direct.
        topic: "" where it has none.
        version: how many changes its messages have seen.
        owner_id: who may rename it.
        user_id: who finds it.
        read: the number of the last message that they have read; None: they are no member.
        invited: others have put them into it, and they have not looked into it yet.
        muted: they are told of nothing there but of mentions.
        admin: they look after the chat.
    """

    id: int
    kind: str
    name: str
    topic: str
    version: int
    owner_id: int | None
    user_id: int
    read: int | None
    invited: bool
    muted: bool
    admin: bool

    @property
    def member(self) -> bool:
        """Whether who finds it is in it."""
        return self.read is not None

    @property
    def __acl__(self) -> list[tuple[str, str, str | tuple[str, ...]]]:
        user = f"user:{self.user_id}"
        entries: list[tuple[str, str, str | tuple[str, ...]]] = []
        if self.member:
            entries.append((Allow, user, _OF_MEMBERS[self.kind]))
            if self.owner_id == self.user_id:
                entries.append((Allow, user, "rename"))
        if self.kind == PUBLIC:
            entries.append((Allow, Authenticated, ("view", "join")))
        # What two people say to each other is their own business.
        if self.admin and (self.kind == PUBLIC or (self.kind == PRIVATE and self.member)):
            entries.append((Allow, user, "moderate"))
        return entries

    def told(
        self,
        unread: int = 0,
        person: JSONObject | None = None,
        mentioned: Collection[int] = (),
    ) -> JSONObject:
        """Returns what who finds it is told of it.

        Args:
            unread: how many messages of others they have not read.
            person: the other one of a direct room.
            mentioned: the numbers of those that mention them.
        """
        who = principals(self.user_id)
        can = [name for name in PERMISSIONS if _acl.permits(self, who, name)]
        if self.member and "join" in can:
            can.remove("join")
        told = {
            "id": self.id,
            "kind": self.kind,
            "name": person["name"] if person is not None else self.name,
            "topic": self.topic,
            "version": self.version,
            "member": self.member,
            "unread": unread,
            "mentioned": list(mentioned),
            "muted": self.muted,
            "read": self.read if self.read is not None else self.version,
            "can": can,
        }
        return told | ({"person": person} if person is not None else {})


def _context(
    room: Room,
    user_id: int,
    read: int | None,
    invited: bool | None,
    muted: bool | None,
    admin: bool | None,
) -> RoomContext:
    about = (room.id, room.kind, room.name, room.topic, room.version, room.owner_id)
    return RoomContext(*about, user_id, read, bool(invited), bool(muted), bool(admin))


def load(session: Session, room_id: int, user_id: int, *, lock: bool = False) -> RoomContext | None:
    """Finds a room, whether it may be seen or not.

    Args:
        session: to ask.
        room_id: of the room.
        user_id: who asks.
        lock: nobody else changes the room in the meantime.
    """
    query = (
        select(Room, *_MINE, User.admin)
        .outerjoin(Membership, and_(Membership.room_id == Room.id, Membership.user_id == user_id))
        .outerjoin(User, User.id == user_id)
        .where(Room.id == room_id)
        .execution_options(populate_existing=True)
    )
    if lock:
        query = query.with_for_update(of=Room)
    row = session.execute(query).one_or_none()
    return _context(row[0], user_id, *row[1:]) if row is not None else None


def told_to(
    session: Session, user_ids: Collection[int], room_id: int | None = None
) -> dict[int, list[JSONObject]]:
    """Tells members of their rooms.

    Args:
        session: to ask.
        user_ids: whom; those who are no members are told nothing.
        room_id: of which room; None stands for all that they are in.

    Returns:
        By the user's id, the rooms in the order of their ids.
    """
    others = (
        select(literal(1).label("one"))
        .select_from(Message)
        .where(
            Message.room_id == Membership.room_id,
            Message.number > Membership.read,
            Message.author_id != Membership.user_id,
            Message.deleted.is_(False),
        )
        .limit(MAX_UNREAD)
        .correlate(Membership)
        .subquery()
    )
    unread = select(func.count()).select_from(others).scalar_subquery()
    query = (
        select(Room, User.id, *_MINE, User.admin, unread)
        .join(Membership, Membership.room_id == Room.id)
        .join(User, User.id == Membership.user_id)
        .where(Membership.user_id.in_(user_ids))
        .order_by(Room.id)
    )
    if room_id is not None:
        query = query.where(Room.id == room_id)
    rows = session.execute(query).all()
    people = _people(session, [row[0].id for row in rows if row[0].kind == DIRECT])
    mentioned = mentions.unread(session, user_ids, room_id)
    told: dict[int, list[JSONObject]] = {}
    for room, user_id, read, invited, muted, admin, count in rows:
        person = next((one for one in people.get(room.id, ()) if one["id"] != user_id), None)
        context = _context(room, user_id, read, invited, muted, admin)
        numbers = mentioned.get((user_id, room.id), ())
        told.setdefault(user_id, []).append(context.told(count, person, numbers))
    return told


def _people(session: Session, room_ids: list[int]) -> dict[int, list[JSONObject]]:
    people: dict[int, list[JSONObject]] = {}
    if room_ids:
        query = (
            select(Membership.room_id, User.id, User.name)
            .join(User, User.id == Membership.user_id)
            .where(Membership.room_id.in_(room_ids))
        )
        for room_id, user_id, name in session.execute(query):
            people.setdefault(room_id, []).append({"id": user_id, "name": name})
    return people


def told_of(session: Session, context: RoomContext) -> JSONObject:
    """Tells who finds a room of it, be it a member or not."""
    if not context.member:
        return context.told()
    told = told_to(session, [context.user_id], context.id)
    return told[context.user_id][0] if told else context.told()


def person(session: Session, user_id: int) -> JSONObject:
    """Returns what others are told of somebody."""
    user = session.get_one(User, user_id)
    return {"id": user.id, "name": user.name}


def told_member(session: Session, room_id: int, user_id: int) -> JSONObject:
    """Tells who hears a room whether somebody is in it."""
    joined = session.get(Membership, (room_id, user_id)) is not None
    who = person(session, user_id)
    return {"type": "member", "room": room_id, "user": who, "joined": joined}


def members(session: Session, room_id: int) -> list[JSONObject]:
    """Lists who is in a room, by name, the first of them."""
    query = (
        select(User.id, User.name)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.room_id == room_id)
        .order_by(User.folded)
        .limit(MAX_MEMBERS)
    )
    return [{"id": row.id, "name": row.name} for row in session.execute(query)]


# Changes. Their sessions have to be such as may write.


def direct(session: Session, user_id: int, other_id: int) -> tuple[int, bool]:
    """Finds or makes the room of two people.

    Returns:
        Its id, and whether it is new.

    Raises:
        TooMany: who makes it is in too many rooms, or the other one was put into too many.
    """
    first, second = sorted((user_id, other_id))
    unique_name = f"{DIRECT}:{first}:{second}"
    found = select(Room.id).where(Room.unique_name == unique_name)
    if (room_id := session.scalar(found)) is not None:
        return room_id, False
    room = Room(kind=DIRECT, name="", unique_name=unique_name)
    try:
        with session.begin_nested():
            session.add(room)
    except IntegrityError:
        # The other one was quicker.
        return session.scalars(found).one(), False
    join(session, room.id, user_id)
    join(session, room.id, other_id, invited=True)
    return room.id, True


def join(session: Session, room_id: int, user_id: int, *, invited: bool = False) -> bool:
    """Makes somebody a member, who has read what there is.

    What others do counts apart, so that nobody's own rooms can be used up by invitations.

    Args:
        session: that may write.
        room_id: of the room.
        user_id: who.
        invited: somebody else wants it.

    Returns:
        False where they are one already.

    Raises:
        TooMany: they are in too many rooms, or were put into too many.
    """
    # In this order two who join at once are one after the other.
    room = session.scalars(
        select(Room)
        .where(Room.id == room_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if (membership := session.get(Membership, (room_id, user_id))) is not None:
        membership.invited = membership.invited and invited
        return False
    if invited:
        _check_invited(session, room, user_id)
    else:
        _check_rooms(session, user_id)
    session.add(Membership(room_id=room_id, user_id=user_id, read=room.version, invited=invited))
    room.archived = None
    if room.owner_id is None and room.kind != DIRECT:
        room.owner_id = user_id
    session.flush()
    return True


def _check_rooms(session: Session, user_id: int) -> None:
    mine = (Membership.user_id == user_id, Membership.invited.is_(False))
    if session.scalars(select(func.count()).where(*mine)).one() >= MAX_ROOMS:
        raise TooMany


def _check_invited(session: Session, room: Room, user_id: int) -> None:
    of_kind = Room.kind == DIRECT if room.kind == DIRECT else Room.kind != DIRECT
    unseen = (
        select(func.count())
        .select_from(Membership)
        .join(Room, Room.id == Membership.room_id)
        .where(Membership.user_id == user_id, Membership.invited.is_(True), of_kind)
    )
    if session.scalars(unseen).one() >= MAX_INVITED:
        raise NotLookedInto
    same_owner = unseen.where(Room.owner_id == room.owner_id)
    if room.kind != DIRECT and session.scalars(same_owner).one() >= MAX_INVITED_BY_OWNER:
        raise NotLookedInto


def leave(session: Session, room_id: int, user_id: int) -> bool:
    """Ends a membership. Who is in a room longest inherits it; a private one is archived else.

    Returns:
        False where there was none.
    """
    room = session.scalars(
        select(Room)
        .where(Room.id == room_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    gone = session.execute(
        delete(Membership)
        .where(Membership.room_id == room_id, Membership.user_id == user_id)
        .returning(Membership.user_id)
    ).all()
    if gone:
        heir = session.scalar(
            select(Membership.user_id)
            .where(Membership.room_id == room_id)
            .order_by(Membership.joined, Membership.user_id)
            .limit(1)
        )
        if room.owner_id == user_id:
            room.owner_id = heir
        if room.kind == PRIVATE and heir is None:
            room.archived = now()
        session.flush()
    return bool(gone)
