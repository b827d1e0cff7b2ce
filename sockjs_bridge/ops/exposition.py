"""Shows the metrics to Prometheus, and has an application's sessions counted."""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.wsgi import wsgiapp

from sockjs_bridge.core.hub import Hub
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.ops.counting import Counting, CountingResumption
from sockjs_bridge.ops.metrics import Metrics, process_metrics
from sockjs_bridge.ops.sampler import Sampler
from sockjs_bridge.pyramid.config import WrongSetting

#: The variable of the environment that names the directory where processes share what they count.
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def shown_registry() -> CollectorRegistry:
    """Returns what is shown: all metrics of the process, or of those that share a directory.

    Raises:
        WrongSetting: there is no such directory.
    """
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return REGISTRY
    if not os.path.isdir(directory):
        raise WrongSetting(f"{DIRECTORY} = {directory!r} cannot be: allowed is a directory")
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def add_metrics(config: Configurator, path: str, permission: str) -> None:
    """Adds the view that shows metrics, and counts from the start of the server.

    Args:
        config: the configurator.
        path: of the view.
        permission: who may see it; empty: everybody.
    """
    view = wsgiapp(make_wsgi_app(shown_registry()))
    permission = permission or NO_PERMISSION_REQUIRED
    config.add_route("sockjs_metrics", path, request_method="GET")
    config.add_view(view, route_name="sockjs_metrics", permission=permission)
    endpoints: Endpoints = config.registry.sockjs.endpoints
    if not isinstance(endpoints.monitor, Counting):
        count(endpoints, process_metrics())


def count(endpoints: Endpoints, metrics: Metrics) -> None:
    """Has all be counted that an application's endpoints do, once they are served.

    Args:
        endpoints: of the application.
        metrics: which count it.
    """
    counting = endpoints.monitor = Counting(metrics)
    endpoints.resumption = CountingResumption(metrics)

    def served(hub: Hub) -> None:
        sampler = Sampler(hub.clock, endpoints, counting, metrics)
        hub.when_finished(sampler.finish)
        sampler.start()

    endpoints.when_served(served)
