"""Who opened a session, and by which headers later requests of that session prove it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

#: The identity of a request that the application did not look at.
UNKNOWN: Final = object()
#: How many variants of the headers a session remembers: a cookie that is issued again may be on its
#: way while requests with the former one are.
KNOWN = 4

# The endpoint's own cookie says nothing of who it is; browsers send it from the second request on.
# By hand: http.cookies gives up on all cookies where one of them has an odd name.
JSESSIONID = re.compile(r"(?:^|;)[ \t]*JSESSIONID=([!-:<-~](?:[ !-:<-~]*[!-:<-~])?)")


def fingerprint(headers: Mapping[str, str], *, jsessionid: bool = False) -> bytes:
    """Returns a digest of the headers that say who makes a request.

    Args:
        headers: of the request.
        jsessionid: that cookie is the endpoint's own; else it is the application's as any other.
    """
    found: dict[str, list[str]] = {"cookie": [], "authorization": []}
    for name, value in headers.items():
        # There may be several of a name (RFC 9113, 8.2.3), and the application sees them all.
        if (values := found.get(name.lower())) is not None:
            values.append(value)
    cookie = "; ".join(found["cookie"])
    if jsessionid:
        cookie = JSESSIONID.sub("", cookie).lstrip("; \t")
    text = f"{cookie}\n{','.join(found['authorization'])}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


class Credentials:
    """The headers with which a session goes on, and the identity that the application sees in them.

    Args:
        opened_with: the `fingerprint` of the request that opens the session.

    Attributes:
        identity: as the application's security policy named it at the handshake; None stands for
            nobody.
        settled: the handshake is over.
    """

    __slots__ = ("_last", "_others", "identity", "settled")

    def __init__(self, opened_with: bytes) -> None:
        # Apart: a tuple for one takes as much memory as all else here.
        self._last = opened_with
        self._others: tuple[bytes, ...] = ()
        self.identity: object = None
        self.settled = False

    def settle(self, identity: object) -> None:
        """Notes whom the application let in."""
        self.identity = identity
        self.settled = True

    def passes(self, digest: bytes) -> bool:
        """Tells whether a request goes on without the application being asked again.

        Args:
            digest: the request's `fingerprint`.
        """
        if self.settled and self.identity is None:
            # Nobody is signed in: the session's id is all there is to compare.
            return True
        return digest == self._last or digest in self._others

    def renew(self, digest: bytes) -> None:
        """Remembers headers in which the application saw the same identity.

        Args:
            digest: their `fingerprint`.
        """
        # Requests that came at once were asked about one by one.
        if digest != self._last:
            known = (*(other for other in self._others if other != digest), self._last)
            self._last, self._others = digest, known[1 - KNOWN :]
