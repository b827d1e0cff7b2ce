"""One trial of the table: numbers through what stands between a browser and the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import sockjs_bridge
from sockjs_bridge.testing import serve
from tests.pkgs import numbers_app
from tests.pkgs.numbers_app import ENDPOINT, Ledger
from tests.proxies.middlebox import Middlebox
from tests.proxies.programs import Nginx
from tests.proxies.tcp import in_thread
from tests.proxies.ways import Way

STATIC = Path(sockjs_bridge.__file__).parent / "static"
CLIENTS = {
    "stock": "",
    "resumable": "sockjs-bridge-client.js",
}
"""The clients of the application's page, and the modules that they are in."""

TRUSTED = {
    "trusted_proxy": "127.0.0.1",
    "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto",
}


def available() -> list[str]:
    """Returns the clients that there are."""
    return [
        name
        for name, module in CLIENTS.items()
        if not module or "ReconnectingSockJS" in _read(STATIC / module)
    ]


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


class Browser(Protocol):
    """What a trial needs of one."""

    def get(self, url: str) -> None:
        """Loads a page."""

    def execute_script(self, script: str, *arguments: Any) -> Any:
        """Runs a script in the page."""

    def quit(self) -> None:
        """Ends it."""


@dataclass(frozen=True)
class Patience:
    """When a trial that has not all its numbers is over, in seconds.

    Attributes:
        quiet: since anything was sent or came back.
        all: since the page was loaded.
    """

    quiet: float = 35.0
    all: float = 120.0


@dataclass(frozen=True)
class Result:
    """What came of a trial; times in seconds from the call of connect().

    Attributes:
        transport: the last one.
        opened: how many connections there were.
        connected: when the first was open.
        first: when the first number was back.
        finished: when all were.
        longest: the longest time without any number while one was to come, from the first on.
        lost: numbers that never came, there or back.
        doubled: that came more than once.
        reordered: that came behind a greater one.
        ended: what the client said of an end that is final.
        deeds: how often the middlebox did what it is for.
    """

    transport: str
    opened: int
    connected: float | None
    first: float | None
    finished: float | None
    longest: float
    lost: int
    doubled: int
    reordered: int
    ended: str
    deeds: int


def doubled(numbers: list[int]) -> int:
    """Tells how many of some numbers came before."""
    return len(numbers) - len(set(numbers))


def reordered(numbers: list[int]) -> int:
    """Tells how many of some numbers came first behind a greater one."""
    seen: set[int] = set()
    found = greatest = 0
    for number in numbers:
        found += number < greatest and number not in seen
        greatest = max(greatest, number)
        seen.add(number)
    return found


class Place:
    """An application for the trials, and the pages of another origin that may use it.

    Args:
        app: the application.
        url: of its server.
        pages: where the pages of another origin are.
    """

    def __init__(self, app: Any, url: str, pages: str) -> None:
        self._app = app
        self.url = url
        self.pages = pages

    def ledger(self, page: str) -> Ledger:
        """Returns what the application has of a page."""
        found: Ledger = self._app.registry.ledgers[page]
        return found


@contextmanager
def place(**settings: str) -> Iterator[Place]:
    """Runs an application for the trials.

    Args:
        **settings: of the application.
    """
    with serve(numbers_app.main()) as pages:
        app = numbers_app.main(**{"sockjs.allowed_origins": pages, **settings})
        with serve(app, **TRUSTED) as url:
            yield Place(app, url, pages)


def run(
    browser: Browser,
    where: Place,
    way: Way,
    client: str,
    folder: Path,
    *,
    count: int = 200,
    pace: float = 0.02,
    patience: Patience | None = None,
) -> Result:
    """Sends numbers there and back.

    Args:
        browser: that loads the page.
        where: the application.
        way: what stands between.
        client: of `CLIENTS`.
        folder: for the files of programs.
        count: of the numbers.
        pace: seconds between two of them.
        patience: with what does not come.
    """
    patience = patience or Patience()
    page = secrets.token_hex(4)
    with ExitStack() as stack:
        box = None
        if way.nginx is None:
            made = Middlebox(where.url, way.behaviour, ENDPOINT)
            box = stack.enter_context(in_thread(made))
            reached = box.url + way.behaviour.prefix
        else:
            reached = stack.enter_context(
                Nginx(folder, where.url, "nginx-plain.conf", way.nginx)
            ).url
        query = {
            "page": page,
            "endpoint": f"{reached}{ENDPOINT}",
            "client": client,
            "module": CLIENTS[client] and f"../clients/{CLIENTS[client]}",
            "count": count,
            "pace": pace * 1000,
            "pause": way.pause * 1000 or "",
        }
        base = where.pages if way.elsewhere else reached
        browser.get(f"{base}/page/page.html?{urlencode(query)}")
        report = _follow(browser, box, way, patience)
        browser.get("about:blank")
        deeds = box.counts[way.deed] if box and way.deed else 0
    return result_of(report, where.ledger(page).heard, count, deeds)


def _follow(
    browser: Browser, box: Middlebox | None, way: Way, patience: Patience
) -> dict[str, Any]:
    """Waits until all numbers are back, or no more can be hoped for."""
    end = time.monotonic() + patience.all
    while True:
        report: dict[str, Any] | None = browser.execute_script("return window.report?.()")
        if way.pause and box and box.counts[way.deed]:
            browser.execute_script("window.goOn()")
        over = time.monotonic() > end
        if report is not None:
            quiet = report["quiet"] / 1000 > patience.quiet
            if over or quiet or report["finished"] is not None or report["ended"]:
                return report
        assert not over, "the page does not begin"
        time.sleep(0.05)


def result_of(report: dict[str, Any], heard: list[int], count: int, deeds: int) -> Result:
    """Makes a result of what both ends have.

    Args:
        report: of the page, with times in ms.
        heard: the numbers that the application took, in its order.
        count: of the numbers that were to be sent.
        deeds: of the middlebox.
    """
    received = report["received"]
    times = {
        name: None if report[name] is None else report[name] / 1000
        for name in ("connected", "first", "finished")
    }
    return Result(
        transport=report["transport"],
        opened=report["opened"],
        **times,
        longest=max(report["longest"], report["silence"]) / 1000,
        lost=2 * count - len(set(heard)) - len({*received} & {*heard}),
        doubled=doubled(heard) + doubled(received),
        reordered=reordered(heard) + reordered(received),
        ended=report["ended"],
        deeds=deeds,
    )
