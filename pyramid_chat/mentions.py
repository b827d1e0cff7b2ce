"""Who is meant in a message: "@Ada" is a mention of the member of the room who has that name.

The server finds out when it keeps a message. From then on the mention is that person's, whatever
their name becomes: a client is told who is meant, and where.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import and_, delete, func, or_, select, tuple_
from sqlalchemy.orm import Session

from pyramid_chat.messages import JSONObject
from pyramid_chat.models import Membership, Mention, Message, User
from pyramid_chat.names import MAX_NAME, folded

MAX_MENTIONS = 20
"""Mentions in one message; what else begins with an @ is only text."""
MAX_SIGNS = 40
"""Signs (@) of one message that are looked at."""
MAX_WRITTEN = MAX_NAME + 16
"""Characters that a name may be written with: letters may be decomposed, marks apart."""
MAX_TOLD = 99
"""Unread mentions in one room that a client is told."""
PAGE = 30
"""Mentions that the list of one's own shows at once."""

# A sign, or an address of the web: none in there means somebody.
_SIGN = re.compile(r"https?://\S+|@", re.IGNORECASE)
_IS_MESSAGE = (Message.room_id == Mention.room_id, Message.number == Mention.number)
_JOINERS = "\u200c\u200d"
# Scripts without spaces between words, and one whose particles stand right behind a name: there a
# name may end, or a sign stand, between any two letters.
_UNSPACED = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR"}


class Span(NamedTuple):
    """A part of a text that may be a mention: the sign, and a name.

    Attributes:
        start: of the sign, in characters.
        end: behind the name.
        name: folded.
    """

    start: int
    end: int
    name: str


def _is_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM"


def _is_unspaced(char: str) -> bool:
    return unicodedata.name(char, "").split(" ", 1)[0] in _UNSPACED


def _ends_at(text: str, index: int) -> bool:
    """Tells whether a name may end before a character of a text, which is behind one or more."""
    if index == len(text):
        return True
    before, char, after = text[index - 1], text[index], text[index + 1 : index + 2]
    if unicodedata.category(char)[0] == "M" or char in _JOINERS or before in _JOINERS:
        return False
    if char == "_":
        # At the end of a word it marks up the text.
        return not (after and _is_word(after))
    if not (_is_word(before) and _is_word(char)):
        return True
    return _is_unspaced(before) or _is_unspaced(char)


def _in_word(text: str, start: int) -> bool:
    """Tells whether a sign stands in a word, as in an address of mail."""
    return start > 0 and _is_word(text[start - 1]) and not _is_unspaced(text[start - 1])


def _spans(text: str) -> Iterator[list[Span]]:
    """Finds the signs behind which names may stand, each with all that such a name may be."""
    signs = 0
    for match in _SIGN.finditer(text):
        start = match.start()
        if match[0] != "@" or _in_word(text, start) or text[start + 1 : start + 2].isspace():
            continue
        signs += 1
        if signs > MAX_SIGNS:
            return
        line = text[start + 1 : start + 1 + MAX_WRITTEN].split("\n", 1)[0]
        yield [
            Span(start, end, folded(text[start + 1 : end]))
            for end in range(start + 2, start + 2 + len(line))
            if not text[end - 1].isspace() and _ends_at(text, end)
        ]


def find(text: str, ids: Callable[[set[str]], Mapping[str, int]]) -> list[tuple[Span, int]]:
    """Finds the mentions in a text: at each sign the longest name that somebody has.

    Args:
        text: of the message.
        ids: returns who have some of the names that it is given, which are folded.
    """
    spans = list(_spans(text))
    names = {span.name for possible in spans for span in possible}
    if not names:
        return []
    people = ids(names)
    found: list[tuple[Span, int]] = []
    for possible in spans:
        meant = next((span for span in reversed(possible) if span.name in people), None)
        # A name may have a sign in it.
        if meant is not None and (not found or meant.start >= found[-1][0].end):
            found.append((meant, people[meant.name]))
    return found[:MAX_MENTIONS]


def attach(session: Session, told: list[JSONObject]) -> list[JSONObject]:
    """Adds to what clients are told of messages who is meant in them.

    Args:
        session: to ask.
        told: the messages, as `pyramid_chat.conversation.told` makes them. Those with mentions get
            a list ``mentions``, in their order: the person, and the place in the text.

    Returns:
        The same.
    """
    places = {(one["room"], one["number"]): one for one in told if "@" in one["text"]}
    if places:
        query = (
            select(Mention, User.name)
            .join(User, User.id == Mention.user_id)
            .where(tuple_(Mention.room_id, Mention.number).in_(places))
            .order_by(Mention.start)
        )
        for mention, name in session.execute(query):
            person = {"id": mention.user_id, "name": name}
            about = {"user": person, "start": mention.start, "length": mention.length}
            place = (mention.room_id, mention.number)
            places[place].setdefault("mentions", []).append(about)
    return told


def unread(
    session: Session, user_ids: Collection[int], room_id: int | None = None
) -> dict[tuple[int, int], list[int]]:
    """Finds the messages that mention members who have not read them.

    Args:
        session: to ask.
        user_ids: whom.
        room_id: in which room; None stands for all that they are in.

    Returns:
        By user and room, the numbers of the messages, the newest `MAX_TOLD` of them in order.
    """
    rank = func.row_number().over(
        partition_by=(Mention.user_id, Mention.room_id), order_by=Mention.number.desc()
    )
    ranked = (
        select(Mention.user_id, Mention.room_id, Mention.number, rank.label("rank"))
        .join(
            Membership,
            and_(Membership.room_id == Mention.room_id, Membership.user_id == Mention.user_id),
        )
        .join(Message, and_(*_IS_MESSAGE))
        .where(
            Mention.user_id.in_(user_ids),
            Mention.number > Membership.read,
            Message.author_id != Mention.user_id,
        )
        .group_by(Mention.user_id, Mention.room_id, Mention.number)
    )
    if room_id is not None:
        ranked = ranked.where(Mention.room_id == room_id)
    found = ranked.subquery()
    query = select(found).where(found.c.rank <= MAX_TOLD).order_by(found.c.number)
    told: dict[tuple[int, int], list[int]] = {}
    for user_id, in_room, number, _ in session.execute(query):
        told.setdefault((user_id, in_room), []).append(number)
    return told


def places(
    session: Session, user_id: int, before: tuple[int, int] | None = None
) -> tuple[list[tuple[int, int]], bool]:
    """Lists the messages of others that mention somebody, in the rooms that they are in.

    Args:
        session: to ask.
        user_id: whom.
        before: room and number of the message at which the page before ended.

    Returns:
        Room and number of each, the newest first, and whether there are more.
    """
    order = (Mention.created.desc(), Mention.room_id.desc(), Mention.number.desc())
    query = (
        select(Mention.room_id, Mention.number)
        .join(
            Membership,
            and_(Membership.room_id == Mention.room_id, Membership.user_id == user_id),
        )
        .join(Message, and_(*_IS_MESSAGE))
        .where(Mention.user_id == user_id, Message.author_id != user_id)
        .group_by(Mention.created, Mention.room_id, Mention.number)
        .order_by(*order)
        .limit(PAGE + 1)
    )
    if before is not None:
        room_id, number = before
        time = session.scalar(
            select(Message.created).where(Message.room_id == room_id, Message.number == number)
        )
        # Where it is gone, so is the room.
        if time is None:
            return [], False
        query = query.where(
            or_(
                Mention.created < time,
                and_(Mention.created == time, Mention.room_id < room_id),
                and_(Mention.created == time, Mention.room_id == room_id, Mention.number < number),
            )
        )
    found = [(row.room_id, row.number) for row in session.execute(query)]
    return found[:PAGE], len(found) > PAGE


# Changes. Their sessions have to be such as may write.


def keep(session: Session, message: Message, before: Mapping[str, int] | None = None) -> None:
    """Keeps who is meant in a message.

    Args:
        session: that may write.
        message: which has none yet.
        before: who had been meant in the text that it had, by the folded names there.
    """

    def ids(names: set[str]) -> Mapping[str, int]:
        query = (
            select(User.folded, User.id)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.room_id == message.room_id, User.folded.in_(names))
        )
        members = {row.folded: row.id for row in session.execute(query)}
        # Somebody else may have such a name by now.
        return members | dict(before or {})

    for span, user_id in find(message.text, ids):
        start = _units(message.text[: span.start])
        length = _units(message.text[span.start : span.end])
        where = {"room_id": message.room_id, "number": message.number, "start": start}
        created = message.created
        session.add(Mention(**where, length=length, user_id=user_id, created=created))
    session.flush()


def change(session: Session, message: Message, text: str) -> None:
    """Gives a message another text. Who is meant in the old one is so still, if still named."""
    of_message = (Mention.room_id == message.room_id, Mention.number == message.number)
    before = {
        folded(_cut(message.text, mention.start, mention.length)[1:]): mention.user_id
        for mention in session.scalars(select(Mention).where(*of_message))
    }
    forget(session, message)
    message.text = text
    keep(session, message, before)


def forget(session: Session, message: Message) -> None:
    """Forgets who was meant in a message."""
    of_message = (Mention.room_id == message.room_id, Mention.number == message.number)
    session.execute(delete(Mention).where(*of_message))
    session.flush()


def _units(text: str) -> int:
    """Counts a text as JavaScript does."""
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, start: int, length: int) -> str:
    return text.encode("utf-16-le")[2 * start : 2 * (start + length)].decode("utf-16-le")
