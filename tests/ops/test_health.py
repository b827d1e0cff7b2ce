"""`sockjs_bridge.ops.health`: what is said; `tests/integration/test_ops.py` asks over HTTP."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from sockjs_bridge.core.contracts import Workers
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.ops.health import live, ready
from tests.support import HandClock


def served() -> Endpoints:
    endpoints = Endpoints(1)
    endpoints.start(HandClock(), cast(Workers, None))
    return endpoints


def test_live() -> None:
    answer = live()
    assert (answer.status, answer.body) == (200, b"live\n")


def test_ready() -> None:
    """Each reason speaks against it by itself; people read them all."""
    endpoints = served()
    assert (ready(endpoints).status, ready(endpoints).body) == (200, b"ready\n")
    endpoints.readiness.block("draining")
    endpoints.readiness.block("fenced")
    assert (ready(endpoints).status, ready(endpoints).body) == (503, b"draining, fenced\n")
    endpoints.readiness.unblock("draining")
    endpoints.readiness.unblock("fenced")
    assert ready(endpoints).status == 200


def test_ready_under_another_server() -> None:
    assert ready(Endpoints(1)).status == 200


def test_no_cache_keeps_it() -> None:
    for answer in (live(), ready(served())):
        assert "no-store" in dict(answer.headers)["Cache-Control"]


def make_app(prefix: str | None = None, **settings: str) -> Any:
    config = Configurator(settings={"sockjs.metrics_path": "", **settings})
    config.include("sockjs_bridge.ops", route_prefix=prefix)
    return config.make_wsgi_app()


@pytest.mark.parametrize(
    ("prefix", "settings", "base"),
    [
        (None, {}, "/health"),
        (None, {"sockjs.health_path": "/-/state"}, "/-/state"),
        ("internal", {}, "/internal/health"),
    ],
)
def test_where_it_is(prefix: str | None, settings: dict[str, str], base: str) -> None:
    """The server and the application answer on the same paths, and say the same."""
    app = make_app(prefix, **settings)
    answers = app.registry.sockjs.endpoints.answers
    assert answers.keys() == {f"{base}/live", f"{base}/ready"}
    for path, answer in answers.items():
        response = Request.blank(path).get_response(app)
        made = answer()
        assert (response.status_code, response.body) == (made.status, made.body)
        assert {*made.headers} <= {*response.headerlist}


def test_the_view_says_what_the_server_says() -> None:
    app = make_app()
    endpoints = app.registry.sockjs.endpoints
    endpoints.start(HandClock(), cast(Workers, None))
    endpoints.readiness.block("stopping")
    response = Request.blank("/health/ready").get_response(app)
    assert (response.status_code, response.body) == (503, b"stopping\n")
    assert Request.blank("/health/live").get_response(app).status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_other_methods(method: str) -> None:
    request = Request.blank("/health/live", method=method)
    assert request.get_response(make_app()).status_code == 404


def test_none() -> None:
    app = make_app(**{"sockjs.health_path": ""})
    assert app.registry.sockjs.endpoints.answers == {}
    assert Request.blank("/health/live").get_response(app).status_code == 404
