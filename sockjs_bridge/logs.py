"""A logging handler that never waits for who reads the log."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from typing import TextIO

__all__ = ("BoundedStreamHandler",)


class BoundedStreamHandler(logging.Handler):
    """Writes records to a stream, in a thread of its own, and drops those that find no room.

    ``logging.StreamHandler`` writes in the thread that logs. Where the stream is a pipe that nobody
    reads, or a disk that hangs, it waits, and the server with it. This one waits for nobody. How
    many records were dropped, it says in the log as soon as that is read again.

    It takes the place of a ``StreamHandler`` in an ini::

        [handler_console]
        class = sockjs_bridge.logs.BoundedStreamHandler
        args = (sys.stderr,)
        formatter = generic

    Args:
        stream: where to. One that has a file descriptor is written to by that, in UTF-8.
        max_bytes: of records that wait to be written. One that is longer is always dropped.

    Attributes:
        stream: as given.
        dropped: how many records were dropped that the log does not speak of yet.
    """

    PATIENCE = 1.0
    """Seconds that `flush` waits, which Python calls at its exit."""

    def __init__(self, stream: TextIO, max_bytes: int = 1_048_576) -> None:
        super().__init__()
        self.stream = stream
        self._max_bytes = max_bytes
        self._restart()

    def _restart(self) -> None:
        """Begins with nothing: in a forked child there is no thread, and the lock may be held."""
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        # Of what waits, and of what is being written.
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a record, or drops it."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        except Exception:
            self.handleError(record)
            return
        if self._process != os.getpid():
            self._restart()
        with self._changed:
            if self._bytes + len(line) > self._max_bytes:
                self.dropped += 1
                return
            if self._thread is None and not self._start():
                self.dropped += 1
                return
            self._bytes += len(line)
            self._lines.append(line)
            self._changed.notify_all()

    def _start(self) -> bool:
        # A daemon: it may wait for ever, and must not keep the process.
        thread = threading.Thread(target=self._work, name="sockjs-log", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no thread left, or the interpreter ends.
            return False
        self._thread = thread
        return True

    def flush(self) -> None:
        """Waits until everything is written, but no longer than `PATIENCE`."""
        if self._process != os.getpid():
            return
        end = time.monotonic() + self.PATIENCE
        with self._changed:
            while self._bytes and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                lines = list(self._lines)
                self._lines.clear()
            written = self._write(b"".join(lines))
            with self._changed:
                self._bytes -= sum(map(len, lines))
                if not written:
                    self.dropped += len(lines)
                elif self.dropped:
                    told = self._tell_dropped()
                    self._lines.append(told)
                    self._bytes += len(told)
                    self.dropped = 0
                self._changed.notify_all()

    def _tell_dropped(self) -> bytes:
        record = logging.makeLogRecord(
            {
                "name": __name__,
                "levelno": logging.WARNING,
                "levelname": logging.getLevelName(logging.WARNING),
                "msg": "%d log records were dropped: the log was not read in time",
                "args": (self.dropped,),
            }
        )
        try:
            line = self.format(record)
        except Exception:
            # The format names what a filter adds; without this thread nothing would be written.
            line = record.getMessage()
        return f"{line}\n".encode("utf-8", "backslashreplace")

    def _write(self, data: bytes) -> bool:
        """Writes to the stream; tells whether that was possible."""
        try:
            try:
                descriptor = self.stream.fileno()
            except (AttributeError, OSError):
                # A stream in memory.
                self.stream.write(data.decode())
                self.stream.flush()
                return True
            # Not by the stream: the interpreter cannot end while a thread holds its lock.
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(descriptor, rest) :]
                except BlockingIOError:
                    select.select((), (descriptor,), ())
        except (OSError, ValueError):
            # The other end is gone, the disk is full, the stream is closed.
            return False
        return True
