"""The answer to a send of ``~r1``, which waits for the session to take it."""

from __future__ import annotations

import json
from collections.abc import Callable

from sockjs_bridge.endpoint.outcomes import Answer, Outcome, Wait
from sockjs_bridge.resume import frames
from sockjs_bridge.resume.arrivals import Upload
from sockjs_bridge.resume.manager import ResumeManager
from sockjs_bridge.resume.session import ResumableSession

#: Seconds after which a send is answered with what was taken of it.
ANSWER_AFTER = 1.0


class LateAnswer:
    """The answer to a send: when all of it was taken, or after a second with what was.

    Args:
        manager: of the sessions.
        session: that it is for.
        answer: its body is made at last.
    """

    def __init__(self, manager: ResumeManager, session: ResumableSession, answer: Answer) -> None:
        self._clock = manager.clock
        self._session = session
        self._answer = answer
        self._upload: Upload | None = None
        self._callback: Callable[[], object] | None = None
        self._finished = False

    def outcome(self, send: frames.Send) -> Outcome:
        """Has the session take a send."""
        self._upload = self._session.take_send(send, self._finish)
        if self._upload is None:
            self._finish()
            return self._answer
        return Wait(self, self._answer)

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Calls back when the answer is there."""
        if self._finished:
            callback()
            return
        self._callback = callback
        self._clock.call_at(self._clock.time() + ANSWER_AFTER, self._finish)

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        if self._upload is not None:
            self._session.withdraw(self._upload)
        self._answer.body = as_json(self._session.answer())
        if self._callback is not None:
            self._callback()


# `json.dumps` would make one for each answer.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def as_json(value: dict[str, object]) -> bytes:
    """Returns a value as the body of an answer."""
    return _encode(value).encode()
