"""The chat's page as a user sees it."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.e2e.chromium import Chromium

PASSWORD = "demo-demo"

MESSAGES = """
return [...document.querySelectorAll("#log .message")].map((row) => ({
    number: Number(row.dataset.number) || null,
    key: row.dataset.key,
    state: row.dataset.state,
    name: row.querySelector(".name").textContent,
    text: row.querySelector(".text").textContent,
    time: row.querySelector("time")?.dateTime ?? null,
    edited: row.querySelector(".edited") !== null,
    reason: row.querySelector(".reason")?.textContent ?? "",
}));
"""

ROOMS = """
return [...document.querySelectorAll("#rooms a.room")].map((link) => ({
    id: Number(link.dataset.room),
    name: link.querySelector(".room-name").textContent,
    current: link.getAttribute("aria-current") === "page",
    unread: link.querySelector(".unread").hidden ? 0
        : parseInt(link.querySelector(".unread").textContent, 10),
}));
"""

POST = """
const [texts, pause] = arguments;
const field = document.querySelector("#text");
window.posting = true;
let posted = 0;
const post = () => {
    field.value = texts[posted++];
    document.querySelector("#say").requestSubmit();
    if (posted < texts.length) setTimeout(post, pause);
    else window.posting = false;
};
post();
"""

WATCH = """
const status = document.querySelector("#status");
window.losses = 0;
new MutationObserver(() => { window.losses += status.dataset.state === "lost"; })
    .observe(status, { attributeFilter: ["data-state"] });
"""

# Notes each state that the connection shows, from the first on, in pages that load from now on.
STATES = """
window.states = [];
new MutationObserver(() => {
    const state = document.querySelector("#status")?.dataset.state;
    if (state && state !== window.states.at(-1)) window.states.push(state);
}).observe(document, { subtree: true, childList: true, attributeFilter: ["data-state"] });
"""

# Says something as soon as that is possible, and notes how long things took since the page was
# asked for: what came before that was another page.
STOPWATCH = """
(() => {
    const text = %s, times = window.times = {};
    const note = (what) => {
        const [navigation] = performance.getEntriesByType("navigation");
        times[what] ??= (performance.now() - navigation.fetchStart) / 1000;
    };
    const look = () => {
        if (!document.querySelector("#say:not([hidden])")) return;
        if (!times.said) {
            note("said");
            document.querySelector("#text").value = text;
            document.querySelector("#say").requestSubmit();
        }
        if (document.querySelector("#status[data-state=open]")) note("connected");
        const rows = [...document.querySelectorAll("#log .message[data-state='']")];
        if (rows.some((row) => row.querySelector(".text").textContent === text)) {
            note("delivered");
            observer.disconnect();
        }
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, attributes: true });
})();
"""


def sign_in(url: str, name: str, password: str, agent: str) -> dict[str, str]:
    """Sign in as a browser does that sends the form, and return the cookies that it then has."""
    parts = urlsplit(url)
    cookies: dict[str, str] = {}
    # The certificates of the proxies are their own.
    trusting = partial(http.client.HTTPSConnection, context=ssl._create_unverified_context())
    connect = partial(
        trusting if parts.scheme == "https" else http.client.HTTPConnection,
        parts.netloc,
        timeout=60,
    )

    def ask(method: str, form: str = "") -> str:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "Referer": f"{parts.scheme}://{parts.netloc}/sign-in",
            "User-Agent": agent,
        }
        with closing(connect()) as connection:
            connection.request(method, "/sign-in", form, headers)
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie", []):
                cookies.update({key: morsel.value for key, morsel in SimpleCookie(line).items()})
            return answer.read().decode()

    token = re.search(r'name="csrf_token"[^>]* value="([^"]*)"', ask("GET"))
    assert token is not None
    ask("POST", urlencode({"name": name, "password": password, "csrf_token": token[1]}))
    return cookies


class Driver(Protocol):
    """What a browser has to be capable of."""

    def get(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""

    def execute_script(self, script: str, *args: Any) -> Any:
        """Run the body of a function in the page."""

    def press(self, *texts: str) -> None:
        """Type characters and special keys into what has the focus."""

    def save_screenshot(self, filename: str) -> object:
        """Keep a picture."""

    def errors(self) -> list[str]:
        """Return and forget the errors that the console shows."""


class ChatPage:
    """One browser with the chat in it.

    Args:
        driver: the browser.
        owner: the name with which its user signs in.
        patience: seconds to wait for what must happen.
    """

    def __init__(self, driver: Driver, owner: str, patience: float) -> None:
        self.driver = driver
        self.owner = owner
        self._patience = patience
        self._expected: list[str] = []

    @property
    def chromium(self) -> Chromium:
        """The browser, where it is Chromium."""
        assert isinstance(self.driver, Chromium)
        return self.driver

    # ---- ways in -------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Go to a page of the chat, and sign in before, or on the way there.

        The form and its page cost as much as the chat's own. Chromium is given the cookie that they
        would give; the tests of the forms, and Firefox, take the way that users take.
        """
        if isinstance(self.driver, Chromium) and not self.driver.cookies(url):
            agent = self.script("return navigator.userAgent")
            self.driver.set_cookies(url, sign_in(url, self.owner, PASSWORD, agent))
        self.driver.get(url)
        self.until(lambda: self.has("#sign-in, #say"), "the chat")
        if self.has("#sign-in"):
            self.sign_in()
            path = re.sub(r"^https?://[^/]*", "", url)
            self.until(
                lambda: self.script("return location.pathname + location.search") == path,
                f"the page that was asked for: {path}",
            )
            self.until(lambda: self.has("#say"), "the chat")

    def sign_in(self, name: str = "", password: str = PASSWORD) -> None:
        """Fill in the form and send it by the keyboard."""
        self.write("#name", name or self.owner)
        self.write("#password", password, Keys.ENTER)

    def measure(self, text: str) -> None:
        """Have the next page say a text as soon as it can, and note when what happened."""
        self.chromium.before_load(STOPWATCH % json.dumps(text))

    def times(self) -> dict[str, float]:
        """Return the seconds that `measure` has noted."""
        found: dict[str, float] = self.script("return window.times ?? {}")
        return found

    def note_states(self) -> None:
        """Have all later pages note the states of their connections, see `states`."""
        self.chromium.before_load(STATES)

    def states(self) -> list[str]:
        """Return the different states of the connection, one after the other."""
        found: list[str] = self.script("return window.states")
        return found

    def watch(self) -> None:
        """Count from now on how often the connection is lost."""
        self.script(WATCH)

    # ---- what is done --------------------------------------------------------------------------

    def script(self, body: str, *arguments: Any) -> Any:
        """Run the body of a function in the page."""
        return self.driver.execute_script(body, *arguments)

    def has(self, selector: str) -> bool:
        """Tell whether there is such an element."""
        return bool(self.script("return !!document.querySelector(arguments[0])", selector))

    def shows(self, selector: str) -> bool:
        """Tell whether there is such an element to be seen."""
        return bool(
            self.script(
                "return !!document.querySelector(arguments[0])?.checkVisibility("
                "{ visibilityProperty: true })",
                selector,
            )
        )

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        found: str = self.script(
            "return document.querySelector(arguments[0]).textContent.trim()", selector
        )
        return found

    def focus(self, selector: str) -> None:
        """Give the focus to an element."""
        self.script("document.querySelector(arguments[0]).focus()", selector)

    def write(self, selector: str, *texts: str) -> None:
        """Put texts and keys into a field, in place of what it has."""
        self.until(lambda: self.shows(selector), selector)
        self.script("document.querySelector(arguments[0]).value = ''", selector)
        self.focus(selector)
        self.driver.press(*texts)

    def click(self, selector: str) -> None:
        """Click at an element as soon as it is to be seen."""
        self.until(lambda: self.shows(selector), selector)
        self.chromium.find_element("css selector", selector).click()

    def say(self, *texts: str) -> None:
        """Type messages, with Enter after each."""
        self.focus("#text")
        for text in texts:
            self.driver.press(text, Keys.ENTER)

    def post(self, texts: Iterable[str], pause: int = 20) -> None:
        """Have messages sent by the form, one after another; returns at once.

        Args:
            texts: of the messages.
            pause: milliseconds between two.
        """
        self.script(POST, list(texts), pause)

    def choose_room(self, room: int) -> None:
        """Go to a room of the list."""
        self.click(f"#rooms a.room[data-room='{room}']")
        self.until(lambda: self.room == room, f"room {room}")

    def force(self, transport: str) -> None:
        """Force a transport in the connection panel."""
        if not self.shows("#connection-panel"):
            self.click("#connection")
        select = self.chromium.find_element("css selector", "#force")
        Select(select).select_by_value(transport)
        self.click("#force-apply")

    # ---- what is seen --------------------------------------------------------------------------

    @property
    def room(self) -> int | None:
        """The room that is shown."""
        return next((room["id"] for room in self.rooms() if room["current"]), None)

    @property
    def state(self) -> str:
        """The state of the connection."""
        found: str = self.script("return document.querySelector('#status').dataset.state")
        return found

    @property
    def transport(self) -> str:
        """The transport that the connection panel shows."""
        return self.text("#transport")

    @property
    def asks_before_leaving(self) -> bool:
        """Whether the browser would ask before it closes the tab; ChromeDriver answers unasked."""
        found: bool = self.script(
            "const event = new Event('beforeunload', { cancelable: true });"
            " return !window.dispatchEvent(event)"
        )
        return found

    @property
    def losses(self) -> int:
        """How often the connection was lost since `watch`; the first one may take two attempts."""
        found: int = self.script("return window.losses")
        return found

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that are shown, from top to bottom."""
        found: list[dict[str, Any]] = self.script(MESSAGES)
        return found

    def message(self, text: str) -> dict[str, Any] | None:
        """Return the message that has a text."""
        return next((message for message in self.messages() if message["text"] == text), None)

    def state_of(self, text: str) -> str | None:
        """Return the state of the message that has a text."""
        message = self.message(text)
        return message and message["state"]

    def settled(self) -> list[tuple[int, str, str]]:
        """Return number, author and text of the messages, none of which may be on its way."""
        messages = self.messages()
        pending = [message for message in messages if message["state"] not in ("", "deleted")]
        assert not pending
        return [(message["number"], message["name"], message["text"]) for message in messages]

    def texts(self) -> list[str]:
        """Return the texts of the messages that the server told, from top to bottom."""
        return [message["text"] for message in self.messages() if message["number"]]

    def rooms(self) -> list[dict[str, Any]]:
        """Return the rooms of the list."""
        found: list[dict[str, Any]] = self.script(ROOMS)
        return found

    def room_named(self, name: str) -> dict[str, Any] | None:
        """Return a room of the list."""
        return next((room for room in self.rooms() if room["name"] == name), None)

    def online(self, user: int) -> bool | None:
        """Tell whether a member of the room is shown as online; None for no member."""
        found = self.script(
            "return document.querySelector(arguments[0])?.dataset.online ?? null",
            f"#members li[data-user='{user}']",
        )
        return None if found is None else found == "true"

    # ---- waiting -------------------------------------------------------------------------------

    def until(
        self, condition: Callable[[], object], what: str, patience: float | None = None
    ) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + (patience or self._patience)
        pause = 0.05
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.owner} never saw: {what}")
            time.sleep(pause)
            # To look costs the page more than to wait.
            pause = min(1.2 * pause, 0.25)

    def until_connected(self, transport: str = "", patience: float | None = None) -> None:
        """Wait until there is a connection, over a certain transport."""
        self.until(
            lambda: self.state == "open" and transport in ("", self.transport),
            f"a connection {transport}",
            patience,
        )

    def until_said(self, *texts: str, patience: float | None = None) -> None:
        """Wait until messages are shown as the server's."""
        self.until(lambda: set(texts) <= set(self.texts()), f"{texts}", patience)

    # ---- afterwards ----------------------------------------------------------------------------

    def expect_errors(self, pattern: str) -> None:
        """Have errors and warnings of the console left out that a test provokes, by a pattern."""
        self._expected.append(pattern)

    def errors(self) -> list[str]:
        """Return and forget the unexpected errors and warnings that the console shows."""
        return [
            f"{self.owner}: {error}"
            for error in self.driver.errors()
            if not any(re.search(pattern, error) for pattern in self._expected)
        ]

    def screenshot(self, file: Path) -> None:
        """Keep a picture of the page."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(file))
