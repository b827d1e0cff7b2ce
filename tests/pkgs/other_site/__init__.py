"""Another site, whose page tries what it can with its visitor's cookies (`attacks.js`)."""

from __future__ import annotations

import json
from pathlib import Path

import sockjs_bridge

CLIENT = Path(sockjs_bridge.__file__).parent / "static" / "sockjs.min.js"
PAGE = """<!DOCTYPE html>
<title>Another site</title>
<body>
<script src="/sockjs.js"></script>
<script src="/attacks.js"></script>
"""
#: What the client wants to hear before it tries a transport.
INFO = {"websocket": True, "origins": ["*:*"], "cookie_needed": True, "entropy": 1}


def app(environ, start_response):
    """Serve the page and its scripts."""
    found = {
        "/": ("text/html", PAGE.encode),
        "/sockjs.js": ("text/javascript", CLIENT.read_bytes),
        "/attacks.js": ("text/javascript", Path(__file__).with_name("attacks.js").read_bytes),
        "/info": ("application/json", json.dumps(INFO).encode),
    }.get(environ["PATH_INFO"])
    if found is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"nothing here"]
    content_type, read = found
    start_response("200 OK", [("Content-Type", content_type)])
    return [read()]
