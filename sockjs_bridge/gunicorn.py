"""The worker class for gunicorn: ``gunicorn --paste site.ini -k sockjs_bridge.gunicorn.Worker``.

gunicorn is the process manager. It binds the sockets, starts processes, starts them again where one
died, and passes signals on. Each process serves as ``pserve`` does, with the settings that
``[server:main]`` of the same ini has for it. What gunicorn's own worker contract asks for stands in
its ``gunicorn/workers/base.py``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Any, NoReturn, cast
from wsgiref.types import WSGIApplication

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers import base
from paste.deploy import loadwsgi

from sockjs_bridge.ini import SettingError
from sockjs_bridge.server import paste
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.process import Stop, serve
from sockjs_bridge.server.runner import Runner, new_event_loop

SECTION = "server:main"

#: Seconds that a worker may need beyond ``shutdown_timeout``: what is broken off ends then.
LAST_SECONDS = 2.0
#: Seconds that requests and hooks have to end where gunicorn stops quickly.
QUICK = 0.5
#: Seconds between two signs of life, and two looks at what no event tells of.
TICK = 1.0

#: Settings of gunicorn that would promise what this worker does not do.
REFUSED = {
    "certfile": "TLS is for the proxy in front",
    "keyfile": "TLS is for the proxy in front",
    "proxy_protocol": "the proxy in front tells who the client is by X-Forwarded-For",
    "protocol": "this worker speaks HTTP",
}
_HEAD = f"max_request_header_size of [{SECTION}] bounds a request's head"
_PARSER = "requests are read as strictly as RFC 9112 asks for"
#: Settings of gunicorn that change nothing, and what is in their place.
WITHOUT_EFFECT = {
    "access_log_format": "lines are in the combined format",
    "forwarded_allow_ips": f"trusted_proxy of [{SECTION}] names proxies",
    "secure_scheme_headers": f"trusted_proxy_headers of [{SECTION}] names what they are believed",
    "forwarder_headers": f"trusted_proxy_headers of [{SECTION}] names what they are believed",
    "http_protocols": "connections are HTTP/1.1, and WebSockets",
    "keepalive": f"keepalive_timeout of [{SECTION}] is for that",
    "limit_request_field_size": _HEAD,
    "limit_request_fields": _HEAD,
    "limit_request_line": _HEAD,
    "casefold_http_method": _PARSER,
    "header_map": _PARSER,
    "permit_obsolete_folding": _PARSER,
    "permit_unconventional_http_method": _PARSER,
    "permit_unconventional_http_version": _PARSER,
    "strip_header_spaces": _PARSER,
    "post_request": "a tween sees responses",
    "pre_request": "a tween sees requests",
    "threads": f"threads of [{SECTION}] is for that",
    "websocket_max_message_size": "sockjs.max_message_size is for that",
    "worker_connections": "sockjs.max_sessions bounds sessions",
}


def server_options(cfg: Config) -> ServerOptions:
    """Reads ``[server:main]`` of the ini that gunicorn serves; without an ini, the defaults hold.

    Args:
        cfg: gunicorn's settings.

    Raises:
        SettingError: the section is missing, it is for another server, or a setting cannot be.
    """
    if cfg.paste is None:
        return ServerOptions()
    # gunicorn keeps the absolute path there: --chdir is done after it was given.
    path = cfg.default_proc_name
    try:
        context = loadwsgi.loadcontext(
            loadwsgi.SERVER, f"config:{path}", "main", global_conf=cfg.paste_global_conf
        )
    except Exception as error:
        # Whatever its `use` leads to, PasteDeploy imports it.
        raise SettingError(f"[{SECTION}] of {path} cannot be read: {error}") from None
    if context.object is not paste.server_factory:
        raise SettingError(
            f"[{SECTION}] of {path} is for another server: write `use = egg:sockjs-bridge`"
        )
    try:
        return ServerOptions.parse(context.local_conf)
    except SettingError as error:
        raise SettingError(f"[{SECTION}] {error}") from None


def check(cfg: Config, options: ServerOptions) -> None:
    """Looks at what gunicorn and the server were told, side by side.

    Args:
        cfg: gunicorn's settings.
        options: of the server.

    Raises:
        SettingError: they do not fit.
    """
    for name, why in REFUSED.items():
        if _is_changed(cfg, name):
            raise SettingError(
                f"{name} = {_value(cfg, name)!r} of gunicorn cannot be with this worker: {why}"
            )
    most = cfg.graceful_timeout - LAST_SECONDS
    if options.shutdown_timeout > most:
        raise SettingError(
            f"[{SECTION}] shutdown_timeout = {options.shutdown_timeout:g} is too long: gunicorn "
            f"kills a worker after graceful_timeout = {cfg.graceful_timeout}; allowed is up to "
            f"{max(0, most):g}, or more with --graceful-timeout"
        )


def without_effect(cfg: Config) -> list[str]:
    """Returns a sentence for each of gunicorn's settings that was changed in vain."""
    return [
        f"{name} = {_value(cfg, name)!r} has no effect with this worker: {instead}"
        for name, instead in WITHOUT_EFFECT.items()
        if _is_changed(cfg, name)
    ]


def _value(cfg: Config, name: str) -> object:
    return cfg.settings[name].get()


def _is_changed(cfg: Config, name: str) -> bool:
    """Tells whether a setting, which not every gunicorn has, is not at its default."""
    setting = cfg.settings.get(name)
    return setting is not None and setting.get() != type(setting)().get()


def share_logs(cfg: Config) -> None:
    """Has the server's loggers write where gunicorn's do.

    Access lines go where ``--access-logfile`` says. Where nothing configures loggers, the server's
    own lines go where ``--error-logfile`` says.

    Args:
        cfg: gunicorn's settings.
    """
    _follow("sockjs_bridge.access", "gunicorn.access")
    if not (cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json):
        for name in ("sockjs_bridge.server", "sockjs_bridge.views"):
            _follow(name, "gunicorn.error")


def _follow(name: str, leader: str) -> None:
    logger, leading = logging.getLogger(name), logging.getLogger(leader)
    if leading.handlers:
        for handler in leading.handlers:
            logger.addHandler(handler)
        logger.setLevel(leading.level)
        logger.propagate = False


class Worker(base.Worker):
    """A process of gunicorn that serves an application and its SockJS endpoints."""

    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        """Called by gunicorn once, before it starts processes.

        Raises:
            RuntimeError: with one sentence, by which gunicorn ends.
        """
        try:
            check(cfg, server_options(cfg))
        except SettingError as error:
            raise RuntimeError(str(error)) from None
        for sentence in without_effect(cfg):
            log.warning(sentence)

    def load_wsgi(self) -> None:
        """Loads the application. Where it cannot start, gunicorn ends and does not try again."""
        share_logs(self.cfg)
        try:
            # After a reload the ini is another one than `check_config` saw.
            self._options = server_options(self.cfg)
            check(self.cfg, self._options)
            super().load_wsgi()
        except SettingError as error:
            self._refuse(str(error))
        except SystemExit as end:
            if not self.alive:
                # A signal came meanwhile.
                raise
            self._refuse(str(end.code))

    def _refuse(self, reason: str) -> NoReturn:
        self.log.error(reason)
        raise SystemExit(Arbiter.WORKER_BOOT_ERROR)

    def run(self) -> None:
        """Serves until gunicorn says that it is enough."""
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._stop = Stop()
        self._quick = False
        self._runner = Runner(cast(WSGIApplication, self.wsgi), self._options)
        # gunicorn repeats SIGTERM while it waits for a worker: only the others are in a hurry.
        loop.add_signal_handler(signal.SIGTERM, self._end)
        for number in (signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._end_quickly)
        loop.add_signal_handler(signal.SIGUSR1, self.log.reopen_files)
        sockets = [cast(Any, each).sock for each in self.sockets]
        await serve(self._runner, self._options, sockets, self._stop, self._tick)

    def _end(self) -> None:
        self.alive = False
        self._stop.request()

    def _end_quickly(self) -> None:
        if self._quick:
            # Ctrl-C reaches gunicorn and its workers alike, and gunicorn tells them too.
            return
        self._quick = True
        self.cfg.worker_int(self)
        self._end()
        asyncio.get_running_loop().call_later(QUICK, self._stop.hurry)

    def _tick(self) -> None:
        """Gives a sign of life, also while the worker ends, and looks whether it is to end.

        gunicorn kills a worker that gave none for ``--timeout`` seconds.
        """
        self.notify()
        if self.alive and os.getppid() != self.ppid:
            self.log.info("gunicorn is gone: this worker ends")
            self._end()
        elif self.alive and self._runner.asked >= self.max_requests:
            self.log.info("max_requests is reached: this worker ends, another one takes its place")
            self._end()
        elif not self.alive:
            # By the reloader's thread, or by a signal before the loop ran.
            self._end()
        patience = self.timeout / 2 if self.timeout else TICK
        asyncio.get_running_loop().call_later(min(TICK, patience), self._tick)
