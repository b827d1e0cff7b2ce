"""Firefox by WebDriver BiDi: Debian has no geckodriver, and Firefox speaks it by itself."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import websocket

PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    # The servers are on loopback: whatever proxy the machine has is not for them.
    "network.proxy.type": 0,
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """A headless Firefox with a profile of its own and one page.

    Args:
        program: its path.
        profile: an empty folder.
        patience: seconds to wait for an answer.
    """

    def __init__(self, program: str, profile: Path, patience: float) -> None:
        lines = [f'user_pref("{key}", {json.dumps(PREFERENCES[key])});\n' for key in PREFERENCES]
        (profile / "user.js").write_text("".join(lines))
        log = profile / "firefox.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *(program, "--headless", "--no-remote", "--profile", profile),
                    *("--width", "1200", "--height", "800", "--remote-debugging-port", "0"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._socket: websocket.WebSocket | None = None
        self._asked = 0
        self._entries: list[dict[str, Any]] = []
        try:
            address = self._wait_for_address(log, time.monotonic() + 2 * patience)
            # It refuses connections that come from a web page.
            self._socket = websocket.create_connection(
                f"{address}/session", timeout=2 * patience, suppress_origin=True
            )
            # The certificates of the proxies are their own.
            own = {"alwaysMatch": {"acceptInsecureCerts": True}}
            self._ask("session.new", capabilities=own)
            self._ask("session.subscribe", events=["log.entryAdded"])
            tree = self._ask("browsingContext.getTree", maxDepth=0)
            self._page: str = tree["contexts"][0]["context"]
        except BaseException:
            self.quit()
            raise

    def _wait_for_address(self, log: Path, deadline: float) -> str:
        while True:
            text = log.read_text(errors="replace")
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", text):
                return found[1]
            assert self._process.poll() is None and time.monotonic() < deadline, text
            time.sleep(0.05)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        assert self._socket is not None
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while True:
            heard = json.loads(self._socket.recv())
            if heard.get("method") == "log.entryAdded":
                self._entries.append(heard["params"])
            elif heard.get("id") == self._asked:
                if heard["type"] == "error":
                    raise RuntimeError(f"{method}: {heard['error']}: {heard['message']}")
                result: dict[str, Any] = heard["result"]
                return result

    def get(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self._ask("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def execute_script(self, script: str, *arguments: Any) -> Any:
        """Call a function with a body and JSON arguments; its result goes through JSON."""
        body = f"() => JSON.stringify((function () {{ {script} }})(...{json.dumps(arguments)}))"
        answer = self._ask(
            "script.callFunction",
            functionDeclaration=body,
            target={"context": self._page},
            awaitPromise=False,
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"]) if "value" in answer["result"] else None

    def open_tab(self) -> str:
        """Open an empty tab, and go to it."""
        self._page = self._ask("browsingContext.create", type="tab")["context"]
        return self._page

    def go_to_tab(self, tab: str) -> None:
        """Have the scripts that follow run in a tab."""
        self._page = tab

    def close_tab(self) -> None:
        """Close the tab that scripts run in; `go_to_tab` follows."""
        self._ask("browsingContext.close", context=self._page)

    @property
    def current_window_handle(self) -> str:
        """The tab that scripts run in, by WebDriver's name."""
        return self._page

    def press(self, *texts: str) -> None:
        """Type characters, and WebDriver's special keys, into what has the focus."""
        actions = [
            {"type": kind, "value": key}
            for text in texts
            for key in text
            for kind in ("keyDown", "keyUp")
        ]
        self._ask(
            "input.performActions",
            context=self._page,
            actions=[{"type": "key", "id": "keyboard", "actions": actions}],
        )

    def save_screenshot(self, file: str) -> None:
        """Keep a picture of what is to be seen of the page."""
        answer = self._ask("browsingContext.captureScreenshot", context=self._page)
        Path(file).write_bytes(base64.b64decode(answer["data"]))

    def errors(self) -> list[str]:
        """Return and forget what the page's scripts told or threw: errors and warnings."""
        entries, self._entries = self._entries, []
        return [entry["text"] or "" for entry in entries if entry["level"] in ("error", "warn")]

    def delete_all_cookies(self) -> None:
        """Forget all cookies."""
        self._ask("storage.deleteCookies")

    def reset(self) -> None:
        """Forget everything that a test did; origins come and go with the tests' ports."""
        first, *others = self._ask("browsingContext.getTree", maxDepth=0)["contexts"]
        for context in others:
            self._ask("browsingContext.close", context=context["context"])
        self._page = first["context"]
        self.get("about:blank")
        self.delete_all_cookies()
        self.errors()

    def quit(self) -> None:
        """End the process."""
        if self._socket is not None:
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
