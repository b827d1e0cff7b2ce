"""Whether the peer of a connection takes what is written to it."""

from __future__ import annotations

import asyncio
import struct

try:
    import fcntl
    import termios
except ImportError:
    # Windows: what the system holds counts as taken.
    HAS_TIOCOUTQ = False
else:
    HAS_TIOCOUTQ = True

_COUNT = struct.Struct("i")


def untaken(transport: asyncio.Transport) -> int:
    """Returns how many bytes were written to a connection that its peer's system did not take."""
    size = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if HAS_TIOCOUTQ and connection is not None:
        try:
            # tcp(7), SIOCOUTQ: what is not sent yet, or not acknowledged.
            answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size))
        except (OSError, ValueError):
            # It is closed, or of a kind that cannot tell.
            return size
        size += int(_COUNT.unpack(answer)[0])
    return size
