"""Which process has a session that is not here.

A stock session over HTTP is claimed in the store by the process that opens it, and stays so as long
as it lives. The URL of a session of ``~r1`` names the process, once the client knows it: it is
looked up among those that live, and never used as an address. Before, the session is claimed like a
stock one, for a minute: the welcome tells the home, and the first requests meet until then.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from sockjs_bridge.cluster.leases import Leases
from sockjs_bridge.cluster.store import Store, StoreError
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.endpoint.homes import Missing

#: Seconds for which it is remembered which process has a session, and of how many sessions.
REMEMBERED: Final = 60.0
MAX_REMEMBERED: Final = 100_000
#: How many processes are remembered that do not run any more, and for how many seconds: by then
#: their leases are over.
MAX_GONE: Final = 100
GONE_FOR: Final = 60.0
#: Seconds that a claim outlives its session's ``disconnect_delay``: until others may have it.
SPARE: Final = 30.0
#: Seconds for which a session of ``~r1`` is claimed.
FIRST_REQUESTS: Final = 60.0
#: Claims that are renewed at a go.
BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Home:
    """The process that has a session.

    Attributes:
        node: its name.
        about: what it says of itself.
    """

    node: str
    about: str


#: Of a session: the URL path of its endpoint, percent-decoded, and its id.
Place = tuple[str, str]
#: Hears who has a session; None: it is handled here.
Located = Callable[[Home | StoreError | None], object]


class Relay:
    """Finds the homes of sessions, and keeps those claimed that live here; used on the loop.

    Args:
        store: what the processes share.
        node: the name of this process.
        clock: of the loop.
        taken: hears base and id of a session that is here and that another process has now.
    """

    def __init__(
        self, store: Store, node: str, clock: Clock, taken: Callable[[str, str], object]
    ) -> None:
        self._taken = taken
        self._store = store
        self._node = node
        self._clock = clock
        self._leases = Leases(store, clock)
        # The oldest first: who has a session, and until when that is believed.
        self._remembered: OrderedDict[str, tuple[str, float]] = OrderedDict()
        # Processes that do not run any more, and until when that is remembered.
        self._gone: OrderedDict[str, float] = OrderedDict()
        # Sessions of this process, by how long their claims last.
        self._claimed: dict[float, dict[str, Place]] = {}
        self._lasts: dict[str, float] = {}

    def known(self, missing: Missing) -> Home | None:
        """Returns which other process has a session, where nobody need be asked.

        Args:
            missing: the session, and what is wanted of it.
        """
        node = missing.home
        if not node:
            session = _key_of(missing)
            node, until = self._remembered.get(session, ("", 0.0))
            if self._clock.time() >= until:
                return None
        about = self._leases.known(node)
        if about is None or node == self._node or self._is_gone(node):
            return None
        return Home(node, about)

    def locate(self, missing: Missing, located: Located) -> None:
        """Finds which process has a session that is not here; claims it where none has.

        Args:
            missing: the session, and what is wanted of it.
            located: called once, before this returns or later.
        """
        session = _key_of(missing)
        if self._is_gone(missing.home):
            # Its lease may hold for some seconds more: the client need not wait for that.
            located(None)
            return
        if missing.home:
            # A home that is not known is as none ("URLs" of the sub-protocol).
            self._look_up(missing.home, located, partial(self._ask, session, missing, located))
            return
        node, until = self._remembered.get(session, ("", 0.0))
        again = partial(self._ask, session, missing, located)
        if node and self._clock.time() < until:
            self._look_up(node, located, again)
        else:
            again()

    def doubt(self, node: str, *, gone: bool) -> None:
        """Says that what is known of a process may not be so any more.

        Args:
            node: its name.
            gone: it does not run any more; else it may.
        """
        self._leases.doubt()
        if gone:
            self._gone[node] = self._clock.time() + GONE_FOR
            if len(self._gone) > MAX_GONE:
                self._gone.popitem(last=False)

    def _is_gone(self, node: str) -> bool:
        return self._clock.time() < self._gone.get(node, 0.0)

    def answered(self, missing: Missing, status: int) -> None:
        """Hears what a home has answered: it may be none any more."""
        if status in (404, 503):
            self._remembered.pop(_key_of(missing), None)

    def _ask(self, session: str, missing: Missing, located: Located) -> None:
        self._remembered.pop(session, None)

        def found(node: str | StoreError | None) -> None:
            if isinstance(node, StoreError):
                located(node)
            elif node is None:
                located(None)
            elif node == self._node:
                if missing.opens and not missing.resumable:
                    self._keep(session, (missing.base, missing.session_id), lasts)
                located(None)
            else:
                self._remember(session, node)
                self._look_up(node, located, partial(located, None))

        lasts = FIRST_REQUESTS if missing.resumable else missing.lasts + SPARE
        if missing.opens:
            self._store.claim(session, lasts, found)
        else:
            self._store.home(session, found)

    def _look_up(self, node: str, located: Located, gone: Callable[[], object]) -> None:
        if node == self._node:
            located(None)
            return

        def found(about: str | StoreError | None) -> None:
            if about is None:
                gone()
            else:
                located(about if isinstance(about, StoreError) else Home(node, about))

        self._leases.look_up(node, found)

    def _remember(self, session: str, node: str) -> None:
        self._remembered[session] = node, self._clock.time() + REMEMBERED
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    # Sessions of this process

    def _keep(self, session: str, place: Place, lasts: float) -> None:
        if session in self._lasts:
            return
        self._lasts[session] = lasts
        if lasts not in self._claimed:
            self._claimed[lasts] = {}
            self._renew_later(lasts)
        self._claimed[lasts][session] = place

    def ended(self, base: str, session_id: str) -> None:
        """Gives up a stock session that is over."""
        self._give_up(key(base, session_id))

    def _give_up(self, session: str) -> None:
        lasts = self._lasts.pop(session, None)
        if lasts is not None:
            self._claimed[lasts].pop(session)
            self._store.disclaim([session], _nothing)

    def not_opened(self, missing: Missing) -> None:
        """Gives up what was claimed for a request that has opened nothing."""
        if not missing.resumable:
            self.ended(missing.base, missing.session_id)
        elif missing.opens:
            # Else whoever asks for made-up sessions fills the store.
            self._store.disclaim([_key_of(missing)], _nothing)

    def reconnected(self, living: Mapping[str, str], seconds: float) -> None:
        """Hears that the store can be reached again; it may have forgotten homes and leases.

        Args:
            living: the other processes, as far as is known; see `Leases.spare`.
            seconds: see `Leases.spare`.
        """
        self._leases.spare(living, seconds)
        self.restored()

    def restored(self) -> None:
        """Claims anew what is here: others may take it for free."""
        for lasts, sessions in self._claimed.items():
            self._renew_some(lasts, [*sessions])

    def _renew_later(self, lasts: float) -> None:
        self._clock.call_at(self._clock.time() + lasts / 3, partial(self._renew, lasts))

    def _renew(self, lasts: float) -> None:
        sessions = [*self._claimed[lasts]]
        if not sessions:
            del self._claimed[lasts]
            return
        self._renew_later(lasts)
        self._renew_some(lasts, sessions)

    def _renew_some(self, lasts: float, sessions: list[str]) -> None:
        some = [each for each in sessions[:BATCH] if each in self._lasts]
        if some:
            self._store.keep(some, lasts, self._kept)
        if rest := sessions[BATCH:]:
            self._clock.call_soon(partial(self._renew_some, lasts, rest))

    def _kept(self, taken: list[str] | StoreError) -> None:
        if isinstance(taken, StoreError):
            return
        for session in taken:
            if (lasts := self._lasts.pop(session, None)) is not None:
                self._taken(*self._claimed[lasts].pop(session))


def key(base: str, session_id: str, *, resumable: bool = False) -> str:
    """Returns what the store knows a session by: who reads there cannot use it as its client does.

    Args:
        base: the URL path of its endpoint, percent-decoded.
        session_id: from the URL; to a stock session it is the key.
        resumable: it is one of ``~r1``.
    """
    said = "\0".join(["~r1" if resumable else "", base, session_id])
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _key_of(missing: Missing) -> str:
    return key(missing.base, missing.session_id, resumable=missing.resumable)


def _nothing(result: Hashable) -> None:
    """Wants to hear nothing."""
