"""`sockjs_bridge.pyramid.mistakes` beside what `tests/integration/test_mistakes.py` serves."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.urldispatch import Route

from sockjs_bridge.pyramid.mistakes import _example


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/"),
        ("chat", "/chat"),
        ("/caf\xe9 au lait", "/caf%C3%A9%20au%20lait"),
        ("/{room}/{thing}", "/x/x"),
        ("/rooms/{number:\\d{1,3}}", "/rooms/1"),
        ("/files/*path", "/files/x"),
        ("/100%/{a}", "/100%25/x"),
        (":old/style", "/x/style"),
        ("/{letter:[q-t]}", "/q"),
        ("/{id:[A-Z]{3}}", "/AAA"),
        ("/d/{id:[0-9a-f]{8}}/{kind:(news|sport)}", "/d/00000000/news"),
        ("/{date:\\d{4}-\\d{2}-\\d{2}}", "/1111-11-11"),
        ("/{locale:[a-z]{2,3}_[A-Z]+}/{slug:[\\w-]{5,}}", "/aa_A/xxxxx"),
        ("/{name:[^x1]{2}\\.html?}", ""),
        ("/{word:[a-z]{4}}/{same:(?P=word)}", ""),
        # What is more than classes and numbers is not written out.
        ("/{word:(?!x|1)\\w}", ""),
    ],
)
def test_example(pattern, path):
    """A path that a route matches, where one is easily found."""
    assert _example(Route("name", pattern)) == path


def make_app(**options):
    config = Configurator(**options)
    config.include("sockjs_bridge")
    config.add_sockjs_route("chat", "/chat")
    return config.make_wsgi_app()


def test_told_once(caplog):
    """An application that is made twice has its mistakes once."""
    app = make_app()
    Configurator(registry=app.registry).make_wsgi_app()
    assert len(caplog.messages) == 1


def test_without_introspection(caplog):
    """What is not known is not told, and nothing fails."""
    make_app(introspection=False)
    assert len(caplog.messages) == 1
