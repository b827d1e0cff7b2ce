"""A TCP proxy that resets reused keep-alive connections, as the middleboxes of the field do."""

from __future__ import annotations

import asyncio
import random

from tests.proxies.tcp import Link, Proxy

STAGES = ("before", "during", "after")
"""When a connection is reset: before its request is passed on, while it waits for its answer, or
when it is answered and the answer swallowed."""

LONGEST_WAIT = 0.01
"""Seconds that a request waits at most for the reset of the second stage."""


class _ResettingLink(Link):
    proxy: ResettingProxy

    _asking = False
    _reused = False
    _stage: str | None = None

    def request(self, data: bytes) -> None:
        if not self._asking:
            # Bytes that follow an answer: the next request.
            self._asking = True
            self._stage = self.proxy.choose() if self._reused else None
            self._reused = True
            if self._stage == "during":
                wait = self.proxy.wait()
                asyncio.get_running_loop().call_later(wait, self._count_and_reset)
        if self._stage == "before":
            self._count_and_reset()
        else:
            super().request(data)

    def answer(self, data: bytes) -> None:
        self._asking = False
        if self._stage is not None:
            self._count_and_reset()
        else:
            super().answer(data)

    def _count_and_reset(self) -> None:
        if self._stage is not None:
            self.proxy.counts[self._stage] += 1
            self._stage = None
            self.reset()


class ResettingProxy(Proxy):
    """Passes bytes on, and resets some connections, but none before its second request.

    A browser repeats a request that failed in this way, unseen by the page, over a new connection.
    It counts how many connections were reset, by the stage.

    Args:
        url: of the server behind it.
        seed: of the chances.
        rate: the chance that a request over a reused connection meets a reset.
    """

    link = _ResettingLink

    def __init__(self, url: str, seed: int = 0, rate: float = 0.0) -> None:
        super().__init__(url)
        self._chances = random.Random(seed)
        self._rate = rate

    def choose(self) -> str | None:
        """Decide about one request of a reused connection."""
        return self._chances.choice(STAGES) if self._chances.random() < self._rate else None

    def wait(self) -> float:
        """Decide how long a request waits for its reset, in seconds."""
        return self._chances.uniform(0, LONGEST_WAIT)
