"""What follows from what the application says of a request with other credentials."""

from __future__ import annotations

from sockjs_bridge.core import protocol
from sockjs_bridge.core.credentials import UNKNOWN
from sockjs_bridge.endpoint.opening import Owned
from sockjs_bridge.endpoint.outcomes import Proof, phrase


def admits(session: Owned, fingerprint: bytes, proof: Proof) -> bool:
    """Tells whether a request may go on; closes the session where its user is no user any more.

    Args:
        session: that the request is for, with the credentials that it was opened with; or its
            tombstone, which has the same.
        fingerprint: of those that the request came with.
        proof: what the application said.
    """
    credentials = session.credentials
    if credentials is None or proof.session.credentials is not credentials:
        # That one has ended meanwhile, and another one has its id.
        return False
    nobody = proof.identity is None or (proof.identity is UNKNOWN and proof.status == 401)
    if nobody and proof.status < 500:
        session.revoke(*protocol.SIGNED_OUT)
    elif proof.identity == credentials.identity:
        if proof.status < 300:
            credentials.renew(fingerprint)
            return True
        if proof.status < 500:
            session.revoke(4000 + proof.status, phrase(proof.status))
    return False
