"""Who waits for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyramid_chat import main
from pyramid_chat.limits import Busy


def test_rooms_take_turns_where_the_database_has_one_writer(tmp_path: Path) -> None:
    """Where SQLite chooses who writes next, some wait until they are refused."""
    app: Any = main({"here": str(tmp_path)}, **{"chat.database_timeout": "0.1"})
    live = app.registry.chat_live
    with live.room(1), pytest.raises(Busy), live.room(2):
        pass
    with live.room(2):
        pass
