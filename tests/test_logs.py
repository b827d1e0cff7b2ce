"""A log that nobody reads holds up nobody."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from sockjs_bridge.logs import BoundedStreamHandler

F_SETPIPE_SZ = 1031
"""Of Linux (fcntl(2)); Python names it from 3.10 on, but not everywhere."""
PIPE = 4096
"""Bytes that a pipe holds here, the least that there is."""
PATIENCE = 30.0


@pytest.fixture
def pipe() -> Iterator[tuple[TextIO, TextIO]]:
    """A pipe that is soon full: where it is read, and where it is written."""
    out, into = os.pipe()
    fcntl.fcntl(into, F_SETPIPE_SZ, PIPE)
    with open(out, encoding="utf-8") as reader:
        writer = open(into, "w", encoding="utf-8")  # noqa: SIM115 (a test may close it)
        yield reader, writer
        if not writer.closed:
            writer.close()


def log_to(
    stream: TextIO, max_bytes: int = 10 * PIPE
) -> tuple[logging.Logger, BoundedStreamHandler]:
    """Return a logger of its own that writes to a stream."""
    handler = BoundedStreamHandler(stream, max_bytes)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("of a test")
    logger.addHandler(handler)
    return logger, handler


def filler(number: int) -> str:
    """Makes the first line longer than the pipe: nothing is written to its end before one reads."""
    return "x" * (80 if number else 2 * PIPE)


def test_what_is_logged_is_written_in_order(pipe: tuple[TextIO, TextIO]) -> None:
    """As a StreamHandler writes it."""
    reader, writer = pipe
    logger, _ = log_to(writer)
    for number in range(100):
        logger.info("ä %d", number)
    assert [reader.readline() for _ in range(100)] == [f"INFO ä {n}\n" for n in range(100)]


def test_a_log_that_nobody_reads_is_not_waited_for(pipe: tuple[TextIO, TextIO]) -> None:
    """What finds no room is dropped and counted, and the log says so when it is read again."""
    reader, writer = pipe
    logger, handler = log_to(writer)
    for number in range(2000):
        logger.info("line %d %s", number, filler(number))
    dropped = handler.dropped
    assert dropped > 1000
    # Nobody reads, and yet an exit goes on.
    handler.PATIENCE = 0.01
    handler.flush()
    kept = [reader.readline() for _ in range(2000 - dropped)]
    assert [line.split()[2] for line in kept] == [str(n) for n in range(2000 - dropped)]
    told = f"WARNING {dropped} log records were dropped: the log was not read in time\n"
    assert reader.readline() == told
    logger.info("on it goes")
    assert reader.readline() == "INFO on it goes\n"
    assert handler.dropped == 0


def test_a_format_that_wants_more_than_a_record_has(pipe: tuple[TextIO, TextIO]) -> None:
    """What was dropped is told without it, and the log goes on."""
    reader, writer = pipe
    logger, handler = log_to(writer)
    handler.setFormatter(logging.Formatter("%(request)s %(message)s"))
    for number in range(2000):
        logger.info("line %d %s", number, filler(number), extra={"request": "GET"})
    dropped = handler.dropped
    for _ in range(2000 - dropped):
        reader.readline()
    told = f"{dropped} log records were dropped: the log was not read in time\n"
    assert reader.readline() == told
    logger.info("on it goes", extra={"request": "GET"})
    assert reader.readline() == "GET on it goes\n"


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[TextIO, TextIO]) -> None:
    """Whoever shares it may have made it so."""
    reader, writer = pipe
    os.set_blocking(writer.fileno(), False)
    logger, _ = log_to(writer)
    for _ in range(5):
        logger.info("x" * 2000)
    assert [reader.readline() for _ in range(5)] == ["INFO " + "x" * 2000 + "\n"] * 5


def test_a_stream_without_a_descriptor_is_written_to() -> None:
    """One in memory; what cannot be encoded is escaped."""
    stream = io.StringIO()
    logger, handler = log_to(stream)
    logger.info("lone \ud800")
    handler.flush()
    assert stream.getvalue() == "INFO lone \\ud800\n"


def test_a_stream_that_is_closed_costs_the_records_alone(pipe: tuple[TextIO, TextIO]) -> None:
    """They are counted."""
    _, writer = pipe
    logger, handler = log_to(writer)
    writer.close()
    logger.info("into nothing")
    handler.flush()
    assert handler.dropped == 1


def test_a_record_that_cannot_be_formatted_is_told_as_python_tells_it(
    pipe: tuple[TextIO, TextIO], capsys: pytest.CaptureFixture[str]
) -> None:
    """To standard error, and the next one is logged."""
    reader, writer = pipe
    logger, _ = log_to(writer)
    logger.info("%d", "no number")
    logger.info("next")
    assert reader.readline() == "INFO next\n"
    assert "no number" in capsys.readouterr().err


def test_without_a_thread_records_are_dropped(
    pipe: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one tries again."""
    reader, writer = pipe
    logger, handler = log_to(writer)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", _no_thread)
        logger.info("lost")
        assert handler.dropped == 1
    logger.info("there")
    assert reader.readline() == "INFO there\n"
    assert reader.readline().startswith("WARNING 1 log records were dropped")


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


FORKING = """
import logging, os, sys
from sockjs_bridge.logs import BoundedStreamHandler
handler = BoundedStreamHandler(sys.stdout)
logging.basicConfig(level=logging.INFO, handlers=[handler], format="%(message)s")
logging.info("parent")
handler.flush()
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
handler.flush()
logging.info("child")
"""


def test_a_forked_child_writes_with_a_thread_of_its_own() -> None:
    """A server's master may have logged before it forks; nothing is written twice."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING],
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (0, "parent\nchild\n")


ENDING = """
import logging, sys
from sockjs_bridge.logs import BoundedStreamHandler
BoundedStreamHandler.PATIENCE = 0.1
logging.basicConfig(level=logging.INFO, handlers=[BoundedStreamHandler(sys.stderr)])
for _ in range(1000):
    logging.info("x" * 100)
"""


def test_a_process_ends_while_its_log_is_stuck(pipe: tuple[TextIO, TextIO]) -> None:
    """Neither does it hang, nor does the interpreter complain of a lock that is held."""
    _, writer = pipe
    command = [sys.executable, "-c", ENDING]
    assert subprocess.run(command, stderr=writer, timeout=PATIENCE).returncode == 0


@pytest.mark.parametrize(
    "ini",
    [
        "demo.ini",
        "docs/deploy/production.ini",
        "docs/deploy/container.ini",
        "docs/deploy/instance.ini",
        "sockjs_bridge/scaffold/project/development.ini.txt",
    ],
)
def test_the_inis_that_are_shipped_log_so(ini: str) -> None:
    """All of their handlers."""
    text = (Path(__file__).parents[1] / ini).read_text(encoding="utf-8")
    handlers = [line for line in text.splitlines() if line.startswith("class = ")]
    assert handlers
    assert set(handlers) == {"class = sockjs_bridge.logs.BoundedStreamHandler"}
