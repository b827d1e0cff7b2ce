"""The tables that are made of measurements."""

from __future__ import annotations

from typing import Any

from bench import table
from bench.loads import Measurement
from bench.stalls import Stall

NO_FAULTS = {
    "errors": 0, "lost": 0, "duplicates": 0, "reordered": 0, "bad_payload": 0, "foreign": 0,
    "skipped": 0,
}  # fmt: skip


def measured(server: str, load: str, cost: float = 10, **more: Any) -> Measurement:
    """What the generator finds where nothing is remarkable."""
    found: Any = {
        "server": server,
        "load": load,
        "mode": load.partition(" ")[0],
        "rate": 1e6 / cost,
        "p50_us": 1000.0,
        "p99_us": 2500.0,
        "first_error": "",
        "opened": 100,
        "cpu_pct": 50.0,
        "server_cpu_pct": 99.6,
        "server_core_busy_pct": 100.0,
        "server_us_per_msg": cost,
        "server_rss_kb": 30720,
        "server_rss0_kb": 28160,
        **NO_FAULTS,
        **more,
    }
    return found


def stall(what: str, **more: Any) -> Stall:
    """What the probe finds where nothing is remarkable."""
    found: Any = {
        "what": what,
        "allowed_ms": 10.0,
        "late_ms": 4.0,
        "own_ms": 2.0,
        "collection_ms": 1.0,
        "full_collections": 0,
        "rss_kb": 102400,
        "sessions": 0,
        **more,
    }
    return found


def report(*rows: Measurement) -> table.Report:
    return {
        "date": "2026-11-21 12:00",
        "machine": {"CPUs": "2 x fast", "Linux": "6.1"},
        "versions": {
            "ours": {"aiohttp": "3", "uvloop": "1"},
            "limit": {"compiled by": "cc 12"},
            "ours-view": {"aiohttp": "3", "uvloop": "1"},
        },
        "options": {"reps": 3, "seconds": 3},
        "measurements": list(rows),
    }


def paragraph(begin: str, *rows: Measurement) -> list[str]:
    """The lines of the part of the text that begins with a line."""
    (found,) = [
        part.splitlines()
        for part in table.text(report(*rows)).split("\n\n")
        if part.startswith(f"{begin}\n")
    ]
    return found[1:]


def cells(server: str, *rows: Measurement) -> dict[str, str]:
    """One server's line of the only table; what a column is called has no double blanks."""
    head, *lines = [line.split("  ") for line in paragraph(rows[0]["load"], *rows)]
    head = [name.strip() for name in head if name]
    (line,) = [line for line in lines if line[0] == server]
    return dict(zip(head, [cell.strip() for cell in line if cell], strict=False))


def test_the_heading_says_what_when_and_where() -> None:
    """Servers of one kind share a line."""
    assert table.text(report()).partition("\n\n")[0].splitlines() == [
        "2026-11-21 12:00, medians of 3 x 3 s",
        "CPUs 2 x fast, Linux 6.1",
        "ours, ours-view: aiohttp 3, uvloop 1",
        "limit: compiled by cc 12",
    ]


def test_a_table_for_each_load() -> None:
    load = "ws-echo c100 k16"
    rows = [
        measured("ours", load, 10),
        measured("sockjs-node", load, 20),
        measured("limit", load, 5),
        measured("ours", "open c32", 500),
    ]
    assert paragraph(load, *rows) == [
        "server       rate/s  p50 ms  p99 ms  core %  us/message  spread %  node=1  limit=1  notes",
        "ours         100000    1.00    2.50     100       10.00         -    2.00     0.50",
        "sockjs-node   50000    1.00    2.50     100       20.00         -    1.00     0.25",
        "limit        200000    1.00    2.50     100        5.00         -    4.00     1.00",
    ]
    assert paragraph("open c32", *rows)[1].split()[5] == "500.00"


def test_medians_and_their_spread() -> None:
    line = cells("ours", *(measured("ours", "ws-echo c100", cost) for cost in (10, 30, 11)))
    assert (line["us/message"], line["spread %"]) == ("11.00", "182")
    assert line["rate/s"] == "90909"


def test_no_ratio_to_what_was_not_measured() -> None:
    line = cells("ours", measured("ours", "ws-echo c100"))
    assert (line["node=1"], line["limit=1"]) == ("-", "-")


def test_no_ratio_to_a_time_too_short_to_be_counted() -> None:
    load = "ws-echo c100"
    rows = [measured("ours", load, rate=1, server_us_per_msg=0), measured("sockjs-node", load)]
    assert cells("ours", *rows)["node=1"] == "-"


def test_memory_of_idle_connections() -> None:
    row = measured("ours", "idle n100", server_cpu_pct=0.0)
    assert paragraph("idle n100", row) == [
        "server  KiB/conn  MiB in all  notes",
        "ours        25.6          30",
    ]


def test_notes_tell_what_went_wrong() -> None:
    load = "ws-echo c100"
    rows = [
        measured("ours", load, lost=2, skipped=7, first_error="reset"),
        measured("ours", load, lost=1, duplicates=1, reordered=4, foreign=1, first_error="reset"),
        {"server": "ours", "load": load, "failed": "the generator did not end"},
    ]
    assert cells("ours", *rows)["notes"] == (
        "lost: 3; doubled: 1; out of order: 4; not sent in time: 7; wrong: 1; reset;"
        " the generator did not end"
    )


def test_a_server_that_always_failed_has_a_line() -> None:
    """It has no figures, and spoils no other's."""
    rows: list[Measurement] = [
        {"server": "sockjs-node", "load": "ws-echo c100", "failed": "did not start"},
        measured("ours", "ws-echo c100"),
    ]
    assert cells("sockjs-node", *rows)["notes"] == "did not start"
    assert cells("ours", *rows)["node=1"] == "-"


def test_notes_tell_what_limited_it() -> None:
    row = measured("ours", "ws-echo c100", server_cpu_pct=70.0, cpu_pct=95.0)
    assert cells("ours", row)["notes"] == "others used 30 % of its core; limited by the generator"


def test_growth_with_the_number_of_connections() -> None:
    loads = "ws-echo c100", "ws-echo c1000", "ws-echo c10000"
    rows = [measured("ours", load, cost) for load, cost in zip(loads, (10, 12, 16), strict=True)]
    rows += [measured("limit", loads[0], 5), measured("limit", loads[2], 6)]
    assert paragraph("CPU time for a message; ws-echo c100 is 1", *rows) == [
        "server  ws-echo c100  ws-echo c1000  ws-echo c10000",
        "ours            1.00           1.20            1.60",
        "limit           1.00              -            1.20",
        "ours: ws-echo c10000 / ws-echo c100 = 1.60, at most 1.6 wanted",
    ]
    assert "is 1" not in table.text(report(*rows[:1]))


def test_resumable_sessions_beside_stock_ones() -> None:
    """A ratio for messages, a difference for memory; none without the other half."""
    rows = [
        measured("ours", "ws-echo c9", 20),
        measured("ours", "r1-echo c9", 22),
        measured("ours", "ws-echo c9 k4", 1),
        measured("ours", "xhr-echo c9", 100),
        measured("ours", "r1-poll c9", 150),
        measured("ours", "r1-fanout n9", 1),
        measured("ours", "idle n100"),
        measured("ours", "r1-idle n100", server_rss_kb=30800),
    ]
    assert paragraph("us/message of our resumable sessions, beside stock ones", *rows) == [
        "load         stock     ~r1  ratio  wanted",
        "r1-echo c9   20.00   22.00   1.10    1.15",
        "r1-poll c9  100.00  150.00   1.50       -",
    ]
    assert paragraph("KiB/conn of our resumable sessions, beside stock ones", *rows) == [
        "load          stock    ~r1   more  wanted",
        "r1-idle n100  25.60  26.40  +0.80     1.2",
    ]
    assert paragraph("r1-idle n100", *rows)[0] == "server  KiB/conn  MiB in all  notes"
    assert "beside stock ones" not in table.text(report(*rows[2:4], rows[5]))


def test_a_cluster_beside_one_process() -> None:
    """Home and front are told apart; what was not measured twice is not there."""
    rows = [
        measured("ours", "cluster-fanout n1000", 10),
        measured("ours-cluster", "cluster-fanout n1000", 10.2, front_us_per_msg=0.2, p50_us=1500.0),
        measured("ours", "cluster-open c32", 400),
        measured("ours-cluster", "cluster-open c32", 500),
        measured("ours", "cluster-poll c100", 80),
        measured("ours-cluster", "cluster-poll c9", 80),
    ]
    assert paragraph("us/message in a cluster, beside one process", *rows) == [
        "load                     one    home  front  ratio  wanted",
        "cluster-fanout n1000   10.00   10.20   0.20   1.04    1.05",
        "cluster-open c32      400.00  500.00      -   1.25       -",
    ]
    assert paragraph("p50 ms in a cluster, beside one process", *rows) == [
        "load                   one  cluster   more  wanted",
        "cluster-fanout n1000  1.00     1.50  +0.50       -",
        "cluster-open c32      1.00     1.00  +0.00       -",
    ]
    assert "in a cluster, beside" not in table.text(report(*rows[4:]))


def test_what_held_up_our_loop() -> None:
    stalls = [
        stall("opening 10000 WebSockets", allowed_ms=None, own_ms=376.41, late_ms=1160.8),
        stall("expiring 20000", full_collections=10),
        stall("expiring 20000", rss_kb=104960),
    ]
    text = table.text({**report(), "stalls": stalls})
    assert text.split("\n\n")[1].splitlines() == [
        "what held up our loop",
        "meanwhile                 stall ms  wanted  late ms  gc ms  full  MiB",
        "opening 10000 WebSockets     376.4       -   1160.8    1.0     0  100",
        "expiring 20000                 2.0      10      4.0    1.0    10  100",
        "expiring 20000                 2.0      10      4.0    1.0     0  102",
        "memory after the last wave: +2.5 % beside that after the first one, at most 10 % wanted",
    ]
    assert "memory after" not in table.text({**report(), "stalls": stalls[:2]})
