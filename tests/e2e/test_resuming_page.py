"""`ReconnectingSockJS` in browsers: reloads, crashes, the cache of pages, older servers."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest

from tests.e2e.chromium import Chromium
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
from tests.e2e.server import PATIENCE, start_pserve
from tests.integration.pserve import write_ini
from tests.pkgs.ledger_app import KILL
from tests.pkgs.page_app import CLOSE, WAIT, Ledger


class Site:
    """A server that comes and goes, always at the same address, and its ledger.

    Args:
        folder: for what it writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listen = "127.0.0.1:0"
        self._process: BaseProcess | None = None
        self._log = folder / "page.log"
        self._starts = 0
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.url = ""

    def start(self, **settings: str) -> None:
        """Start a process with settings of the application."""
        app = {"paste.app_factory": "tests.pkgs.page_app:main", **settings}
        app["ledger"] = str(self._folder / "ledger.sqlite")
        ini = write_ini(self._folder, f"listen = {self._listen}", "\n".join(
            f"{key} = {value}" for key, value in app.items()
        ))  # fmt: skip
        # The application is another one.
        ini.write_text(
            ini.read_text().replace("paste.app_factory = tests.pkgs.pserve_app:main\n", "")
        )
        self._process = start_pserve(ini, self._log)
        self._starts += 1
        end = time.monotonic() + PATIENCE
        while len(urls := self._urls()) < self._starts:
            assert self._process.is_alive() and time.monotonic() < end, "it does not serve"
            time.sleep(0.05)
        self.url = urls[-1]
        self._listen = urlsplit(self.url).netloc

    def _urls(self) -> list[str]:
        """Return where it has served so far, by the log."""
        said = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        return re.findall(r"serving on (\S+)", said)

    def killed(self) -> None:
        """Wait until a message has killed it."""
        assert self._process is not None
        self._process.join(PATIENCE)
        assert self._process.exitcode == -signal.SIGKILL

    def kill(self) -> None:
        """End it without letting it know."""
        assert self._process is not None
        self._process.kill()
        self.killed()

    def end(self) -> None:
        """End it, where it is running."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(5)
            self._process.kill()
            self._process.join(PATIENCE)

    def ask(self, view: str, **query: str) -> None:
        """Call one of the application's views that do something."""
        with urlopen(f"{self.url}/{view}?{urlencode(query)}", timeout=PATIENCE) as response:
            assert response.status == 200


@pytest.fixture
def site(tmp_path: Path, browser: Browser) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    # No page looks for a server that is gone.
    browser.get("about:blank")
    site.end()


@pytest.fixture
def quiet(browser: Browser, site: Site) -> Iterator[None]:
    """The console shows no error and no warning."""
    browser.errors()
    yield
    assert browser.errors() == []


def until_ended(site: Site, *ends: str) -> None:
    """Wait until one session has ended, in one of these ways."""
    limit = time.monotonic() + PATIENCE
    while not (found := [life for (life,) in site.ledger.rows("lives") if life != "open"]):
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert len(found) == 1
    assert found[0] in ends


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming", "xhr-polling"])
def test_both_ways(browser, site, transport: str) -> None:
    """All comes once, in order, and is known to be handled."""
    site.start()
    visit(browser, site.url, transports=[transport])
    texts = [f"{number} ümläut \U0001f680" for number in range(200)]
    ids = send(browser, texts)
    until_handled(browser)
    until(
        browser, f"return window.told.filter(([type]) => type === 'message').length >= {len(texts)}"
    )
    assert messages(browser) == texts
    assert site.ledger.rows("entries") == [*zip(ids, texts, strict=True)]
    assert site.ledger.rows("arrivals") == [(known, 0) for known in ids]
    assert browser.execute_script("return window.sure") == [True] * len(texts)
    assert browser.execute_script("return window.sock.transport") == transport
    assert browser.execute_script("return window.sock.rtt") > 0
    assert events(browser) == ["connecting", "open"]


def test_the_server_is_killed(browser, site) -> None:
    """The page hears what is not known, and what was not confirmed comes again under its ids."""
    site.start()
    visit(browser, site.url)
    texts = [f"message {number}" for number in range(100)]
    texts[50] = f"{KILL} 50"
    ids = send(browser, texts)
    site.killed()
    until_told(browser, "suspended")
    more = [f"later {number}" for number in range(20)]
    ids += send(browser, more)
    site.start()
    lost = until_told(browser, "lost")
    until_handled(browser)
    assert lost["handled"] <= 50 < lost["handled"] + lost["repeated"]
    assert site.ledger.rows("entries") == [*zip(ids, texts + more, strict=True)]
    assert [again for known, again in site.ledger.rows("arrivals") if known == ids[50]] == [0, 1]
    assert events(browser) == ["connecting", "open", "suspended", "lost", "connecting", "open"]


@pytest.mark.usefixtures("quiet")
def test_reload(browser, site) -> None:
    """What is not handled goes on from the next page, once and in order; the old session ends."""
    site.start()
    visit(browser, site.url)
    texts = [WAIT, *(f"{number} before" for number in range(100))]
    ids = send(browser, texts, "window.before = true; location.reload()")
    until(browser, "return !window.before && window.sock?.state === 'open'")
    assert browser.execute_script("return window.inherited") == texts
    site.ask("release")
    more = ["after"]
    ids += send(browser, more)
    until_handled(browser)
    assert site.ledger.rows("entries") == [*zip(ids, texts + more, strict=True)]
    assert browser.execute_script("return window.sock.unsaved") == 0
    # By the farewell of the page, or by the next one.
    until_ended(site, "close 1000 Replaced", "close 1000 ")


@pytest.mark.usefixtures("quiet")
def test_resume_over_reload(browser, site) -> None:
    """The same session goes on in the next page, which has kept what came."""
    site.start()
    visit(browser, site.url, resumeOverReload=True)
    texts = [WAIT, *(f"{number} before" for number in range(100))]
    ids = send(browser, texts, "window.before = true; location.reload()")
    until(browser, "return !window.before && window.sock?.state === 'open'")
    assert browser.execute_script("return window.inherited") == texts
    site.ask("release")
    ids += send(browser, ["after"])
    until_handled(browser)
    assert site.ledger.rows("entries") == [*zip(ids, [*texts, "after"], strict=True)]
    assert site.ledger.rows("arrivals") == [(known, 0) for known in ids]
    assert site.ledger.rows("lives") == [("open",)]


@pytest.mark.usefixtures("quiet")
def test_duplicated_tab(browser, site) -> None:
    """It has a copy of sessionStorage, and shares nothing; when it is closed its session ends."""
    site.start()
    visit(browser, site.url)
    (own,) = send(browser, ["own"])
    browser.execute_script("window.other = window.open(location.href); return true")
    until(browser, "return window.other.sock?.state === 'open'")
    assert browser.execute_script("return window.other.inherited") == []
    other = browser.execute_script("return window.other.sock.send('of the other').id")
    until(browser, "return window.other.sock.outbox.length === 0")
    until_handled(browser)
    assert other[:22] != own[:22]
    assert sorted(site.ledger.rows("entries")) == sorted([(own, "own"), (other, "of the other")])
    browser.execute_script("window.other.close(); return true")
    until_ended(site, "close 1000 ")
    send(browser, ["still there"])
    until_handled(browser)
    assert events(browser) == ["connecting", "open"]


@pytest.mark.usefixtures("quiet")
def test_back_forward_cache(browser, site) -> None:
    """The page is left, and comes back as it was: what came meanwhile comes now."""
    if not isinstance(browser, Chromium):
        pytest.skip("Firefox keeps no page that WebDriver drives")
    site.start()
    visit(browser, site.url)
    send(browser, ["before"])
    until_handled(browser)
    browser.execute_script("location.href = '/elsewhere'; return true")
    until(browser, "return document.title === 'Elsewhere'")
    site.ask("say", text="meanwhile")
    browser.execute_script("history.back(); return true")
    until(browser, "return window.told && window.sock?.state === 'open'")
    assert ["pageshow", True] in browser.execute_script("return window.told")
    send(browser, ["after"])
    until_handled(browser)
    until(browser, "return window.told.filter(([type]) => type === 'message').length >= 3")
    assert messages(browser) == ["before", "meanwhile", "after"]
    assert events(browser) == ["connecting", "open", "suspended", "resumed"]


@pytest.mark.usefixtures("quiet")
def test_duplicated_between_two_pages(browser, site) -> None:
    """One of the two tabs takes what the page left; the page in the cache is another client."""
    if not isinstance(browser, Chromium):
        pytest.skip("Firefox keeps no page that WebDriver drives")
    site.start()
    visit(browser, site.url)
    first, page = browser.current_window_handle, browser.current_url
    texts = [WAIT, "one", "two"]
    ids = send(browser, texts)
    browser.execute_script("location.href = '/elsewhere'; return true")
    until(browser, "return document.title === 'Elsewhere'")
    browser.execute_script("window.open(location.href); return true")
    (other,) = set(browser.window_handles) - {first}
    browser.go_to_tab(other)
    until(browser, "return document.title === 'Elsewhere'")
    browser.get(page)
    until(browser, "return window.sock?.state === 'open'")
    assert browser.execute_script("return window.inherited") == texts
    browser.go_to_tab(first)
    browser.execute_script("history.back(); return true")
    until(browser, "return window.told?.some(([type, kept]) => type === 'pageshow' && kept)")
    until(browser, "return window.sock.state === 'open'")
    site.ask("release")
    (own,) = send(browser, ["of the first"])
    until_handled(browser)
    assert events(browser) == ["connecting", "open", "suspended", "lost", "connecting", "open"]
    browser.go_to_tab(other)
    ids += send(browser, ["of the other"])
    until_handled(browser)
    rows = site.ledger.rows("entries")
    theirs = [*zip(ids, [*texts, "of the other"], strict=True)]
    assert [row for row in rows if row[0] != own] == theirs
    assert (own, "of the first") in rows
    assert len(rows) == 5
    browser.close_tab()
    browser.go_to_tab(first)


def test_offline(browser, site) -> None:
    """What is sent while the browser has no network goes out afterwards."""
    if not isinstance(browser, Chromium):
        pytest.skip("Firefox has no such switch")
    site.start()
    visit(browser, site.url, transports=["xhr-streaming"])
    browser.go_offline()
    until_told(browser, "suspended")
    ids = send(browser, ["offline"])
    browser.go_offline(False)
    until_handled(browser)
    assert site.ledger.rows("entries") == [*zip(ids, ["offline"], strict=True)]
    assert events(browser) == ["connecting", "open", "suspended", "resumed"]


def test_older_server(browser, site) -> None:
    """Without `~r1` it is SockJS that comes back; and `~r1` as soon as the server knows it."""
    site.start(**{"sockjs.resume_window": "0"})
    visit(browser, site.url)
    send(browser, ["one"])
    assert until_told(browser, "message") == "one"
    assert browser.execute_script("return window.sure") == [False]
    site.kill()
    until_told(browser, "suspended")
    (known,) = send(browser, ["two"])
    site.start()
    until_handled(browser)
    assert browser.execute_script("return window.sure") == [True]
    assert until_told(browser, "lost") == {"handled": 1, "repeated": 0}
    assert events(browser) == ["connecting", "open", "suspended", "lost", "connecting", "open"]
    assert site.ledger.rows("entries") == [("", "one"), (known, "two")]


def test_final(browser, site) -> None:
    """What the application closes stays closed; who is refused is told so."""
    site.start()
    visit(browser, site.url)
    send(browser, [CLOSE])
    assert until_told(browser, "stopped") == {"code": 4321, "reason": "Enough"}
    assert browser.execute_script("return window.sock.state") == "stopped"
    visit(browser, site.url, "/denied")
    assert until_told(browser, "stopped") == {"code": 4403, "reason": ""}
    assert until_told(browser, "denied") == {"status": 403}
    assert events(browser) == ["connecting", "denied", "stopped"]
