"""The URLs of what the processes of a cluster share; what is shown of one has no password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

REDIS_PORT = 6379
SENTINEL_PORT = 26379

FORMS = (
    "redis://[[user]:password@]host[:port][/database], rediss:// for TLS, "
    "unix://[[user]:password@]/path/of/socket[?db=database], "
    "redis+sentinel://[[user]:password@]host[:port],host[:port]/service[/database], "
    "rediss+sentinel:// for TLS, or memory:// for tests"
)

_TLS = ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile")
_SENTINEL = ("sentinel_username", "sentinel_password")
#: What may follow the question mark.
_OPTIONS = {
    "memory": (),
    "redis": (),
    "rediss": _TLS,
    "redis+sentinel": _SENTINEL,
    "rediss+sentinel": (*_SENTINEL, *_TLS),
    "unix": ("db",),
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the store is, and how to get in.

    Attributes:
        scheme: ``memory``, ``redis`` or ``unix``.
        hosts: of Redis, or of the Sentinels; host and port.
        path: of the Unix socket.
        service: by which name the Sentinels know Redis; empty where there are none.
        database: its number.
        username: of Redis; None for the default one.
        password: of Redis.
        sentinel_username: of the Sentinels.
        sentinel_password: of the Sentinels.
        tls: how to check the server, by the names that redis-py has for it; None: no TLS.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] | None = None

    def __str__(self) -> str:
        """Returns the URL, without passwords."""
        secured = "" if self.tls is None else "s"
        by = "+sentinel" if self.service else ""
        user = quote(self.username or "", safe="")
        login = f"{user}:***@" if self.password is not None else f"{user}@" if user else ""
        if self.scheme != "redis":
            return f"{self.scheme}://{login}{self.path}"
        hosts = ",".join(_shown(host, port) for host, port in self.hosts)
        service = f"/{quote(self.service, safe='')}" if by else ""
        return f"redis{secured}{by}://{login}{hosts}{service}/{self.database}"


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(url: str) -> Address:
    """Reads a URL.

    Args:
        url: see `FORMS`.

    Returns:
        What it says.

    Raises:
        ValueError: it is none of these; the text says why, and shows nothing that may be secret.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _OPTIONS:
        shown = f"{scheme}://" if separator and scheme.isascii() else "text without a scheme"
        raise ValueError(f"{shown} is no URL of a store: allowed is {FORMS}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong(scheme, "an IPv6 address is in []") from None
    try:
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise _wrong(scheme, "what follows the question mark is not name=value") from None
    if options.keys() - {*_OPTIONS[scheme]}:
        # Its name may be a part of a password.
        allowed = ", ".join(_OPTIONS[scheme]) or "none"
        raise _wrong(scheme, f"it has an option that is unknown (there are: {allowed})")
    if parts.fragment:
        raise _wrong(scheme, "a # in a password or path is written as %23")
    if options.get("ssl_cert_reqs", "required") not in ("none", "required"):
        raise _wrong(scheme, "ssl_cert_reqs is required or none")
    return _address(scheme, parts, options)


def _wrong(scheme: str, why: str) -> ValueError:
    return ValueError(f"the {scheme}:// URL cannot be: {why}; allowed is {FORMS}")


def _address(scheme: str, parts: SplitResult, options: dict[str, str]) -> Address:
    login, at, location = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    name = unquote(user) or None
    secret = unquote(password) if at and colon else None
    if scheme == "memory":
        if parts.netloc or parts.path:
            raise _wrong(scheme, "nothing follows it")
        return Address("memory")
    if scheme == "unix":
        path = unquote(parts.path)
        if location or len(path) < 2:
            raise _wrong(scheme, "the socket's path is absolute: unix:///run/redis.sock")
        number = _database(scheme, options.get("db", "0"))
        return Address("unix", path=path, database=number, username=name, password=secret)
    sentinel = scheme.endswith("+sentinel")
    port = SENTINEL_PORT if sentinel else REDIS_PORT
    hosts = tuple(_host(scheme, each, port) for each in location.split(","))
    if len(hosts) > 1 and not sentinel:
        raise _wrong(scheme, "several hosts are for redis+sentinel://")
    segments = [unquote(each) for each in parts.path.strip("/").split("/")]
    service = segments.pop(0) if sentinel else ""
    if sentinel and not service:
        raise _wrong(scheme, "the name of the service is missing: redis+sentinel://host/mymaster")
    if len(segments) > 1:
        raise _wrong(scheme, "what follows the host is the number of a database")
    return Address(
        "redis",
        hosts,
        service=service,
        database=_database(scheme, (segments or ["0"])[0] or "0"),
        username=name,
        password=secret,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls={key: options[key] for key in _TLS if key in options}
        if scheme.startswith("rediss")
        else None,
    )


def _host(scheme: str, text: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
        if port == 0:
            raise ValueError(port)
    except ValueError:
        raise _wrong(scheme, "a port is a number, 1 to 65535, an IPv6 address is in []") from None
    if not host:
        raise _wrong(scheme, "a host is missing")
    return host, port or default


def _database(scheme: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise _wrong(scheme, "a database is a number")
    return int(text)
