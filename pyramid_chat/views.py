"""The pages."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.view import view_config

from pyramid_chat.messages import MAX_NAME, MAX_TEXT

# No inline script, and nothing from elsewhere.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        # The htmlfile transport receives in a frame.
        "frame-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


@view_config(  # type: ignore[untyped-decorator]
    route_name="home", request_method="GET", permission="view"
)
def home(request: Request) -> HTTPFound:
    """Sends visitors to the chat."""
    return HTTPFound(request.route_path("chat"))


@view_config(  # type: ignore[untyped-decorator]
    route_name="chat",
    request_method="GET",
    renderer="pyramid_chat:templates/chat.pt",
    permission="view",
)
def chat(request: Request) -> dict[str, Any]:
    """Shows the page, which connects to the route that it is on."""
    headers = request.response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cache-Control"] = "no-cache"
    return {"max_name": MAX_NAME, "max_text": MAX_TEXT}
