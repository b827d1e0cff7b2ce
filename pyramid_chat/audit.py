"""What administrators did: noted in the database, shown on their page, and in the log."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, aliased

from pyramid_chat.messages import JSONObject
from pyramid_chat.models import AuditEntry, User, now
from pyramid_chat.people import Identity

logger = logging.getLogger("pyramid_chat")

ACTIONS: Final = {
    "disable": ("disabled", ""),
    "enable": ("enabled", ""),
    "sign-out": ("signed out", ""),
    "reset-link": ("made a link for a new password of", ""),
    "remove-message": ("removed a message of", "in"),
    "remove-room": ("removed the room", ""),
    "reopen-room": ("let", "into the room"),
    "admit": ("made a link for new accounts, to", ""),
    "open-registration": ("opened the registration", ""),
    "close-registration": ("closed the registration", ""),
    "limit-messages": ("limited messages to", ""),
}
"""What they do, in words: before the person whom it concerns, and before what else it concerns."""
KEPT = timedelta(days=365)
"""How long that is kept."""
MAX_SHOWN = 50
"""Entries that are shown."""


def record(
    session: Session, admin: Identity, action: str, about: str = "", user: User | None = None
) -> None:
    """Notes what an administrator does, in the same transaction.

    Args:
        session: that may write.
        admin: who does it.
        action: one of `ACTIONS`.
        about: what it concerns, such as the name of a room.
        user: whom it concerns, where it is somebody.
    """
    session.execute(delete(AuditEntry).where(AuditEntry.created < now() - KEPT))
    user_id = user.id if user is not None else None
    session.add(AuditEntry(admin_id=admin.id, action=action, user_id=user_id, about=about))
    session.flush()
    did, joint = ACTIONS[action]
    words = [did, *([repr(user.name)] if user is not None else [])]
    words += [word for word in (joint, repr(about)) if about and word]
    logger.warning("administrator %r %s", admin.name, " ".join(words))


def newest(session: Session) -> list[JSONObject]:
    """Lists what administrators did last, the newest first."""
    admin, user = aliased(User), aliased(User)
    query = (
        select(AuditEntry, admin.name, user.name)
        .join(admin, admin.id == AuditEntry.admin_id)
        .outerjoin(user, user.id == AuditEntry.user_id)
        .order_by(AuditEntry.id.desc())
        .limit(MAX_SHOWN)
    )
    return [
        {
            "admin": admin_name,
            "did": ACTIONS[entry.action][0],
            "person": user_name,
            "joint": ACTIONS[entry.action][1],
            "about": entry.about,
            "time": entry.created,
        }
        for entry, admin_name, user_name in session.execute(query)
    ]
