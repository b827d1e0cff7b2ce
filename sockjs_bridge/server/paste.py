"""The server behind ``pserve``: ``[server:main] use = egg:sockjs-bridge``."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from wsgiref.types import WSGIApplication

from sockjs_bridge.ini import SettingError
from sockjs_bridge.server import process
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.process import Stop
from sockjs_bridge.server.runner import Runner, new_event_loop

logger = logging.getLogger("sockjs_bridge.server")


def server_factory(
    global_conf: Mapping[str, str], **settings: str
) -> Callable[[WSGIApplication], None]:
    """Makes the server that an ini file describes (``paste.server_factory``).

    The sockets are bound here, before the application is loaded, so that a port in use is told
    at once.

    Args:
        global_conf: the ini's ``[DEFAULT]``; unused.
        **settings: of `ServerOptions`, and those that waitress has for trusted proxies.

    Raises:
        SystemExit: with one sentence: a setting cannot be, a socket cannot be had, or the system is
            Windows.
    """
    # Its event loop has no signal handlers.
    if sys.platform == "win32":
        raise SystemExit(
            "[server] sockjs_bridge does not run on Windows: it needs Linux or another POSIX system"
        )
    try:
        options = ServerOptions.parse(settings)
        sockets = options.bind()
    except SettingError as error:
        raise SystemExit(f"[server] {error}") from None

    def serve(app: WSGIApplication) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(app, options, sockets))

    return serve


async def _serve(
    app: WSGIApplication, options: ServerOptions, sockets: list[socket.socket]
) -> None:
    """Serves until SIGTERM or SIGINT; a second one ends the waiting for requests."""
    loop = asyncio.get_running_loop()
    stop = Stop()

    def on_signal(number: signal.Signals) -> None:
        if stop.requested.is_set():
            stop.hurry()
        else:
            # Who presses Ctrl-C waits for it.
            stop.request(drain=number != signal.SIGINT)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)

    def tell() -> None:
        for sock in sockets:
            _tell(_address(sock, options.url_scheme))

    await process.serve(Runner(app, options), options, sockets, stop, tell)


def _tell(address: str) -> None:
    """Tells where it serves, whatever the ini logs and where to: whoever starts it looks there."""
    logger.info("serving on %s", address)
    if not (logger.isEnabledFor(logging.INFO) and _is_seen(logger)):
        # Beside pserve's own line.
        print(f"serving on {address}", flush=True)


def _is_seen(logger: logging.Logger | None) -> bool:
    """Tells whether what is logged comes to where the process was started."""
    console = sys.stdout, sys.stderr
    while logger is not None:
        for handler in logger.handlers:
            if handler.level <= logging.INFO and getattr(handler, "stream", None) in console:
                return True
        logger = logger.parent if logger.propagate else None
    return False


def _address(sock: socket.socket, scheme: str) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"{scheme}://{host}:{name[1]}"
