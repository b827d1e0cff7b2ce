"""The order in which an application includes its add-ons does not matter (api.md, 7)."""

from __future__ import annotations

from itertools import permutations

import pytest
from pyramid.request import Request
from pyramid.tweens import EXCVIEW, INGRESS, MAIN

from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from tests.pkgs.marriage import users
from tests.pyramid.support import Connected
from tests.support import BY_NAME

ADDONS = ("pyramid_tm", "pyramid_retry", "pyramid_debugtoolbar", "sockjs_bridge")
TWEENS = {
    "outside": {"under": INGRESS},
    "around the exception views": {"over": EXCVIEW},
    "within them": {"under": EXCVIEW, "over": MAIN},
}
TWEEN = "sockjs_bridge.pyramid.handshake.sockjs_tween_factory"
#: The two whose order matters most.
BOTH = [("pyramid_tm", "sockjs_bridge"), ("sockjs_bridge", "pyramid_tm")]
ADA, BOB, NOBODY = {"Authorization": "1"}, {"Authorization": "2"}, {}

every_order = pytest.mark.parametrize("includes", [*permutations(ADDONS)], ids=" ".join)
managers = pytest.mark.parametrize("manager", ["pyramid_tm.explicit_manager", None])


@pytest.fixture
def make(tmp_path):
    apps = []

    def make(includes, manager="pyramid_tm.explicit_manager", **settings):
        url = f"sqlite:///{tmp_path}/users.sqlite"
        if manager is not None:
            settings["tm.manager_hook"] = manager
        app = users.main(includes=includes, **{"sqlalchemy.url": url, **settings})
        apps.append(app)
        return app

    yield make
    for app in apps:
        assert app.registry.engine.pool.checkedout() == 0
        app.registry.engine.dispose()


def check(app):
    """A connection of who may, the refusal of who may not, the greeting, and a page that is not."""
    connected = Connected(app, "/plain", ADA)
    assert (connected.status, connected.handshake.identity) == (200, 1)
    assert connected.say("who")[1:] == ['a["1 Ada Ada True"]']
    for path, headers in (("/plain", NOBODY), ("/plain?refuse=1", ADA)):
        refused = Connected(app, path, headers)
        assert (refused.status, refused.handshake.handler) == (403, None)
    greeting = Request.blank("/plain", headers=ADA).get_response(app)
    assert (greeting.status_code, greeting.body) == (200, b"Welcome to SockJS!\n")
    assert Request.blank("/nowhere", headers=ADA).get_response(app).status_code == 404


@every_order
def test_every_order(make, includes):
    check(make(includes))


@pytest.mark.parametrize("includes", BOTH, ids=" ".join)
@pytest.mark.parametrize("tween", TWEENS)
def test_tween_of_the_application(make, includes, tween):
    """It makes pages of what is not found, which a plain GET of an endpoint is without a view."""
    check(make(includes, tween=TWEENS[tween]))


@managers
@pytest.mark.parametrize("first", ADDONS)
def test_included_by_the_ini(make, manager, first):
    """What the ini includes comes first, whatever the application includes afterwards."""
    others = [name for name in ADDONS if name != first]
    check(make(others, manager, **{"pyramid.includes": first}))


@managers
@pytest.mark.parametrize("place", range(3))
def test_explicit_tweens(make, manager, place):
    """Where the ini lists the tweens by hand, ours may stand anywhere."""
    tweens = ["pyramid_tm.tm_tween_factory", "pyramid.tweens.excview_tween_factory"]
    tweens.insert(place, TWEEN)
    check(make(("pyramid_tm", "sockjs_bridge"), manager, **{"pyramid.tweens": " ".join(tweens)}))


@managers
@pytest.mark.parametrize("includes", BOTH, ids=" ".join)
@pytest.mark.parametrize("by_ini", [False, True])
def test_explicit_tweens_without_ours(make, manager, includes, by_ini):
    """A list that is older than the bridge leaves it out: it has its place all the same."""
    tweens = "pyramid_tm.tm_tween_factory pyramid.tweens.excview_tween_factory"
    settings = {"pyramid.includes": " ".join(includes)} if by_ini else {}
    check(make(includes, manager, **{"pyramid.tweens": tweens, **settings}))


@managers
@pytest.mark.parametrize(("ini", "other"), BOTH)
@pytest.mark.parametrize(
    ("path", "headers", "status", "identity"),
    [
        ("/plain", ADA, 200, 1),
        ("/plain", BOB, 200, 2),
        ("/plain", NOBODY, 403, None),
        # Refused before a view was found.
        ("/plain?refuse=1", ADA, 403, 1),
    ],
)
def test_renewal(make, manager, ini, other, path, headers, status, identity):
    """Who makes a later request of a session is noted, whether it is refused or not."""
    app = make((other,), manager, cached=False, **{"pyramid.includes": ini})
    opened = Connected(app, "/plain", ADA)
    endpoint = opened.handshake.endpoint
    session = endpoint.manager.create("s2", BY_NAME["websocket"])
    renewal = Handshake(endpoint, session.placeholder(), renewal=True)
    request = Request.blank(path, environ={HANDSHAKE: renewal}, headers=headers)
    assert request.get_response(app).status_code == status
    assert renewal.identity == identity
    assert renewal.handler is None
