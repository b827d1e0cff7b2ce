"""Who gives way where many hold too much together."""

from __future__ import annotations

import pytest

from sockjs_bridge.server.wsgi.budget import STALLED, Budget, client_of, leaving_order


class Part:
    """A holder that was idle for so long."""

    def __init__(self, client="a", idle=0.0):
        self.client = client
        self.seconds = idle
        self.gone = 0

    def idle(self):
        return self.seconds

    def give_way(self):
        self.gone += 1


def test_within_the_limit_nobody_gives_way():
    budget = Budget(100)
    parts = [Part(idle=1000.0) for _ in range(10)]
    for part in parts:
        budget.hold(part, 4)
        budget.hold(part, 6)
    assert budget.total == 100
    for part in parts:
        budget.release(part, 10)
    assert budget.total == 0
    assert not any(part.gone for part in parts)


def test_who_stands_still_gives_way_first():
    """Whatever others hold; the stillest before the others."""
    still, stiller = Part("small", STALLED + 1), Part("small", STALLED + 2)
    moving = Part("large", STALLED)
    assert leaving_order({still: 1, moving: 90, stiller: 1}) == [stiller, still, moving]


def test_else_who_holds_most_gives_way():
    """Counted by client: many small parts are a large one; of a client's, the stillest goes."""
    alone = Part("alone", 4.0)
    many = [Part("many", float(idle)) for idle in range(4)]
    parts = {alone: 30, **dict.fromkeys(many, 10)}
    assert leaving_order(parts) == [many[3], many[2], many[1], many[0], alone]


def test_room_is_made_for_who_comes():
    budget = Budget(160)
    flood = [Part("flood", float(-number)) for number in range(15)]
    for part in flood:
        budget.hold(part, 10)
    newcomer = Part("newcomer")
    budget.hold(newcomer, 30)
    assert newcomer.gone == 0
    assert [part.gone for part in flood] == [1, 1, 1, *[0] * 12]
    assert budget.total == 150
    # What one has that gave way counts for nothing any more.
    budget.release(flood[0], 10)
    assert budget.total == 150


def test_who_comes_alone_with_too_much_gives_way_itself():
    budget = Budget(10)
    part = Part()
    budget.hold(part, 11)
    assert (part.gone, budget.total) == (1, 0)


def test_an_amount_may_count_for_less():
    """One that needs more than there is must not end all others, and itself."""
    budget = Budget(100, most=50)
    other, huge = Part("other"), Part("huge")
    budget.hold(other, 10)
    budget.hold(huge, 1000)
    assert (other.gone, huge.gone, budget.total) == (0, 0, 60)
    budget.release(huge, 1000)
    assert budget.total == 10


def test_what_is_kept_counts_and_does_not_give_way():
    budget = Budget(100)
    kept, newcomer = Part("a", 1000.0), Part("b")
    budget.hold(kept, 90)
    budget.keep(kept)
    assert budget.total == 90
    budget.hold(newcomer, 20)
    assert (kept.gone, newcomer.gone, budget.total) == (0, 1, 90)
    # Who gave way has nothing that could be kept, or taken off.
    budget.keep(newcomer)
    budget.drop(newcomer)
    assert budget.total == 90
    budget.hold(kept, 5)
    budget.drop(kept)
    budget.drop(kept)
    assert budget.total == 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_client_of(address, client):
    assert client_of(address) == client
