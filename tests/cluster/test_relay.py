"""Which process has a session: claims, leases, and what is remembered of both."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from sockjs_bridge.cluster import relay as relay_module
from sockjs_bridge.cluster.leases import LIVES
from sockjs_bridge.cluster.memorybroker import MemoryBroker
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.cluster.relay import (
    FIRST_REQUESTS,
    GONE_FOR,
    REMEMBERED,
    SPARE,
    Home,
    Relay,
    key,
)
from sockjs_bridge.cluster.store import Entry, Position, StoreError
from sockjs_bridge.endpoint.homes import Missing
from tests.cluster.nodes import LEASE
from tests.support import HandClock

SESSION = Missing("/echo", "abc", True, False, "", 5.0)
SEND = SESSION._replace(opens=False)
RESUMABLE = SESSION._replace(resumable=True)


class Deaf:
    """Fulfils `Listener`."""

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        pass

    def handled(self) -> None:
        pass

    def subscribed(self, room: str) -> None:
        pass

    def told(self, text: str) -> None:
        pass

    def connected(self, *, same: bool) -> None:
        pass

    def lost(self, error: StoreError) -> None:
        pass


class CountingStore(MemoryStore):
    """Counts what is asked for."""

    def __init__(self, broker: MemoryBroker, clock: HandClock) -> None:
        super().__init__(broker, clock)
        self.asked: list[str] = []

    def claim(self, session: str, ttl: float, done: Any) -> None:
        self.asked.append("claim")
        super().claim(session, ttl, done)

    def home(self, session: str, done: Any) -> None:
        self.asked.append("home")
        super().home(session, done)

    def leases(self, done: Any) -> None:
        self.asked.append("leases")
        super().leases(done)

    def keep(self, sessions: Any, ttl: float, done: Any) -> None:
        self.asked.append("keep")
        super().keep(sessions, ttl, done)


class Site:
    """Processes that share a store, and a clock that stands still."""

    def __init__(self, *names: str) -> None:
        self.clock = HandClock()
        self.broker = MemoryBroker()
        self.stores: dict[str, CountingStore] = {}
        self.relays: dict[str, Relay] = {}
        self.taken: list[tuple[str, ...]] = []
        for name in names:
            store = self.stores[name] = CountingStore(self.broker, self.clock)
            asyncio.run(store.start(name, Deaf()))
            relay = Relay(store, name, self.clock, lambda *place: self.taken.append(place))
            self.relays[name] = relay
            self.live(name)

    def live(self, name: str, ttl: float = 1e6) -> None:
        self.stores[name].lease(f"about {name}", ttl, lambda result: None)
        self.clock.settle()

    def locate(self, name: str, missing: Missing) -> Home | StoreError | None:
        found: list[Home | StoreError | None] = []
        self.relays[name].locate(missing, found.append)
        self.clock.settle()
        [one] = found
        return one

    @property
    def homes(self) -> Mapping[str, tuple[str, float]]:
        return self.broker.homes


def test_who_opens_first_has_it() -> None:
    site = Site("one", "two")
    assert site.locate("one", SESSION) is None
    assert site.locate("two", SESSION) == Home("one", "about one")
    assert site.locate("two", SEND) == Home("one", "about one")
    assert site.homes == {key("/echo", "abc"): ("one", 1000.0 + 5.0 + SPARE)}


def test_send_claims_nothing() -> None:
    site = Site("one", "two")
    assert site.locate("one", SEND) is None
    assert not site.homes
    assert site.locate("two", SESSION) is None


def test_what_is_remembered_is_not_asked_for() -> None:
    site = Site("one", "two")
    site.locate("one", SESSION)
    site.locate("two", SESSION)
    del site.stores["two"].asked[:]
    assert site.locate("two", SEND) == Home("one", "about one")
    assert site.stores["two"].asked == []
    site.clock.advance(LIVES)
    assert site.locate("two", SEND) == Home("one", "about one")
    assert site.stores["two"].asked == ["leases"]
    site.clock.advance(REMEMBERED)
    assert site.locate("two", SEND) == Home("one", "about one")
    assert "home" in site.stores["two"].asked


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "MAX_REMEMBERED", 3)
    site = Site("one", "two")
    for number in range(5):
        missing = SESSION._replace(session_id=f"{number}")
        site.locate("one", missing)
        site.locate("two", missing)
    assert len(site.relays["two"]._remembered) == 3


def test_claims_are_renewed_while_sessions_live() -> None:
    site = Site("one", "two")
    site.locate("one", SESSION)
    site.clock.advance(1000)
    assert site.locate("two", SEND) == Home("one", "about one")
    site.relays["one"].ended("/echo", "abc")
    site.clock.settle()
    assert not site.homes
    asked = len(site.stores["one"].asked)
    site.clock.advance(1000)
    # The timer ends with the last of them.
    assert len(site.stores["one"].asked) == asked
    # It begins anew.
    site.locate("one", SESSION)
    site.clock.advance(1000)
    assert site.homes


def test_many_claims_are_renewed_in_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "BATCH", 2)
    site = Site("one")
    for number in range(5):
        site.locate("one", SESSION._replace(session_id=f"{number}"))
    site.clock.advance(13)
    assert site.stores["one"].asked.count("keep") == 3
    assert {until for _, until in site.homes.values()} == {1000.0 + 35.0 / 3 + 35.0}


def test_what_another_process_has_taken_ends() -> None:
    """It saw no lease of this one, which stood still; a claim is renewed, or made anew."""
    site = Site("one", "two")
    site.live("one", 5)
    for session in ("abc", "kept"):
        site.locate("one", SESSION._replace(session_id=session))
    site.clock.advance(6)
    assert site.locate("two", SESSION) is None
    site.live("one")
    assert site.taken == []
    site.relays["one"].restored()
    site.clock.settle()
    assert site.taken == [("/echo", "abc")]
    site.relays["one"].restored()
    site.stores["one"].fail()
    site.relays["one"].restored()
    site.clock.settle()
    assert site.taken == [("/echo", "abc")]
    assert site.homes[key("/echo", "abc")][0] == "two"


def test_what_another_process_has_taken_may_have_ended_by_itself() -> None:
    site = Site("one", "two")
    site.live("one", 5)
    site.locate("one", SESSION)
    site.clock.advance(6)
    site.locate("two", SESSION)
    site.relays["one"].restored()
    # Before the store's answer is here.
    site.relays["one"].ended("/echo", "abc")
    site.clock.settle()
    assert site.taken == []
    assert site.homes[key("/echo", "abc")][0] == "two"


def test_claim_of_what_was_not_opened_is_given_up() -> None:
    site = Site("one", "two")
    site.locate("one", SESSION)
    site.relays["one"].not_opened(SESSION)
    site.clock.settle()
    assert site.locate("two", SESSION) is None


def test_claim_that_is_made_again_is_the_same_one() -> None:
    site = Site("one")
    for _ in range(2):
        assert site.locate("one", SESSION) is None
    site.relays["one"].ended("/echo", "abc")
    site.clock.settle()
    assert not site.homes
    site.clock.advance(1000)
    assert "keep" not in site.stores["one"].asked


def test_who_was_taken_for_dead_claims_anew_what_it_still_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "BATCH", 2)
    site = Site("one")
    for number in range(5):
        site.locate("one", SESSION._replace(session_id=f"{number}"))
    site.broker.homes.clear()
    site.relays["one"].restored()
    # They end before it is their turn.
    for number in (2, 3):
        site.relays["one"].ended("/echo", f"{number}")
    site.clock.settle()
    assert site.homes.keys() == {key("/echo", f"{number}") for number in (0, 1, 4)}
    assert site.stores["one"].asked.count("keep") == 2


def test_claim_of_another_is_not_given_up() -> None:
    site = Site("one", "two")
    for missing in (SESSION, RESUMABLE):
        site.locate("one", missing)
        site.relays["two"].not_opened(missing)
        site.clock.settle()
        assert site.locate("two", missing) == Home("one", "about one")


def test_home_that_died() -> None:
    """A session of a dead process is opened anew, by one of the others."""
    site = Site("one", "two", "three")
    site.live("one", 5)
    site.locate("one", SESSION)
    site.locate("two", SESSION)
    site.clock.advance(6)
    assert site.locate("two", SEND) is None
    assert site.locate("two", SESSION) is None
    assert site.locate("three", SESSION) == Home("two", "about two")


def test_process_that_cannot_be_reached_is_looked_up_anew() -> None:
    site = Site("one", "two")
    site.locate("one", SESSION)
    site.locate("two", SESSION)
    site.stores["one"].release(lambda result: None)
    site.clock.settle()
    assert site.locate("two", SESSION) == Home("one", "about one")
    site.relays["two"].doubt("one", gone=False)
    assert site.locate("two", SESSION) is None


# ``~r1``


def test_first_requests_of_a_resumable_session_meet() -> None:
    site = Site("one", "two")
    assert site.locate("one", RESUMABLE) is None
    assert site.locate("two", RESUMABLE) == Home("one", "about one")
    # A stock session of the same name is another one.
    assert site.locate("two", SESSION) is None
    site.clock.advance(FIRST_REQUESTS + 1)
    # The welcome has told the home by then.
    assert site.locate("two", RESUMABLE) is None


def test_request_that_could_open_nothing_has_claimed_nothing() -> None:
    site = Site("one", "two")
    site.locate("one", RESUMABLE)
    site.relays["one"].not_opened(RESUMABLE._replace(opens=False))
    site.clock.settle()
    assert site.locate("two", RESUMABLE) == Home("one", "about one")


def test_url_names_the_home() -> None:
    site = Site("one", "two")
    named = RESUMABLE._replace(home="one")
    assert site.locate("two", named) == Home("one", "about one")
    assert "claim" not in site.stores["two"].asked
    # Its own: the session is gone.
    assert site.locate("one", named) is None


def test_home_that_is_not_known_is_as_none() -> None:
    site = Site("one", "two")
    assert site.locate("one", RESUMABLE._replace(home="nobody")) is None
    assert site.locate("two", RESUMABLE._replace(home="nobody")) == Home("one", "about one")


def test_home_that_runs_no_more_is_not_waited_for() -> None:
    site = Site("one", "two")
    site.locate("one", RESUMABLE)
    named = RESUMABLE._replace(home="one")
    site.relays["two"].doubt("one", gone=True)
    assert site.locate("two", named) is None
    site.clock.advance(GONE_FOR)
    # A lease that holds still is a living one's.
    assert site.locate("two", named) == Home("one", "about one")


def test_home_that_is_silent_is_gone_with_its_lease() -> None:
    """One lease after its last renewal, whoever has just failed to reach it hears so."""
    site = Site("one", "two")
    site.locate("one", RESUMABLE)
    site.live("one", LEASE)
    named = RESUMABLE._replace(home="one")
    for passed, home in ((LEASE - 0.1, Home("one", "about one")), (0.1, None)):
        site.clock.advance(passed)
        site.relays["two"].doubt("one", gone=False)
        assert site.locate("two", named) == home


def test_only_so_many_are_known_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "MAX_GONE", 2)
    site = Site("one")
    for number in range(5):
        site.relays["one"].doubt(f"gone{number}", gone=True)
    assert [*site.relays["one"]._gone] == ["gone3", "gone4"]


# The store


def test_store_that_cannot_be_reached() -> None:
    site = Site("one", "two")
    site.locate("one", SESSION)
    site.locate("two", SESSION)
    for store in site.stores.values():
        store.fail()
    site.clock.settle()
    # Who was known to live is believed to live.
    assert site.locate("two", SEND) == Home("one", "about one")
    site.clock.advance(LIVES)
    assert site.locate("two", SEND) == Home("one", "about one")
    assert isinstance(site.locate("two", SESSION._replace(session_id="new")), StoreError)
    assert isinstance(site.locate("two", RESUMABLE._replace(home="never")), StoreError)


def test_process_whose_lease_the_store_forgot_lives_for_a_while() -> None:
    site = Site("one", "two")
    named = RESUMABLE._replace(home="one")
    site.locate("one", SESSION)
    site.broker._empty()
    site.relays["one"].reconnected({}, 5.0)
    site.relays["two"].reconnected({"one": "about one"}, 5.0)
    site.clock.settle()
    assert site.locate("two", named) == site.locate("two", SEND) == Home("one", "about one")
    site.clock.advance(5)
    assert site.locate("two", named) is None


def test_look_ups_at_once_are_one() -> None:
    site = Site("one", "two")
    found: list[Any] = []
    for _ in range(10):
        site.relays["two"].locate(RESUMABLE._replace(home="one"), found.append)
    site.clock.settle()
    assert found == [Home("one", "about one")] * 10
    assert site.stores["two"].asked == ["leases"]


def test_what_the_store_knows_tells_no_session_id() -> None:
    assert "abc" not in key("/echo", "abc")
    assert key("/echo", "\ud800")
