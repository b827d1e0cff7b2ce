"""The tables: people, sign-ins, rooms, members, messages and what goes with them, and others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

PUBLIC, PRIVATE, DIRECT = "public", "private", "direct"
"""The kinds of rooms."""
REMOVED = "removed"
"""What a room was that is no more: nobody is in it, and no other room gets its number."""


class Moment(TypeDecorator[datetime]):
    """A point in time. SQLite forgets that it is UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hands UTC to the database."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Takes what comes for UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Returns the time, as exact as it is told."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


class Base(DeclarativeBase):
    """What the tables have in common."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: Moment}


class User(Base):
    """A person.

    Attributes:
        name: as it is shown.
        folded: as it is compared, see `pyramid_chat.names.folded`.
        password: its hash.
        disabled: they cannot sign in.
        admin: they look after the chat.
        removed: the account is gone, and nobody has its name; what they said stays.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    folded: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=now)
    disabled: Mapped[bool] = mapped_column(default=False, server_default=false())
    admin: Mapped[bool] = mapped_column(default=False, server_default=false())
    removed: Mapped[bool] = mapped_column(default=False, server_default=false())


class SignIn(Base):
    """A browser that somebody is signed in with. Where it is deleted, its cookie is worthless.

    Attributes:
        id: random; the cookie holds it.
        seen: when it loaded the page or connected last, give or take a day.
        created: when they signed in; None: before that was noted.
        browser: what its owner knows it by, such as "Firefox on Linux"; "" where that is not known.
    """

    __tablename__ = "sign_in"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    seen: Mapped[datetime] = mapped_column(default=now, index=True)
    created: Mapped[datetime | None] = mapped_column(default=now)
    browser: Mapped[str] = mapped_column(default="", server_default="")


class ResetLink(Base):
    """A link by which somebody sets a new password. Where it is deleted, it is worthless.

    Attributes:
        digest: of the token that is in the link (`pyramid_chat.accounts.digest`).
        user_id: whose password; everybody has one link at most.
        expires: when it is worthless anyway.
    """

    __tablename__ = "reset_link"

    digest: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), unique=True)
    expires: Mapped[datetime]


class Room(Base):
    """A room.

    Attributes:
        kind: public, private, direct or removed.
        name: "" where it is direct.
        unique_name: the folded name of a public room, the two people of a direct one.
        version: how many changes its messages have seen.
        owner_id: who may rename it.
        archived: when the last member of a private room left it; None: somebody is in it.
    """

    __tablename__ = "room"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    unique_name: Mapped[str | None] = mapped_column(unique=True)
    topic: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(default=0)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    created: Mapped[datetime] = mapped_column(default=now)
    archived: Mapped[datetime | None]


class Membership(Base):
    """That somebody is in a room.

    Attributes:
        read: the number of the last message that this person has read.
        invited: somebody else has made it, and the person has not looked into the room yet.
        muted: the person is told of nothing there but of mentions.
    """

    __tablename__ = "membership"

    room_id: Mapped[int] = mapped_column(
        ForeignKey(Room.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True
    )
    read: Mapped[int] = mapped_column(default=0)
    joined: Mapped[datetime] = mapped_column(default=now)
    invited: Mapped[bool] = mapped_column(default=False, server_default=false())
    muted: Mapped[bool] = mapped_column(default=False, server_default=false())


class Message(Base):
    """A message.

    Attributes:
        number: the version of its room that it made.
        version: the version of its room that changed it last.
        key: the name that its author's page gave it.
        text: "" where it is deleted.
        reply_to: the number of the message of the same room that it answers; None: it answers none.
        removed_by_id: the administrator who deleted it; None: it is not deleted, or by its author.
    """

    __tablename__ = "message"
    __table_args__ = (UniqueConstraint("author_id", "key"), UniqueConstraint("room_id", "version"))

    room_id: Mapped[int] = mapped_column(
        ForeignKey(Room.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    key: Mapped[str]
    text: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=now)
    edited: Mapped[datetime | None]
    deleted: Mapped[bool] = mapped_column(default=False)
    removed_by_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    reply_to: Mapped[int | None]


class Mention(Base):
    """That a part of a message's text means somebody (`pyramid_chat.mentions`).

    Attributes:
        start: where the part begins, as JavaScript counts: in units of UTF-16.
        length: of the part, likewise.
        created: when the message was said.
    """

    __tablename__ = "mention"
    __table_args__ = (
        ForeignKeyConstraint(
            ["room_id", "number"], ["message.room_id", "message.number"], ondelete="CASCADE"
        ),
        Index(None, "user_id", "created"),
    )

    room_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    length: Mapped[int]
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    created: Mapped[datetime]


class Reaction(Base):
    """An emoji that somebody has put below a message.

    Attributes:
        emoji: fully qualified (UTS 51), so that the same one is one.
        version: the version of its room that it made.
    """

    __tablename__ = "reaction"
    __table_args__ = (
        ForeignKeyConstraint(
            ["room_id", "number"], ["message.room_id", "message.number"], ondelete="CASCADE"
        ),
    )

    room_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    emoji: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    version: Mapped[int]


class Invitation(Base):
    """A link by which people join a room. Where it is deleted, it is worthless.

    Attributes:
        digest: of the token that is in the link (`pyramid_chat.accounts.digest`).
        maker_id: who has made it.
        expires: when it is worthless anyway.
        uses: how many may join by it; None: any number.
        used: how many have.
        admits: who has no account may make one by it, where the registration is closed.
    """

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    room_id: Mapped[int] = mapped_column(ForeignKey(Room.id, ondelete="CASCADE"), index=True)
    maker_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    uses: Mapped[int | None]
    used: Mapped[int] = mapped_column(default=0)
    admits: Mapped[bool] = mapped_column(default=False)


class File(Base):
    """A file that somebody has uploaded. As long as there is its row, it may be in the folder.

    Attributes:
        id: random; also what it is called in the folder.
        number: of the message of its room that it belongs to; None: of none yet.
        place: among the files of its message.
        name: as it is shown.
        size: in bytes, with its thumbnail; before it is complete, of what was uploaded.
        media_type: of a picture, such as image/jpeg; "": it is none, or not complete.
        width, height: of a picture, in pixels; 0: it is none.
        complete: all of it is in the folder.
        removed: nobody gets it any more; it goes from the folder, and this row after it.
    """

    __tablename__ = "file"
    __table_args__ = (Index("ix_file_room_id_number", "room_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey(Room.id))
    owner_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    number: Mapped[int | None]
    place: Mapped[int] = mapped_column(default=0)
    name: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(default="")
    width: Mapped[int] = mapped_column(default=0)
    height: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime] = mapped_column(default=now)
    complete: Mapped[bool] = mapped_column(default=False)
    removed: Mapped[bool] = mapped_column(default=False, index=True)


class Bucket(Base):
    """A token bucket that several processes share (`pyramid_chat.limits.SharedBuckets`).

    Attributes:
        kind: of what its tokens are for.
        key: whose it is.
        full_at: when it is full again, in seconds of the database's clock.
    """

    __tablename__ = "bucket"

    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    full_at: Mapped[float] = mapped_column(Double, index=True)


class Notice(Base):
    """What running servers have to know of a change that was made elsewhere.

    Attributes:
        id: a later notice has a greater one, and is seen no sooner.
        topic: what was changed, see `pyramid_chat.notices`.
        user_id: whose it is.
        room_id: in which room, where it is one's.
    """

    __tablename__ = "notice"
    # Without it SQLite gives the id of the newest one again, when that was deleted.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (as SQLAlchemy declares it)

    id: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str]
    user_id: Mapped[int]
    room_id: Mapped[int | None]
    created: Mapped[datetime] = mapped_column(default=now, index=True)


class AuditEntry(Base):
    """What an administrator did.

    Attributes:
        admin_id: whose deed it is.
        action: one of `pyramid_chat.audit.ACTIONS`.
        user_id: whom it concerns, where it is somebody.
        about: what else it concerns, such as the name of a room that is no more.
    """

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    admin_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    action: Mapped[str]
    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    about: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=now)


class Option(Base):
    """A setting that administrators have changed (`pyramid_chat.options`).

    Attributes:
        name: that of the setting.
        value: as an ini would have it.
    """

    __tablename__ = "option"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
