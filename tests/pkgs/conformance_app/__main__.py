"""Serves the application to who speaks no Python: prints the URL, and ends with its input."""

from __future__ import annotations

import sys

from sockjs_bridge.testing import serve
from tests.pkgs.conformance_app import main

if __name__ == "__main__":
    with serve(main(**{"sockjs.allowed_origins": "*"})) as url:
        print(url, flush=True)
        sys.stdin.read()
