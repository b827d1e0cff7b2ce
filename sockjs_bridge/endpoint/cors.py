"""What lets a page of another origin read an answer, and how long answers are kept."""

from __future__ import annotations

import time
from email.utils import formatdate

from sockjs_bridge.endpoint.outcomes import Answer, Headers
from sockjs_bridge.endpoint.request import Request

#: Seconds: a year, for what never changes.
YEAR = 31536000


def cors(request: Request, origin: str | None) -> Headers:
    """Returns the headers by which a page may read an answer.

    Args:
        request: what is answered.
        origin: that it claims.
    """
    headers = [("Access-Control-Allow-Origin", "*" if origin is None else origin)]
    if origin is not None:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    if wanted := request.headers.get("Access-Control-Request-Headers"):
        headers.append(("Access-Control-Allow-Headers", wanted))
    return [*headers, ("Vary", "Origin")]


def preflight(methods: str) -> Answer:
    """Answers the question which methods there are."""
    return Answer(204, [*cached_for_a_year(), *preflight_headers(methods)])


def preflight_headers(methods: str) -> Headers:
    """Returns what a browser hears of the methods, and for how long that holds."""
    return [("Access-Control-Max-Age", str(YEAR)), ("Access-Control-Allow-Methods", methods)]


def cached_for_a_year() -> Headers:
    """Returns the headers of what never changes."""
    return [
        ("Cache-Control", f"public, max-age={YEAR}"),
        ("Expires", formatdate(time.time() + YEAR, usegmt=True)),
    ]
