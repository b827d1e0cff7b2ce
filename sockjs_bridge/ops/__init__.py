"""Health and metrics, for who runs the processes: ``config.include("sockjs_bridge.ops")``.

`health` says how a process is, `exposition` shows what `metrics` declares, `counting` counts as
things happen, and `sampler` looks from time to time. Nothing of it is imported without the include,
and nothing is counted.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from sockjs_bridge.ops.health import add_health

__all__ = ("includeme",)


def includeme(config: Configurator) -> None:
    """Adds metrics for Prometheus, and whether the process lives and is ready.

    The settings are ``sockjs.metrics_path``, ``sockjs.metrics_permission`` and
    ``sockjs.health_path``. It includes ``sockjs_bridge`` where that was not done.

    Args:
        config: the configurator.

    Raises:
        pyramid.exceptions.ConfigurationError: prometheus-client is missing; it is not needed where
            ``sockjs.metrics_path`` is empty.
    """
    config.include("sockjs_bridge")
    settings = config.registry.sockjs.settings
    if settings.health_path:
        add_health(config, settings.health_path)
    if settings.metrics_path:
        try:
            import prometheus_client  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                "sockjs_bridge.ops needs prometheus-client: pip install sockjs-bridge[metrics], or"
                " set sockjs.metrics_path to nothing"
            ) from None
        from sockjs_bridge.ops.exposition import add_metrics

        add_metrics(config, settings.metrics_path, settings.metrics_permission)
