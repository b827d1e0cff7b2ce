"""Random lives of a session of the browser's client, as in `tests.resume.test_machine`.

The core of that client runs under node, at the end of a pipe. In ``make check`` there are 40 lives,
in ``make test`` 200, at night 4 000.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from sockjs_bridge.client.resume.links import Listener
from sockjs_bridge.client.resume.policy import Way
from tests.resume.browser import BrowserClient, Node
from tests.resume.simulation import Simulation
from tests.resume.test_machine import Life


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    node = Node()
    yield node
    node.close()


@pytest.mark.timeout(1800)
def test_lives_of_a_browsers_session(node: Node) -> None:
    def make(
        world: Simulation, listener: Listener, ways: tuple[Way, ...], seed: int
    ) -> BrowserClient:
        return BrowserClient(node, world.clock, world, listener, ways, seed)

    class BrowserLife(Life):
        make_client = staticmethod(make)

    run_state_machine_as_test(
        BrowserLife,
        settings=settings(
            max_examples=2 * settings.default.max_examples,
            stateful_step_count=50,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
