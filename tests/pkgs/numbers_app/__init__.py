"""An application whose page sends numbers and gets each one back; both ends keep what came.

The page (`static/driver.js`) does so by any client that speaks SockJS. What its client does not
take over, the application does by hand, where a message asks for it: a number is confirmed under
its id, a repeated one is not taken twice, and the numbers since one are sent again.
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
        match json.loads(text):
            case {"ping": True}:
                self._tell(pong=True)
            case {"page": page, "since": since}:
                for number in self._ledger(page).heard[since:]:
                    self._tell(number=number)
            case {"page": page, "number": number, **rest}:
                self._take(self._ledger(page), number, rest.get("id"))

    def _ledger(self, page: str) -> Ledger:
        found: Ledger = self.request.registry.ledgers[page]
        return found

    def _take(self, ledger: Ledger, number: int, id: str | None) -> None:
        if id is None or number not in ledger.heard:
            ledger.heard.append(number)
            if len(ledger.heard) == 1:
                self._tell(number=number)
            else:
                self._later(self._tell, number)
        if id is not None:
            self._tell(confirmed=id)

    def _tell(self, number: int | None = None, **message: Any) -> None:
        self.send(json.dumps({"number": number} if number else message))


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
