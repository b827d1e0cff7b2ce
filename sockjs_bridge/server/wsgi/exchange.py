"""The application's side of one request, in a thread: start_response, write and the iterable.

Section names refer to PEP 3333.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper as _FileWrapper
from wsgiref.util import is_hop_by_hop

logger = logging.getLogger("sockjs_bridge.server")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

_STATUS = re.compile(r"([2-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?", re.ASCII)
# RFC 9110, 5.6.2.
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
# RFC 9110, 5.5: no control characters, of which CR, LF and NUL split a response.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"[0-9]{1,18}")

BLOCK = 64 * 1024
"""Bytes of a body that are handed to the transport at once."""


class ClientGone(ConnectionError):
    """Nobody is left to take the response."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of a response, checked."""

    status: int
    reason: str
    headers: list[tuple[str, str]] = field(repr=False)
    """As the application gave them, without the hop-by-hop ones; bytes as latin-1."""
    length: int | None
    """The application's own Content-Length, in bytes."""

    @classmethod
    def parse(cls, status: str, headers: Iterable[tuple[str, str]]) -> Head:
        """Checks what was handed to ``start_response``.

        Raises:
            ValueError: a value that cannot be sent.
            TypeError: a name or value that is no string.
        """
        match = _STATUS.fullmatch(status)
        if match is None:
            raise ValueError(f"status {status!r} is not of the form '200 OK'")
        kept: list[tuple[str, str]] = []
        lengths: set[str] = set()
        for name, value in headers:
            if _TOKEN.fullmatch(name) is None:
                raise ValueError(f"{name!r} cannot be the name of a header")
            if _VALUE.fullmatch(value) is None:
                raise ValueError(f"{value!r} cannot be the value of the header {name}")
            if is_hop_by_hop(name):
                # "Other HTTP Features": the connection belongs to the server.
                logger.warning("dropped the hop-by-hop header %s: %r", name, value)
                continue
            if name.lower() == "content-length":
                lengths.add(value.strip())
                if len(lengths) > 1 or _LENGTH.fullmatch(value.strip()) is None:
                    raise ValueError(f"Content-Length {value!r} is not one number of bytes")
                continue
            kept.append((name, value))
        return cls(int(match[1]), match[2] or "", kept, int(lengths.pop()) if lengths else None)

    def has_body(self, method: str) -> bool:
        """Returns whether a body follows (RFC 9110, 6.4.1).

        Args:
            method: the request's method.
        """
        return method != "HEAD" and self.status not in (204, 304)


class FileWrapper(_FileWrapper):
    """What ``wsgi.file_wrapper`` makes of a file ("Optional Platform-Specific File Handling").

    Args:
        filelike: whatever has ``read``.
        blksize: bytes of a block of the body.
    """

    def __init__(self, filelike: Any, blksize: int = 256 * 1024) -> None:
        super().__init__(filelike, blksize)

    def size(self) -> int | None:
        """Returns how many bytes are left to read, or None if the file cannot tell."""
        try:
            position = self.filelike.tell()
            end = self.filelike.seek(0, io.SEEK_END)
            self.filelike.seek(position)
        except (AttributeError, OSError):
            return None
        return max(0, end - position)

    def regular(self) -> bool:
        """Returns whether it is a file of a file system: to read it takes no time to speak of."""
        try:
            return stat.S_ISREG(os.fstat(self.filelike.fileno()).st_mode)
        except (AttributeError, OSError, TypeError, ValueError):
            return False


@dataclass(slots=True)
class FileBody:
    """A file whose content is a response's body, or its rest.

    It needs no thread of the application: whoever sends it reads it, and closes it at the end.

    Attributes:
        file: whatever has ``read``.
        close: closes the file.
        fit: returns what may be sent of a block.
        end: called when all of it was read.
    """

    file: Any
    close: Callable[[], None]
    fit: Callable[[bytes], bytes] = lambda block: block
    end: Callable[[], object] = lambda: None

    def read(self, size: int) -> bytes:
        """Returns the next block, or nothing at the end.

        Args:
            size: most bytes.

        Raises:
            Exception: whatever the file raised, or what is wrong with its length.
        """
        block = self.fit(self.file.read(size))
        if not block:
            self.end()
        return block


class Exchange:
    """One call of the application.

    Args:
        app: the WSGI application.
        environ: its environ.
        send: takes the head and a block of the body, and returns when the next block may come.
    """

    def __init__(
        self, app: WSGIApplication, environ: WSGIEnvironment, send: Callable[[Head, bytes], None]
    ) -> None:
        self.head: Head | None = None
        self._app = app
        self._environ = environ
        self._send = send
        self._head_sent = False
        self._written = 0
        self._full = False

    def run(self) -> bytes | FileBody | None:
        """Calls the application and sends its body.

        Returns:
            The whole body, unsent, if the application gave it in one piece, or a file with the
            rest of it; else None.

        Raises:
            Exception: whatever the application raised, or what is wrong with its response.
        """
        iterable = self._app(self._environ, self._start_response)
        left_open = False
        try:
            if isinstance(iterable, (list, tuple)) and not self._head_sent:
                return self._whole(iterable)
            if isinstance(iterable, FileWrapper):
                self._measure(iterable)
                if self._has_body() and iterable.regular():
                    if self._is_short():
                        return self._whole([iterable.filelike.read(BLOCK)])
                    left_open = True
                    close = partial(self._close, iterable)
                    return FileBody(iterable.filelike, close, self._fit, self._end)
            for block in iterable:
                if block:
                    self._write(block)
                if self._full:
                    break
            return self._end()
        finally:
            if not left_open:
                self._close(iterable)

    def drain(self) -> Head:
        """Calls the application to the end of its body, and returns the head of its response.

        Raises:
            Exception: whatever the application raised, or what is wrong with its head.
        """
        iterable = self._app(self._environ, self._start_response)
        try:
            for _ in iterable:
                pass
            return self._checked_head()
        finally:
            self._close(iterable)

    def _start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
        /,
    ) -> Callable[[bytes], Any]:
        try:
            if exc_info is None:
                if self.head is not None:
                    raise AssertionError("start_response was called twice without exc_info")
            elif self._head_sent and exc_info[1] is not None:
                raise exc_info[1].with_traceback(exc_info[2])
        finally:
            # "The start_response() Callable": no circle through the traceback.
            exc_info = None
        self.head = Head.parse(status, headers)
        return self._write

    def _checked_head(self) -> Head:
        if self.head is None:
            raise AssertionError("the application did not call start_response")
        return self.head

    def _has_body(self) -> bool:
        return self._checked_head().has_body(self._environ["REQUEST_METHOD"])

    def _is_short(self) -> bool:
        """Returns whether the body is still to come, and takes no more than one block."""
        length = self._checked_head().length
        return not self._head_sent and length is not None and length <= BLOCK

    def _measure(self, file: FileWrapper) -> None:
        """Has the Content-Length tell what the file holds, up to what the application said."""
        size = file.size()
        if size is None or self._head_sent:
            return
        head = self._checked_head()
        length = size if head.length is None else min(size, head.length)
        self.head = replace(head, length=length)

    def _whole(self, blocks: list[bytes] | tuple[bytes, ...]) -> bytes:
        body = b"".join(blocks)
        # Without a body its length is told all the same.
        if self._has_body():
            body = self._fit(body)
            self._check_length()
        return body

    def _write(self, block: bytes) -> None:
        block = self._fit(block)
        if block:
            self._head_sent = True
            self._send(self._checked_head(), block)

    def _fit(self, block: bytes) -> bytes:
        """Returns what is to be sent of a block, and notes whether that is the last."""
        head = self._checked_head()
        if not isinstance(block, bytes):
            raise TypeError(f"a block of the body is {type(block).__name__}, not bytes")
        if not self._has_body():
            self._full = True
        if self._full:
            return b""
        if head.length is not None and self._written + len(block) > head.length:
            logger.warning(
                "%s %r: the body is longer than its Content-Length and was cut at %d bytes",
                self._environ["REQUEST_METHOD"],
                self._environ.get("PATH_INFO", ""),
                head.length,
            )
            self._full = True
            block = block[: head.length - self._written]
        self._written += len(block)
        return block

    def _end(self) -> bytes | None:
        if self._has_body():
            self._check_length()
        return None if self._head_sent else b""

    def _check_length(self) -> None:
        length = self._checked_head().length
        if length is not None and self._written < length:
            raise ValueError(f"the body has {self._written} bytes, its Content-Length is {length}")

    def _close(self, iterable: object) -> None:
        # The response is complete or lost by now: an error here is only worth a log line.
        close = getattr(iterable, "close", None)
        if close is not None:
            try:
                close()
            except BaseException:
                logger.exception("close() of a response's iterable failed")
