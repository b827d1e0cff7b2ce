"""The pytest fixture of applications that use the bridge; pytest finds it by its entry point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest


@pytest.fixture
def sockjs_serve() -> Iterator[Callable[..., str]]:
    """Serves applications as long as one test runs.

    ``url = sockjs_serve(app)``: it takes what `sockjs_bridge.testing.serve` takes, any number of
    times, and returns the URL.
    """
    # Other tests than these need not wait for it.
    from sockjs_bridge.testing import serve

    with ExitStack() as stack:

        def start(app: Any, **settings: Any) -> str:
            return stack.enter_context(serve(app, **settings))

        yield start
