"""The documentation as it is built: its links, its search, and its looks in a browser."""

from __future__ import annotations

import functools
import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import sockjs_bridge
from sockjs_bridge import client, testing
from tests.docs.blocks import DOCS
from tests.e2e.chromium import Chromium
from tests.e2e.server import PATIENCE
from tests.integration.pserve import ROOT
from tests.selection import FULL

#: Public names that the reference does not describe one by one.
ELSEWHERE = {
    # What config.include calls.
    "sockjs_bridge.includeme",
    # The same as in sockjs_bridge.
    "sockjs_bridge.client.ConnectionClosed",
}

#: Where our modules are, whose names are nobody else's business.
PRIVATE = r"sockjs_bridge\.(?:cluster|core|endpoint|pyramid|resume|server)\.\w+"

#: The parts of a page that scroll by themselves.
SCROLLS = ".table-wrapper, .highlight, .sidebar-drawer, .toc-drawer"
OVERFLOW = """
const width = document.documentElement.clientWidth;
const wide = [...document.querySelectorAll("body *")].filter((element) =>
  element.getBoundingClientRect().right > width + 1 && !element.closest(arguments[0]));
return [document.documentElement.scrollWidth - width, wide.map((element) => element.outerHTML)];
"""
BRIGHTNESS = """
const rgb = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
return Math.max(...rgb.slice(0, 3));
"""


class Page(HTMLParser):
    """The ids and the links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built pages, made as `make docs` does: a warning is an error."""
    folder = tmp_path_factory.mktemp("docs")
    (command,) = re.findall(
        r"^docs:.*\n\t\$\(BIN\)/python (.*) -d build/doctrees docs build/docs$",
        (ROOT / "Makefile").read_text(),
        re.MULTILINE,
    )
    done = subprocess.run(
        [sys.executable, *command.split(), "-d", folder / "doctrees", DOCS, folder / "html"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return folder / "html"


@pytest.fixture(scope="module")
def built(html: Path) -> dict[Path, Page]:
    """All pages by their paths."""
    return {path: Page(path) for path in sorted(html.rglob("*.html"))}


def test_what_stands_in_markdown_is_there(html: Path) -> None:
    for page, name, mark, level in (
        ("changes", "CHANGES.md", "###", "h3"),
        ("contributing", "CONTRIBUTING.md", "##", "h2"),
        ("security-policy", "SECURITY.md", "##", "h2"),
    ):
        headings = re.findall(rf"^{mark} (.*)$", (ROOT / name).read_text(), re.MULTILINE)
        text = (html / f"{page}.html").read_text(encoding="utf-8")
        assert headings
        assert [heading for heading in headings if f"<{level}>{heading}<" in text] == headings


def test_the_reference_has_all_public_names_and_no_others(
    html: Path, built: dict[Path, Page]
) -> None:
    described = built[html / "api.html"].ids
    for module in (sockjs_bridge, client, testing):
        names = {f"{module.__name__}.{name}" for name in module.__all__}
        assert names - described <= ELSEWHERE
    assert re.findall(PRIVATE, (html / "api.html").read_text(encoding="utf-8")) == []


def test_each_setting_can_be_linked_to(html: Path, built: dict[Path, Page]) -> None:
    for page in ("settings", "chat"):
        text = (DOCS / f"{page}.rst").read_text(encoding="utf-8")
        blocks = re.findall(r"^\.\. confval:: (.*(?:\n {13}.*)*)", text, re.MULTILINE)
        names = [name for block in blocks for name in block.split()]
        assert len(names) >= 10
        ids = built[html / f"{page}.html"].ids
        assert [name for name in names if f"confval-{name}" not in ids] == []


def test_links_lead_somewhere(html: Path, built: dict[Path, Page]) -> None:
    """Ours to a place that is there; those of others are whole and encrypted."""
    lost = []
    for path, page in built.items():
        for link in page.links:
            url, fragment = urldefrag(link)
            parts = urlsplit(url)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
                if not local and (parts.scheme != "https" or "." not in parts.netloc):
                    lost.append((path.name, link))
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            ids = built[target].ids if target in built else set()
            # The theme's own links to the top of a page.
            there = not fragment or fragment in ids or link == "#"
            if not target.exists() or not there:
                lost.append((path.name, link))
    assert lost == []


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(html: Path) -> Iterator[str]:
    """The URL of a server of the pages."""
    handler = functools.partial(Quiet, directory=str(html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(tmp_path_factory.mktemp("profile"), PATIENCE)
    yield chromium
    chromium.quit()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("words", "pages"),
    [
        ("4403", {"concepts", "troubleshooting"}),
        ("501", {"troubleshooting"}),
        ("4008", {"concepts", "troubleshooting"}),
        ("heartbeat_delay", {"settings"}),
        ("add_sockjs_route", {"api"}),
    ],
)
def test_search(site: str, chromium: Chromium, words: str, pages: set[str]) -> None:
    """Somebody who has a code, or a name, finds what it means."""
    chromium.get("about:blank")
    chromium.get(f"{site}/search.html?q={words}")

    def found(_: object) -> set[str]:
        links = chromium.find_elements(By.CSS_SELECTOR, "#search-results ul.search li > a")
        return {Path(urlsplit(link.get_attribute("href") or "").path).stem for link in links}

    WebDriverWait(chromium, PATIENCE, poll_frequency=0.05).until(
        lambda driver: found(driver) >= pages, f"{words} is not found in {pages}"
    )


@pytest.mark.e2e
def test_looks(site: str, html: Path, built: dict[Path, Page], chromium: Chromium) -> None:
    """No page is wider than a phone, or a desktop, and dark is dark."""
    wide = {}
    ways = [*itertools.product([(390, 844), (1280, 900)], [False, True])]
    for number, path in enumerate(built):
        name = path.relative_to(html).as_posix()
        chromium.get(f"{site}/{name}")
        # Each page in both sizes and both schemes; all four together where it is the full run.
        for size, dark in ways if FULL else [ways[number % 2], ways[3 - number % 2]]:
            chromium.emulate(*size, dark=dark)
            more, elements = chromium.execute_script(OVERFLOW, SCROLLS)
            if more:
                wide[name, size, dark] = elements[:3]
            assert (chromium.execute_script(BRIGHTNESS) < 64) is dark, name
    assert chromium.find_element(By.CSS_SELECTOR, ".theme-toggle").is_enabled()
    assert wide == {}
    # There is no icon. Sphinx's search warns where what it found is a setting.
    expected = re.compile(r"favicon\.ico|searchtools\.js")
    assert [error for error in chromium.errors() if not expected.search(error)] == []
