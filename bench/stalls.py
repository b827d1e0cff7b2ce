"""What holds up our server's loop, and what memory polling sessions leave behind.

The other loads tell what a message costs. These tell how long all other connections wait while one
thing is done for ten or twenty thousand of them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.loads import Load, generated, generator_command
from bench.probe import Found
from bench.servers import BUILD, Installed, Lacking, free_port, running

SUBSCRIBERS = 10_000
FANOUT = Load.parse(f"ws-fanout n{SUBSCRIBERS}")
POLLING = 20_000
WAVES = 2
"""How often the polling sessions come: the first wave shows what memory the process keeps."""

BROADCAST_MS = 100.0
"""What a broadcast may hold up the loop for."""
POLLING_MS = 10.0
"""What opening and expiring polling sessions may hold up the loop for."""
MEMORY_PCT = 10.0
"""How much the memory may grow from one wave to the next."""

OPENERS = 32
"""Connections over which polling sessions are opened."""
BROADCASTING = 4
"""Seconds in which messages go to all subscribers, one at a time."""
PATIENCE = 60
"""Seconds that sessions may take to open, or to expire."""

DURATION = 100
"""Seconds that all of it takes, roughly."""


class Stall(Found):
    """The worst that was found while something went on, and how long it may take.

    Attributes:
        what: went on.
        allowed_ms: what may hold up the loop for; None where nobody said.
    """

    what: str
    allowed_ms: float | None


def measure(
    subscribers: Installed, crowd: Installed, generator: Path, cpu: int | None
) -> Iterator[Stall]:
    """Measures our server; its parts are told as they are done.

    Args:
        subscribers: the server that gets WebSockets.
        crowd: the one that gets polling sessions, and keeps them until all are there.
        generator: the program that opens the WebSockets.
        cpu: the only one that the server may use, if there is one.

    Raises:
        Lacking: it could not be measured.
    """
    yield from _in_a_process(subscribers, cpu, lambda port: _broadcast(generator, port))
    yield from _in_a_process(crowd, cpu, _waves)


def _in_a_process(
    installed: Installed, cpu: int | None, part: Callable[[int], Iterator[Stall]]
) -> Iterator[Stall]:
    port = free_port()
    with running(installed, port, BUILD / "server.log", cpu):
        # The first look starts the probe, the second one begins.
        probe(port)
        probe(port)
        yield from part(port)


def probe(port: int) -> Found:
    """Asks our server what held up its loop since it was asked last.

    Raises:
        Lacking: it does not answer.
    """
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/probe", timeout=PATIENCE) as page:
            found: Found = json.load(page)
    except (OSError, ValueError) as error:
        raise Lacking(f"the probe does not answer: {error}") from None
    return found


def worst(looks: Iterable[Found]) -> Found:
    """Returns the worst of several looks; memory and sessions are those of the last one."""
    looks = [*looks]
    return Found(
        late_ms=max(look["late_ms"] for look in looks),
        own_ms=max(look["own_ms"] for look in looks),
        collection_ms=max(look["collection_ms"] for look in looks),
        full_collections=sum(look["full_collections"] for look in looks),
        rss_kb=looks[-1]["rss_kb"],
        sessions=looks[-1]["sessions"],
    )


def _until(port: int, reached: Callable[[int], bool]) -> Found:
    """Looks until there are as many sessions as are waited for.

    Raises:
        Lacking: that takes too long.
    """
    looks = [probe(port)]
    end = time.monotonic() + PATIENCE
    while not reached(looks[-1]["sessions"]):
        if time.monotonic() > end:
            raise Lacking(f"after {PATIENCE} s there are {looks[-1]['sessions']} sessions")
        time.sleep(0.25)
        looks.append(probe(port))
    return worst(looks)


def _broadcast(generator: Path, port: int) -> Iterator[Stall]:
    # The connections must outlast the last look, which itself waits for some broadcasts.
    seconds = BROADCASTING + 5
    command = generator_command(
        generator, FANOUT, port, seconds, "--prefix", "/broadcast", "--check"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            # One more sends.
            opening = _until(port, lambda sessions: sessions > SUBSCRIBERS)
            yield Stall(what=f"opening {SUBSCRIBERS} WebSockets", allowed_ms=None, **opening)
            time.sleep(BROADCASTING)
            found = probe(port)
            out, error = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Lacking("the generator did not end") from None
        finally:
            process.kill()
    first_error = generated(out, error)["first_error"]
    if first_error or found["sessions"] <= SUBSCRIBERS:
        raise Lacking(f"WebSockets were lost: {first_error or 'they closed too early'}")
    yield Stall(what=f"broadcasts to {SUBSCRIBERS}", allowed_ms=BROADCAST_MS, **found)


def _waves(port: int) -> Iterator[Stall]:
    for _ in range(WAVES):
        try:
            asyncio.run(open_polling(port, POLLING))
        except (OSError, EOFError) as error:
            raise Lacking(f"polling sessions did not open: {error!r}") from None
        yield Stall(what=f"opening {POLLING} to poll", allowed_ms=POLLING_MS, **probe(port))
        expiring = _until(port, lambda sessions: not sessions)
        yield Stall(what=f"expiring {POLLING}", allowed_ms=POLLING_MS, **expiring)


async def open_polling(port: int, sessions: int) -> None:
    """Opens sessions by a first poll each, which nothing follows.

    Raises:
        ConnectionError: the server refused one.
        EOFError: it ended a connection.
        TimeoutError: it takes too long.
    """
    # Shared: who is done with a session takes the next one.
    left = iter(range(sessions))

    async def opener() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            path = f"/echo/0/{secrets.token_hex(8)}/xhr"
            writer.write(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head:
                raise ConnectionError(head.partition(b"\r\n")[0].decode("latin-1"))
            await reader.readuntil(b"o\n")
        writer.close()

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(opener() for _ in range(OPENERS)))


def memory_growth(stalls: Iterable[Stall]) -> float | None:
    """Returns by how many per cent the memory grew from the first wave to the last one.

    Both are looked at when all sessions of the wave have expired.
    """
    left = [stall["rss_kb"] for stall in stalls if stall["what"].startswith("expiring ")]
    return 100 * (left[-1] / left[0] - 1) if left[1:] else None
