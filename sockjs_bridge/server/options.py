"""The settings of ``[server:main]``: what each does, its default, what is allowed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sockjs_bridge.ini import SettingError, count, flag, number, parsers, read, setting
from sockjs_bridge.server import proxy
from sockjs_bridge.server.proxy import TrustedProxy

logger = logging.getLogger("sockjs_bridge.server")

#: Connections that the kernel holds while the loop is busy.
BACKLOG = 1024
#: What the system says of an address that it does not have, ``::1`` in many a container. One that
#: is taken is another matter: who connects there would reach a stranger.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def _scheme(value: Any) -> str:
    if value not in ("http", "https"):
        raise ValueError("http or https")
    return str(value)


def _permissions(value: Any) -> int:
    try:
        permissions = int(str(value), 8)
    except ValueError:
        permissions = -1
    if not 0 <= permissions <= 0o777:
        raise ValueError("permissions in octal, as 600")
    return permissions


def _listen(value: Any) -> tuple[str, ...]:
    words = tuple(str(value).replace(",", " ").split())
    if not words or not all(map(_is_address, words)):
        raise ValueError("one or more of host:port, [ipv6]:port, *:port, unix:/path")
    return words


def _is_address(word: str) -> bool:
    if word.startswith("unix:"):
        return word != "unix:"
    host, _, port = word.rpartition(":")
    right = bool(host) and port.isascii() and port.isdigit() and int(port) < 65536
    return right and (":" not in host or host[0] + host[-1] == "[]")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The settings of the server.

    Attributes:
        listen: where to accept connections: ``host:port``, ``[ipv6]:port``, ``*:port`` and
            ``unix:/path``, one or several.
        unix_socket_perms: of sockets of the file system, in octal.
        threads: how many run the WSGI application for pages, as many run it for handshakes, and as
            many the plain hooks of sessions.
        response_threads: how many responses that come in blocks may go on beside these; where one
            more has to wait for its client, the one whose client took nothing for longest is
            broken off.
        hook_threads: how many there may be for hooks where they wait longer than 0.1 s for one;
            beyond, hooks wait for each other.
        shutdown_timeout: seconds that requests under way get at the end.
        keepalive_timeout: seconds that a connection may stay without a complete request's head.
        body_timeout: seconds without a byte of a request's body, and for the whole body of a
            SockJS send, after which it is refused (408).
        max_request_header_size: bytes of a request's head, its line and headers together, after
            which it is refused (431).
        max_body_size: bytes of a request's body (SockJS has its own ``max_message_size``).
        max_body_memory: bytes in memory of the bodies of all requests together; beyond, one that
            is not complete is refused (503): one that stands still, or one of the client that
            holds most.
        max_body_disk: the same on disk, where the bodies are that have more than 64 KiB, and
            responses that were made as a whole when there was no room for them in memory.
        max_response_memory: bytes of responses that wait for their clients, all together; beyond,
            one is broken off: one whose client takes nothing, or one of the client that holds most.
        send_timeout: seconds after which a client that takes nothing of a response is cut off.
        url_scheme: ``http`` or ``https``, as clients reach the server.
        full_gc_after: how many collections of younger garbage come before one of all objects, which
            holds up everybody (for 0.2 s where 10 000 sessions are open); more lets garbage wait
            longer, up to 700 000 objects for each 100. 0 leaves Python's collector as it is.
        access_log_polls: whether the requests of SockJS sessions are logged too.
        proxy: the trusted proxies, made of the settings that waitress has for them.
    """

    listen: tuple[str, ...] = setting(("127.0.0.1:6543",), _listen)
    unix_socket_perms: int = setting(0o600, _permissions)
    threads: int = setting(8, count(1, "threads"))
    response_threads: int = setting(200, count(0, "threads"))
    hook_threads: int = setting(1000, count(1, "threads"))
    shutdown_timeout: float = setting(10.0, number(0, 3600, "seconds"))
    keepalive_timeout: float = setting(75.0, number(0.05, 86400, "seconds"))
    body_timeout: float = setting(30.0, number(0.05, 3600, "seconds"))
    # Less could be too little for the request line alone (RFC 9112, 3).
    max_request_header_size: int = setting(32768, count(8192, "bytes"))
    max_body_size: int = setting(1073741824, count(0, "bytes"))
    max_body_memory: int = setting(67108864, count(65536, "bytes"))
    max_body_disk: int = setting(1073741824, count(0, "bytes"))
    max_response_memory: int = setting(67108864, count(1048576, "bytes"))
    send_timeout: float = setting(60.0, number(0.05, 3600, "seconds"))
    url_scheme: str = setting("http", _scheme)
    full_gc_after: int = setting(500, count(0, "collections"))
    access_log_polls: bool = setting(False, flag)
    proxy: TrustedProxy = field(default_factory=TrustedProxy)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> ServerOptions:
        """Makes options of the strings of an ini file, or of values of the right types.

        Raises:
            SettingError: an unknown name, or a value that cannot be.
        """
        known = ", ".join(sorted(parsers(cls).keys() | proxy.SETTINGS))
        forwarding = {name: value for name, value in raw.items() if name in proxy.SETTINGS}
        own = {name: value for name, value in raw.items() if name not in forwarding}
        unknown = "{key} is no setting of the server; there are: " + known
        options = read(cls, own, unknown=unknown)
        return cls(**options, proxy=TrustedProxy.from_settings(forwarding))

    def bind(self) -> list[socket.socket]:
        """Binds the sockets of `listen`; connections queue there until they are accepted.

        Raises:
            SettingError: one cannot be had; it says why.
        """
        with contextlib.ExitStack() as opened:
            sockets = [sock for address in self.listen for sock in self._bind(address, opened)]
            opened.pop_all()
        return sockets

    def _bind(self, address: str, opened: contextlib.ExitStack) -> list[socket.socket]:
        try:
            if address.startswith("unix:"):
                path = address.removeprefix("unix:")
                sockets = [_bind_unix(path, self.unix_socket_perms, opened)]
            else:
                sockets = _bind_tcp(address, opened)
            for sock in sockets:
                # Of two servers that start at once, both may bind, but only one may listen.
                sock.listen(BACKLOG)
        except (OSError, UnicodeError) as error:
            # A host name that cannot be encoded (RFC 3490) is no OSError.
            reason = getattr(error, "strerror", None) or str(error)
            raise SettingError(f"cannot listen on {address}: {reason}") from None
        return sockets


def _bind_tcp(address: str, opened: contextlib.ExitStack) -> list[socket.socket]:
    """Binds all addresses of a host that this machine has.

    Raises:
        OSError: it has none of them, or one is taken.
    """
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(
        None if host == "*" else host.strip("[]"),
        int(port),
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )
    sockets: list[socket.socket] = []
    missing: list[tuple[str, OSError]] = []
    for family, kind, number_, _, place in dict.fromkeys(found):
        try:
            sockets.append(opened.enter_context(_bind_place(family, kind, number_, place)))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            missing.append((str(place[0]), error))
    if not sockets:
        raise missing[0][1]
    for name, reason in missing:
        logger.warning("listening on %s, but not on its %s: %s", address, name, reason.strerror)
    return sockets


def _bind_place(family: int, kind: int, protocol: int, place: Any) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: str, permissions: int, opened: contextlib.ExitStack) -> socket.socket:
    sock = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode) and _abandoned(path):
        os.unlink(path)
    sock.bind(path)
    os.chmod(path, permissions)
    return sock


def _abandoned(path: str) -> bool:
    """Tells whether a socket of the file system is left over from a process that is gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False
