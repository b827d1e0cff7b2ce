"""Pages are rendered one by one."""

from __future__ import annotations

import threading

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid_chameleon.zpt import renderer_factory

# Templates are compiled when they are first used, and Python 3.11 fails with a SystemError where
# two threads make syntax trees at once.
_lock = threading.Lock()


class Renderer:
    """Renders a page template.

    Args:
        info: Pyramid's, of the template.
    """

    def __init__(self, info: object) -> None:
        self._render = renderer_factory(info)

    def __call__(self, value: object, system: object) -> str:
        """Returns the page."""
        with _lock:
            page: str = self._render(value, system)
            return page


def compress(request: Request, response: Response) -> None:
    """Compresses a page for who takes it: a response callback.

    What is secret in the page must not be the same in the next one, see `pyramid_chat.csrf`.
    """
    response.vary = [*(response.vary or ()), "Accept-Encoding"]
    if request.accept_encoding and request.accept_encoding.acceptable_offers(["gzip"]):
        response.encode_content("gzip")


def includeme(config: Configurator) -> None:
    """Takes page templates out of the hands of pyramid_chameleon."""
    config.add_renderer(".pt", Renderer)
