"""Browsers that somebody has signed in with before, by a cookie that this server has signed."""

from __future__ import annotations

import secrets
from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from webob.cookies import SignedCookieProfile

COOKIE = "chat_device"
YEAR = 365 * 86400
"""Seconds that a browser is known."""
MAX_PEOPLE = 10
"""People that one browser is known for: those who signed in last."""


class Devices:
    """Knows browsers. That opens no door: it is worth a bucket of one's own for wrong passwords.

    Args:
        secret: signs the cookies.
        secure: they are sent over https only.
    """

    def __init__(self, secret: str, *, secure: bool) -> None:
        self._profile = SignedCookieProfile(
            secret, COOKIE, COOKIE, secure=secure, max_age=YEAR, httponly=True, samesite="Lax"
        )

    def device_of(self, request: Request) -> str | None:
        """Returns the id of a browser that anybody has signed in with before; else None."""
        device, user_ids = self._known(request)
        return device if user_ids else None

    def knows(self, request: Request, user_id: int) -> bool:
        """Tells whether somebody has signed in with a browser before.

        Args:
            request: of the browser.
            user_id: the person's. Their name may be another one's later.
        """
        return user_id in self._known(request)[1]

    def remember(self, request: Request, response: Response, user_id: int) -> None:
        """Notes that somebody has signed in.

        Args:
            request: of the browser.
            response: gets the cookie.
            user_id: the person's.
        """
        device, user_ids = self._known(request)
        user_ids = [*(other for other in user_ids if other != user_id), user_id][-MAX_PEOPLE:]
        self._profile.bind(request).set_cookies(response, [device, user_ids])

    def _known(self, request: Request) -> tuple[str, list[int]]:
        # What is not signed is None. What is, was made here.
        value: Any = self._profile.bind(request).get_value()
        if value is None:
            return secrets.token_urlsafe(16), []
        device, user_ids = value
        return device, user_ids


def devices_of(registry: Registry) -> Devices:
    """Returns what knows the browsers of an application."""
    devices: Devices = registry.chat_devices
    return devices
