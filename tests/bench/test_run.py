"""What is measured, in which order, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import run, servers
from bench.loads import Load
from bench.stalls import Stall
from tests.bench.test_table import measured, stall

ROOT = Path(__file__).parents[2]


def planned(*arguments: str) -> run.Plan:
    return run.planned(run.parser().parse_args(arguments))


def refusal(*arguments: str) -> str:
    """The sentence with which the command ends."""
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert isinstance(caught.value.code, str)
    return caught.value.code


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Nothing is installed nor measured; the list of what would be."""
    order: list[tuple[str, str]] = []

    def measure(server: servers.Server, _: Any, load: Load, *more: Any) -> Any:
        order.append((load.name, server.name))
        return measured(server.name, load.name)

    installed = servers.Installed([], {"made of": "nothing"})
    monkeypatch.setattr(run, "measure", measure)
    monkeypatch.setattr(run, "BUILD", tmp_path)
    monkeypatch.setattr(run, "compile_c", lambda source: source)
    monkeypatch.setattr(run, "redis_cost", lambda: {"publish": 9.0, "push": 0.3})
    for name in ("ours", "ours-cluster", "limit"):
        server = dataclasses.replace(servers.SERVERS[name], install=lambda: installed)
        monkeypatch.setitem(servers.SERVERS, name, server)
    return order


def test_everything_in_full() -> None:
    """The loads of the figures to reach, those that show growth, and all peers."""
    plan = planned()
    assert (plan, plan.peers[0], len(plan.loads)) == (run.FULL, "ours", 21)
    assert plan.redis and not planned("--short").redis


@pytest.mark.parametrize(("plan", "minutes"), [(run.FULL, 33), (run.SHORT, 3)])
def test_it_ends_in_time(plan: run.Plan, minutes: float) -> None:
    """With a tenth to spare."""
    assert plan.duration < 0.9 * 60 * minutes


def test_what_is_named_replaces_what_is_usual() -> None:
    arguments = ["--loads", "ws-echo c100, open  c32,", "--peers", "ours,limit", "--short"]
    assert planned(*arguments) == run.Plan(
        ["ours", "limit"], ["ws-echo c100", "open c32"], reps=1, seconds=2
    )
    assert planned("--reps", "5", "--seconds", "0.5") == run.Plan(
        run.FULL.peers, run.FULL.loads, 5, 0.5, stalls=True
    )


def test_what_holds_up_our_loop_alone() -> None:
    """Without it where peers or loads are named, and in a first look."""
    plan = planned("--stalls")
    assert (plan.peers, plan.loads, plan.stalls) == (["ours"], [], True)
    assert not any(
        planned(*arguments).stalls
        for arguments in (["--short"], ["--peers", "ours"], ["--loads", "open c32"])
    )
    assert planned("--stalls", "--loads", "ws-echo c100,ws-echo c10000").stalls


def test_a_load_is_read_from_its_name() -> None:
    assert Load.parse("stream-fanout n1000 k16") == Load(
        "stream-fanout n1000 k16", "stream-fanout", 1000, 16
    )
    assert Load.parse("open c32").inflight == 1
    assert Load.parse("xhr-echo c100 k2 r50") == Load(
        "xhr-echo c100 k2 r50", "xhr-echo", 100, 2, 50
    )


@pytest.mark.parametrize(
    ("resumable", "stock"),
    [
        ("r1-echo c5 k4", "ws-echo c5 k4"),
        ("r1-fanout n5", "ws-fanout n5"),
        ("r1-poll c5", "xhr-echo c5"),
        ("r1-idle n5", "idle n5"),
    ],
)
def test_resumable_sessions_have_the_shape_of_stock_ones(resumable: str, stock: str) -> None:
    """They open as many files, and warm up as long."""
    one, other = Load.parse(resumable), Load.parse(stock)
    assert (one.resumable, other.resumable, one.shape) == (True, False, other.mode)
    assert (one.files, one.duration(3)) == (other.files, other.duration(3))


@pytest.mark.parametrize("name", ["ws-echo", "nothing c100", "ws-echo c100 k", "ws-echo c100 n5"])
def test_no_such_load(name: str) -> None:
    assert f"no such load: {name!r}; a load is" in refusal("--loads", name)


def test_no_such_peer() -> None:
    assert refusal("--peers", "ours,apache").startswith("error: no such peer: 'apache'; there are")


@pytest.mark.parametrize("arguments", [("--reps", "0"), ("--seconds", "0"), ("--seconds", "nan")])
def test_no_such_number(arguments: tuple[str, str]) -> None:
    assert refusal(*arguments).startswith("error: there is at least 1 repetition")


def test_one_cpu_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3})
    assert refusal().endswith("one for the server and one for the generator; here is 1")


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert refusal().endswith("need Linux")


@pytest.mark.parametrize("cpus", ["0", "0,1,2", "a,b", "1,1", "0,7"])
def test_no_such_cpus(monkeypatch: pytest.MonkeyPatch, cpus: str) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    assert cpus in refusal("--cpus", cpus)


def test_cpus_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5, 2, 4})
    assert run.chosen_cpus(None) == (2, 4)
    assert run.chosen_cpus("5,2") == (5, 2)


def test_too_few_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    run.allow_files([Load.parse("idle n3000")])
    assert raised == [(4096, 4096)]
    with pytest.raises(servers.Lacking, match="'xhr-echo c3000' needs 6100 open files, and 4096"):
        run.allow_files([Load.parse("xhr-echo c3000")])


@pytest.mark.parametrize(
    ("peer", "needed"), [("ours", "there is no cc here"), ("sockjs-node", "there is no node here")]
)
def test_a_program_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, peer: str, needed: str
) -> None:
    if peer != "ours":
        monkeypatch.setattr(run, "compile_c", lambda source: source)
    else:
        monkeypatch.setattr(run, "compile_c", lambda source: servers.compile_c(source, tmp_path))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert needed in refusal("--peers", peer, "--loads", "open c32", "--cpus", "")


def test_only_ours_has_resumable_sessions(measurements: list[tuple[str, str]]) -> None:
    """The same load with stock sessions is measured just before."""
    run.main(["--peers", "ours,limit", "--loads", "idle n9,r1-idle n9", "--reps", "1"])
    assert measurements == [("idle n9", "ours"), ("idle n9", "limit"), ("r1-idle n9", "ours")]
    assert "no peer is measured with resumable sessions, except for ours" in refusal(
        "--peers", "limit", "--loads", "r1-idle n9"
    )


@pytest.mark.parametrize("peers", ["ours", "ours-cluster", "limit,ours"])
def test_a_cluster_is_measured_beside_one_process(
    measurements: list[tuple[str, str]], tmp_path: Path, peers: str
) -> None:
    """Whichever of the two is named; and once, what a message takes of Redis."""
    run.main(["--peers", peers, "--loads", "cluster-poll c100", "--reps", "1"])
    assert measurements == [("cluster-poll c100", name) for name in ("ours", "ours-cluster")]
    (file,) = tmp_path.glob("*.json")
    assert json.loads(file.read_text())["redis"] == {"publish": 9.0, "push": 0.3}
    assert "nor with a cluster, except for ours and ours-cluster" in refusal(
        "--peers", "limit", "--loads", "cluster-poll c100"
    )


@pytest.mark.parametrize(
    ("name", "shape", "files", "fronted"),
    [
        ("cluster-fanout n1000", "ws-fanout", 1100, True),
        ("cluster-poll c100", "xhr-echo", 500, True),
        ("cluster-open c32", "open", 132, False),
    ],
)
def test_loads_of_a_cluster(name: str, shape: str, files: int, fronted: bool) -> None:
    """The generator has modes for them; polls go to two processes."""
    load = Load.parse(name)
    assert (load.clustered, load.shape, load.files, load.fronted) == (True, shape, files, fronted)


def test_servers_take_turns(measurements: list[tuple[str, str]]) -> None:
    run.main(["--peers", "ours,limit", "--loads", "open c32,ws-echo c1", "--reps", "2"])
    once = [(load, server) for load in ("open c32", "ws-echo c1") for server in ("ours", "limit")]
    assert measurements == once * 2


def test_a_run_is_printed_and_kept(
    measurements: list[tuple[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file prints the same once more."""
    run.main(["--peers", "ours", "--loads", "open c32", "--reps", "1"])
    printed, told = capsys.readouterr()
    assert "\nopen c32\nserver" in printed
    assert "1/1 open c32, ours: 100000/s, 10.00 us" in told
    (file,) = tmp_path.glob("*.json")
    content = json.loads(file.read_text())
    assert content["measurements"] == [measured("ours", "open c32")]
    assert content["versions"] == {"ours": {"made of": "nothing"}}
    assert content["machine"]["Python"] == ".".join(map(str, sys.version_info[:3]))
    run.main(["--report", str(file)])
    assert capsys.readouterr().out == printed


def test_an_interrupted_run_tells_what_there_is(
    measurements: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    measure = run.measure

    def interrupted(*arguments: Any) -> Any:
        if measurements:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(run, "measure", interrupted)
    run.main(["--peers", "ours,limit", "--loads", "open c32", "--reps", "1"])
    printed = capsys.readouterr().out
    assert "\nours " in printed
    assert "\nlimit " not in printed


@pytest.mark.parametrize("lacking", [False, True])
def test_what_holds_up_our_loop_is_kept(
    measurements: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    lacking: bool,
) -> None:
    """As far as it could be measured."""

    def measure(*arguments: Any) -> Iterator[Stall]:
        yield stall("broadcasts to 10000", own_ms=42.0)
        if lacking:
            raise servers.Lacking("connections were lost")

    monkeypatch.setattr("bench.stalls.measure", measure)
    run.main(["--stalls"])
    printed, told = capsys.readouterr()
    assert "\nbroadcasts to 10000" in printed
    assert "broadcasts to 10000: held up the loop for 42.0 ms" in told
    assert ("not measured: connections were lost" in told) == lacking
    (file,) = tmp_path.glob("*.json")
    assert json.loads(file.read_text())["stalls"] == [stall("broadcasts to 10000", own_ms=42.0)]


def test_no_report(tmp_path: Path) -> None:
    assert "no report in" in refusal("--report", str(tmp_path / "none.json"))
    (tmp_path / "empty.json").touch()
    assert "no report in" in refusal("--report", str(tmp_path / "empty.json"))


def test_a_server_that_does_not_start_is_noted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "BUILD", tmp_path)
    installed = servers.Installed([sys.executable, "-c", "exit('no {port} today')"], {})
    (cpu, *_) = os.sched_getaffinity(0)
    row = run.measure(
        servers.SERVERS["ours"], installed, Load.parse("open c1"), 1, tmp_path, (cpu, cpu)
    )
    assert re.fullmatch(r"the server did not start: no \d+ today", row["failed"])


def test_peers_are_installed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Again where their versions changed, or where it failed."""
    monkeypatch.setattr(servers, "BUILD", tmp_path)
    folder = servers._installed("peer", "1", ["touch", "one"])
    assert servers._installed("peer", "1", ["touch", "two"]) == folder
    assert not (folder / "two").exists()
    with pytest.raises(servers.Lacking, match="false it failed"):
        servers._installed("peer", "2", ["sh", "-c", "exit 1", "false it"])
    servers._installed("peer", "2", ["touch", "two"])
    assert (folder / "two").exists()
    assert not (folder / "one").exists()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("bench", ""),
        ("bench-short", "--short"),
        ("bench-stalls", "--stalls"),
        ("bench-killed SESSIONS=90 SHARE=100", "--sessions '90' --share '100'"),
        ("bench-capacity REPORT=file", "file"),
        (
            "bench LOADS='ws-echo c500,xhr-echo c100 k4' PEERS=ours,limit REPS=2 SECONDS=5",
            "--loads 'ws-echo c500,xhr-echo c100 k4' --peers 'ours,limit' --reps '2' --seconds '5'",
        ),
    ],
)
def test_make_passes_arguments_on(command: str, arguments: str) -> None:
    """What make would do; names of loads contain blanks."""
    done = subprocess.run(
        f"make --no-print-directory --dry-run {command}",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (wanted,) = re.findall(r"python -m bench\.\w+((?:.*\\\n)*.*)\n", done.stdout)
    assert wanted.replace("\\\n", "").split() == arguments.split()
