"""What a reverse proxy says about the client, believed only from peers that are named.

The settings have the names and the meaning that they have in waitress.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import NamedTuple

from sockjs_bridge.ini import SettingError, flag, parsers, read, setting

PROXY_HEADERS = frozenset(
    {"forwarded", *(f"x-forwarded-{told}" for told in ("by", "for", "host", "port", "proto"))}
)
UNIX_PEER = "unix"
#: A peer whose address could not be had; no address of the settings is its own.
UNKNOWN_PEER = "unknown"

# Without a list waitress believes the scheme only; a proxy that does not overwrite the other
# headers would let clients make up their address.
_BELIEVED = frozenset({"x-forwarded-proto"})
# Some proxies name the scheme of an upgrade request after WebSocket (RFC 6455, 3).
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.~%-]+)(?::(?P<port>\d{1,5}))?", re.ASCII)
_NODE = re.compile(
    r"\[(?P<bracketed>[^\]]+)\](?::(?P<port>\d{1,5}))?"
    r"|(?P<ipv4>[0-9.]+)(?::(?P<ipv4_port>\d{1,5}))?"
    r"|(?P<bare>[0-9A-Fa-f:.]+)",
    re.ASCII,
)
_HIDDEN_NODE = re.compile(r"unknown|_[\w.-]+", re.ASCII | re.IGNORECASE)
# One forwarded-pair and what ends it (RFC 7239, 4).
_FORWARDED_PAIR = re.compile(
    r"[ \t]*(?:(?P<token>[\w!#$%&'*+.^`|~-]+)="
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<value>[^",; \t]+))[ \t]*)?(?P<end>[;,]|$)',
    re.ASCII,
)


class MalformedForwarded(ValueError):
    """A trusted proxy sent a forwarding header that cannot be understood.

    Args:
        header: name of the header.
        value: what it held.
    """

    def __init__(self, header: str, value: str) -> None:
        super().__init__(f"malformed {header} header: {value!r}")
        self.header = header
        self.value = value


class Client(NamedTuple):
    """Who made a request, and under which URL."""

    remote: str
    """Address of the client; ``unix`` for the peer of a Unix socket, ``unknown`` without one."""
    scheme: str
    """``http`` or ``https``, as the client sees it."""
    host: str
    """Value of the ``Host`` header, or what the proxy forwarded; empty where there is none."""
    untrusted: frozenset[str] = frozenset()
    """Names (lower case) of the forwarding headers that the application must not see."""
    remote_port: str = ""
    """Port of the client, where the proxy told it."""
    server_port: str = ""
    """Port that the client connected to, where the proxy told it."""
    trimmed: Mapping[str, str] = MappingProxyType({})
    """Forwarding headers cut to the trusted hops: name (lower case) to value."""


def _believe(
    direct: Client, told: Mapping[str, str], trimmed: Mapping[str, str], prefix: str
) -> Client:
    """Puts what the proxy told in place of what the connection shows."""
    remote, scheme, host = direct.remote, direct.scheme, direct.host
    remote_port = server_port = ""
    if node := told.get("for"):
        address = _node(node)
        if address is None:
            raise MalformedForwarded(f"{prefix}for", node)
        if address[0]:
            remote, remote_port = address
    if proto := told.get("proto"):
        if proto.lower() not in _SCHEMES:
            raise MalformedForwarded(f"{prefix}proto", proto)
        scheme = _SCHEMES[proto.lower()]
        server_port = _DEFAULT_PORTS[scheme]
    if port := told.get("port"):
        if not _is_port(port):
            raise MalformedForwarded(f"{prefix}port", port)
        server_port = port
    if told_host := told.get("host"):
        match = _HOST.fullmatch(told_host)
        if match is None or (match["port"] and not _is_port(match["port"])):
            raise MalformedForwarded(f"{prefix}host", told_host)
        host = told_host
        # A port within the host is what the client itself wrote.
        server_port = match["port"] or server_port or _DEFAULT_PORTS[scheme]
        if not match["port"] and server_port != _DEFAULT_PORTS[scheme]:
            host = f"{told_host}:{server_port}"
    return direct._replace(
        remote=remote,
        scheme=scheme,
        host=host,
        remote_port=remote_port,
        server_port=server_port,
        trimmed=trimmed,
    )


def _node(text: str) -> tuple[str, str] | None:
    """Reads a node (RFC 7239, 6): address and port, both empty for a hidden one."""
    if _HIDDEN_NODE.fullmatch(text):
        return "", ""
    match = _NODE.fullmatch(text)
    if match is None:
        return None
    address = match["bracketed"] or match["ipv4"] or match["bare"]
    port = match["port"] or match["ipv4_port"] or ""
    try:
        ip_address(address)
    except ValueError:
        return None
    if port and not _is_port(port):
        return None
    return address, port


def _forwarded_elements(value: str) -> list[tuple[dict[str, str], str]]:
    """Splits a ``Forwarded`` header: the pairs of each hop, and the hop's own text."""
    elements: list[tuple[dict[str, str], str]] = []
    pairs: dict[str, str] = {}
    start = position = 0
    while position <= len(value):
        match = _FORWARDED_PAIR.match(value, position)
        if match is None:
            raise MalformedForwarded("forwarded", value)
        if match["token"]:
            quoted = match["quoted"]
            text = match["value"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            pairs[match["token"].lower()] = text
        if match["end"] != ";":
            if pairs:
                elements.append((pairs, value[start : match.start("end")].strip()))
            pairs = {}
            start = match.end()
        # An empty end is the end of the value.
        position = match.end() if match["end"] else len(value) + 1
    return elements


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536


def _words(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, Iterable):
        return [str(word) for word in value]
    return [str(value)]


def _peers(value: object) -> tuple[IPv4Network | IPv6Network | str, ...]:
    return tuple(peer if peer in ("*", UNIX_PEER) else _network(peer) for peer in _words(value))


def _network(peer: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(peer)
    except ValueError as error:
        raise SettingError(
            f"trusted_proxy = {peer}: {error}; allowed are IP addresses, networks such as "
            f"10.0.0.0/8, {UNIX_PEER} for Unix sockets, or * for every peer"
        ) from None


def _count(value: object) -> int:
    if value in (None, ""):
        return 1
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError("a whole number of 1 or more")
    return int(text)


def _headers(value: object) -> frozenset[str]:
    headers = frozenset(word.lower() for word in _words(value)) or _BELIEVED
    if unknown := headers - PROXY_HEADERS:
        raise SettingError(
            f"trusted_proxy_headers = {' '.join(sorted(unknown))}: "
            f"allowed are {' '.join(sorted(PROXY_HEADERS))}"
        )
    if "forwarded" in headers and len(headers) > 1:
        raise SettingError(
            f"trusted_proxy_headers = {' '.join(sorted(headers))}: "
            "forwarded cannot be combined with the x-forwarded headers"
        )
    return headers


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """Which peers are proxies, and which of their headers count: what waitress has settings for.

    Attributes:
        trusted_proxy: peers that are trusted: addresses, networks, ``unix`` for those of Unix
            sockets, ``*`` for whoever connects.
        trusted_proxy_count: how many proxies stand in a row before this server.
        trusted_proxy_headers: those (lower case) that a trusted peer is believed.
        clear_untrusted_proxy_headers: hides every other forwarding header from the application.
    """

    trusted_proxy: tuple[IPv4Network | IPv6Network | str, ...] = setting((), _peers)
    trusted_proxy_count: int = setting(1, _count)
    trusted_proxy_headers: frozenset[str] = setting(_BELIEVED, _headers)
    clear_untrusted_proxy_headers: bool = setting(True, flag)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> TrustedProxy:
        """Reads the four settings; every other key is left alone.

        Args:
            settings: values as an ini file gives them, or already of their type.

        Raises:
            SettingError: a value is wrong; the message names key, value and what is allowed.
        """
        own = {name: settings[name] for name in parsers(cls) if name in settings}
        alone = not _words(own.get("trusted_proxy"))
        for key in ("trusted_proxy_count", "trusted_proxy_headers"):
            if alone and own.get(key) not in (None, ""):
                raise SettingError(f"{key} = {own[key]}: has no meaning without trusted_proxy")
        return cls(**read(cls, own, wrong="{key} = {value}: must be {allowed}"))

    def trusts(self, peer: str) -> bool:
        """Returns whether the immediate peer is a trusted proxy.

        Args:
            peer: IP address, ``unix`` or ``unknown``.
        """
        peers = self.trusted_proxy
        if not peers or "*" in peers or peer in (UNIX_PEER, UNKNOWN_PEER):
            return "*" in peers or (peer == UNIX_PEER and peer in peers)
        address = ip_address(peer)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in peers if not isinstance(network, str))

    def apply(self, peer: str, scheme: str, headers: Mapping[str, str]) -> Client:
        """Works out the client behind a request.

        Args:
            peer: address of the immediate peer, ``unix`` or ``unknown``.
            scheme: ``http`` or ``https``, as this server was reached.
            headers: the request's headers; one that was repeated may be there several
                times (a multi-dict) or joined by commas.

        Raises:
            MalformedForwarded: a header that counts cannot be understood.
        """
        trusted = self.trusted_proxy_headers if self.trusts(peer) else frozenset()
        if not trusted:
            untrusted = PROXY_HEADERS if self.clear_untrusted_proxy_headers else frozenset()
            return Client(peer, scheme, headers.get("Host", ""), untrusted)
        host = ""
        said: dict[str, str] = {}
        # items() of a multi-dict has every occurrence: a proxy may append a line of its own
        # after one that the client made up.
        for name, value in headers.items():
            name = name.lower()
            if name == "host":
                host = value
            elif name in trusted and value.strip():
                said[name] = f"{said[name]}, {value}" if name in said else value
        untrusted = PROXY_HEADERS - trusted if self.clear_untrusted_proxy_headers else frozenset()
        direct = Client(peer, scheme, host, untrusted)
        if not said:
            return direct
        if "forwarded" in said:
            elements = _forwarded_elements(said["forwarded"])[-self.trusted_proxy_count :]
            pairs: dict[str, str] = {}
            # The outermost trusted proxy saw what the client asked for: it has the last word.
            for told, _ in reversed(elements):
                pairs.update(told)
            trimmed = {"forwarded": ", ".join(text for _, text in elements)}
            return _believe(direct, pairs, trimmed, "forwarded ")
        hops = {
            name: [hop.strip() for hop in value.split(",")][-self.trusted_proxy_count :]
            for name, value in said.items()
        }
        pairs = {name.removeprefix("x-forwarded-"): _unquoted(hop[0]) for name, hop in hops.items()}
        trimmed = {name: ", ".join(hop) for name, hop in hops.items()}
        return _believe(direct, pairs, trimmed, "x-forwarded-")


SETTINGS = frozenset(parsers(TrustedProxy))
