"""Chromium by ChromeDriver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

from tests.proxies.programs import find_program

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,800",
    # A click at what slides in may land beside it.
    "--force-prefers-reduced-motion",
    # The certificates of the proxies are their own.
    "--ignore-certificate-errors",
)
# The servers are on loopback: whatever proxy the machine has is not for them.
NO_PROXY = ("--no-proxy-server",)
# A page whose site is another one than that before it is no new process: each costs as much as the
# page itself.
ONE_PROCESS = (
    "--disable-site-isolation-trials",
    "--disable-features=IsolateOrigins,SpareRendererForSitePerProcess,site-per-process",
)

# By WebDriver's name: the key's name, its number and the character that it types.
KEYS = {
    Keys.ENTER: ("Enter", 13, "\r"),
    Keys.ESCAPE: ("Escape", 27, ""),
    Keys.TAB: ("Tab", 9, ""),
    Keys.ARROW_DOWN: ("ArrowDown", 40, ""),
}


class Chromium(webdriver.Chrome):
    """A headless Chromium with an empty profile.

    Args:
        profile: a folder.
        patience: seconds until a page must be loaded.
        network: arguments that say by which proxy the network is reached.
    """

    def __init__(self, profile: Path, patience: float, network: Iterable[str] = NO_PROXY) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = find_program("chromium")
        own = (*ONE_PROCESS, *network, f"--user-data-dir={profile}")
        for argument in (*ARGUMENTS, *own):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        super().__init__(options, Service(find_program("chromedriver")))
        self.set_page_load_timeout(patience)
        self._scripts: list[str] = []
        # Only of connections that are made from here on does Chromium take any away.
        self.go_offline(False)

    def press(self, *texts: str) -> None:
        """Type characters, and some of WebDriver's special keys, into what has the focus."""
        # Not by send_keys, which takes 40 to 100 ms for each key.
        for text in texts:
            if len(text) != 1:
                # As an input method does it.
                self.execute_cdp_cmd("Input.insertText", {"text": text})
                continue
            name, number, typed = KEYS.get(text, (text, 0, text))
            key = {"key": name, "windowsVirtualKeyCode": number}
            down = {"type": "keyDown" if typed else "rawKeyDown", "text": typed}
            self.execute_cdp_cmd("Input.dispatchKeyEvent", {**key, **down})
            self.execute_cdp_cmd("Input.dispatchKeyEvent", {**key, "type": "keyUp"})

    def before_load(self, script: str) -> None:
        """Have a script run in every page before the page's own, until `reset`."""
        added = self.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        self._scripts.append(added["identifier"])

    def emulate(self, width: int, height: int, *, dark: bool = False, mobile: bool = False) -> None:
        """Give the page another size and colour scheme, until `reset`."""
        self.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def touch(self, touched: bool = True) -> None:
        """Have the screen be one that is touched, without a mouse, until `reset`."""
        self.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touched})

    def go_offline(self, offline: bool = True) -> None:
        """Cut this tab off from the network, or back in."""
        # Without a throughput its network service would take a whole core as long as it is offline;
        # where the tab has a WebSocket, it takes half of one all the same.
        throughput = 1e9 if offline else -1
        conditions: dict[str, Any] = {
            "latency": 0,
            "downloadThroughput": throughput,
            "uploadThroughput": throughput,
        }
        self.execute_cdp_cmd("Network.enable", {})
        self.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": offline, **conditions})

    def open_tab(self) -> str:
        """Open an empty tab, and go to it."""
        self.switch_to.new_window("tab")
        return self.current_window_handle

    def go_to_tab(self, tab: str) -> None:
        """Have the scripts that follow run in a tab."""
        self.switch_to.window(tab)

    def close_tab(self) -> None:
        """Close the tab that scripts run in; `go_to_tab` follows."""
        self.close()

    def freeze(self, frozen: bool = True) -> None:
        """Freeze the tab that scripts run in, which are not to be run then; or have it go on."""
        state = "frozen" if frozen else "active"
        self.execute_cdp_cmd("Page.setWebLifecycleState", {"state": state})

    def cookies(self, url: str) -> list[dict[str, Any]]:
        """Return the cookies that go with requests of a URL."""
        found: list[dict[str, Any]] = self.execute_cdp_cmd("Network.getCookies", {"urls": [url]})[
            "cookies"
        ]
        return found

    def set_cookies(self, url: str, cookies: Mapping[str, str]) -> None:
        """Have cookies as if the URL's server had set them for this session of the browser."""
        for name, value in cookies.items():
            cookie = {"name": name, "value": value, "httpOnly": True, "sameSite": "Lax"}
            cookie |= {"secure": url.startswith("https:")}
            self.execute_cdp_cmd("Network.setCookie", {"url": url, **cookie, "path": "/"})

    def forget_cookies(self) -> None:
        """Forget the cookies of all sites."""
        self.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def errors(self) -> list[str]:
        """Return and forget the errors and warnings that the console shows."""
        entries = self.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def reset(self) -> None:
        """Forget everything that a test did; origins come and go with the tests' ports."""
        first, *others = self.window_handles
        for handle in others:
            self.switch_to.window(handle)
            self.close()
        self.switch_to.window(first)
        self.go_offline(False)
        for identifier in self._scripts:
            self.execute_cdp_cmd(
                "Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier}
            )
        self._scripts.clear()
        self.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.touch(False)
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.get("about:blank")
        self.forget_cookies()
        self.errors()
