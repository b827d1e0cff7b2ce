"""The loads: what the generator does to a server, and what it found."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Required, TypedDict

from bench.servers import Lacking

RESUMABLE = {
    "r1-echo": "ws-echo",
    "r1-fanout": "ws-fanout",
    "r1-poll": "xhr-echo",
    "r1-idle": "idle",
}
"""The modes with sessions of ``~r1``, and those that do the same with stock ones."""

CLUSTERED = {
    "cluster-fanout": "ws-fanout",
    "cluster-poll": "xhr-echo",
    "cluster-open": "open",
}
"""The modes for processes of a cluster, and those that the generator has for it."""

FRONTED = ("cluster-fanout", "cluster-poll")
"""Those with two processes: the home of the sessions, and another one, the front."""

MODES = (
    *("ws-echo", "ws-fanout", "xhr-echo", "xhr-fanout", "stream-fanout", "open", "idle"),
    *RESUMABLE,
    *CLUSTERED,
)

# What is compared follows each other, so that what else happens on the machine meets both.
LOADS = (
    "ws-echo c100",
    "r1-echo c100",
    "ws-echo c100 k16",
    "ws-fanout n100",
    "ws-fanout n1000",
    "ws-fanout n1000 k16",
    "r1-fanout n1000 k16",
    "xhr-echo c100",
    "r1-poll c100",
    "xhr-fanout n100",
    "stream-fanout n1000 k16",
    "open c32",
    "idle n5000",
    "r1-idle n5000",
)
"""The loads that there are figures to reach for."""

GROWTH = ("ws-echo c1000", "ws-echo c10000")
"""What shows, beside the first of `LOADS`, how the cost of a message grows with the connections."""

CLUSTER = (
    "cluster-fanout n1000",
    "cluster-fanout n2",
    "cluster-poll c100",
    "cluster-poll c100 r2000",
    "cluster-open c32",
)
"""What a cluster costs, beside one process."""

OPEN_TIME = 60
"""Seconds that the connections of a load may take to open."""


class Measurement(TypedDict, total=False):
    """What one run of the generator found on one server, or why it found nothing.

    The generator tells more than these keys, and all of it is kept.
    """

    server: Required[str]
    load: Required[str]
    failed: str
    mode: str
    rate: float
    p50_us: float
    p99_us: float
    errors: int
    lost: int
    skipped: int
    duplicates: int
    reordered: int
    bad_payload: int
    foreign: int
    first_error: str
    opened: int
    cpu_pct: float
    server_cpu_pct: float
    server_core_busy_pct: float
    server_us_per_msg: float
    server_rss_kb: int
    server_rss0_kb: int
    front_us_per_msg: float
    redis_us_per_msg: float


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator does.

    Attributes:
        name: as `parse` takes it.
        mode: one of `MODES`.
        connections: how many sessions there are, a publisher not counted.
        inflight: how many messages are under way at a time, for each session or publisher.
        pace: messages in a second, all sessions taken together; 0: each as soon as it may.
    """

    name: str
    mode: str
    connections: int
    inflight: int
    pace: int = 0

    @classmethod
    def parse(cls, name: str) -> Load:
        """Reads a load from its name.

        Raises:
            Lacking: it is none.
        """
        match = re.fullmatch(r"(\S+) [cn](\d+)(?: k(\d+))?(?: r(\d+))?", name)
        if match is None or match[1] not in MODES:
            raise Lacking(
                f"no such load: {name!r}; a load is a mode, a number of connections, one of"
                f" messages in flight if it is not 1, and one of messages in a second if they are"
                f" not sent as fast as may be: 'ws-fanout n1000 k16 r50'; modes are"
                f" {', '.join(MODES)}"
            )
        return cls(name, match[1], int(match[2]), int(match[3] or 1), int(match[4] or 0))

    @property
    def resumable(self) -> bool:
        """Whether its sessions are those of ``~r1``."""
        return self.mode in RESUMABLE

    @property
    def clustered(self) -> bool:
        """Whether it shows what a cluster costs: it is measured with one and without."""
        return self.mode in CLUSTERED

    @property
    def fronted(self) -> bool:
        """Whether its clients use two processes, where it is measured with a cluster."""
        return self.mode in FRONTED

    @property
    def shape(self) -> str:
        """What its clients do, whichever sessions they have, and wherever: a mode of stock ones."""
        return RESUMABLE.get(self.mode) or CLUSTERED.get(self.mode, self.mode)

    @property
    def files(self) -> int:
        """The files that the generator or the server has open."""
        each = 1 if self.shape != "xhr-echo" else 4 if self.fronted else 2
        return 100 + self.connections * each

    @property
    def warmup(self) -> float:
        """The seconds before those that count."""
        # sockjs-node calls `new Buffer` for each message of xhr_send: slow until Node has seen
        # 10 000 of these calls.
        return 3 if self.shape == "xhr-echo" else 1

    def seconds(self, seconds: float) -> float:
        """Returns the seconds that count: nothing happens while connections are idle."""
        return min(seconds, 1) if self.shape == "idle" else seconds

    def duration(self, seconds: float) -> float:
        """Estimates how long a measurement takes, with the start of the server and all openings."""
        # With a cluster there is more to start.
        start = 1.5 if self.clustered else 0.7
        return start + self.connections / 1000 + self.warmup + self.seconds(seconds)


def generator_command(
    generator: Path, load: Load, port: int, seconds: float, *arguments: object
) -> list[str]:
    """Returns the command that puts a load on the server at a port.

    Args:
        generator: the program.
        load: what it does.
        port: where the server listens.
        seconds: that count.
        *arguments: further ones for the generator, which override those that follow from the load.
    """
    mode = load.shape if load.clustered else load.mode
    command = (
        *(generator, "--mode", mode, "--connections", load.connections, "--port", port),
        *("--inflight", load.inflight, "--seconds", load.seconds(seconds)),
        *("--warmup", load.warmup, "--open-timeout", OPEN_TIME),
        *("--pace", load.pace, *arguments),
    )
    return [str(part) for part in command]


def generated(output: str, error: str) -> Measurement:
    """Returns what the generator found.

    Args:
        output: what it wrote.
        error: what it complained of.

    Raises:
        Lacking: it found nothing.
    """
    try:
        found: Measurement = json.loads(output)
    except ValueError:
        raise Lacking(f"the generator failed: {error.strip()}") from None
    return found


def run_generator(
    generator: Path, load: Load, port: int, seconds: float, *arguments: object
) -> Measurement:
    """Puts a load on the server at a port, and returns what the generator found.

    Args:
        generator: the program.
        load: what it does.
        port: where the server listens.
        seconds: that count.
        *arguments: as for `generator_command`.

    Raises:
        Lacking: it found nothing, and why.
    """
    # It bounds itself; this is for the day when it does not.
    patience = OPEN_TIME + load.warmup + seconds + 60
    try:
        done = subprocess.run(
            generator_command(generator, load, port, seconds, *arguments),
            capture_output=True,
            text=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        raise Lacking("the generator did not end") from None
    found = generated(done.stdout, done.stderr)
    if load.shape != "idle" and not found["rate"]:
        raise Lacking(f"no message arrived: {found['first_error']}")
    return found
