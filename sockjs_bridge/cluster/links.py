"""All links of a process: those that it dials, and those that others have dialled.

Addresses are ``unix:PATH`` or ``tcp:HOST:PORT``: others read them in the lease of a process.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sockjs_bridge.cluster.link import TICK, Link
from sockjs_bridge.cluster.linkframes import HungUp, LinkError, PeerGone, Refused
from sockjs_bridge.cluster.streams import Accept

logger = logging.getLogger("sockjs_bridge.cluster")

#: Seconds that a link has to begin, and after which one that could not be had is tried again.
DIAL_TIMEOUT: Final = 5.0
RETRY_AFTER: Final = 1.0
#: Seconds after which a process on this host is dialled again that has hung up: of one that is
#: killed the sockets end one after the other, and the last tells that it is gone.
DYING: Final = (0.05, 0.2)
#: Links that others have dialled and have not proved anything; with one more the oldest is cut.
MAX_STRANGERS: Final = 32
#: Bytes that a unix socket's path may have (unix(7): 108 with the NUL).
MAX_PATH: Final = 107
#: Seconds between two lines in the log about one address.
COMPLAIN_EVERY: Final = 60.0


class Links:
    """The links of this process; used on the loop.

    Args:
        node: the name of this process.
        secret: of the cluster; may be empty where all links are unix sockets.
        name: of the cluster.
        judges: see `Link`.
        ended: hears of the process with which a link has ended.
    """

    def __init__(
        self,
        node: str,
        secret: str,
        name: str,
        judges: Callable[[], bool] = lambda: False,
        ended: Callable[[str], object] = lambda node: None,
    ) -> None:
        self._node = node
        self._judges = judges
        self._ended = ended
        self._guarded = bool(secret)
        self._secret = hashlib.sha256(f"link {name}\n{secret}".encode()).digest()
        self._dialled: dict[str, Link] = {}
        self._dialling: dict[str, asyncio.Task[Link]] = {}
        self._failed: dict[str, tuple[float, LinkError]] = {}
        self._complained: dict[str, float] = {}
        self._accepted: set[Link] = set()
        # The oldest first.
        self._strangers: dict[Link, None] = {}
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # Others dial

    async def listen(self, where: str, accept: Accept) -> str:
        """Has others dial.

        Args:
            where: ``HOST:PORT``; empty: a unix socket in a private directory.
            accept: where the streams begin that they open.

        Returns:
            The address for them.

        Raises:
            LinkError: that cannot be had; the text says why, and what would help.
        """
        loop = asyncio.get_running_loop()

        def make() -> Link:
            link = Link(self._secret, self._node, self._over, accept=accept, judges=self._judges)
            self._strangers[link] = None
            if len(self._strangers) > MAX_STRANGERS:
                # Who belongs here needs one round trip: a hostile peer cannot hold its place.
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                if oldest.proved:
                    self._accepted.add(oldest)
                else:
                    oldest.abort()
            loop.call_later(DIAL_TIMEOUT, self._judge, link)
            return link

        try:
            if not where:
                self._path = private_directory() / f"{self._node}.sock"
                _check_length(self._path)
                self._server = await loop.create_unix_server(make, str(self._path))
                address = f"unix:{self._path}"
            else:
                host, _, port = where.rpartition(":")
                self._server = await loop.create_server(make, host.strip("[]"), int(port))
                address = f"tcp:{host}:{self._server.sockets[0].getsockname()[1]}"
        except OSError as error:
            raise LinkError(
                "sockjs.cluster_listen: other processes cannot be let in at"
                f" {where or self._path}: {error.strerror}"
            ) from None
        self._tick()
        return address

    def _judge(self, link: Link) -> None:
        """Cuts a link whose time to prove itself is over."""
        if link in self._strangers and not link.proved:
            link.abort()

    # This process dials

    def get(self, node: str) -> Link | None:
        """Returns the link to a process, if it is there."""
        return self._dialled.get(node)

    async def link(self, node: str, address: str) -> Link:
        """Returns the link to a process; dials where there is none.

        Args:
            node: its name.
            address: of it.

        Raises:
            LinkError: it cannot be had.
        """
        if (link := self._dialled.get(node)) is not None:
            return link
        if self._closed:
            raise LinkError("this process ends")
        now = asyncio.get_running_loop().time()
        failed = self._failed.get(node)
        if failed is not None and now < failed[0] + RETRY_AFTER:
            raise failed[1]
        dialling = self._dialling.get(node)
        if dialling is None:
            dialling = asyncio.ensure_future(self._dial(node, address))
            self._dialling[node] = dialling
            dialling.add_done_callback(lambda _: self._dialling.pop(node, None))
        try:
            # Who waits may be cancelled; others wait for it too.
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:
            if dialling.cancelled():
                raise LinkError("this process ends") from None
            raise
        except LinkError as error:
            self._failed = {
                each: known for each, known in self._failed.items() if known[0] + RETRY_AFTER > now
            }
            self._failed[node] = asyncio.get_running_loop().time(), error
            self._complain(node, address, error)
            raise

    async def _dial(self, node: str, address: str) -> Link:
        kind, _, where = address.partition(":")
        for pause in DYING if kind == "unix" else ():
            with suppress(HungUp):
                return await self._connect(node, kind, where)
            await asyncio.sleep(pause)
        return await self._connect(node, kind, where)

    async def _connect(self, node: str, kind: str, where: str) -> Link:
        loop = asyncio.get_running_loop()
        link = Link(self._secret, self._node, self._over, peer=node)
        try:
            async with asyncio.timeout(DIAL_TIMEOUT):
                if kind == "unix":
                    await loop.create_unix_connection(lambda: link, where)
                elif kind == "tcp" and self._guarded:
                    host, _, port = where.rpartition(":")
                    await loop.create_connection(lambda: link, host.strip("[]"), int(port))
                else:
                    raise LinkError("sockjs.cluster_secret is not set in this process")
                await link.ready()
        except TimeoutError:
            link.abort()
            raise LinkError("it does not answer") from None
        except asyncio.CancelledError:
            link.abort()
            raise
        except (FileNotFoundError, ConnectionRefusedError) as error:
            # On this host nobody stands between.
            raise (PeerGone if kind == "unix" else Refused)(str(error)) from None
        except (OSError, ValueError) as error:
            raise LinkError(str(error)) from None
        self._dialled[node] = link
        return link

    def _complain(self, node: str, address: str, error: LinkError) -> None:
        now = asyncio.get_running_loop().time()
        self._complained = {
            each: at for each, at in self._complained.items() if at + COMPLAIN_EVERY > now
        }
        if node not in self._complained:
            self._complained[node] = now
            logger.warning("process %s cannot be reached at %s: %s", node, address, error)

    # All links

    def _tick(self) -> None:
        for link in [link for link in self._strangers if link.proved]:
            del self._strangers[link]
            self._accepted.add(link)
        for link in [*self._dialled.values(), *self._accepted]:
            link.tick()
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _over(self, link: Link) -> None:
        self._strangers.pop(link, None)
        self._accepted.discard(link)
        if self._dialled.get(link.peer) is link:
            del self._dialled[link.peer]
        if link.proved and not self._closed:
            self._ended(link.peer)

    def close(self) -> None:
        """Cuts all links; none begins any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
        for dialling in self._dialling.values():
            dialling.cancel()
        for link in [*self._dialled.values(), *self._accepted, *self._strangers]:
            link.abort()


def private_directory(environ: Callable[[str], str | None] = os.environ.get) -> Path:
    """Makes the directory of this user's unix sockets, where it is not there, and returns it.

    Args:
        environ: looks up a variable of the environment: ``RUNTIME_DIRECTORY`` is systemd's for a
            service, ``XDG_RUNTIME_DIR`` a user's.

    Raises:
        LinkError: it cannot be had, or others may write into it.
    """
    # systemd: a service may have several.
    base = (environ("RUNTIME_DIRECTORY") or "").partition(":")[0] or environ("XDG_RUNTIME_DIR")
    user = os.geteuid()
    path = Path(base or tempfile.gettempdir()) / f"sockjs-bridge-{user}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LinkError(
            f"the directory {path} for links between processes cannot be made:"
            f" {error.strerror}; set sockjs.cluster_listen, or XDG_RUNTIME_DIR"
        ) from None
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077:
        raise LinkError(
            f"{path} is not a directory of this user alone (mode 0700), so links between processes"
            " cannot be there: remove it, or set XDG_RUNTIME_DIR"
        )
    return path


def _check_length(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_PATH:
        raise LinkError(
            f"{path} is longer than a unix socket's path may be ({MAX_PATH} bytes): set"
            " XDG_RUNTIME_DIR to a shorter directory"
        )
