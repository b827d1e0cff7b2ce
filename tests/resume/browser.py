"""The core of the browser's client, under node, where a `Simulation` has the Python one."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from sockjs_bridge.client.resume.links import Link, Listener, Network, Post
from sockjs_bridge.client.resume.policy import Way
from sockjs_bridge.client.resume.states import ClientState
from tests.support import HandClock

JOINED = Path(__file__).parents[2] / "js/tests/client/joined.js"


class Node:
    """One process of node, for one life after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(JOINED)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def step(self, now: float, what: str, *values: object) -> dict[str, Any]:
        """Let the client do one thing.

        Args:
            now: seconds of the clock.
            what: the thing, see ``steps`` of joined.js.
            values: its arguments.

        Returns:
            What it did.
        """
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps([now * 1000, what, *values]) + "\n")
        pipe_in.flush()
        answer: dict[str, Any] = json.loads(pipe_out.readline())
        assert answer["error"] is None, answer["error"]
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)


class BrowserClient:
    """Fulfils `simulation.Client`.

    Each call is one step; what the client asks of the network, and tells, follows behind it.
    """

    def __init__(
        self,
        node: Node,
        clock: HandClock,
        network: Network,
        listener: Listener,
        ways: tuple[Way, ...],
        seed: int,
    ) -> None:
        self._node = node
        self._clock = clock
        self._network = network
        self._listener = listener
        self._begin = partial(self._step, "begin", [way.value for way in ways], seed)
        self._open: dict[int, Link | Post] = {}
        self._ids: dict[Link | Post, int] = {}
        # Those whose head has arrived.
        self._deadline: float | None = None
        self.state = ClientState.CONNECTING
        self.session = ""
        self.positions: dict[str, str] = {}
        self.counts = SimpleNamespace(settled=0)

    def start(self) -> None:
        self._begin()

    def _step(self, what: str, *values: object) -> None:
        answer = self._node.step(self._clock.now, what, *values)
        at = answer["deadline"]
        self._deadline = None if at is None else at / 1000
        for action, *rest in answer["done"]:
            getattr(self, f"_{action}")(*rest)
        self._know(answer["facts"])

    def _know(self, facts: dict[str, Any]) -> None:
        self.state = ClientState(facts["state"])
        self.session = facts["session"]
        self.counts.settled = facts["settled"]
        self.positions = facts["positions"]

    # What it does

    def _request(self, number: int, url: str, text: str) -> None:
        _, _, session, way = urlsplit(url).path.split("/")
        body = json.loads(text)
        if way == "xhr_send":
            post = Post(session, body, self._clock.now)
            self._open[number], self._ids[post] = post, number
            self._network.post(post)
        else:
            self._begun(number, Link(Way(way), session, self._clock.now, body=body))

    def _websocket(self, number: int, url: str) -> None:
        parts = urlsplit(url)
        new = parts.query == "new"
        session = parts.path.split("/")[2]
        self._begun(number, Link(Way.WEBSOCKET, session, self._clock.now, new=new))

    def _begun(self, number: int, link: Link) -> None:
        self._open[number], self._ids[link] = link, number
        self._network.open(link)

    def _write(self, number: int, text: str) -> None:
        link = self._open[number]
        assert isinstance(link, Link)
        self._network.write(link, json.loads(text))

    def _drop(self, number: int) -> None:
        link = self._open[number]
        if isinstance(link, Link):
            self._network.close(link)
        else:
            self._network.drop(link)

    def _tell(self, event: str, detail: Any, facts: dict[str, Any]) -> None:
        self._know(facts)
        listener = self._listener
        match event:
            case "message":
                listener.received([detail])
            case "handled":
                listener.handled(detail)
            case "lost":
                listener.lost(detail["handled"])
            case "missed":
                listener.missed([("", detail["room"])])
            case "denied":
                listener.denied(detail["status"])
            case "closed":
                listener.closed(detail["code"], detail["reason"])
            case "opened" | "suspended" | "resumed" | "moved" | "unsupported":
                getattr(listener, event)()
            case _:
                assert event in ("rtt", "transport")

    # What is done to it

    def send(self, text: str) -> None:
        self._step("send", text)

    def close(self, code: int, reason: str) -> None:
        self._step("close", code, reason)

    def wake(self) -> None:
        self._step("wake")

    def hide(self) -> None:
        self._step("hide")

    def deadline(self) -> float | None:
        return self._deadline

    def on_deadline(self, now: float) -> None:
        self._step("time")

    def connected(self, link: Link) -> None:
        link.up = True
        self._step("opened", self._ids[link])

    def line(self, link: Link, text: str) -> None:
        if link.way is Way.WEBSOCKET:
            self._step("text", self._ids[link], text)
        else:
            self._step("line", self._ids[link], text)

    def ended(
        self, link: Link, status: int | None = None, *, clean: bool = False, after: float = 0.0
    ) -> None:
        number = self._ids[link]
        if link.way is Way.WEBSOCKET:
            self._step("closed", number, status or 1006)
        else:
            self._step("end", number, status or (200 if clean else 0), "")

    def answered(self, post: Post, status: int, answer: dict[str, Any]) -> None:
        self._step("end", self._ids[post], status, json.dumps(answer))

    def failed(self, post: Post) -> None:
        self._step("end", self._ids[post], 0, "")
