"""What administrators set on their page, in place of what the ini says.

It is in the database: it holds in all processes, and after a restart. What is as the ini has it is
not kept, so that a change of the ini holds there.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pyramid_chat import notices
from pyramid_chat.limits import MESSAGES, ROOM_CHANGES
from pyramid_chat.models import Bucket, Option
from pyramid_chat.names import BadInput
from pyramid_chat.settings import Settings
from sockjs_bridge.ini import SettingError, read

REGISTRATION = "registration"
LIMITS = ("messages_per_minute", "message_burst")
NAMES = (REGISTRATION, *LIMITS)
"""The settings that administrators may change while the chat runs."""


def effective(session: Session, settings: Settings) -> Settings:
    """Returns the settings of the ini, with what administrators have changed of them."""
    changed: dict[str, Any] = {}
    for name, value in session.execute(select(Option.name, Option.value)):
        # What another version allowed is as in the ini.
        with suppress(SettingError):
            changed |= read(Settings, {name: value} if name in NAMES else {})
    return replace(settings, **changed)


def change(session: Session, settings: Settings, user_id: int, raw: Mapping[str, str]) -> bool:
    """Changes settings, in all processes.

    Args:
        session: that may write.
        settings: of the ini.
        user_id: who does it.
        raw: values by name, some of `NAMES`, as an ini would have them.

    Returns:
        False where all of them were so before.

    Raises:
        BadInput: a value is not allowed.
    """
    before = effective(session, settings)
    values = {name: _parsed(name, value) for name, value in raw.items()}
    changed = {name for name, value in values.items() if value != getattr(before, name)}
    for name in changed:
        if values[name] == getattr(settings, name):
            session.execute(delete(Option).where(Option.name == name))
        else:
            session.merge(Option(name=name, value=str(values[name])))
    if changed.intersection(LIMITS):
        # They count in tokens of the old size.
        session.execute(delete(Bucket).where(Bucket.kind.in_((MESSAGES, ROOM_CHANGES))))
    session.flush()
    if changed:
        notices.post(session, notices.OPTIONS, user_id)
    return bool(changed)


def _parsed(name: str, value: str) -> Any:
    try:
        return read(Settings, {name: value[:40]}, wrong="{value!r} is not {allowed}.")[name]
    except SettingError as error:
        raise BadInput(str(error), name) from None
