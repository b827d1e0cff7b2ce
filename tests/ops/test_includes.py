"""`sockjs_bridge.ops`: the include, its settings, and who may see metrics."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pyramid.authorization import Allow, Everyone
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.ops.counting import Counting, CountingResumption
from sockjs_bridge.ops.exposition import DIRECTORY
from sockjs_bridge.ops.metrics import process_metrics
from sockjs_bridge.pyramid.config import WrongSetting


class Policy:
    """Knows users by a header, and permits what the context's ACL does."""

    def identity(self, request: Request) -> str | None:
        return request.headers.get("User")

    authenticated_userid = identity

    def permits(self, request: Request, context: Any, permission: str) -> bool:
        allowed = {"metrics": "prometheus", "operate": "ada"}
        return allowed.get(permission) == self.identity(request)


def make_config(**settings: str) -> Configurator:
    return Configurator(settings={f"sockjs.{name}": value for name, value in settings.items()})


def make_app(*, policy: bool = False, **settings: str) -> Any:
    config = make_config(**settings)
    config.include("sockjs_bridge.ops")
    if policy:
        config.set_security_policy(Policy())
    return config.make_wsgi_app()


def status(app: Any, path: str = "/metrics", user: str = "", method: str = "GET") -> int:
    request = Request.blank(path, method=method, headers={"User": user} if user else {})
    code: int = request.get_response(app).status_code
    return code


def test_metrics_are_shown() -> None:
    response = Request.blank("/metrics").get_response(make_app())
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "\n# TYPE sockjs_sessions gauge\n" in response.text
    # What else the process counts is shown too.
    assert "\n# TYPE python_info gauge\n" in response.text


def test_openmetrics() -> None:
    """Whoever asks for it gets it, compressed too."""
    headers = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    response = Request.blank("/metrics", headers=headers).get_response(make_app())
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    response.decode_content()
    assert response.text.endswith("# EOF\n")


def test_what_else_is_asked() -> None:
    app = make_app()
    assert status(app, method="POST") == 404
    assert status(app, "/metrics/more") == 404


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [(None, "prometheus"), ("operate", "ada")],
)
def test_permission(permission: str | None, allowed: str) -> None:
    """Nobody sees them but who has it; how the process is may be seen by all."""
    settings = {} if permission is None else {"metrics_permission": permission}
    app = make_app(policy=True, **settings)
    for user in ("", "ada", "bob", "prometheus"):
        assert status(app, user=user) == (200 if user == allowed else 403)
        assert status(app, "/health/ready", user) == 200


def test_permission_of_everybody() -> None:
    """Also where the application has another default."""
    config = make_config(metrics_permission="")
    config.set_default_permission("view")
    config.set_security_policy(Policy())
    config.include("sockjs_bridge.ops")
    app = config.make_wsgi_app()
    assert status(app) == status(app, "/health/live") == 200


def test_acl() -> None:
    """As the documentation has it, with an application's own root."""

    class Root:
        __acl__ = ((Allow, Everyone, "metrics"),)

    config = make_config()
    config.set_root_factory(lambda request: Root())
    config.include("sockjs_bridge.ops")
    assert status(config.make_wsgi_app()) == 200


def test_path() -> None:
    app = make_app(metrics_path="/internal/numbers")
    assert status(app, "/internal/numbers") == 200
    assert status(app) == 404


@pytest.mark.parametrize("name", ["metrics_path", "health_path"])
@pytest.mark.parametrize("value", ["metrics", "/", "/metrics/", "/{any}", "/a b", "/a?b", "//a"])
def test_paths_that_cannot_be(name: str, value: str) -> None:
    config = make_config(**{name: value})
    with pytest.raises(WrongSetting, match=f"sockjs.{name} = .* allowed is a path as /metrics"):
        config.include("sockjs_bridge.ops")


def test_monitors() -> None:
    """They are there when the application is complete, in whatever order it includes."""
    for includes in (("sockjs_bridge", "sockjs_bridge.ops"), ("sockjs_bridge.ops",)):
        config = make_config()
        for name in includes:
            config.include(name)
        endpoints = config.registry.sockjs.endpoints
        assert isinstance(endpoints.monitor, Counting)
        assert isinstance(endpoints.resumption, CountingResumption)


@pytest.mark.parametrize("committed", [False, True])
def test_by_the_ini_and_by_the_application(committed: bool) -> None:
    """Whatever is committed between the two, nothing is counted twice."""
    config = Configurator(settings={"pyramid.includes": "sockjs_bridge.ops"})
    endpoints = config.registry.sockjs.endpoints
    monitor, served = endpoints.monitor, [*endpoints._when_served]
    if committed:
        config.commit()
    config.include("sockjs_bridge.ops")
    app = config.make_wsgi_app()
    assert endpoints.monitor is monitor
    assert endpoints._when_served == served
    assert status(app) == 200


def test_no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wants to know how the process is needs no prometheus-client, and has nothing counted."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    app = make_app(metrics_path="")
    assert type(app.registry.sockjs.endpoints.monitor) is Monitor
    assert status(app) == 404
    assert status(app, "/health/live") == 200


def test_prometheus_client_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"pip install sockjs-bridge\[metrics\]"):
        make_config().include("sockjs_bridge.ops")


def test_no_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path / "none"))
    with pytest.raises(WrongSetting, match=f"{DIRECTORY} = .*none' cannot be"):
        make_config().include("sockjs_bridge.ops")


def test_a_process_has_one_set_of_metrics() -> None:
    assert process_metrics() is process_metrics()
    names = {family.name for family in REGISTRY.collect() if family.name.startswith("sockjs_")}
    assert names == {f"sockjs_{metric._name.removeprefix('sockjs_')}" for metric in every_metric()}


def every_metric() -> list[Any]:
    return [*vars(process_metrics()).values()]
