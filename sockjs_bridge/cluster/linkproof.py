"""How two processes of a cluster prove to each other that they belong to it.

Who dials proves first that it knows the secret, so that a stranger gets nothing but random bytes;
then the other side does. Both proofs name both processes, hold for these challenges alone, and
differ by their labels: none can be played back (RFC 2104: HMAC).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from sockjs_bridge.cluster.linkframes import LinkError

#: What a link begins with, its version too.
MAGIC: Final = b"sockjs-bridge link 1\n"
_NONCE: Final = 32
_PROOF: Final = hashlib.sha256().digest_size
#: Characters of a process's name at the most; a shorter one is filled up.
_NAME: Final = 16
#: Bytes of what is said before frames: a challenge, who dials, and the answer to that.
CHALLENGE: Final = len(MAGIC) + _NONCE
INTRODUCTION: Final = _NONCE + _NAME + _PROOF
WELCOME: Final = _PROOF


class Introduction:
    """The proofs of one link, for either side of it.

    Args:
        secret: that both sides know.
        acceptor: the name of the process that was dialled.
        nonce: of the challenge; made anew where none is given.
    """

    def __init__(self, secret: bytes, acceptor: str, nonce: bytes = b"") -> None:
        self._secret = secret
        self._acceptor = acceptor.encode()
        self._nonce = nonce or secrets.token_bytes(_NONCE)

    @classmethod
    def answering(cls, secret: bytes, acceptor: str, challenge: bytes) -> Introduction:
        """Begins with what the other side has sent.

        Raises:
            LinkError: it is no challenge.
        """
        if len(challenge) != CHALLENGE or not challenge.startswith(MAGIC):
            raise LinkError("it is no link of this version of sockjs_bridge")
        return cls(secret, acceptor, challenge[len(MAGIC) :])

    @property
    def challenge(self) -> bytes:
        """What the side that was dialled sends first."""
        return MAGIC + self._nonce

    def introduce(self, dialler: str) -> tuple[bytes, bytes]:
        """Returns what the side that dials sends, and what it has to hear then."""
        nonce, name = secrets.token_bytes(_NONCE), dialler.encode()
        said = nonce + name.ljust(_NAME, b"\0") + self._proof(b"dials", nonce, name)
        return said, self._proof(b"accepts", nonce, name)

    def accept(self, said: bytes) -> tuple[str, bytes]:
        """Returns the name of the process that dials, and what it is answered.

        Raises:
            LinkError: it does not know the secret, or wants another process.
        """
        nonce, rest = said[:_NONCE], said[_NONCE:]
        name = rest[:_NAME].rstrip(b"\0")
        if not hmac.compare_digest(rest[_NAME:], self._proof(b"dials", nonce, name)):
            raise LinkError("it does not know cluster_secret, or takes this process for another")
        return name.decode("ascii", "replace"), self._proof(b"accepts", nonce, name)

    def _proof(self, label: bytes, nonce: bytes, dialler: bytes) -> bytes:
        # All parts but the last have a fixed length, or no such byte.
        said = b"\0".join((label, dialler, self._acceptor, self._nonce + nonce))
        return hmac.digest(self._secret, said, "sha256")
