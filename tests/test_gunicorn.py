"""What gunicorn's worker is told: its ini, its options, its logs.

How it serves, `tests/integration/test_gunicorn.py` shows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from sockjs_bridge.gunicorn import (
    REFUSED,
    WITHOUT_EFFECT,
    Worker,
    check,
    server_options,
    share_logs,
    without_effect,
)
from sockjs_bridge.ini import SettingError
from sockjs_bridge.server.options import ServerOptions
from tests.server.support import PATIENCE

# A worker that runs in this process changes it.
pytestmark = pytest.mark.usefixtures("collector")


def config(ini: Path | None = None, **settings: object) -> Config:
    """Return what gunicorn knows when it was started with an ini."""
    cfg = Config()
    if ini is not None:
        settings |= {"paste": str(ini), "default_proc_name": str(ini)}
    for name, value in settings.items():
        cfg.set(name, value)
    return cfg


def put(folder: Path, text: str, name: str = "site.ini") -> Path:
    path = folder / name
    path.write_text(text)
    return path


OURS = "[server:main]\nuse = egg:sockjs-bridge\n"


# The ini


def test_the_section_is_read(tmp_path: Path) -> None:
    """As pserve reads it, defaults and variables included."""
    ini = put(
        tmp_path,
        "[DEFAULT]\nproxies = 10.0.0.0/8\n" + OURS + "listen = unix:%(here)s/s\n"
        "threads = 3\ntrusted_proxy = %(proxies)s\nkeepalive_timeout = %(patience)s\n",
    )
    options = server_options(config(ini, raw_paste_global_conf=["patience=7"]))
    assert options.threads == 3
    assert options.keepalive_timeout == 7
    assert options.proxy.trusted_proxy == (ip_network("10.0.0.0/8"),)


def test_the_section_of_another_file(tmp_path: Path) -> None:
    """It may inherit from another ini, and change what it says."""
    put(tmp_path, OURS + "threads = 3\nshutdown_timeout = 4\n", "production.ini")
    ini = put(tmp_path, "[server:main]\nuse = config:production.ini\nthreads = 5\n")
    options = server_options(config(ini))
    assert (options.threads, options.shutdown_timeout) == (5, 4)


def test_without_an_ini() -> None:
    """gunicorn may be given an application by its module."""
    assert server_options(config()) == ServerOptions()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (OURS + "treads = 3", "[server:main] treads is no setting of the server; there are: "),
        (OURS + "threads = none", "[server:main] threads = 'none' cannot be: allowed is "),
        ("[server:main]\nuse = egg:waitress", "site.ini is for another server: write `use = egg:"),
        ("[server:main]\nuse = egg:no-such-server", "cannot be read: No package metadata was"),
        ("[server:other]\nuse = egg:sockjs-bridge", "cannot be read: No section 'main' (prefixed"),
    ],
)
def test_a_section_that_cannot_be(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(SettingError) as error:
        server_options(config(put(tmp_path, section)))
    assert said in str(error.value)
    assert str(error.value).startswith("[server:main] ")


# gunicorn's settings


def test_all_settings_are_known() -> None:
    """The newest gunicorn has each of them."""
    assert {*REFUSED, *WITHOUT_EFFECT} <= {*Config().settings}


def test_nothing_is_said_of_defaults() -> None:
    check(config(), ServerOptions())
    assert without_effect(config()) == []


def test_changed_in_vain() -> None:
    def pre_request(worker: object, request: object) -> None: ...

    cfg = config(threads=4, forwarded_allow_ips="10.0.0.1", pre_request=pre_request)
    told = without_effect(cfg)
    assert [sentence.partition(" = ")[0] for sentence in told] == [
        *("forwarded_allow_ips", "pre_request", "threads")
    ]
    assert told[2] == (
        "threads = 4 has no effect with this worker: threads of [server:main] is for that"
    )


def test_a_gunicorn_without_a_setting() -> None:
    """Older ones lack some."""
    cfg = config()
    del cfg.settings["http_protocols"], cfg.settings["certfile"]
    check(cfg, ServerOptions())
    assert without_effect(cfg) == []


@pytest.mark.parametrize(
    "settings", [{"certfile": __file__}, {"keyfile": __file__}, {"proxy_protocol": "auto"}]
)
def test_refused(settings: dict[str, object]) -> None:
    (name,) = settings
    with pytest.raises(SettingError, match=rf"^{name} = .* cannot be with this worker: "):
        check(config(**settings), ServerOptions())


@pytest.mark.parametrize(("graceful", "most"), [(30, 28), (5, 3), (1, 0)])
def test_the_end_fits(graceful: int, most: int) -> None:
    """A worker ends by itself before gunicorn kills it."""
    cfg = config(graceful_timeout=graceful)
    if most:
        check(cfg, ServerOptions(shutdown_timeout=most))
    with pytest.raises(SettingError, match=rf"graceful_timeout = {graceful}; .* up to {most},"):
        check(cfg, ServerOptions(shutdown_timeout=most + 0.5))


def test_gunicorn_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error is what ends it, all else is a warning."""
    log = logging.getLogger("test")
    Worker.check_config(config(put(tmp_path, OURS), threads=3), log)  # type: ignore[arg-type]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with pytest.raises(RuntimeError, match=r"^\[server:main\] treads is no setting"):
        Worker.check_config(config(put(tmp_path, OURS + "treads = 3")), log)  # type: ignore[arg-type]


# Signals


class App:
    """What gunicorn hands to a worker: it loads the application.

    Attributes:
        wsgi: does so.
    """

    def __init__(self, wsgi: Callable[[], object]) -> None:
        self.wsgi = wsgi


@contextmanager
def worker(cfg: Config, load: Callable[[], object]) -> Iterator[Worker]:
    """A worker before its process has begun."""
    app: Any = App(load)
    made = Worker(1, os.getppid(), [], app, 15, cfg, Logger(cfg))
    try:
        yield made
    finally:
        made.tmp.close()


@pytest.mark.usefixtures("handlers")
def test_a_signal_while_the_application_is_loaded() -> None:
    """It ends the worker well: gunicorn does not take it for one that cannot start."""

    def load() -> None:
        loading.handle_quit(signal.SIGQUIT, None)

    with worker(config(), load) as loading, pytest.raises(SystemExit) as end:
        loading.load_wsgi()
    assert end.value.code == 0


@pytest.mark.usefixtures("handlers")
async def test_interrupted_twice() -> None:
    """By the terminal and by gunicorn, as Ctrl-C does: the hook is called once."""
    told: list[object] = []

    def interrupt() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with worker(config(worker_int=told.append), lambda: hello) as twice:
        twice.load_wsgi()
        asyncio.get_running_loop().call_soon(interrupt)
        async with asyncio.timeout(PATIENCE):
            await twice._serve()
        assert not twice.alive
    assert told == [twice]


def hello(environ: object, start_response: object) -> list[bytes]:
    raise AssertionError("nobody asks")


# Logs


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, logging.Handler]]:
    """gunicorn's loggers with a handler each; ours are left as they were."""
    made = {}
    for name in ("gunicorn.access", "gunicorn.error"):
        made[name] = logging.NullHandler()
        monkeypatch.setattr(logging.getLogger(name), "handlers", [made[name]])
        monkeypatch.setattr(logging.getLogger(name), "level", logging.INFO)
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)
    for name in ("access", "server", "views"):
        logger = logging.getLogger(f"sockjs_bridge.{name}")
        for attribute in ("level", "propagate"):
            monkeypatch.setattr(logger, attribute, getattr(logger, attribute))
        monkeypatch.setattr(logger, "handlers", [])
    yield made
    logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.mark.parametrize("configured", [False, True])
def test_logs(handlers: dict[str, logging.Handler], tmp_path: Path, configured: bool) -> None:
    """Access lines go where gunicorn's go; the server's do where the ini says nothing of logs."""
    share_logs(config(logconfig=str(put(tmp_path, "")) if configured else None))
    access = logging.getLogger("sockjs_bridge.access")
    assert handlers["gunicorn.access"] in access.handlers
    assert access.isEnabledFor(logging.INFO)
    assert not access.propagate
    for name in ("server", "views"):
        own = logging.getLogger(f"sockjs_bridge.{name}").handlers
        assert (handlers["gunicorn.error"] in own) is not configured


def test_no_access_log(handlers: dict[str, logging.Handler]) -> None:
    """Without --access-logfile the ini's own loggers stay as they are."""
    logging.getLogger("gunicorn.access").handlers.clear()
    share_logs(config(logconfig_dict={"version": 1}))
    assert logging.getLogger("sockjs_bridge.access").handlers == []
    assert logging.getLogger("sockjs_bridge.access").propagate
