"""`sockjs_bridge.core.settings`: what a user may write, and what is said when it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import NAMES
from sockjs_bridge.ini import SettingError, flag


def test_defaults() -> None:
    """The table of api.md, section 11."""
    assert Settings() == Settings(
        heartbeat_delay=25,
        disconnect_delay=5,
        response_limit=131072,
        response_max_age=25,
        max_message_size=65536,
        max_queue_size=1048576,
        max_inbound=64,
        max_sessions=50000,
        blocking_threads=1000,
        max_body_size=None,
        page_threads=None,
        transports=NAMES,
        allowed_origins=(),
        subprotocols=(),
        jsessionid=False,
    )


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("heartbeat_delay", "10", 10.0),
        ("heartbeat_delay", "0.5", 0.5),
        ("heartbeat_delay", 35, 35.0),
        ("disconnect_delay", " 3600 ", 3600.0),
        ("response_limit", "4096", 4096),
        ("response_limit", 1, 1),
        ("response_max_age", "86400", 86400.0),
        ("max_inbound", " 7 ", 7),
        ("transports", "websocket", ("websocket",)),
        ("transports", "websocket, xhr-polling\n  jsonp-polling", None),
        ("transports", ["websocket", "xhr-polling", "jsonp-polling", "websocket"], None),
        ("allowed_origins", "", ()),
        ("allowed_origins", "https://a.example", ("https://a.example",)),
        ("allowed_origins", "https://App.Example:8443", ("https://app.example:8443",)),
        ("allowed_origins", ["http://a.b", "*"], ("http://a.b", "*")),
        (
            "allowed_origins",
            "https://a.b\nhttps://*.c.d",
            ("https://a.b", "https://*.c.d"),
        ),
        ("subprotocols", "", ()),
        ("subprotocols", "v12.stomp, v11.stomp", ("v12.stomp", "v11.stomp")),
        ("subprotocols", ["mqtt", "MQTT", "mqtt"], ("mqtt", "MQTT")),
        ("jsessionid", True, True),
        ("jsessionid", "true", True),
        ("jsessionid", " On ", True),
        ("jsessionid", "1", True),
        ("jsessionid", "yes", True),
        ("jsessionid", "false", False),
        ("jsessionid", "off", False),
        ("jsessionid", 0, False),
        ("jsessionid", "No", False),
    ],
)
def test_value(name: str, raw: Any, value: Any) -> None:
    """Strings as an ini file holds them, or values of the setting's type."""
    if value is None:
        value = ("websocket", "xhr-polling", "jsonp-polling")
    settings = Settings().override({name: raw})
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "allowed"),
    [
        ("heartbeat_delay", "35.1", "a number of seconds from 0.05 to 35"),
        ("heartbeat_delay", "0", "a number of seconds"),
        ("heartbeat_delay", "-1", "a number of seconds"),
        ("heartbeat_delay", "nan", "a number of seconds"),
        ("heartbeat_delay", "inf", "a number of seconds"),
        ("heartbeat_delay", "25s", "a number of seconds"),
        ("heartbeat_delay", "", "a number of seconds"),
        ("heartbeat_delay", None, "a number of seconds"),
        ("heartbeat_delay", True, "a number of seconds"),
        ("heartbeat_delay", 10**400, "a number of seconds"),
        ("disconnect_delay", "3601", "a number of seconds"),
        ("response_max_age", "0", "a number of seconds"),
        ("response_limit", "0", "a whole number of bytes, 1 or more"),
        ("response_limit", "4096.0", "a whole number of bytes"),
        ("response_limit", 4096.0, "a whole number of bytes"),
        ("response_limit", "128K", "a whole number of bytes"),
        ("max_message_size", True, "a whole number of bytes"),
        ("max_queue_size", None, "a whole number of bytes"),
        ("max_inbound", "-3", "a whole number of messages"),
        ("max_sessions", float("inf"), "a whole number of sessions"),
        ("max_sessions", float("nan"), "a whole number of sessions"),
        ("blocking_threads", "none", "a whole number of threads"),
        ("transports", "", "one or more of websocket"),
        ("transports", [], "one or more of websocket"),
        ("transports", "websocket xhr", "one or more of websocket"),
        ("transports", None, "one or more of websocket"),
        ("transports", 7, "one or more of websocket"),
        ("transports", b"websocket", "one or more of websocket"),
        ("transports", [["websocket"]], "one or more of websocket"),
        ("allowed_origins", "app.example.com", "https://app.example.com"),
        ("allowed_origins", "https://a.b/", "https://app.example.com"),
        ("allowed_origins", "https://a.b/chat", "https://app.example.com"),
        ("allowed_origins", "https://u@a.b", "https://app.example.com"),
        ("allowed_origins", "https://a.*.b", "https://app.example.com"),
        ("allowed_origins", "https://*", "https://app.example.com"),
        ("allowed_origins", "https://*a.b", "https://app.example.com"),
        ("allowed_origins", "ftp://a.b", "https://app.example.com"),
        ("allowed_origins", "null", "https://app.example.com"),
        ("allowed_origins", [7], "https://app.example.com"),
        ("allowed_origins", None, "https://app.example.com"),
        ("subprotocols", ["v12 stomp"], "names of subprotocols as v12.stomp"),
        ("subprotocols", "a/b", "names of subprotocols as v12.stomp"),
        ("subprotocols", ["a\r\nX: y"], "names of subprotocols as v12.stomp"),
        ("subprotocols", [b"mqtt"], "names of subprotocols as v12.stomp"),
        ("subprotocols", None, "names of subprotocols as v12.stomp"),
        ("jsessionid", "maybe", "true or false"),
        ("jsessionid", None, "true or false"),
        ("jsessionid", 2, "true or false"),
        ("metrics_permission", None, "the name of a permission"),
        ("metrics_path", None, "a path as /metrics"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_impossible_value(name: str, raw: Any, allowed: str) -> None:
    """The error names the key, the value and what is allowed."""
    with pytest.raises(SettingError) as caught:
        Settings().override({name: raw}, "sockjs.")
    text = str(caught.value)
    assert f"sockjs.{name} = {raw!r}" in text
    assert allowed in text


def test_unknown_name() -> None:
    """The error names the key, the value, and what there is."""
    with pytest.raises(SettingError) as caught:
        Settings().override({"hartbeat_delay": "25"}, "sockjs.")
    text = str(caught.value)
    assert "sockjs.hartbeat_delay = '25' is no setting" in text
    assert "heartbeat_delay, jsessionid" in text


def test_override_keeps_the_rest() -> None:
    """The ini's settings are the defaults of every endpoint; an endpoint's are its own."""
    defaults = Settings().override({"heartbeat_delay": "10", "max_inbound": "3"})
    own = defaults.override({"max_inbound": 5})
    assert (own.heartbeat_delay, own.max_inbound) == (10, 5)
    assert defaults.max_inbound == 3
    assert defaults.override({}) == defaults


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


@given(st.sampled_from(sorted(Settings.__dataclass_fields__)), ANYTHING | st.lists(ANYTHING))
def test_any_value_is_taken_or_named(name: str, raw: Any) -> None:
    try:
        Settings().override({name: raw})
    except SettingError as error:
        shown = "..." if Settings.__dataclass_fields__[name].metadata["secret"] else raw
        assert f"{name} = {shown!r} cannot be" in str(error)


def test_flag_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="true or false"):
        flag("perhaps")
