"""The directive of rooms with history, and what applications see of them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError

from sockjs_bridge import Joined, WebSocketSession
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.rooms import HistoryRooms
from sockjs_bridge.testing import AsyncDummyWebSocket, DummyWebSocket
from tests.pyramid.styles import every_style, run_style
from tests.pyramid.support import HandWorkers
from tests.support import HandClock


def configurator() -> Any:
    config = Configurator()
    config.include("sockjs_bridge")
    return config


def bounds(config: Any, room: str) -> Bounds | None:
    config.commit()
    history = config.registry.sockjs.endpoints.history
    assert isinstance(history, HistoryRooms)
    return history.bounds(room)


def test_defaults() -> None:
    config = configurator()
    config.add_sockjs_rooms("room-*")
    assert bounds(config, "room-1") == Bounds(100, 300)
    assert bounds(config, "other") is None


def test_values_as_an_ini_has_them() -> None:
    config = configurator()
    config.add_sockjs_rooms("room-*", history_size="20", history_ttl="1.5")
    assert bounds(config, "room-1") == Bounds(20, 1.5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"pattern": ""}, "pattern = '' cannot be: allowed is a room's name"),
        ({"pattern": None}, "pattern = None cannot be"),
        ({"history_size": 0}, "history_size = 0 cannot be: allowed is a whole number of messages"),
        ({"history_size": 1.5}, "history_size = 1.5 cannot be"),
        ({"history_size": True}, "history_size = True cannot be"),
        ({"history_ttl": 0}, "history_ttl = 0 cannot be: allowed is a number of seconds from 0.05"),
        ({"history_ttl": "soon"}, "history_ttl = 'soon' cannot be"),
        ({"history_ttl": float("inf")}, "history_ttl = inf cannot be"),
    ],
)
def test_wrong_values(arguments: dict[str, Any], text: str) -> None:
    config = configurator()
    with pytest.raises(ConfigurationError, match=f"add_sockjs_rooms: {text}"):
        config.add_sockjs_rooms(**{"pattern": "room-*", **arguments})


def test_one_pattern_twice() -> None:
    config = configurator()
    config.add_sockjs_rooms("room-*", history_size=1)
    config.add_sockjs_rooms("room-*", history_size=2)
    with pytest.raises(ConfigurationConflictError, match="room-"):
        config.commit()


def test_application_overrides_what_it_includes() -> None:
    """As with all directives."""
    config = configurator()
    config.include(lambda inner: inner.add_sockjs_rooms("room-*", history_size=1))
    config.add_sockjs_rooms("room-*", history_size=2)
    assert bounds(config, "room-1") == Bounds(2, 300)


def test_first_pattern_holds() -> None:
    config = configurator()
    config.add_sockjs_rooms("room-*", history_size=1)
    config.add_sockjs_rooms("*", history_size=2)
    assert bounds(config, "room-1") == Bounds(1, 300)
    assert bounds(config, "other") == Bounds(2, 300)


def test_introspection() -> None:
    config = configurator()
    config.add_sockjs_rooms("room-*", history_ttl=60)
    config.commit()
    ((entry,)) = config.introspector.get_category("sockjs rooms")
    shown = entry["introspectable"]
    assert dict(shown) == {"pattern": "room-*", "history_size": 100, "history_ttl": 60.0}
    assert shown.title == "room-*"


def test_too_late() -> None:
    config = configurator()
    config.registry.sockjs.endpoints.start(HandClock(), HandWorkers())
    config.add_sockjs_rooms("room-*")
    with pytest.raises(Exception, match="'room-\\*' is declared while the server runs"):
        config.commit()


def test_nobody_serves_the_application() -> None:
    """In a script nothing happens, as ever."""
    config = configurator()
    config.add_sockjs_rooms("room-*")
    config.commit()
    assert config.registry.sockjs.broadcast("a", room="room-1") == 0


def test_who_declares_none_imports_none() -> None:
    code = """if True:
        import sys
        from pyramid.config import Configurator
        config = Configurator()
        config.include("sockjs_bridge")
        config.make_wsgi_app()
        assert not [name for name in sys.modules if name.startswith("sockjs_bridge.cluster")]
        config.add_sockjs_rooms("room")
        config.commit()
        assert "sockjs_bridge.cluster.memory" in sys.modules
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize("room", ["room-1", "plain"])
def test_broadcast(room: str) -> None:
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    config.add_sockjs_rooms("room-*")
    config.commit()
    sockjs = config.registry.sockjs
    clock = HandClock()
    sockjs.endpoints.start(clock, HandWorkers())
    assert sockjs.broadcast("a", room=room) == 0
    assert sockjs.broadcast("a") == 0
    clock.settle()


@every_style
def test_join_may_be_returned(style: str) -> None:
    """What is returned may be awaited and need not be: no style takes it for what nobody runs."""
    found: list[Joined] = []

    def body() -> Joined:
        found.append(opening.websocket.join("room"))
        return found[0]

    opening = run_style(style, body)
    opening.settle()
    assert found == [True]
    assert not opening.session.over or opening.session.close_code == 1000


class Plain(WebSocketSession):
    def on_open(self) -> Any:
        return self.join("room")


class Asynchronous(WebSocketSession):
    async def on_open(self) -> Any:
        joined = await self.join("room")
        assert joined
        self.send(f"{joined.recovered}")


async def test_dummies() -> None:
    dummy = DummyWebSocket()
    assert dummy.run(Plain) == []
    assert await AsyncDummyWebSocket().run(Asynchronous) == ["None"]
