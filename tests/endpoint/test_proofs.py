"""What follows from what the application says of a request; the rest is in test_endpoint."""

from __future__ import annotations

import json

from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.endpoint.outcomes import Proof
from sockjs_bridge.endpoint.proofs import admits
from sockjs_bridge.resume.tombstones import Tombstone
from tests.resume.support import Server, answers
from tests.resume.test_session import started


def signed_in(server: Server) -> Credentials:
    credentials = server.session.credentials = Credentials(b"before")
    credentials.settle("alice")
    return credentials


def test_who_is_still_the_same_goes_on() -> None:
    server = started()
    credentials = signed_in(server)
    assert admits(server.session, b"after", Proof(server.session, 200, "alice", []))
    assert credentials.passes(b"after")


def test_what_is_said_of_another_session_admits_nobody() -> None:
    """The one that was asked about has ended meanwhile, and another one has its id."""
    server = started()
    credentials = signed_in(server)
    for identity in ("alice", None):
        assert not admits(server.session, b"after", Proof(started().session, 200, identity, []))
    assert credentials.passes(b"before")
    assert not credentials.passes(b"after")
    assert not server.session.over


def test_what_is_said_of_a_session_holds_for_its_end() -> None:
    """It has ended while the application was asked."""
    server = started()
    credentials = signed_in(server)
    session = server.session
    session.close(4001, "enough")
    server.clock.advance(61)
    tombstone = server.look(json.dumps(server.hello()).encode(), b"after").unproven
    assert isinstance(tombstone, Tombstone)
    assert admits(tombstone, b"after", Proof(session, 200, "alice", []))
    assert credentials.passes(b"after")
    assert not admits(tombstone, b"other", Proof(session, 200, "mallory", []))
    assert not admits(tombstone, b"other", Proof(session, 200, None, []))
    assert answers(server.poll(fingerprint=b"after")) == ["c[4001,enough]"]
