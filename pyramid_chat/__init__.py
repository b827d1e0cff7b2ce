"""A chat on sockjs_bridge: one room, nicknames, and nothing to install in the browser."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

from pyramid.config import Configurator

from pyramid_chat import security
from pyramid_chat.models import Room

STATIC = Path(__file__).parent / "static"
YEAR = 365 * 86400
"""Seconds that a browser may keep a static file; its URL changes with its content."""


def main(global_config: Mapping[str, str] | None = None, **settings: Any) -> WSGIApplication:
    """Makes the application (``paste.app_factory``).

    Args:
        global_config: the ini's ``[DEFAULT]``; unused.
        **settings: Pyramid's, and those of the bridge (``sockjs.*``).
    """
    with Configurator(settings=settings) as config:
        config.include("pyramid_chameleon")
        config.include("sockjs_bridge")
        config.include(security)
        config.registry.chat_room = Room()
        config.add_route("home", "/")
        config.add_sockjs_route("chat", "/chat")
        config.add_static_view(_static_name(), "pyramid_chat:static", cache_max_age=YEAR)
        config.scan()
        app: WSGIApplication = config.make_wsgi_app()
        return app


def _static_name() -> str:
    """Returns a path that changes with the files, so that no browser mixes old with new ones."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            digest.update(file.read_bytes())
    return f"static/{digest.hexdigest()[:16]}"
