"""Measures our server beside others, and prints the tables: what ``make bench`` runs.

Each measurement has a server process of its own on one CPU, and the load generator on another. The
servers take turns (A B C, A B C …), so that what else happens on the machine meets all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench import stalls, table
from bench.clustered import redis_cost, running_redis
from bench.loads import CLUSTER, GROWTH, LOADS, Load, Measurement, run_generator
from bench.servers import (
    BENCH,
    BUILD,
    SERVERS,
    Installed,
    Lacking,
    Server,
    compile_c,
    free_port,
    ours,
    pinned,
    running,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        peers: the names of servers, ours among them.
        loads: the names of loads.
        reps: how often each is measured.
        seconds: that count in each measurement.
        stalls: whether it is measured what holds up the loop of our server, once.
    """

    peers: Sequence[str]
    loads: Sequence[str]
    reps: int
    seconds: float
    stalls: bool = False

    @property
    def once(self) -> list[tuple[Load, Server]]:
        """The measurements of one repetition."""
        servers = [SERVERS[name] for name in self.peers]
        # With a cluster and without, whichever of the two is named.
        pair = [SERVERS[name] for name in PAIR] if {*PAIR} & {*self.peers} else []
        return [
            (load, server)
            for load in map(Load.parse, self.loads)
            for server in (pair if load.clustered else servers)
            if server.resumable or not load.resumable
        ]

    @property
    def redis(self) -> bool:
        """Whether it is measured what a message takes of Redis, once."""
        return any(load.clustered for load, _ in self.once)

    @property
    def duration(self) -> float:
        """The seconds that it takes, roughly."""
        once = sum(load.duration(self.seconds) for load, _ in self.once)
        return once * self.reps + stalls.DURATION * self.stalls + REDIS_TIME * self.redis


PAIR = ("ours", "ours-cluster")
"""Our server, alone and in a cluster."""
REDIS_TIME = 5
"""Seconds in which it is measured what a message takes of Redis."""

RESUMABLE = ", ".join(server.name for server in SERVERS.values() if server.resumable)

FULL = Plan(
    peers=(
        "ours",
        "ours-compiled",
        "ours-reference",
        "sockjs-node",
        "aio-libs",
        "tornado",
        "limit",
    ),
    loads=(*LOADS, *GROWTH, *CLUSTER),
    reps=3,
    seconds=2,
    stalls=True,
)
SHORT = Plan(peers=("ours", "sockjs-node", "limit"), loads=LOADS, reps=1, seconds=2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the command line says.

    Raises:
        SystemExit: with one sentence: it cannot be done, and why.
    """
    options = parser().parse_args(arguments)
    try:
        if options.report is None:
            report = measure_all(planned(options), chosen_cpus(options.cpus))
        else:
            report = kept(options.report)
    except Lacking as error:
        sys.exit(f"error: {error}")
    print(table.text(report))


def parser() -> argparse.ArgumentParser:
    """Returns what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.run",
        description="Measure SockJS servers, and print a table for each load.",
        epilog=f"Peers are {', '.join(SERVERS)}. Loads are {', '.join(FULL.loads)}, and all others"
        " that are named in this way.",
    )
    parser.add_argument("--short", action="store_true", help="a first look, in 3 minutes")
    parser.add_argument("--stalls", action="store_true", help="only what holds up our loop")
    parser.add_argument("--peers", type=names, help="the servers, ours too, separated by commas")
    parser.add_argument("--loads", type=names, help="separated by commas")
    parser.add_argument("--reps", type=int, help="how often each is measured")
    parser.add_argument("--seconds", type=float, help="that count in each measurement")
    parser.add_argument("--cpus", help="of the server and of the generator, as 0,1")
    parser.add_argument("--report", type=Path, help="print the tables of an earlier run's file")
    return parser


def kept(path: Path) -> table.Report:
    """Returns the report of an earlier run.

    Raises:
        Lacking: there is none in that file.
    """
    try:
        report: table.Report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Lacking(f"no report in {path}: {error}") from None
    return report


def names(text: str) -> list[str]:
    """Returns the names in a list, which may contain blanks."""
    return [" ".join(name.split()) for name in text.split(",") if name.strip()]


def planned(options: argparse.Namespace) -> Plan:
    """Returns the plan that the command line means: what it does not say has a default.

    Raises:
        Lacking: nothing can be measured so.
    """
    usual = SHORT if options.short else FULL
    named = options.peers or options.loads
    plan = Plan(
        peers=options.peers or (["ours"] if options.stalls else usual.peers),
        loads=options.loads or ([] if options.stalls else usual.loads),
        reps=usual.reps if options.reps is None else options.reps,
        seconds=usual.seconds if options.seconds is None else options.seconds,
        stalls=options.stalls or (usual.stalls and not named),
    )
    for peer in plan.peers:
        if peer not in SERVERS:
            raise Lacking(f"no such peer: {peer!r}; there are {', '.join(SERVERS)}")
    if plan.loads and not plan.once:
        raise Lacking(
            f"no peer is measured with resumable sessions, except for {RESUMABLE}, nor with a"
            f" cluster, except for {' and '.join(PAIR)}"
        )
    if plan.reps < 1 or not 0.1 <= plan.seconds <= 600:
        raise Lacking("there is at least 1 repetition, of 0.1 to 600 seconds")
    return plan


def chosen_cpus(text: str | None) -> tuple[int, int]:
    """Returns the server's CPU and the generator's, which are not to share one.

    Raises:
        Lacking: there are no two.
    """
    if sys.platform != "linux":
        raise Lacking("the generator, and binding a process to a CPU, need Linux")
    allowed = sorted(os.sched_getaffinity(0))
    try:
        server, generator = map(int, text.split(",")) if text else allowed[:2]
    except ValueError:
        raise Lacking(
            "two CPUs are needed, one for the server and one for the generator;"
            + (f" {text!r} names other than two" if text else f" here is {len(allowed)}")
        ) from None
    if server == generator or not {server, generator} <= {*allowed}:
        raise Lacking(f"two of the CPUs {', '.join(map(str, allowed))} are needed, not {text}")
    return server, generator


def measure_all(plan: Plan, cpus: tuple[int, int]) -> table.Report:
    """Measures, and keeps the report below ``build/bench``; Ctrl-C ends it with what there is.

    Raises:
        Lacking: something that is needed is not here.
    """
    allow_files([*map(Load.parse, plan.loads), *([stalls.FANOUT] if plan.stalls else [])])
    generator = compile_c(BENCH / "sockjs_load.c")
    todo = plan.once * plan.reps
    # Where nothing is to be measured, the one of what holds up its loop.
    names = dict.fromkeys(server.name for _, server in todo) or plan.peers
    installed = {name: SERVERS[name].install() for name in names}
    now = datetime.now().astimezone()
    report = table.Report(
        date=f"{now:%Y-%m-%d %H:%M}",
        machine=machine(),
        versions={name: server.versions for name, server in installed.items()},
        options={"reps": plan.reps, "seconds": plan.seconds},
        measurements=[],
    )
    _say(f"{len(todo)} measurements, about {plan.duration / 60:.0f} minutes")
    try:
        with pinned(cpus[1]):
            for number, (load, server) in enumerate(todo, 1):
                row = measure(server, installed[server.name], load, plan.seconds, generator, cpus)
                report["measurements"].append(row)
                _say(f"{number}/{len(todo)} {load.name}, {server.name}: {_outcome(row)}")
            if plan.redis:
                report["redis"] = redis_cost()
            if plan.stalls:
                report["stalls"] = []
                measure_stalls(report["stalls"], generator, cpus[0])
    except KeyboardInterrupt:
        _say("interrupted")
    path = BUILD / f"{now:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    _say(f"kept in {path}")
    return report


def measure(
    server: Server,
    installed: Installed,
    load: Load,
    seconds: float,
    generator: Path,
    cpus: tuple[int, int],
) -> Measurement:
    """Measures one server with one load, in a process of its own."""
    row = Measurement(server=server.name, load=load.name)
    try:
        with started(server, installed, load, cpus) as (port, told):
            arguments = (
                *("--prefix", "/broadcast" if load.shape.endswith("fanout") else server.echo),
                *("--server-core", cpus[0], "--core", cpus[1], *told),
            )
            row.update(run_generator(generator, load, port, seconds, *arguments))
    except Lacking as error:
        row["failed"] = str(error)
    return row


@contextmanager
def started(
    server: Server, installed: Installed, load: Load, cpus: tuple[int, int]
) -> Iterator[tuple[int, list[object]]]:
    """Starts what a load needs, and ends it at the end of the block.

    The home of the sessions has the server's CPU to itself. A front and Redis share the other one
    with the generator.

    Returns:
        The server's port, and arguments of the generator that tell of all processes.

    Raises:
        Lacking: it does not start.
    """
    told: list[object] = []
    with ExitStack() as stack:
        path = None
        if server.clustered:
            redis = stack.enter_context(running_redis(cpus[0]))
            path = redis.path
            told += ["--redis-pid", redis.pid]
        if load.fronted and server.clustered:
            # First: what a start leaves to do is done when something is measured.
            front_port, log = free_port(), BUILD / "front.log"
            front = stack.enter_context(running(installed, front_port, log, cpus[1], path))
            told += ["--front-pid", front.pid, "--front-port", front_port]
        port, log = free_port(), BUILD / "server.log"
        home = stack.enter_context(running(installed, port, log, cpus[0], path))
        told += ["--server-pid", home.pid]
        if load.fronted and not server.clustered:
            # The same clients with as many connections.
            told += ["--front-port", port]
        if load.mode == "cluster-fanout":
            # Else a publisher at the front, who hears itself, is faster than the home.
            told += ["--ack", "all"]
        yield port, told


def measure_stalls(rows: list[stalls.Stall], generator: Path, cpu: int) -> None:
    """Measures what holds up the loop of our server, and adds it to the rows."""
    try:
        for row in stalls.measure(ours(), ours("crowd"), generator, cpu):
            rows.append(row)
            _say(f"{row['what']}: held up the loop for {row['own_ms']:.1f} ms")
    except Lacking as error:
        _say(f"what holds up our loop was not measured: {error}")


def allow_files(loads: Sequence[Load]) -> None:
    """Lets this process, and those that it starts, open as many files as the loads need.

    Raises:
        Lacking: not so many may be open.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for load in loads:
        if load.files > most != resource.RLIM_INFINITY:
            raise Lacking(
                f"{load.name!r} needs {load.files} open files, and {most} are allowed: raise the"
                " hard limit (ulimit -Hn), or name other loads"
            )


def machine() -> dict[str, str]:
    """Describes where the figures come from."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next((line for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "CPUs": f"{os.cpu_count()} x {model.partition(':')[2].strip() or platform.machine()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        platform.system(): platform.release(),
        "Python": platform.python_version(),
    }


def _outcome(row: Measurement) -> str:
    if "failed" in row:
        return row["failed"]
    if Load.parse(row["load"]).shape == "idle":
        return f"{row['opened']} connections"
    return f"{row['rate']:.0f}/s, {row['server_us_per_msg']:.2f} us of CPU time each"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
