"""How a process is, for who supervises it and for the balancer in front of it."""

from __future__ import annotations

from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from sockjs_bridge.core.transports import PLAIN
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.outcomes import NO_CACHE, Answer


def live() -> Answer:
    """Answers that the process lives: its loop turns, else this was not called."""
    return _answer(200, "live")


def ready(endpoints: Endpoints) -> Answer:
    """Answers whether the process is to get new clients; 503 where it is not.

    Args:
        endpoints: of the application. One that another server serves is always ready.
    """
    reasons = endpoints.readiness.reasons if endpoints.served else ()
    return _answer(503, ", ".join(reasons)) if reasons else _answer(200, "ready")


def _answer(status: int, text: str) -> Answer:
    return Answer(status, [("Content-Type", PLAIN), NO_CACHE], f"{text}\n".encode())


def add_health(config: Configurator, path: str) -> None:
    """Adds ``live`` and ``ready`` below a path, for everybody.

    The server answers them itself, on the loop. The views are for where it does not: behind WSGI
    filters, and under other servers.

    Args:
        config: the configurator.
        path: of the application, without the slash at its end.
    """
    endpoints: Endpoints = config.registry.sockjs.endpoints
    answers: dict[str, Callable[[], Answer]] = {"live": live, "ready": lambda: ready(endpoints)}
    prefix = f"/{config.route_prefix}" if config.route_prefix else ""
    for name, answer in answers.items():
        endpoints.answers[f"{prefix}{path}/{name}"] = answer
        route = f"sockjs_health_{name}"
        config.add_route(route, f"{path}/{name}", request_method="GET")
        config.add_view(_view(answer), route_name=route, permission=NO_PERMISSION_REQUIRED)


def _view(answer: Callable[[], Answer]) -> Callable[[Request], Response]:
    def view(request: Request) -> Response:
        made = answer()
        return Response(status=made.status, headerlist=[*made.headers], body=made.body)

    return view
