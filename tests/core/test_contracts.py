"""`sockjs_bridge.core.contracts`: the seams, and who stands at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sockjs_bridge.core.contracts import Channel, Clock, Handler, Owner, Peer, Receiver, Recipient
from sockjs_bridge.core.frames import Batch
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.outbound import Outbound
from sockjs_bridge.core.session import Session
from tests.support import XHR, HandClock, Recorder, RecordingHandler, make_manager


class BareChannel(Channel):
    pass


class BareRecipient(Recipient):
    pass


class BareOwner(Owner[Session]):
    pass


class BareOutbound(Outbound):
    pass


@pytest.mark.interpreted
@pytest.mark.parametrize(
    "call",
    [
        lambda session: BareChannel().send_encoded(b""),
        lambda session: BareChannel().close(1000, ""),
        lambda session: BareChannel().when_drained(print),
        lambda session: BareChannel().ready(),
        lambda session: BareChannel().rooms,
        lambda session: BareChannel().join("lobby"),
        lambda session: BareChannel().leave("lobby"),
        lambda session: BareRecipient().take(Batch(), 0.0),
        lambda session: BareRecipient().queue([]),
        lambda session: BareRecipient().flush(),
        lambda session: BareOwner().watch(session),
        lambda session: BareOwner().flush_soon(session),
        lambda session: BareOwner().flush_now(session),
        lambda session: BareOwner().settle(session),
        lambda session: BareOwner().drop(session),
        lambda session: BareOwner().rooms_of(session),
        lambda session: BareOwner().join(session, "lobby"),
        lambda session: BareOwner().leave(session, "lobby"),
        lambda session: BareOwner().leave_rooms(session),
        lambda session: BareOwner().forget(session),
        lambda session: BareOutbound(session._owner, XHR).close(1000, ""),
    ],
)
def test_contract_has_no_behaviour_of_its_own(call: Callable[[Session], object]) -> None:
    """An implementation that leaves something out says so."""
    with pytest.raises(NotImplementedError):
        call(make_manager().create("s", XHR))


def test_who_fulfils_what() -> None:
    """Told by the types; what is there, and takes what it is given, is looked at here."""
    manager = make_manager()
    session = manager.create("s", XHR)
    owner: Owner[Session] = manager
    channel: Channel = session
    recipient: Recipient = session
    clock: Clock = HandClock()
    receiver: Receiver = Recorder(XHR)
    handler: Handler = RecordingHandler()
    assert isinstance(owner, Manager)
    assert channel is recipient is session
    assert clock.time() == 1000.0
    assert receiver.writable
    assert handler.backlog() == 0


@pytest.mark.interpreted
def test_a_session_in_a_place_of_another_kind() -> None:
    """All that it needs of where it lives is the contract: no manager, no hub."""
    manager = make_manager()
    calls: list[tuple[Any, ...]] = []

    class Elsewhere(BareOwner):
        settings = manager.settings
        clock = manager.clock
        monitor = manager.monitor
        traffic = None

        def watch(self, session: Session) -> None:
            calls.append(("watch",))

        def flush_soon(self, session: Session) -> None:
            calls.append(("flush_soon",))

        def settle(self, session: Session) -> None:
            calls.append(("settle",))

        def drop(self, session: Session) -> int:
            calls.append(("drop",))
            return 0

        def leave_rooms(self, session: Session) -> frozenset[str]:
            return frozenset({"lobby"})

        def forget(self, session: Session) -> None:
            calls.append(("forget", session.close_code))

    session = Session(Elsewhere(), "s", XHR)
    handler, receiver = RecordingHandler(), Recorder(XHR)
    session.accept(handler)
    session.attach(receiver)
    assert receiver.frames == ["o"]
    session.detach(receiver, lost=False)
    assert session.send("a")
    session.fail()
    assert handler.calls == [("opened",), ("closed", 4500, "Internal Server Error")]
    assert calls[-1] == ("forget", 4500)
    assert session.last_rooms == {"lobby"}
    assert {call[0] for call in calls} == {"watch", "flush_soon", "settle", "drop", "forget"}


def test_the_key_of_a_connection() -> None:
    """A value: the same as long as it lives, and no other connection's."""
    one, other = Peer(), Peer()
    key = one.key
    assert key == one.key != other.key
    del one
    assert len({key, other.key, *(Peer().key for _ in range(100))}) == 102
