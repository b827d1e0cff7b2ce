"""`ReconnectingSockJS` in browsers, with three processes behind a balancer; some are killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.cluster.processes import BALANCERS, Processes
from tests.cluster.redisserver import RedisServer
from tests.e2e.reconnecting import (
    Browser,
    events,
    messages,
    send,
    until,
    until_handled,
    until_told,
    visit,
)
from tests.pkgs.ledger_app import KILL
from tests.pkgs.page_app import WHERE, Ledger

#: The client is the same as in test_resuming_page.py, where each browser has all of it.
pytestmark = pytest.mark.turns("browser")

TRANSPORTS = ["websocket", "xhr-streaming", "xhr-polling"]
TEXTS = [f"{number} ümläut \U0001f680" for number in range(200)]
#: How often a page takes another front, until it is another process than its session's home.
ATTEMPTS = 5


class Site(NamedTuple):
    """Three processes, and what leads to them.

    Attributes:
        processes: they all have one ledger.
        ledger: that one.
        urls: of the balancers in front of them, by name.
    """

    processes: Processes
    ledger: Ledger
    urls: dict[str, str]

    def entries(self, ids: list[str]) -> list[tuple[str, object]]:
        """Return what was done of messages, in order: their ids and texts."""
        return [entry for entry in self.ledger.rows("entries") if entry[0] in ids]

    def arrivals(self, ids: list[str]) -> list[tuple[str, object]]:
        """Return which of these came, in order, and whether as a repetition."""
        return [arrival for arrival in self.ledger.rows("arrivals") if arrival[0] in ids]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("cluster")
    ledger = folder / "ledger.sqlite"
    redis = RedisServer(folder)
    with ExitStack() as stack:
        stack.callback(redis.end)
        redis.start()
        three = Processes(
            folder,
            3,
            settings={"sockjs.cluster": redis.unix_url, "ledger": ledger},
            unix=True,
            factory="tests.pkgs.page_app:main",
        )
        stack.enter_context(three)
        urls = {}
        for name, balancer in BALANCERS.items():
            (folder / name).mkdir()
            urls[name] = stack.enter_context(balancer(folder / name, three.listens)).url
        yield Site(three, Ledger(ledger), urls)


def start_again(processes: Processes) -> None:
    """Start those that were killed."""
    killed = [server for server in processes if server.process.process.poll() is not None]
    for server in killed:
        server.start()
    for server in killed:
        server.wait()


@pytest.fixture
def site(browser: Browser, cluster: Site) -> Iterator[Site]:
    """All processes run when a test begins."""
    start_again(cluster.processes)
    browser.errors()
    yield cluster
    browser.get("about:blank")


def until_heard(browser: Browser, count: int) -> list[str]:
    """Wait for so many messages, and return all that came."""
    until(browser, f"return window.told.filter(([type]) => type === 'message').length >= {count}")
    return messages(browser)


@pytest.mark.parametrize("balancer", BALANCERS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_both_ways(browser, site, transport: str, balancer: str) -> None:
    """All comes once and in order, whoever gets the requests; the console shows no error."""
    visit(browser, site.urls[balancer], transports=[transport])
    ids = send(browser, TEXTS)
    until_handled(browser)
    assert until_heard(browser, len(TEXTS)) == TEXTS
    assert site.entries(ids) == [*zip(ids, TEXTS, strict=True)]
    assert site.arrivals(ids) == [(known, 0) for known in ids]
    assert browser.execute_script("return window.sock.transport") == transport
    assert events(browser) == ["connecting", "open"]
    assert browser.errors() == []


@pytest.mark.parametrize(
    ("transport", "balancer"), [*zip(TRANSPORTS, ["haproxy", "nginx", "haproxy"], strict=True)]
)
def test_the_home_is_killed(browser, site, transport: str, balancer: str) -> None:
    """The page hears what is not known, has a session elsewhere, and says it again there."""
    visit(browser, site.urls[balancer], transports=[transport])
    texts = [*TEXTS]
    texts[100] = f"{KILL} in the middle"
    ids = send(browser, texts)
    lost = until_told(browser, "lost")
    until_handled(browser)
    # A tab counts on from page to page.
    handled = lost["handled"] - int(ids[0].rpartition("-")[2]) + 1
    assert handled <= 100 < handled + lost["repeated"]
    assert site.entries(ids) == [*zip(ids, texts, strict=True)]
    assert site.arrivals([ids[100]]) == [(ids[100], 0), (ids[100], 1)]
    # What it did, and whose answers went with it, comes no more.
    heard = messages(browser)
    assert set(texts[100:]) <= {*heard}
    assert heard == [text for text in texts if text in heard]
    told = [event for event in events(browser) if event not in ("suspended", "resumed")]
    assert told == ["connecting", "open", "lost", "connecting", "open"]


@pytest.mark.parametrize(
    ("transport", "balancer"), [*zip(TRANSPORTS, ["nginx", "haproxy", "nginx"], strict=True)]
)
def test_the_front_is_killed(browser, site, transport: str, balancer: str) -> None:
    """The session lives on in its process: nothing is lost, and nothing has to be said again."""
    visit(browser, site.urls[balancer], transports=[transport])
    send(browser, [WHERE])
    (home,) = until_heard(browser, 1)
    others = [server for server in site.processes if server.pid != int(home)]
    assert len(others) == 2
    ids: list[str] = []
    texts: list[str] = []
    for attempt in range(ATTEMPTS):
        start_again(site.processes)
        # A page with a WebSocket was at the home itself so far.
        browser.execute_script("window.sock.reconnect(); return true")
        until(browser, "return window.sock.state === 'open'")
        for server in others:
            some = [f"{attempt}/{server.listen}/{text}" for text in TEXTS[:100]]
            texts += some
            ids += send(browser, some)
            server.kill()
            until_handled(browser)
        # A poll that breaks may be repeated by the browser, unseen by the page.
        if transport == "xhr-polling" or "suspended" in events(browser):
            break
    else:
        pytest.fail("no front was killed")
    assert until_heard(browser, len(texts) + 1) == [home, *texts]
    assert site.entries(ids) == [*zip(ids, texts, strict=True)]
    assert site.arrivals(ids) == [(known, 0) for known in ids]
    assert {*events(browser)} <= {"connecting", "open", "suspended", "resumed"}
    assert browser.execute_script("return window.sock.state") == "open"
