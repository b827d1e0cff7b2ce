"""Which web pages may connect: the decision that stands in for a CSRF token."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from sockjs_bridge.endpoint.loglimit import LogLimit

logger = logging.getLogger("sockjs_bridge.server")

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class OriginPolicy:
    """Compares the origin of a request's page (RFC 6454) with what is allowed.

    Args:
        allowed: ``https://app.example.com``, ``https://*.example.org`` (any subdomain, not the
            domain itself) or ``*``, in lower case; the page's own origin always may.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._any = "*" in allowed
        self._exact = {_without_default_port(item) for item in allowed if "*" not in item}
        self._suffixes = []
        for item in allowed:
            scheme, separator, domain = _without_default_port(item).partition("://*")
            if separator:
                self._suffixes.append((scheme, domain))
        #: Whether no other origin than the page's own may connect.
        self.same_only = not allowed

    @staticmethod
    def of(headers: Mapping[str, str]) -> str | None:
        """Returns the origin that a request claims, as it stands there.

        Some proxies strip ``Origin``: the origin of ``Referer`` stands in for it.
        """
        if (origin := headers.get("Origin")) is not None:
            return origin
        try:
            referer = urlsplit(headers.get("Referer", ""))
        except ValueError:
            return None
        if referer.scheme not in _DEFAULT_PORTS or not referer.netloc:
            return None
        return f"{referer.scheme}://{referer.netloc.rpartition('@')[2]}"

    def allows(
        self, origin: str | None, headers: Mapping[str, str], host: str, own_scheme: str = ""
    ) -> bool:
        """Tells whether a request may connect.

        The page's own origin is told by its host: behind a proxy that says nothing the server takes
        for http what is https. Where it knows that it is https, a page of http is another one (RFC
        6454, 4), which whoever sits on the wire may have written.

        Args:
            origin: what `of` returned.
            headers: of the request.
            host: the value of its ``Host``, or what a trusted proxy says instead.
            own_scheme: by which the server, or a trusted proxy, was asked; empty where unknown.
        """
        if self._any:
            return True
        if origin is None:
            # A page can suppress both headers, but not what the browser itself says about where
            # the page comes from. Other clients than browsers send none of them.
            return headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        origin = _without_default_port(origin.lower())
        scheme, _, netloc = origin.partition("://")
        if scheme not in _DEFAULT_PORTS or not netloc or "/" in netloc:
            return False
        downgraded = (scheme, own_scheme) == ("http", "https")
        if netloc == host.lower().removesuffix(_DEFAULT_PORTS[scheme]) and not downgraded:
            return True
        return origin in self._exact or any(
            scheme == allowed_scheme and netloc.endswith(domain)
            for allowed_scheme, domain in self._suffixes
        )


class RefusedOrigins:
    """Logs which origins an endpoint refuses: the page does not hear why.

    An origin is whatever a client wrote: what is logged and what is remembered of it is bounded.

    Args:
        name: of the endpoint's route.
        allowed: beside the page's own.
    """

    #: Characters of an origin, and of a host.
    SHOWN: ClassVar[int] = 200

    def __init__(self, name: str, allowed: Sequence[str]) -> None:
        self._name = name
        self._allowed = " ".join(allowed) or "none"
        self._limit = LogLimit()

    def note(self, origin: str | None, host: str, scheme: str, now: float) -> None:
        """Logs an origin that was refused, if that was not done lately.

        Args:
            origin: what `OriginPolicy.of` returned.
            host: what it was compared with.
            scheme: by which the server was asked; empty where unknown.
            now: in seconds of a monotonic clock.
        """
        # It must not begin a line of its own, nor tell a terminal anything.
        shown = "(not told)" if origin is None else ascii(origin[: self.SHOWN])
        if not self._limit.allows(shown, now):
            return
        logger.warning(
            "the SockJS route %r refused the origin %s: it is not this server's own, %a (from Host,"
            " or from a trusted proxy), and not in sockjs.allowed_origins (%s). If the page belongs"
            " to this site, let the proxy pass Host on. If it is of another site and may connect,"
            " add its origin to that setting",
            self._name,
            shown,
            f"{scheme}://{host[: self.SHOWN]}" if scheme else host[: self.SHOWN],
            self._allowed,
        )


def _without_default_port(origin: str) -> str:
    scheme = origin.partition("://")[0]
    return origin.removesuffix(_DEFAULT_PORTS.get(scheme, " "))
