"""A process is killed, in small; no time is checked."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bench import crowd, killed
from bench.servers import Lacking
from tests.bench.test_table import stall
from tests.server.support import PATIENCE, until


@pytest.mark.parametrize(
    ("share", "affected", "lost"),
    # Of 30 pairs 10 are at the one that is killed, and more of the others poll through it; or all.
    [
        ([], 32, 20),
        pytest.param(["--share", "100", "--announced"], 60, 60, marks=pytest.mark.full),
    ],
)
def test_all_of_it_in_small(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    share: list[str],
    affected: int,
    lost: int,
) -> None:
    """Clients of two processes, as where one may not open so many files."""
    monkeypatch.setattr(killed, "BUILD", tmp_path)
    monkeypatch.setattr(killed, "AFTERWARDS", 0)
    monkeypatch.setattr(killed, "SPARE_FILES", 9_970)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10_000, 10_000))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    monkeypatch.setattr(killed.Plan, "files", 0)
    killed.main(["--sessions", "60", *share])
    (file,) = tmp_path.glob("killed-*.json")
    report: killed.Report = json.loads(file.read_text())
    assert (report["sessions"], report["affected"], report["lost"]) == (60, affected, lost)
    assert 0 < report["half_s"] <= report["all_s"]
    assert [row["what"] for row in report["stalls"]] == [
        *("coming back, process 1", "coming back, process 2"),
        *("afterwards, process 1", "afterwards, process 2"),
    ]
    assert sum(row["sessions"] for row in report["stalls"][2:]) == 60
    assert killed.text(report) in capsys.readouterr().out


def test_what_is_printed() -> None:
    report = killed.Report(
        date="2026-11-30 12:00",
        machine={"CPUs": "2 x fast"},
        sessions=20_000,
        processes=3,
        affected=10_000,
        lost=6_600,
        refused=12,
        half_s=2.04,
        all_s=4.25,
        stalls=[stall("coming back, process 1", allowed_ms=50.0)],
    )
    assert killed.text(report).splitlines() == [
        "2026-11-30 12:00, CPUs 2 x fast",
        "20000 sessions of ~r1 at 3 processes, of which one was killed: 10000 were there, or",
        "polled through it. 6600 began anew, 12 requests were refused meanwhile.",
        "Half of them were back after 2.0 s, all after 4.2 s.",
        "",
        "what held up our loop",
        "meanwhile               stall ms  wanted  late ms  gc ms  full  MiB",
        "coming back, process 1       2.0      50      4.0    1.0     0  100",
    ]


@pytest.mark.parametrize(
    ("plan", "files"),
    [
        # Half of them in the end; all sockets of one, and few polls of others; two.
        (killed.Plan(20_000, 3, 33, announced=False), 10_300),
        (killed.Plan(20_000, 5, 100, announced=False), 10_300),
        (killed.Plan(20_000, 2, 50, announced=False), 20_300),
    ],
)
def test_the_files_that_a_server_needs(plan: killed.Plan, files: int) -> None:
    assert plan.files == files


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ("--sessions 40000", "a server needs 20300 open files for that, and 15000 are allowed: "),
        ("--sessions 0", "there are 1 session and 2 processes at least"),
        ("--processes 1", "there are 1 session and 2 processes at least"),
        ("--share 101", "a share of 0 to 100"),
    ],
)
def test_what_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch, arguments: str, refused: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 15_000))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    with pytest.raises(SystemExit) as caught:
        killed.main(arguments.split())
    assert refused in str(caught.value)


def test_clients_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how many there are, and what is wrong with the others."""
    monkeypatch.setattr(killed, "PATIENCE", 0)
    process = killed.subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, text=True)
    try:
        clients = killed.Clients(process, 9, crowd.Count(open=7, wrong="HTTP/1.1 404 Not Found"))
        with pytest.raises(Lacking, match=r"after 0 s 7 of 9 sessions are there.*404"):
            killed._wait([clients], lambda count: count.open, lambda each: each.expected)
    finally:
        process.communicate("\n")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"r", b'c[3000,"Go away!"]'])
async def test_what_no_client_expects_is_told(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """It is not taken for a process that is gone."""
    monkeypatch.setattr(crowd, "RETRY", 10 * PATIENCE)
    open_connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_connections
        open_connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if answer.startswith(b"HTTP"):
            writer.write(answer)
        else:
            head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
            writer.write(head + b"\x81" + bytes([len(answer)]) + answer)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        open_connections -= 1

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        clients = crowd.Crowd(1, 0, 50, "/member", [port, port])
        await until(lambda: clients.count.wrong)
        clients._clients[0]._leave()
        await until(lambda: not open_connections)
