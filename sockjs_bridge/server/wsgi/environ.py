"""The environ of a request, whoever has read it ("environ Variables").

Section names refer to PEP 3333.
"""

from __future__ import annotations

import io
import re
import sys
from functools import lru_cache
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

from sockjs_bridge.endpoint.request import RequestHead
from sockjs_bridge.server.addresses import Addresses
from sockjs_bridge.server.http1 import SERVER_NAME
from sockjs_bridge.server.proxy import Client
from sockjs_bridge.server.wsgi.exchange import FileWrapper

# RFC 9112, 3.2.2: scheme, authority (without user information), path and query.
_ABSOLUTE_FORM = re.compile(rb"[A-Za-z][\w+.-]*://(?:[^/?#]*@)?([^/?#]*)(.*)", re.DOTALL)


def make_environ(
    head: RequestHead,
    client: Client,
    addresses: Addresses,
    body: BinaryIO | None,
    path: str | None = None,
) -> dict[str, Any]:
    """Builds an environ.

    Args:
        head: of the request.
        client: who made it.
        addresses: of the connection that it came over.
        body: its body, read to the end and rewound; None for an empty one.
        path: what is asked for, quoted, in place of the head's.
    """
    _, own_path, query = split_target(head.raw_path)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path_info(own_path if path is None else path),
        "QUERY_STRING": query,
        "REQUEST_URI": native(head.raw_path),
        "SERVER_PROTOCOL": _protocol(head.version),
        "SERVER_SOFTWARE": SERVER_NAME,
        "REMOTE_ADDR": client.remote,
        "REMOTE_HOST": client.remote,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": client.scheme,
        "wsgi.input": io.BytesIO() if body is None else body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }
    _add_addresses(environ, addresses, client)
    _add_headers(environ, head, client)
    chunked = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
    if chunked or "CONTENT_LENGTH" in environ:
        # The length is known by now, also of a body that came in chunks.
        stream = environ["wsgi.input"]
        environ["CONTENT_LENGTH"] = str(stream.seek(0, io.SEEK_END))
        stream.seek(0)
    return environ


def split_target(raw_path: str) -> tuple[str, bytes, str]:
    """Splits a request target (RFC 9112, 3.2): authority, path, query.

    A fragment, which a client should have kept to itself, is dropped.
    """
    if raw_path[:1] == "/" and raw_path.isascii() and "#" not in raw_path:
        # Nearly all.
        before, _, behind = raw_path.partition("?")
        return "", before.encode(), behind
    target = raw_path.encode("utf-8", "surrogateescape").partition(b"#")[0]
    authority = b""
    if not target.startswith(b"/"):
        match = _ABSOLUTE_FORM.fullmatch(target)
        if match is None:
            # "*" and the authority of CONNECT: a target without a path.
            return "", b"", ""
        authority, target = match[1], match[2]
        if not target.startswith(b"/"):
            target = b"/" + target
    path, _, query = target.partition(b"?")
    return authority.decode("latin-1"), path, query.decode("latin-1")


def path_info(path: str | bytes) -> str:
    """Unquotes a path once, and keeps its bytes as latin-1 ("Unicode Issues").

    Slashes that begin it become one: an application that writes the path ``//other.example/``
    into a redirect would send its visitor to that host.
    """
    text = unquote_to_bytes(path).decode("latin-1")
    return "/" + text.lstrip("/") if text else ""


@lru_cache(16)
def _protocol(version: tuple[int, int]) -> str:
    return f"HTTP/{version[0]}.{version[1]}"


def native(text: str) -> str:
    """Turns what aiohttp decoded as UTF-8 into a native string ("Unicode Issues")."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _add_addresses(environ: dict[str, Any], addresses: Addresses, client: Client) -> None:
    peer, peer_port, host, port = addresses
    environ["SERVER_NAME"] = f"[{host}]" if ":" in host else host or "localhost"
    default = "443" if client.scheme == "https" else "80"
    environ["SERVER_PORT"] = client.server_port or port or default
    remote_port = client.remote_port or (peer_port if client.remote == peer else "")
    if remote_port:
        environ["REMOTE_PORT"] = remote_port


# Headers that many clients send alike: their values are kept once for all open sessions. None of
# them is a secret, which would outlive its session here.
_COMMON = {
    *("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_CACHE_CONTROL"),
    *("HTTP_CONNECTION", "HTTP_HOST", "HTTP_ORIGIN", "HTTP_PRAGMA", "HTTP_SEC_FETCH_DEST"),
    *("HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_WEBSOCKET_EXTENSIONS"),
    *("HTTP_SEC_WEBSOCKET_VERSION", "HTTP_UPGRADE", "HTTP_USER_AGENT"),
}
#: Bytes of a name or a value that is kept.
_KEPT = 256


def _add_headers(environ: dict[str, Any], head: RequestHead, client: Client) -> None:
    for raw_name, raw_value in head.raw_headers:
        # X_In and X-In would be one variable, so that a client could overwrite what a proxy set.
        if b"_" in raw_name:
            continue
        name, key = _variable(raw_name) if len(raw_name) <= _KEPT else _new_variable(raw_name)
        if name in client.untrusted:
            continue
        if key in _COMMON and len(raw_value) <= _KEPT:
            value = _common_value(raw_value)
        else:
            value = raw_value.decode("latin-1")
        if key in environ:
            # RFC 6265, 5.4 and RFC 9110, 5.3.
            separator = "; " if key == "HTTP_COOKIE" else ", "
            value = f"{environ[key]}{separator}{value}"
        environ[key] = value
    for name, value in client.trimmed.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = native(value)
    if client.host:
        host = native(client.host)
        if environ.get("HTTP_HOST") != host:
            environ["HTTP_HOST"] = host


def _new_variable(raw_name: bytes) -> tuple[str, str]:
    """Returns a header's name in lower case, and its key in the environ."""
    name = raw_name.decode("latin-1")
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    return name.lower(), key


# The keys of silent sessions are the same strings too.
_variable = lru_cache(512)(_new_variable)


@lru_cache(512)
def _common_value(raw_value: bytes) -> str:
    return raw_value.decode("latin-1")
