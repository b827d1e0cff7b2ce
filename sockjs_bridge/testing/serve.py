"""A server for tests: an application on a free port, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import WSGIApplication

from sockjs_bridge.server.ending import end_tasks
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner, new_event_loop


@contextmanager
def serve(app: WSGIApplication, **settings: Any) -> Iterator[str]:
    """Serves an application on a free port of 127.0.0.1, in a thread.

    ::

        with serve(app) as url:
            ...

    Args:
        app: the WSGI application.
        **settings: of the server, as in ``[server:main]``.

    Yields:
        The URL, as ``http://127.0.0.1:40001``.
    """
    options = ServerOptions.parse({"listen": "127.0.0.1:0", "shutdown_timeout": 2, **settings})
    sockets = options.bind()
    port = sockets[0].getsockname()[1]
    started = threading.Event()
    stop = asyncio.Event()
    loop = new_event_loop()
    failures: list[BaseException] = []

    async def run() -> None:
        runner = Runner(app, options)
        await runner.start(sockets)
        started.set()
        await stop.wait()
        await runner.stop()
        await end_tasks()

    def main() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(run())
        except BaseException as error:
            failures.append(error)
        finally:
            for sock in sockets:
                sock.close()
            started.set()

    thread = threading.Thread(target=main, name="sockjs-testing")
    thread.start()
    started.wait()
    try:
        if not failures:
            yield f"http://127.0.0.1:{port}"
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
    if failures:
        raise failures[0]
