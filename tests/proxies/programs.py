"""Real proxies, with the configuration that people have.

nginx, HAProxy, Apache and Caddy run the files below ``docs/deploy``, Squid runs the one that Debian
installs; only ports, paths and what a test is about are changed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

import pytest

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
PATIENCE = 40.0
"""Seconds after which a wait for a program has failed."""

CERTIFICATE = "/etc/letsencrypt/live/chat.example.com/fullchain.pem"
KEY = "/etc/letsencrypt/live/chat.example.com/privkey.pem"


def find_program(name: str) -> str:
    """Return the path of a program; without it the test fails, unless it is to be skipped."""
    # Debian keeps servers where not every user's PATH leads.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found:
        return found
    if os.environ.get("SOCKJS_SKIP_E2E"):
        pytest.skip(f"{name} is not installed, and SOCKJS_SKIP_E2E is set")
    pytest.fail(
        f"{name} is not installed: `make programs` installs it on Debian. "
        "Set SOCKJS_SKIP_E2E=1 to leave the tests out that need it.",
        pytrace=False,
    )


_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses.

    The system gives it to no connection, and we to no other test while this process runs: a server
    that is killed and started again can have it.
    """
    while True:
        port = 16384 + secrets.randbelow(16384)
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            # A name of Linux's own: no file, and free again when the process ends.
            claim.bind(f"\0sockjs-bridge-tests-{port}")
            with socket.create_server(("127.0.0.1", port)):
                _claims.append(claim)
                return port
        claim.close()


def adapted(name: str, changes: dict[str, str]) -> str:
    """Return a file of docs/deploy with changes, each of which must have its place."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    return text


class Program(ABC):
    """A program that runs in the foreground, as a process of its own, while a test needs it.

    Args:
        folder: for its files.
        url: of the server behind it.

    Attributes:
        port: where it listens, on 127.0.0.1.
        upstream: host and port of the server behind it.
    """

    scheme: ClassVar[str] = "https"

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.upstream = urlsplit(url).netloc
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @abstractmethod
    def configure(self) -> list[str]:
        """Write its configuration and return its command."""

    def log(self) -> str:
        """Return what it has written."""
        return (self.folder / "program.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        command = self.configure()
        with (self.folder / "program.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        deadline = time.monotonic() + PATIENCE
        try:
            while not self._answers():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command[0]} does not listen:\n{self.log()}", pytrace=False)
                time.sleep(0.02)
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
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
        except OSError:
            return False
        return True


def make_certificate(certificate: Path, key: Path) -> None:
    """Make a certificate of 127.0.0.1, which is its own authority."""
    subprocess.run(
        [
            *(find_program("openssl"), "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )


class TLSProgram(Program):
    """One that has a certificate, which it made itself."""

    @property
    def certificate(self) -> Path:
        """The certificate, which is its own authority."""
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        """The key of the certificate."""
        return self.folder / "key.pem"

    def configure(self) -> list[str]:
        make_certificate(self.certificate, self.key)
        return []


def nginx(folder: Path) -> list[str]:
    """Return the command of nginx for the file site.conf of a folder.

    Such a file to include has no user, paths and processes: Debian's are for its service.
    """
    folders = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log {folder}/access.log;\n{folders}"
        f"include {folder}/site.conf;\n}}\n"
    )
    return [find_program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(main)]


class Nginx(TLSProgram):
    """nginx with one of the sites of docs/deploy.

    Args:
        folder: for its files.
        url: of the server behind it.
        site: the name of the file.
        more: lines for what it says of the server behind it.
    """

    def __init__(self, folder: Path, url: str, site: str, more: str = "") -> None:
        super().__init__(folder, url)
        self._site = site
        self._more = more
        self.plain_port = free_port()

    def configure(self) -> list[str]:
        super().configure()
        site = adapted(
            self._site,
            {
                "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                "listen 443 ": f"listen 127.0.0.1:{self.port} ",
                CERTIFICATE: str(self.certificate),
                KEY: str(self.key),
                "127.0.0.1:6543;": f"{self.upstream};{self._more}",
            },
        )
        (self.folder / "site.conf").write_text(site)
        return nginx(self.folder)


class HAProxy(TLSProgram):
    """HAProxy with the configuration of docs/deploy, and another patience with idle connections.

    Args:
        folder: for its files.
        url: of the server behind it.
        timeout: seconds after which it cuts an idle connection.
    """

    def __init__(self, folder: Path, url: str, timeout: int) -> None:
        super().__init__(folder, url)
        self._timeout = timeout

    def configure(self) -> list[str]:
        super().configure()
        both = self.folder / "both.pem"
        both.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
        file = self.folder / "haproxy.cfg"
        file.write_text(
            adapted(
                "haproxy.cfg",
                {
                    "bind :80\n": f"bind 127.0.0.1:{free_port()}\n",
                    "bind :443 ": f"bind 127.0.0.1:{self.port} ",
                    "/etc/haproxy/chat.example.com.pem": str(both),
                    "127.0.0.1:6543": self.upstream,
                    " 60s\n": f" {self._timeout}s\n",
                },
            )
        )
        return [find_program("haproxy"), "-db", "-f", str(file)]


class Apache(TLSProgram):
    """Apache with the site of docs/deploy, and all that Debian's package switches on."""

    def configure(self) -> list[str]:
        super().configure()
        plain = free_port()
        site = adapted(
            "apache.conf",
            {
                "*:80>": f"127.0.0.1:{plain}>",
                "*:443>": f"127.0.0.1:{self.port}>",
                CERTIFICATE: str(self.certificate),
                KEY: str(self.key),
                "127.0.0.1:6543/": f"{self.upstream}/",
            },
        )
        (self.folder / "site.conf").write_text(site)
        # What `a2enmod` of the file's second line adds, dependencies included.
        added = "".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
            for name in ("headers", "http2", "proxy", "proxy_http", "socache_shmcb", "ssl")
        )
        main = self.folder / "apache.conf"
        main.write_text(
            f"Define APACHE_RUN_DIR {self.folder}\nDefine APACHE_LOG_DIR {self.folder}\n"
            f"ServerName 127.0.0.1\nDefaultRuntimeDir {self.folder}\n"
            f"PidFile {self.folder}/apache.pid\nErrorLog {self.folder}/error.log\n"
            f"Listen 127.0.0.1:{plain}\nListen 127.0.0.1:{self.port}\n"
            f"{'User www-data' if os.geteuid() == 0 else ''}\n"
            "IncludeOptional /etc/apache2/mods-enabled/*.load\n"
            "IncludeOptional /etc/apache2/mods-enabled/*.conf\n"
            f"{added}Include {self.folder}/site.conf\n"
        )
        return [find_program("apache2"), "-D", "FOREGROUND", "-f", str(main)]

    def log(self) -> str:
        """Return what it has written."""
        errors = self.folder / "error.log"
        return super().log() + (errors.read_text() if errors.exists() else "")


class Caddy(TLSProgram):
    """Caddy with the file of docs/deploy, and a certificate that it need not ask for."""

    def configure(self) -> list[str]:
        super().configure()
        file = self.folder / "Caddyfile"
        file.write_text(
            f"{{\nadmin off\nauto_https disable_redirects\nstorage file_system {self.folder}\n}}\n"
            + adapted(
                "Caddyfile",
                {
                    "chat.example.com {": f"https://127.0.0.1:{self.port} {{\n"
                    f"\tbind 127.0.0.1\n\ttls {self.certificate} {self.key}",
                    "127.0.0.1:6543": self.upstream,
                },
            )
        )
        # It keeps a copy of its configuration.
        own = [f"XDG_{name}_HOME={self.folder}" for name in ("CONFIG", "DATA")]
        return ["env", *own, find_program("caddy"), "run", "--config", str(file)]


class Squid(Program):
    """Squid as a forward proxy, with the rules that Debian installs.

    Its `url` is for a browser's ``--proxy-server``.

    Args:
        folder: for its log.
    """

    scheme = "http"

    def configure(self) -> list[str]:
        program = find_program("squid")
        rules = Path("/etc/squid/squid.conf").read_text(encoding="utf-8")
        listens = "\nhttp_port 3128\n"
        assert rules.count(listens) == 1
        # As root it becomes another user, to whom pytest's folders are closed.
        self._own = Path(tempfile.mkdtemp(prefix="squid-"))
        if os.geteuid() == 0:
            user = pwd.getpwnam("proxy")
            os.chown(self._own, user.pw_uid, user.pw_gid)
        file = self._own / "squid.conf"
        file.write_text(
            rules.replace(listens, f"\nhttp_port 127.0.0.1:{self.port}\n")
            + f"pid_filename {self._own}/squid.pid\n"
            + f"cache_log {self._own}/cache.log\n"
            + f"access_log stdio:{self._own}/access.log\n"
            + f"coredump_dir {self._own}\n"
            + "shutdown_lifetime 0 seconds\n"
        )
        file.chmod(0o644)
        return [program, "-N", "-f", str(file)]

    def log(self) -> str:
        """Return what it has written, a line for each request included."""
        files = [*sorted(self._own.glob("*.log"))]
        return super().log() + "".join(file.read_text(errors="replace") for file in files)

    def _end(self) -> None:
        try:
            super()._end()
        finally:
            shutil.rmtree(self._own)
