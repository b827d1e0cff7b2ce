"""CSRF tokens that look different in every page.

A page that is compressed is the shorter the more of it repeats: by its length an attacker could try
what a secret in it begins with (BREACH, https://breachattack.com). Each page has the token under
random bytes of its own.
"""

from __future__ import annotations

import secrets

from pyramid.csrf import LegacySessionCSRFStoragePolicy
from pyramid.request import Request


def masked(token: str) -> str:
    """Returns a token under random bytes, which come first.

    Args:
        token: in hexadecimal digits, as Pyramid's sessions make them.
    """
    secret = bytes.fromhex(token)
    mask = secrets.token_bytes(len(secret))
    return (mask + _xor(mask, secret)).hex()


def unmasked(text: str) -> str:
    """Returns the token that `masked` was given; "" where a text cannot come from there."""
    try:
        content = bytes.fromhex(text)
        middle = len(content) // 2
        return _xor(content[:middle], content[middle:]).hex()
    except ValueError:
        return ""


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


class MaskedTokens(LegacySessionCSRFStoragePolicy):  # type: ignore[misc]
    """Keeps a token in the session, and hands it out masked."""

    def new_csrf_token(self, request: Request) -> str:
        """Sets a new token, and returns it masked."""
        return masked(super().new_csrf_token(request))

    def get_csrf_token(self, request: Request) -> str:
        """Returns the token, masked anew."""
        return masked(super().get_csrf_token(request))

    def check_csrf_token(self, request: Request, supplied_token: str) -> bool:
        """Tells whether a token is the session's: masked, or as pages of older releases have it."""
        kept: str = request.session.get_csrf_token()
        return any(
            secrets.compare_digest(kept.encode(), text.encode(errors="replace"))
            for text in (supplied_token, unmasked(supplied_token))
        )
