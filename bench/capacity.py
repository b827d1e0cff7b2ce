"""What a million connections take, computed from what the benchmark has measured.

    python -m bench.capacity [REPORT]

The report is the file of a run with the loads of a cluster (`bench.loads.CLUSTER`) and of silent
sessions; by default it is the newest one below ``build/bench``. What a cell needs and was not
measured is shown as ``-``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

from bench import table
from bench.loads import Measurement
from bench.run import kept
from bench.servers import BUILD, Lacking

CONNECTIONS = 1_000_000
PROCESSES = 50
"""That serve them."""
ROOMS = (100, 2)
"""Members of a room, in each column. Each room has one message a second."""

MANY, FEW = 1000, 2
"""Subscribers in the two loads by which hearing and delivering are told apart."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was measured: microseconds of CPU time, where nothing else is said; NaN: it was not.

    Attributes:
        deliver: a message, to one WebSocket.
        hear: a message from Redis, by a process, whoever gets it there.
        publish: a message that a client has sent, until it is on its way to Redis.
        keep: a message, by Redis.
        push: the same, for each process that hears it.
        open: a session.
        relay: a message of a client that polls, by the process that passes on one of its requests.
        memory: KiB of a silent session.
    """

    deliver: float
    hear: float
    publish: float
    keep: float
    push: float
    open: float
    relay: float
    memory: float

    @classmethod
    def of(cls, report: table.Report) -> Inputs:
        """Takes them out of a report."""
        rows = report["measurements"]
        many, few = (_found(rows, f"cluster-fanout n{count}") for count in (MANY, FEW))
        # A message delivered takes a part of hearing it once, and delivering.
        hear = (_cost(few) - _cost(many)) / (1 / FEW - 1 / MANY)
        deliver = _cost(many) - hear / MANY
        redis = report.get("redis") or {"publish": nan, "push": nan}
        idle = _found(rows, "r1-idle n5000", "ours") or _found(rows, "idle n5000", "ours")
        return cls(
            deliver=deliver,
            hear=hear,
            # The front hears what it has published, and delivers it to the sender.
            publish=FEW * _front(few) - hear - deliver,
            keep=redis["publish"],
            push=redis["push"],
            open=_cost(_found(rows, "cluster-open c32")),
            relay=_front(_found(rows, "cluster-poll c100")),
            memory=table.memory(idle) if idle else nan,
        )


def _found(
    rows: Sequence[Measurement], load: str, server: str = "ours-cluster"
) -> list[Measurement]:
    return [
        row
        for row in rows
        if row["load"] == load and row["server"] == server and "failed" not in row
    ]


def _cost(rows: list[Measurement]) -> float:
    return table.cost(rows) if rows else nan


def _front(rows: list[Measurement]) -> float:
    return table.front_cost(rows) if rows else nan


@dataclass(frozen=True, slots=True)
class Plan:
    """What is served, and what that takes.

    Attributes:
        inputs: what was measured.
        members: of each room.
    """

    inputs: Inputs
    members: int

    @property
    def published(self) -> float:
        """Messages that are published in a second."""
        return CONNECTIONS / self.members

    @property
    def hearing(self) -> float:
        """How many processes hear a room: its members are anywhere."""
        return PROCESSES * (1 - (1 - 1 / PROCESSES) ** self.members)

    @property
    def redis(self) -> float:
        """Cores that Redis takes."""
        return self.published * (self.inputs.keep + self.hearing * self.inputs.push) / 1e6

    @property
    def process(self) -> float:
        """Cores that a process takes."""
        published = self.published / PROCESSES
        return (
            published * self.inputs.publish
            + published * self.hearing * self.inputs.hear
            + CONNECTIONS / PROCESSES * self.inputs.deliver
        ) / 1e6


def text(report: table.Report) -> str:
    """Returns the tables."""
    inputs = Inputs.of(report)
    measured = {
        "to deliver a message to a WebSocket": f"{inputs.deliver:.1f}",
        "to hear a message of Redis, whoever gets it": f"{inputs.hear:.1f}",
        "to take a message from a client, and to publish it": f"{inputs.publish:.1f}",
        "to relay a message of a client that polls": f"{inputs.relay:.1f}",
        "to open a session": f"{inputs.open:.0f}",
        "Redis: to keep and publish a message": f"{inputs.keep:.1f}",
        "Redis: the same, for each process that hears it": f"{inputs.push:.2f}",
    }
    plans = [Plan(inputs, members) for members in ROOMS]
    lines: dict[str, Callable[[Plan], str]] = {
        "messages published in a second": lambda plan: f"{plan.published:.0f}",
        "processes that hear each": lambda plan: f"{plan.hearing:.1f}",
        "Redis: % of a core": lambda plan: f"{100 * plan.redis:.0f}",
        "a process: % of a core": lambda plan: f"{100 * plan.process:.0f}",
        "all processes: cores": lambda plan: f"{PROCESSES * plan.process:.0f}",
    }
    sessions = CONNECTIONS / PROCESSES
    alone = {
        f"memory of a process with {sessions:.0f} sessions, MiB": sessions * inputs.memory / 1024,
        "sessions that a core opens in a second": 1e6 / inputs.open,
        "seconds until the others have opened those of one that has died": (
            sessions * inputs.open / 1e6 / (PROCESSES - 1)
        ),
    }
    heads = [f"rooms of {plan.members}" for plan in plans]
    made_of = report["machine"], report["versions"].get("ours-cluster", {})
    parts = [
        [report["date"], *(", ".join(map(" ".join, each.items())) for each in made_of if each)],
        table.aligned(
            [
                ["us of CPU time, measured", "", ""],
                *([name, _cell(cell), ""] for name, cell in measured.items()),
            ]
        ),
        table.aligned(
            [
                [f"{CONNECTIONS} connections at {PROCESSES} processes", *heads, ""],
                *(
                    [name, *(_cell(cell(plan)) for plan in plans), ""]
                    for name, cell in lines.items()
                ),
            ]
        ),
        table.aligned(
            [
                [name, _cell(f"{value:.0f}" if value >= 10 else f"{value:.1f}"), ""]
                for name, value in alone.items()
            ]
        ),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _cell(text: str) -> str:
    return "-" if isnan(float(text)) else text


def newest() -> Path:
    """Returns the file of the last run.

    Raises:
        Lacking: there is none.
    """
    # Those of other programs have a name before the time.
    found = sorted(BUILD.glob("[0-9]*.json"))
    if not found:
        raise Lacking(f"no report below {BUILD}: make bench makes one")
    return found[-1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the command line says.

    Raises:
        SystemExit: with one sentence: there is no report.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity", description="Compute what a million connections take."
    )
    parser.add_argument("report", nargs="?", type=Path, help="the file of a run")
    options = parser.parse_args(arguments)
    try:
        print(text(kept(options.report or newest())))
    except Lacking as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
