"""Which web pages may connect: the decision that stands in for a CSRF token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

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

    def allows(self, origin: str | None, headers: Mapping[str, str], host: str) -> bool:
        """Tells whether a request may connect.

        Args:
            origin: what `of` returned.
            headers: of the request.
            host: the value of its ``Host``, or what a trusted proxy says instead.
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
        if netloc == host.lower().removesuffix(_DEFAULT_PORTS[scheme]):
            return True
        return origin in self._exact or any(
            scheme == allowed_scheme and netloc.endswith(domain)
            for allowed_scheme, domain in self._suffixes
        )


def _without_default_port(origin: str) -> str:
    scheme = origin.partition("://")[0]
    return origin.removesuffix(_DEFAULT_PORTS.get(scheme, " "))
