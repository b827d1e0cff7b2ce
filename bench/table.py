"""The tables: medians of what was measured, and ratios between servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from typing import NotRequired, TypedDict

from bench.clustered import RedisCost
from bench.loads import GROWTH, LOADS, Load, Measurement
from bench.stalls import MEMORY_PCT, Stall, memory_growth

NODE = "sockjs-node"
LIMIT = "limit"

NOISE = 8
"""Per cent of a core that other programs may use before a note says so."""
FULL = 90
"""Per cent of its core above which the generator is what limits the rate."""
MOST_GROWTH = 1.6
"""How many times as much a message may cost us with the last of `GROWTH` as with the first load."""

DEARER = {"r1-echo": 1.15, "r1-fanout": 1.06}
"""How many times as much CPU time a message of a resumable session may take as a stock one's."""
MORE_MEMORY = 1.2
"""How many KiB a silent resumable session may take beside a stock one."""
CLUSTER_DEARER = {"cluster-fanout n1000": 1.05}
"""How many times as much CPU time a message may take with a cluster as in one process."""
CLUSTER_LATER = {"cluster-poll c100": 1.0, "cluster-poll c100 r2000": 1.0}
"""How many milliseconds later half of the messages may arrive with a cluster."""

LEGEND = """\
rate/s      messages delivered, or sessions opened, in a second
p50, p99    milliseconds from sending a message to having it, or from connecting to the open session
core %      how much of its core the server used
us/message  the server's CPU time, user and kernel, for a message delivered or a session opened
spread %    between the cheapest and the dearest repetition
node=1      how many times less CPU time than sockjs-node: more is better
limit=1     the same beside a minimal server in C
KiB/conn    what the server's memory grew by for each connection
stall ms    the longest that the loop was held up by our own process, in which other programs
            had no part; with them: late ms
gc ms       the longest run of the garbage collector; full: how many of its runs were full ones
home        of a cluster: the process that has the sessions; front: the other one, to which their
            requests go by turns, or where a message to all is sent"""

Cell = Callable[[list[Measurement]], str]


class Report(TypedDict):
    """What the file of a run contains."""

    date: str
    machine: dict[str, str]
    versions: dict[str, dict[str, str]]
    options: dict[str, float]
    measurements: list[Measurement]
    stalls: NotRequired[list[Stall]]
    redis: NotRequired[RedisCost]


def text(report: Report) -> str:
    """Returns the heading, a table for each load, and the legend."""
    rows = report["measurements"]
    loads = dict.fromkeys(row["load"] for row in rows)
    tables = [_load_table(load, [row for row in rows if row["load"] == load]) for load in loads]
    stalls = _stall_tables(report.get("stalls", []))
    compared = [*_growth_tables(rows), *_resumable_tables(rows), *_cluster_tables(rows)]
    return "\n\n".join([_heading(report), *tables, *compared, *stalls, LEGEND])


def _heading(report: Report) -> str:
    machine, options = report["machine"], report["options"]
    made_of: dict[str, list[str]] = {}
    for server, versions in report["versions"].items():
        made_of.setdefault(", ".join(map(" ".join, versions.items())), []).append(server)
    return "\n".join(
        [
            f"{report['date']}, medians of {options['reps']:g} x {options['seconds']:g} s",
            ", ".join(map(" ".join, machine.items())),
            *(f"{', '.join(servers)}: {versions}" for versions, servers in made_of.items()),
        ]
    )


def _load_table(load: str, rows: list[Measurement]) -> str:
    sound = _sound(rows)
    idle = Load.parse(load).shape == "idle"
    columns = _idle_columns() if idle else _message_columns(sound)
    lines = [["server", *columns, "notes"]]
    for server in dict.fromkeys(row["server"] for row in rows):
        mine = sound.get(server, [])
        cells = [cell(mine) if mine else "-" for cell in columns.values()]
        lines.append([server, *cells, _notes([row for row in rows if row["server"] == server])])
    return "\n".join([load, *aligned(lines)])


def _message_columns(sound: dict[str, list[Measurement]]) -> dict[str, Cell]:
    node, limit = (cost(sound.get(server, [])) for server in (NODE, LIMIT))
    return {
        "rate/s": lambda rows: f"{_median(row['rate'] for row in rows):.0f}",
        "p50 ms": lambda rows: f"{_median(row['p50_us'] for row in rows) / 1000:.2f}",
        "p99 ms": lambda rows: f"{_median(row['p99_us'] for row in rows) / 1000:.2f}",
        "core %": lambda rows: f"{_median(row['server_cpu_pct'] for row in rows):.0f}",
        "us/message": lambda rows: f"{cost(rows):.2f}",
        "spread %": _spread,
        "node=1": lambda rows: _ratio(node, cost(rows)),
        "limit=1": lambda rows: _ratio(limit, cost(rows)),
    }


def _idle_columns() -> dict[str, Cell]:
    return {
        "KiB/conn": lambda rows: f"{memory(rows):.1f}",
        "MiB in all": lambda rows: f"{_median(row['server_rss_kb'] / 1024 for row in rows):.0f}",
    }


def _growth_tables(rows: list[Measurement]) -> list[str]:
    """Returns the table of how the cost of a message grows, if that was measured."""
    loads = [load for load in (LOADS[0], *GROWTH) if any(row["load"] == load for row in rows)]
    if len(loads) < 2:
        return []
    sound = {load: _sound(row for row in rows if row["load"] == load) for load in loads}
    lines = [["server", *loads, ""]]
    for server in sound[loads[0]]:
        costs = [cost(sound[load].get(server, [])) for load in loads]
        lines.append([server, *(_ratio(cost, costs[0]) for cost in costs), ""])
    table = [f"CPU time for a message; {loads[0]} is 1", *aligned(lines)]
    first, last = (cost(sound.get(load, {}).get("ours", [])) for load in (LOADS[0], GROWTH[-1]))
    if first and last:
        table.append(
            f"ours: {GROWTH[-1]} / {LOADS[0]} = {last / first:.2f}, at most {MOST_GROWTH:g} wanted"
        )
    return ["\n".join(table)]


def _resumable_tables(rows: list[Measurement]) -> list[str]:
    """Returns the tables of what our resumable sessions cost, beside stock ones of the same run."""
    sound = {
        load: _sound(row for row in rows if row["load"] == load).get("ours")
        for load in (dict.fromkeys(row["load"] for row in rows))
    }
    costs = [["load", "stock", "~r1", "ratio", "wanted", ""]]
    sizes = [["load", "stock", "~r1", "more", "wanted", ""]]
    for name, found in sound.items():
        load = Load.parse(name)
        stock = sound.get(name.replace(load.mode, load.shape))
        if not load.resumable or not found or not stock:
            continue
        if load.shape == "idle":
            before, after = map(memory, (stock, found))
            cells = [f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}", f"{MORE_MEMORY:g}"]
            sizes.append([name, *cells, ""])
        else:
            before, after = cost(stock), cost(found)
            wanted = f"{DEARER[load.mode]:.2f}" if load.mode in DEARER else "-"
            cells = [f"{before:.2f}", f"{after:.2f}", _ratio(after, before), wanted]
            costs.append([name, *cells, ""])
    tables = {"us/message": costs, "KiB/conn": sizes}
    return [
        "\n".join([f"{unit} of our resumable sessions, beside stock ones", *aligned(lines)])
        for unit, lines in tables.items()
        if len(lines) > 1
    ]


def _cluster_tables(rows: list[Measurement]) -> list[str]:
    """Returns the tables of what a cluster costs, beside one process of the same run."""
    costs = [["load", "one", "home", "front", "ratio", "wanted", ""]]
    times = [["load", "one", "cluster", "more", "wanted", ""]]
    for name in dict.fromkeys(row["load"] for row in rows if Load.parse(row["load"]).clustered):
        sound = _sound(row for row in rows if row["load"] == name)
        one, cluster = sound.get("ours"), sound.get("ours-cluster")
        if not one or not cluster:
            continue
        home, front = cost(cluster), front_cost(cluster)
        cells = [f"{cost(one):.2f}", f"{home:.2f}", f"{front:.2f}" if front else "-"]
        wanted = f"{CLUSTER_DEARER[name]:.2f}" if name in CLUSTER_DEARER else "-"
        costs.append([name, *cells, _ratio(home + front, cost(one)), wanted, ""])
        before, after = (_median(row["p50_us"] / 1000 for row in each) for each in (one, cluster))
        cells = [f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"]
        wanted = f"{CLUSTER_LATER[name]:.2f}" if name in CLUSTER_LATER else "-"
        times.append([name, *cells, wanted, ""])
    tables = {"us/message": costs, "p50 ms": times}
    return [
        "\n".join([f"{unit} in a cluster, beside one process", *aligned(lines)])
        for unit, lines in tables.items()
        if len(lines) > 1
    ]


def stall_table(stalls: list[Stall]) -> list[str]:
    """Returns the lines of a table of what held up our loop."""
    lines = [["meanwhile", "stall ms", "wanted", "late ms", "gc ms", "full", "MiB", ""]]
    for stall in stalls:
        allowed = stall["allowed_ms"]
        cells = [
            f"{stall['own_ms']:.1f}",
            "-" if allowed is None else f"{allowed:g}",
            f"{stall['late_ms']:.1f}",
            f"{stall['collection_ms']:.1f}",
            f"{stall['full_collections']}",
            f"{stall['rss_kb'] / 1024:.0f}",
        ]
        lines.append([stall["what"], *cells, ""])
    return ["what held up our loop", *aligned(lines)]


def _stall_tables(stalls: list[Stall]) -> list[str]:
    """Returns the table of what held up our loop, if that was measured."""
    if not stalls:
        return []
    table = stall_table(stalls)
    growth = memory_growth(stalls)
    if growth is not None:
        table.append(
            f"memory after the last wave: {growth:+.1f} % beside that after the first one, at most"
            f" {MEMORY_PCT:g} % wanted"
        )
    return ["\n".join(table)]


def _sound(rows: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Returns what did not fail, by server."""
    sound: dict[str, list[Measurement]] = {}
    for row in rows:
        if "failed" not in row:
            sound.setdefault(row["server"], []).append(row)
    return sound


def _notes(rows: list[Measurement]) -> str:
    """Returns what a reader must know of one server's runs."""
    sound = [row for row in rows if "failed" not in row]
    faults = {
        "errors": sum(row["errors"] for row in sound),
        "lost": sum(row["lost"] for row in sound),
        "doubled": sum(row["duplicates"] for row in sound),
        "out of order": sum(row["reordered"] for row in sound),
        "not sent in time": sum(row["skipped"] for row in sound),
        "wrong": sum(row["bad_payload"] + row["foreign"] for row in sound),
    }
    notes = [f"{name}: {count}" for name, count in faults.items() if count]
    notes += dict.fromkeys(row["first_error"] for row in sound if row["first_error"])
    notes += dict.fromkeys(row["failed"] for row in rows if "failed" in row)
    busy = [row for row in sound if Load.parse(row["load"]).shape != "idle"]
    others = _median(row["server_core_busy_pct"] - row["server_cpu_pct"] for row in busy)
    if others > NOISE:
        notes.append(f"others used {others:.0f} % of its core")
    if _median(row["cpu_pct"] for row in busy) > FULL:
        notes.append("limited by the generator")
    return "; ".join(notes)


def cost(rows: list[Measurement]) -> float:
    """Returns the microseconds of the server's CPU time that a message takes."""
    return _median(row["server_us_per_msg"] for row in rows)


def front_cost(rows: Iterable[Measurement]) -> float:
    """Returns what a message takes at the front, in microseconds; 0 where there is none."""
    return _median(row["front_us_per_msg"] for row in rows if "front_us_per_msg" in row)


def memory(rows: Iterable[Measurement]) -> float:
    """Returns the KiB that a connection takes."""
    return _median(map(_memory, rows))


def _memory(row: Measurement) -> float:
    return (row["server_rss_kb"] - row["server_rss0_kb"]) / max(row["opened"], 1)


def _median(values: Iterable[float]) -> float:
    """Returns the median; 0 is what no server reaches, and stands for none."""
    return median([*values] or [0])


def _spread(rows: list[Measurement]) -> str:
    costs = [row["server_us_per_msg"] for row in rows]
    middle = median(costs)
    return f"{100 * (max(costs) - min(costs)) / middle:.0f}" if middle and costs[1:] else "-"


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.2f}" if one and other else "-"


def aligned(lines: list[list[str]]) -> list[str]:
    """Sets cells below each other: the first and the last to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)),
                line[-1],
            ]
        ).rstrip()
        for line in lines
    ]
