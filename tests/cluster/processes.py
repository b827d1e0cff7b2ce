"""Several server processes of one application, and what distributes connections over them.

A test starts them (fixtures ``processes`` and ``balance``), kills one, stops one in good order, has
one stand still, and starts it again where it was. What they said is printed at the end, for pytest
to show where a test failed.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.integration.pserve import QuickPserve, write_ini
from tests.proxies.programs import (
    CERTIFICATE,
    DEPLOY,
    KEY,
    TLSProgram,
    find_program,
    free_port,
    nginx,
)

APPLICATION = "tests.cluster.application:main"


class Server:
    """One process of several: where it listens stays the same when it is started again.

    Args:
        folder: for its files.
        listen: where it listens: ``127.0.0.1:port`` or ``unix:/path``.
        app: lines of ``[app:main]``.
        server: lines of ``[server:main]``.
        factory: of the application.

    Attributes:
        process: the one that runs, or ran last.
    """

    process: QuickPserve

    def __init__(
        self, folder: Path, listen: str, app: str = "", server: str = "", factory: str = APPLICATION
    ) -> None:
        folder.mkdir()
        self.listen = listen
        self._ini = write_ini(folder, f"listen = {listen}\n{server}", app, factory=factory)
        self._said: list[str] = []

    @property
    def url(self) -> str:
        """Where it is reached past the balancer, if it listens on a port."""
        assert not self.listen.startswith("unix:")
        return f"http://{self.listen}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.process.pid

    def start(self) -> None:
        """Starts a process; `wait` waits for it."""
        self.process = QuickPserve(self._ini)

    def wait(self) -> None:
        """Waits until it serves."""
        self.process.urls()

    def kill(self) -> None:
        """Ends it at once, as the system may."""
        self.process.signal(signal.SIGKILL)
        assert self.process.exit_code() == -signal.SIGKILL
        self.end()

    def terminate(self) -> None:
        """Tells it to end in good order; does not wait."""
        self.process.signal(signal.SIGTERM)

    def pause(self) -> None:
        """Has it stand still."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Has it go on after `pause`."""
        self.process.signal(signal.SIGCONT)

    def end(self) -> None:
        """Ends it, whatever it does, and keeps what it said."""
        if self.process.process.poll() is None:
            self.resume()
        self.process.end()
        said = f"process {self.pid} on {self.listen}:\n{self.process.said}"
        if said not in self._said:
            self._said.append(said)

    @property
    def log(self) -> str:
        """What its processes said that have ended."""
        return "\n".join(self._said)


class Processes:
    """Processes of one application, as several instances of a service are.

    Args:
        folder: for their files.
        count: how many.
        settings: of ``[app:main]``, ``sockjs.cluster`` for example.
        server: of ``[server:main]``.
        unix: they listen on Unix sockets; else on ports of 127.0.0.1.
        factory: of the application.
    """

    def __init__(
        self,
        folder: Path,
        count: int = 2,
        *,
        settings: Mapping[str, object] | None = None,
        server: Mapping[str, object] | None = None,
        unix: bool = False,
        factory: str = APPLICATION,
    ) -> None:
        # The path of a socket has 107 bytes at most (unix(7)), less than the name of a test.
        self._sockets = Path(tempfile.mkdtemp(prefix="sockjs-"))
        # They trust their balancer, which tells whom it has.
        trust = {
            "trusted_proxy": "unix" if unix else "127.0.0.1",
            "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto",
        }
        lines = [_lines(settings or {}), _lines({**trust, **(server or {})})]
        self.servers = [
            Server(
                folder / f"process{number}",
                f"unix:{self._sockets}/{number}" if unix else f"127.0.0.1:{free_port()}",
                *lines,
                factory,
            )
            for number in range(1, count + 1)
        ]

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            for server in self.servers:
                server.wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        for server in self.servers:
            if hasattr(server, "process"):
                server.end()
                print(server.log)
        shutil.rmtree(self._sockets)

    def __getitem__(self, index: int) -> Server:
        return self.servers[index]

    def __iter__(self) -> Iterator[Server]:
        return iter(self.servers)

    @property
    def listens(self) -> list[str]:
        """Where they listen, as their ini has it."""
        return [server.listen for server in self.servers]

    @property
    def pids(self) -> set[int]:
        """The ids of the processes that run, or ran last."""
        return {server.pid for server in self.servers}


def _lines(settings: Mapping[str, object]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in settings.items())


class _Balancer(TLSProgram):
    """A site of docs/deploy with several instances.

    Args:
        folder: for its files.
        listens: where the instances listen, as their ini has it; they get connections in turn.
        tls: browsers speak https to it, as in the file; else plain HTTP.
    """

    #: The file, the line for one instance in it, and how this program writes a Unix socket.
    site: str
    line: str
    unix: str

    def __init__(self, folder: Path, listens: Iterable[str], *, tls: bool = False) -> None:
        super().__init__(folder)
        self._addresses = [listen.replace("unix:", self.unix, 1) for listen in listens]
        self.tls = tls
        self.scheme = "https" if tls else "http"

    def adapted(self, changes: Mapping[str, str]) -> str:
        """Returns the file with these instances in it, and with changes that have their place."""
        text = (DEPLOY / self.site).read_text(encoding="utf-8")
        block = "".join(self._line(number, f"{self.unix}{path}") for number, path in INSTANCES)
        changes = {
            block: "".join(self._line(*instance) for instance in enumerate(self._addresses, 1)),
            **changes,
        }
        for old, new in changes.items():
            assert old in text, f"{self.site} has no {old!r}"
            text = text.replace(old, new)
        return text

    def _line(self, number: int, address: str) -> str:
        return self.line.format(number=number, address=address)


#: Those in the files of docs/deploy.
INSTANCES = [(number, f"/run/pyramid-chat/{number}/chat.sock") for number in (1, 2, 3)]


class HAProxyInTurn(_Balancer):
    """HAProxy, ``balance roundrobin``."""

    site = "haproxy-instances.cfg"
    line = "    server chat{number} {address}\n"
    unix = "unix@"

    def configure(self) -> list[str]:
        certificate = "/etc/haproxy/chat.example.com.pem"
        listens = f"    bind :443 ssl crt {certificate} alpn h2,http/1.1\n"
        changes = {
            "    bind :80\n": f"    bind 127.0.0.1:{self.port}\n",
            listens: "",
            "    http-request redirect scheme https code 301 unless { ssl_fc }\n": "",
            "X-Forwarded-Proto https": "X-Forwarded-Proto http",
        }
        if self.tls:
            super().configure()
            both = self.folder / "both.pem"
            both.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
            changes = {
                "bind :80\n": f"bind 127.0.0.1:{free_port()}\n",
                "bind :443 ": f"bind 127.0.0.1:{self.port} ",
                certificate: str(both),
            }
        file = self.folder / "haproxy.cfg"
        file.write_text(self.adapted(changes))
        return [find_program("haproxy"), "-db", "-f", str(file)]


class NginxInTurn(_Balancer):
    """nginx, whose way is to take one after the other."""

    site = "nginx-instances.conf"
    line = "    server {address} max_fails=0;\n"
    unix = "unix:"

    def configure(self) -> list[str]:
        changes = {
            "    listen 80;\n": f"    listen 127.0.0.1:{free_port()};\n",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port};",
            f"    ssl_certificate {CERTIFICATE};\n": "",
            f"    ssl_certificate_key {KEY};\n": "",
        }
        if self.tls:
            super().configure()
            changes |= {
                "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port} ssl http2;",
                f"    ssl_certificate {CERTIFICATE};\n": f"ssl_certificate {self.certificate};\n",
                f"    ssl_certificate_key {KEY};\n": f"ssl_certificate_key {self.key};\n",
            }
        (self.folder / "site.conf").write_text(self.adapted(changes))
        return nginx(self.folder)


#: By the fixtures' names for them.
BALANCERS: dict[str, type[_Balancer]] = {"haproxy": HAProxyInTurn, "nginx": NginxInTurn}
