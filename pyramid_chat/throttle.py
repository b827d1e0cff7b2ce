"""What slows down who guesses passwords, or makes too many accounts."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable

from pyramid_chat.limits import Limit, Limits
from pyramid_chat.names import MAX_NAME

NETWORK = 64
"""Bits of an IPv6 address that name a subscriber (RFC 6177); the rest is theirs to choose."""


def network_of(address: str | None) -> str:
    """Returns what an address counts as: of IPv6 its /64; what is no address, as it is."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, NETWORK), strict=False))


class Attempt:
    """One try to sign in.

    Attributes:
        wait: seconds until one is allowed; 0.0: this one is.
    """

    def __init__(self) -> None:
        self.wait = 0.0
        self._taken: list[tuple[Limit, Hashable]] = []

    def take(self, limit: Limit, key: Hashable, *, back: bool = True) -> None:
        """Takes a token, or has to wait for it.

        Args:
            limit: whose.
            key: of the bucket.
            back: whether it is given back where the attempt did not fail.
        """
        if wait := limit.take(key):
            self.wait = max(self.wait, wait)
        elif back:
            self._taken.append((limit, key))

    def take_either(self, limit: Limit, other: Limit, key: Hashable, other_key: Hashable) -> None:
        """Takes a token of a limit; where there is none, of another one."""
        if limit.take(key):
            self.take(other, other_key)
        else:
            self._taken.append((limit, key))

    def take_back(self) -> None:
        """It did not fail: the password was right, or was not looked at."""
        for limit, key in self._taken:
            limit.give_back(key)


class Throttle:
    """Slows down who guesses passwords, and keeps nobody from their account.

    Who comes with a browser that signed in before has buckets of their own, which nobody else can
    empty. Of others, whoever guesses from elsewhere can do no more than that a new address has one
    try at a time.

    Args:
        limits: makes its limits.

    Attributes:
        guesses: attempts that failed, by the name that was tried and where they came from; or by
            the browser.
        names: attempts that failed, by the name alone.
        strangers: attempts that failed while ``names`` has no token, as ``guesses`` has them.
        addresses: attempts that failed, by where they came from.
        attempts: all attempts, by where they came from, or those of somebody's own browsers.
        browsers: all attempts of a browser that somebody signed in with before, whoever they are.
        registrations: new accounts, by where they came from.
        invitations: links to rooms that were not good, by where who opened them came from.
        changes: changes of names and passwords, and guesses at one's own, by whose they are.
    """

    def __init__(self, limits: Limits) -> None:
        self.guesses = limits.make("guesses", 2, 10)
        self.names = limits.make("names", 20, 200)
        self.strangers = limits.make("strangers", 0.1, 1)
        self.addresses = limits.make("addresses", 10, 100)
        self.attempts = limits.make("attempts", 30, 60)
        self.browsers = limits.make("browsers", 30, 60)
        self.registrations = limits.make("registrations", 2, 30)
        self.invitations = limits.make("invitations", 10, 100)
        self.changes = limits.make("changes", 2, 10)

    def attempt(self, name: str, address: str | None, device: str | None) -> Attempt:
        """Counts an attempt. Before the slow look at the password, so that many at once count.

        Args:
            name: the folded one that is tried.
            address: where it comes from.
            device: the browser's id, where somebody of that name has signed in with it before.

        Returns:
            It. One that has to wait counts for ``attempts`` alone.
        """
        # No longer than one that there may be: it is kept for a while.
        tried = name[: 2 * MAX_NAME]
        network = network_of(address)
        attempt = Attempt()
        attempt.take(self.attempts, ("of", tried) if device is not None else network, back=False)
        if attempt.wait:
            return attempt
        if device is not None:
            attempt.take(self.guesses, (tried, "by", device))
        else:
            attempt.take(self.guesses, (tried, network))
            attempt.take(self.addresses, network)
            attempt.take_either(self.names, self.strangers, tried, (tried, network))
        if attempt.wait:
            attempt.take_back()
        return attempt

    def register(self, address: str | None) -> float:
        """Counts a new account; returns 0.0, or the seconds until one is allowed."""
        return self.registrations.take(network_of(address))
