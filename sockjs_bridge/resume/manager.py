"""The resumable sessions of an endpoint: birth, look-up, end, bounds."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sockjs_bridge.core.basemanager import BaseManager
from sockjs_bridge.core.hub import Hub
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.resume.contracts import Resident, ResumeMonitor, WebSocketLink
from sockjs_bridge.resume.found import DENIED, Found, Limits
from sockjs_bridge.resume.frames import ReceiveRequest, Replaced
from sockjs_bridge.resume.lines import lost
from sockjs_bridge.resume.mux import Muxes
from sockjs_bridge.resume.session import REPLACED, ResumableSession, digest
from sockjs_bridge.resume.shared import Shared
from sockjs_bridge.resume.telling import Telling
from sockjs_bridge.resume.tombstones import LIFETIME, Tombstone

logger = logging.getLogger("sockjs_bridge.session")

#: WebSockets of one session that have not said hello; replaced ones are among them.
MAX_WAITING_LINKS = 4
#: Seconds between two lines in the log about wrong keys.
COMPLAIN_EVERY = 1.0

Place = tuple[str, str]


class ResumeManager(BaseManager[ResumableSession]):
    """The resumable sessions of one endpoint; fulfils `ResumeOwner`.

    Args:
        settings: of the endpoint.
        hub: shared with the stock sessions of the application.
        limits: of the sub-protocol.
        resumption: what counts how sessions go on.
        shared: what the sessions of all the process share.
        home: see `home`.

    Attributes:
        home: this process, in URLs; empty where there is only one.
        secret: keys the hashes of networks; the same in all processes of a cluster.
        shared: what the sessions of all the process share.
        muxes: responses that several sessions share.
        end_elsewhere: has other processes do as `end_former`; None where there are none.
    """

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        limits: Limits | None = None,
        resumption: ResumeMonitor | None = None,
        shared: Shared | None = None,
        home: str = "",
    ) -> None:
        super().__init__(settings, hub)
        self.wheel = hub.wheel
        self.claim = hub.claim
        self.tell_soon = Telling(hub.clock).add
        self.limits = Limits() if limits is None else limits
        self.resumption = ResumeMonitor() if resumption is None else resumption
        self.shared = Shared() if shared is None else shared
        self.secret = secrets.token_bytes(16)
        # What tells the sessions of one id apart, over processes too.
        self._boot = secrets.token_urlsafe(6)
        self._made = 0
        self.home = home
        self.end_elsewhere: Callable[[Place, bytes], object] | None = None
        self._sessions: dict[Place, ResumableSession] = {}
        self.muxes = Muxes(
            hub.clock, settings, self.flush_now, self._take_place, hub.capacity.give_back
        )
        # WebSockets without a hello, by place.
        self._waiting: dict[Place, list[WebSocketLink]] = {}
        self._complained = float("-inf")
        self._wrong_keys = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[ResumableSession]:
        return iter(list(self._sessions.values()))

    @property
    def serves(self) -> bool:
        """Whether sessions may be served now: others cannot have taken this process for dead."""
        return self.claim.holds(self.clock.time())

    @property
    def resume_window(self) -> float:
        """Seconds that a session waits for its client."""
        return self.limits.resume_window

    # Birth and look-up

    def get(self, place: Place) -> ResumableSession | None:
        """Looks up a session."""
        return self._sessions.get(place)

    def create(self, place: Place) -> ResumableSession:
        """Makes a session, for a receive request with ``new`` or a handshake of it.

        Args:
            place: the base URL and the session's id.

        Raises:
            TooManySessions: there are ``max_sessions`` already, or the server stops.
        """
        self._take_place()
        self._made += 1
        session = ResumableSession(self, place, f"{self._boot}-{self._made}")
        self._sessions[place] = session
        return session

    def knows(self, place: Place) -> bool:
        """Tells whether a handshake of ``websocket?new`` has nothing to make."""
        return place in self._sessions or (
            self.shared.tombstones.get((self, place), self.clock.time()) is not None
        )

    def look(
        self,
        place: Place,
        request: ReceiveRequest,
        transport: Transport,
        fingerprint: bytes,
        *,
        proved: bool = False,
    ) -> Found:
        """Finds whose receive request that is: session, key, user, in this order.

        Args:
            place: the base URL and the session's id.
            request: the request.
            transport: the one that asks.
            fingerprint: of the credentials that it came with.
            proved: the application was asked, and it is who opened the session.
        """
        session = self._sessions.get(place)
        if session is not None and session.proof is None and not request.new:
            # A handshake has made it, and only its client knows that it is new.
            found = Found(line=lost())
        else:
            found = self._find(place, request.key, fingerprint, proved, request.incarnation)
            unknown = session is None and found.tombstone is None and found.line is not None
            if unknown and request.new:
                found = Found(make=True)
        if found.tombstone is not None:
            self.resumption.tombstone(transport)
        elif found.line is not None:
            self.resumption.lost(transport)
        return found

    def look_up(
        self,
        place: Place,
        key: str,
        fingerprint: bytes,
        *,
        proved: bool = False,
        incarnation: str | None = None,
    ) -> Found:
        """Finds whose ``xhr_send`` or probe that is.

        Args:
            place: as in `look`.
            key: the client's.
            fingerprint: as in `look`.
            proved: as in `look`.
            incarnation: which session of this id is meant, None where that is not said.
        """
        session = self._sessions.get(place)
        if session is not None and session.proof is None:
            return Found(line=lost())
        return self._find(place, key, fingerprint, proved, incarnation)

    def _find(
        self, place: Place, key: str, fingerprint: bytes, proved: bool, incarnation: str | None
    ) -> Found:
        session = self._sessions.get(place)
        if session is not None:
            if not session.proves(key):
                return self._wrong_key()
            if incarnation is not None and incarnation != session.incarnation:
                # A late copy of a first request has made it anew, and it counts from nothing.
                return Found(line=lost())
            return self._owned(session, Found(session), fingerprint, proved)
        tombstone = self.shared.tombstones.get((self, place), self.clock.time())
        if tombstone is None:
            return Found(line=lost())
        if not tombstone.proves(digest(key)):
            return self._wrong_key()
        found = Found(line=tombstone.line, tombstone=tombstone)
        return self._owned(tombstone, found, fingerprint, proved)

    @staticmethod
    def _owned(
        it: ResumableSession | Tombstone, found: Found, fingerprint: bytes, proved: bool
    ) -> Found:
        """Returns what was found, where it is its user who asks; else who is to be asked."""
        credentials = it.credentials
        if credentials is None or proved or credentials.passes(fingerprint):
            return found
        return Found(unproven=it)

    def _wrong_key(self) -> Found:
        self._wrong_keys += 1
        now = self.clock.time()
        if now >= self._complained + COMPLAIN_EVERY:
            logger.warning("%d requests with a wrong key", self._wrong_keys)
            self._complained, self._wrong_keys = now, 0
        return DENIED

    def introduced(self, session: Resident, former: Replaced | None) -> None:
        """Hears who a session's client is; see `ResumeOwner`."""
        if former is not None and former.session != session.key[1]:
            # Once for each session that is made: all processes hear of it.
            place, proof = (session.key[0], former.session), digest(former.key)
            if place in self._sessions:
                self.end_former(place, proof)
            elif self.end_elsewhere is not None:
                self.end_elsewhere(place, proof)
        self._hub.introduced(session)

    def end_former(self, place: Place, proof: bytes) -> None:
        """Ends a session that another one of its client's replaces, if it is here.

        Args:
            place: the base URL and the session's id.
            proof: the `digest` of its key; one of another key is passed over.
        """
        session = self._sessions.get(place)
        if session is not None and hmac.compare_digest(session.proof or b"", proof):
            session.close(*REPLACED)

    def terms(self, session: ResumableSession, net: str) -> Mapping[str, Any]:
        """Returns what the welcome tells a new client.

        Args:
            session: its session.
            net: a keyed hash of its network.
        """
        return {
            "window": self.limits.resume_window,
            "heartbeat": self.settings.heartbeat_delay,
            "spread": self._hub.spread,
            "net": net,
            "limit": self.settings.max_message_size,
            "home": self.home,
            "incarnation": session.incarnation,
        }

    def net(self, remote: str) -> str:
        """Returns a keyed hash of a client's network: what worked there may be remembered by it.

        Args:
            remote: the client's address.
        """
        # A site's own part of an address: three numbers of IPv4, three groups of IPv6.
        separator = ":" if ":" in remote else "."
        network = separator.join(remote.split(separator)[:3])
        return hashlib.blake2b(network.encode(), digest_size=8, key=self.secret).hexdigest()

    # WebSockets without a hello

    def admit_link(self, place: Place) -> bool:
        """Admits a WebSocket; one of a session that is there stands in the place of that.

        Returns:
            Whether it takes a place of its own until it has said hello.

        Raises:
            TooManySessions: there is none, or the server stops.
        """
        if place in self._sessions and not self._closed:
            return False
        self._take_place()
        return True

    def wait_for_hello(self, link: WebSocketLink, place: Place) -> None:
        """Hears of a WebSocket without a hello; the oldest of too many ends."""
        links = self._waiting.setdefault(place, [])
        links.append(link)
        if len(links) > MAX_WAITING_LINKS:
            links[0].end()

    def said_hello(self, link: WebSocketLink, place: Place) -> None:
        """Hears of a WebSocket that has said hello, or is over."""
        if link.holds_place:
            link.holds_place = False
            self._hub.capacity.give_back()
        links = self._waiting.get(place, [])
        if link in links:
            links.remove(link)
            if not links:
                del self._waiting[place]

    # What sessions need of where they live

    def keeps(self, session: Resident, size: int | None) -> None:
        """Counts what a suspended session keeps; the oldest go first where that is too much."""
        self.shared.keeps(session, size, self.limits.max_suspended_bytes)

    def forget(self, session: Resident) -> None:
        """Drops a session that is gone; its end is known for a while."""
        found = self._sessions.pop(session.key)
        self._bury(found)
        # Without the reason: it may have stood in a body, which no log has.
        self._let_go(found)

    def _bury(self, session: ResumableSession) -> None:
        code, proof = session.close_code, session.proof
        if code is None or proof is None or not (session.arrived or session.grown):
            return
        now = self.clock.time()
        tombstone = Tombstone(
            self,
            session.key,
            proof,
            session.credentials,
            code,
            session.close_reason,
            session.handled,
            now + LIFETIME,
            lost=session.lost,
        )
        self.shared.tombstones.add(
            (self, session.key),
            tombstone,
            now,
            grown=session.grown,
            limit=self.limits.max_tombstones,
        )

    def lapse(self) -> Iterator[None]:
        """Ends all sessions: others have told their clients that they are lost, or will.

        Nothing of them may be served meanwhile (`Claim`).

        Returns:
            What ends some sessions at each step, so that many cannot hold up the loop.
        """
        return self._end_each(list(self), ResumableSession.lose)

    # The end of the process

    def finish(self) -> None:
        """Forgets the sessions that are left, and what they share: the server has stopped."""
        super().finish()
        self.muxes.finish()

    @property
    def open_sessions(self) -> list[ResumableSession]:
        """The sessions that the application knows; may be read in any thread."""
        return [session for session in self if session.live]

    def close(self, code: int, reason: str, within: float = 0.0) -> Iterator[None]:
        """Drains: what these clients hear is that the server leaves, see `drain`."""
        return self.drain(within)

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(session.over for session in self)

    def drain(self, seconds: float) -> Iterator[None]:
        """Has every client go when both sides have what was sent; none begins any more.

        Args:
            seconds: until it is told at the latest.

        Returns:
            What drains some sessions at each step, so that many cannot hold up the loop.
        """
        until = self.clock.time() + seconds
        draining = self._end_all(lambda session: session.drain(until, self._hub.spread))
        self.muxes.leave()
        # Nobody says hello to a server that leaves.
        for link in [link for links in self._waiting.values() for link in links]:
            link.end()
        return draining
