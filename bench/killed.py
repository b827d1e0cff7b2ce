"""A process of a cluster is killed: how long its clients are away, and what the others do.

    python -m bench.killed --sessions 20000

Clients (`bench.crowd`) hold resumable sessions at several processes; one of these is killed.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from bench import table
from bench.clustered import running_redis
from bench.crowd import Count
from bench.probe import Found
from bench.run import machine
from bench.servers import BUILD, SERVERS, Lacking, free_port, running
from bench.stalls import Stall, probe, worst

HELD_UP_MS = 50.0
"""What the loop of a process that lives may be held up for."""
SPARE_FILES = 300
"""Files that a process has open beside the sockets of its clients."""
PATIENCE = 180.0
"""Seconds in which all sessions open, and are back."""
AFTERWARDS = 12.0
"""Seconds in which the others are watched further: the dead one's lease has to run out first."""
LOOK = 0.5
"""Seconds between two looks at the probes."""


class Report(TypedDict):
    """What the file of a run contains.

    Attributes:
        date: when it was.
        machine: where.
        sessions: how many there were.
        processes: how many served them.
        affected: how many sessions were at the killed process, or polled through it.
        lost: how many of these were sessions of that process.
        refused: how often one of the others had no time.
        half_s: seconds from the kill until half of them were back.
        all_s: until all were.
        stalls: what held up the loops of the others.
    """

    date: str
    machine: dict[str, str]
    sessions: int
    processes: int
    affected: int
    lost: int
    refused: int
    half_s: float
    all_s: float
    stalls: list[Stall]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        sessions: how many there are in all.
        processes: how many serve them, at first.
        share: how many of the sessions the process has that is killed, per cent.
        announced: rooms hear who comes and who goes.
    """

    sessions: int
    processes: int
    share: int
    announced: bool

    @property
    def files(self) -> int:
        """How many files a server has open, before or afterwards."""
        others = self.processes - 1
        # Half of the sessions poll, through another process than theirs.
        before = self.sessions * (self.share + (100 - self.share) / others) / 200
        return SPARE_FILES + round(max(before, self.sessions / others))


@dataclass(slots=True)
class Clients:
    """A process with clients; what it says last is read by a thread.

    Attributes:
        process: that one.
        expected: how many clients it has.
        count: how they are.
    """

    process: subprocess.Popen[str]
    expected: int
    count: Count = field(default_factory=Count)

    def read(self) -> None:
        """Reads what it says, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.count = Count(**json.loads(line))


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the command line says.

    Raises:
        SystemExit: with one sentence: it cannot be done, and why.
    """
    options = parser().parse_args(arguments)
    # What was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        report = measure(planned(options))
    except Lacking as error:
        sys.exit(f"error: {error}")
    path = BUILD / f"killed-{datetime.now():%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(text(report))


def parser() -> argparse.ArgumentParser:
    """Returns what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.killed",
        description="Kill a process of a cluster, and see how its clients come back.",
    )
    parser.add_argument("--sessions", type=int, default=20_000, help="in all")
    parser.add_argument("--processes", type=int, default=3, help="that serve them, at first")
    parser.add_argument(
        "--share", type=int, help="of the sessions, per cent, at the one that is killed"
    )
    parser.add_argument(
        "--announced", action="store_true", help="rooms hear who comes and who goes"
    )
    return parser


def planned(options: argparse.Namespace) -> Plan:
    """Returns the plan that the command line means, and has the system allow its files.

    Raises:
        Lacking: that cannot be measured, here or at all.
    """
    share = round(100 / options.processes) if options.share is None else options.share
    plan = Plan(options.sessions, options.processes, share, options.announced)
    if plan.sessions < 1 or plan.processes < 2 or not 0 <= plan.share <= 100:
        raise Lacking("there are 1 session and 2 processes at least, and a share of 0 to 100")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if plan.files > most != resource.RLIM_INFINITY:
        raise Lacking(
            f"a server needs {plan.files} open files for that, and {most} are allowed: raise the"
            " hard limit (ulimit -Hn), or take fewer sessions (--sessions), more processes"
            " (--processes) or a smaller share (--share)"
        )
    return plan


def measure(plan: Plan) -> Report:
    """Measures.

    Raises:
        Lacking: it cannot be.
    """
    installed = SERVERS["ours-cluster"].install()
    ports = [free_port() for _ in range(plan.processes)]
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        logs = [BUILD / f"server-{number}.log" for number in range(plan.processes)]
        servers = [
            stack.enter_context(running(installed, port, log, redis=redis.path))
            for port, log in zip(ports, logs, strict=True)
        ]
        crowds = stack.enter_context(_clients(plan, ports))
        _say(f"{plan.sessions} sessions open at {plan.processes} processes")
        _wait(crowds, lambda count: count.open, lambda crowd: crowd.expected)
        alive = ports[1:]
        for _ in range(2):
            # The first look starts the probe, the second one begins.
            for port in alive:
                probe(port)
        servers[0].send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        looks = _wait(crowds, lambda count: count.back, lambda crowd: crowd.count.affected, alive)
        stalls = [_stall("coming back", number, found) for number, found in enumerate(looks, 1)]
        _say("all are back")
        time.sleep(AFTERWARDS)
        stalls += [
            _stall("afterwards", number, [probe(port)]) for number, port in enumerate(alive, 1)
        ]
        counts = [crowd.count for crowd in crowds]
    wrong = next((count.wrong for count in counts if count.wrong), "")
    if wrong:
        raise Lacking(f"something went wrong: {wrong}")
    return Report(
        date=f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
        machine=machine(),
        sessions=plan.sessions,
        processes=plan.processes,
        affected=sum(count.affected for count in counts),
        lost=sum(count.lost for count in counts),
        refused=sum(count.refused for count in counts),
        half_s=max(count.half for count in counts) - killed_at,
        all_s=max(count.last for count in counts) - killed_at,
        stalls=stalls,
    )


@contextmanager
def _clients(plan: Plan, ports: Sequence[int]) -> Iterator[list[Clients]]:
    """Has clients connect, in as many processes as their open files need; the first port's dies."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    each = most - SPARE_FILES
    count = -(-plan.sessions // each)
    path = "/announced" if plan.announced else "/member"
    crowds: list[Clients] = []
    threads: list[threading.Thread] = []
    try:
        for number in range(count):
            # Equal parts, of which some have one more.
            size = plan.sessions // count + (number < plan.sessions % count)
            command = [sys.executable, "-m", "bench.crowd", size, 0, plan.share, path, *ports]
            process = subprocess.Popen(
                [str(word) for word in command], stdout=subprocess.PIPE, text=True
            )
            crowds.append(Clients(process, size))
            threads.append(threading.Thread(target=crowds[-1].read))
            threads[-1].start()
        yield crowds
    finally:
        for crowd in crowds:
            crowd.process.kill()
            crowd.process.wait()
        for thread in threads:
            thread.join()
        for crowd in crowds:
            assert crowd.process.stdout is not None
            crowd.process.stdout.close()


def _wait(
    crowds: Sequence[Clients],
    reached: Callable[[Count], int],
    wanted: Callable[[Clients], int],
    ports: Sequence[int] = (),
) -> list[list[Found]]:
    """Waits until all clients are there, and looks at the probes of servers meanwhile.

    Raises:
        Lacking: they do not come.
    """
    looks: list[list[Found]] = [[] for _ in ports]
    end = time.monotonic() + PATIENCE
    while True:
        there = all(reached(crowd.count) >= wanted(crowd) for crowd in crowds)
        for port, found in zip(ports, looks, strict=True):
            found.append(probe(port))
        if there:
            return looks
        if time.monotonic() > end or any(crowd.process.poll() is not None for crowd in crowds):
            here, all_of_them = (
                sum(map(number, crowds)) for number in (lambda crowd: reached(crowd.count), wanted)
            )
            raise Lacking(
                f"after {PATIENCE:g} s {here} of {all_of_them} sessions are there"
                f" {[crowd.count.wrong for crowd in crowds]}"
            )
        time.sleep(LOOK)


def _stall(what: str, number: int, looks: list[Found]) -> Stall:
    return Stall(what=f"{what}, process {number}", allowed_ms=HELD_UP_MS, **worst(looks))


def text(report: Report) -> str:
    """Returns what was found, as it is printed."""
    where = ", ".join(map(" ".join, report["machine"].items()))
    lines = [
        f"{report['date']}, {where}",
        f"{report['sessions']} sessions of ~r1 at {report['processes']} processes, of which one was"
        f" killed: {report['affected']} were there, or",
        f"polled through it. {report['lost']} began anew, {report['refused']} requests were refused"
        " meanwhile.",
        f"Half of them were back after {report['half_s']:.1f} s, all after"
        f" {report['all_s']:.1f} s.",
    ]
    return "\n".join([*lines, "", *table.stall_table(report["stalls"])])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
