"""The directive by which requests of some paths may bring larger bodies than others."""

from __future__ import annotations

import re

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from sockjs_bridge.ini import count
from sockjs_bridge.pyramid.application import SockJS


def add_body_limit(config: Configurator, path: str, max_size: int) -> None:
    """Bounds the bodies of requests to some paths, in place of ``sockjs.max_body_size``.

    A request above that is answered with 413 before its body is read. The server's own
    ``max_body_size`` holds as well. If several paths match, the one that was declared first is
    used. Where other WSGI code stands before the application, the server knows none of this.

    Args:
        config: the configurator (this is a directive).
        path: a regular expression for the whole path, percent-encoded, without the query.
        max_size: bytes.

    Raises:
        pyramid.exceptions.ConfigurationError: a value is not allowed.
        pyramid.exceptions.ConfigurationConflictError: a path was declared twice.
    """
    try:
        pattern = re.compile(path)
        size = count(0, "bytes")(max_size)
    except (re.error, TypeError, ValueError) as error:
        raise ConfigurationError(f"add_body_limit({path!r}, {max_size!r}): {error}") from None
    introspectable = config.introspectable("body limits", path, path, "body limit")
    introspectable.update({"path": path, "max_size": size})
    sockjs: SockJS = config.registry.sockjs
    config.action(
        ("body limit", path),
        sockjs.endpoints.body_limits.append,
        ((pattern, size),),
        introspectables=(introspectable,),
    )
