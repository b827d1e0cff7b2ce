"""How far an application is with its messages, and when who waits for that hears of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sockjs_bridge.pyramid.progress import Progress
from sockjs_bridge.resume.session import ResumableSession
from tests.resume.support import Application, Server


class Counted(Application):
    """Says what its `Progress` knows to be handled."""

    progress: Progress

    def handled(self) -> int:
        return self.progress.handled

    def backlog(self) -> int:
        return len(self.got) - self.progress.handled


@pytest.mark.parametrize("finish", [Progress.finish, Progress.finish_in_task])
def test_who_waits_hears_when_a_message_is_handled(finish: Callable[[Progress], None]) -> None:
    server = Server(max_inbound=1)
    server.application = app = Counted(slow=True)
    app.progress = Progress(server.make(), server.clock)
    server.session.accept(app)
    server.stream(new=True)
    heard: list[int] = []
    for number in (1, 2):
        assert server.post(first=number, messages=[str(number)])["arrived"] == number
        app.progress.begin()
        server.session.when_ready(lambda number=number: heard.append(number))  # type: ignore[misc]
        assert (server.session.full, app.progress.number) == (True, number)
        finish(app.progress)
        server.clock.settle()
        assert heard == [*range(1, number + 1)]
        assert (app.progress.handled, app.progress.number) == (number, None)


@pytest.mark.parametrize("finish", [Progress.finish, Progress.finish_in_task])
def test_where_nobody_waits_nothing_is_said(
    finish: Callable[[Progress], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    session = server.make()
    session.accept(server.application)
    server.clock.settle()
    said: list[ResumableSession] = []
    monkeypatch.setattr(ResumableSession, "ready", said.append)
    progress = Progress(session, server.clock)
    progress.begin()
    finish(progress)
    server.clock.settle()
    assert (session.awaited, progress.handled, said) == (False, 1, [])
