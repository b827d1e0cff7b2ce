"""An application whose page sends numbers and gets each one back; both ends keep what came.

The page (`static/driver.js`) does so by any client that speaks SockJS.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession
from tests.proxies.relay import Delayed

LAG = 0.2
"""Seconds after which a number goes back, but the first: some do when their client is away."""

ENDPOINT = "/numbers"


@dataclass
class Ledger:
    """What the application knows of a page.

    Attributes:
        heard: the numbers that it took, in the order in which they came.
    """

    heard: list[int] = field(default_factory=list)


class Numbers(WebSocketSession):
    """Takes numbers and sends them back."""

    def on_open(self) -> None:
        self._later = Delayed(LAG)

    async def on_message(self, text: str) -> None:
        message = json.loads(text)
        number = message["number"]
        ledger: Ledger = self.request.registry.ledgers[message["page"]]
        ledger.heard.append(number)
        if len(ledger.heard) == 1:
            self._tell(number)
        else:
            self._later(self._tell, number)

    def _tell(self, number: int) -> None:
        self.send(json.dumps({"number": number}))


def main(global_config: object = None, **settings: Any) -> Any:
    """Makes the application, whose page is ``/page/page.html``.

    ``registry.ledgers`` has what it knows, by page.
    """
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.ledgers = defaultdict(Ledger)
        config.add_sockjs_route("numbers", ENDPOINT)
        config.add_view(Numbers, route_name="numbers", websocket=True)
        config.add_static_view("page", "tests.pkgs.numbers_app:static")
        config.add_static_view("clients", "sockjs_bridge:static")
        return config.make_wsgi_app()
