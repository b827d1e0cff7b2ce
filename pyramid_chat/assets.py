"""The files that browsers get: their URLs change with their content, so that they may be kept.

The build has compressed them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.events import BeforeRender
from pyramid.request import Request
from pyramid.response import Response
from pyramid.static import static_view

from pyramid_chat.settings import CannotStart

STATIC = Path(__file__).parent / "static"
YEAR = 365 * 86400
"""Seconds that a browser may keep a static file."""
ENCODINGS = ("br", "gzip")
"""In which the build has written scripts and stylesheets, beside the files themselves."""


class Assets:
    """The names under which the files are served.

    Args:
        folder: with ``icon.svg``, and ``dist/manifest.json`` as the build of ``js/`` writes it.

    Raises:
        pyramid_chat.settings.CannotStart: the page was not built, or a file of it is not there.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._built = _read_manifest(folder / "dist")
        icon = (folder / "icon.svg").read_bytes()
        self._digests = {"icon.svg": hashlib.sha256(icon).hexdigest()[:16]}

    def path(self, request: Request, name: str) -> str:
        """Returns the path of a file on this server.

        Args:
            request: the current one.
            name: as the templates know it: ``chat.js``, ``chat.css`` or ``icon.svg``.

        Raises:
            KeyError: there is no such file.
        """
        if name in self._built:
            return str(request.static_path(f"pyramid_chat:static/dist/{self._built[name]}"))
        digest = self._digests[name]
        return str(request.static_path(f"pyramid_chat:static/{name}", _query={"v": digest}))


def _read_manifest(folder: Path) -> Mapping[str, str]:
    file = folder / "manifest.json"
    try:
        manifest: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
        missing = [
            name
            for name in ("chat.js", "chat.css")
            if not (folder / manifest.get(name, "?")).is_file()
        ]
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"The page of the chat is not built ({file}: {error}): run `make browser-files`."
        ) from error
    if missing:
        raise CannotStart(
            f"The page of the chat is not built completely ({', '.join(missing)} of {file} "
            "is missing): run `make browser-files`."
        )
    return manifest


def etag_deriver(view: Any, info: Any) -> Any:
    """Gives each encoding of a static file an entity tag of its own (RFC 9110, 8.8.3.3)."""
    if not isinstance(info.original_view, static_view):
        return view

    def tagged(context: object, request: Request) -> Response:
        response = view(context, request)
        # What differs between encodings is the length.
        response.etag = f"{response.last_modified.timestamp():.0f}-{response.content_length}"
        return response

    return tagged


def includeme(config: Configurator) -> None:
    """Serves the files, and gives templates ``asset(name)``."""
    assets = Assets()
    config.add_static_view(
        "static", "pyramid_chat:static", cache_max_age=YEAR, content_encodings=ENCODINGS
    )
    config.add_view_deriver(etag_deriver, "chat_etag")

    def add_asset(event: BeforeRender) -> None:
        if (request := event["request"]) is not None:
            event["asset"] = lambda name: assets.path(request, name)

    config.add_subscriber(add_asset, BeforeRender)
