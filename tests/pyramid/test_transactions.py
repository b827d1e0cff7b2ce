"""Transactions of pyramid_tm for the messages of a session class (api.md, section 7)."""

from __future__ import annotations

import asyncio
import threading

import pytest
import transaction
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request, apply_request_extensions
from pyramid_retry import RetryableException
from transaction.interfaces import TransientError

from sockjs_bridge.pyramid import transactions
from sockjs_bridge.pyramid.attempt import Attempt, enter, leave, note_transient
from sockjs_bridge.pyramid.transactions import attempts, is_retryable


class Store:
    """A data manager: it takes part in a transaction and notes what becomes of it.

    Args:
        refuses: raised when the transaction is committed.
        retry: whether it calls an error worth another try.
    """

    def __init__(self, refuses: Exception | None = None, retry: bool = False) -> None:
        self.refuses = refuses
        self.retry = retry
        self.calls: list[str] = []
        self.transaction_manager = None

    def sortKey(self):
        return "store"

    def should_retry(self, error):
        return self.retry

    def tpc_begin(self, transaction):
        if self.refuses is not None:
            raise self.refuses

    def commit(self, transaction):
        self.calls.append("commit")

    def tpc_vote(self, transaction):
        pass

    def tpc_finish(self, transaction):
        self.calls.append("finish")

    def tpc_abort(self, transaction):
        pass

    def abort(self, transaction):
        self.calls.append("abort")


@pytest.fixture(params=["explicit", "of the thread"])
def request_(request):
    """A request with pyramid_tm's manager, of either kind."""
    if request.param == "explicit":
        manager = transaction.TransactionManager(explicit=True)
    else:
        manager = transaction.ThreadTransactionManager()
    made = Request.blank("/chat")
    made.tm = manager
    return made


@pytest.fixture
def attempt():
    """What the code of the test does is done by this attempt."""
    attempt = Attempt()
    token = enter(attempt)
    yield attempt
    leave(token)


def fetch(manager):
    """Return the transaction under way, None where there is none."""
    try:
        current = manager.get()
    except transaction.interfaces.NoTransaction:
        return None
    # One that is not explicit begins a transaction when it is asked for it.
    return current if current.description else None


def test_commit(request_, attempt):
    """It is committed at the end of the block, and says in its description where it came from."""
    store = Store()
    with transactions.transaction(request_) as current:
        assert current is request_.tm.get()
        current.join(store)
        assert store.calls == []
    assert store.calls == ["commit", "finish"]
    assert current.description == "/chat"
    assert attempt.acted
    assert fetch(request_.tm) is None


def test_one_after_another(request_):
    stores = [Store(), Store()]
    for store in stores:
        with transactions.transaction(request_) as current:
            current.join(store)
    assert [store.calls for store in stores] == [["commit", "finish"]] * 2


def test_begun_before(request_):
    """Who tests a hook begins a transaction for it: it is taken over, and another one is left."""
    store = Store()
    request_.tm.begin().join(store)
    for _ in range(2):
        with transactions.transaction(request_):
            pass
    assert store.calls == ["commit", "finish"]
    request_.tm.abort()


def test_doomed_before(request_):
    """Who tests on a database that is to stay as it is ends what was done, after a look at it."""
    store = Store()
    mine = request_.tm.begin()
    mine.doom()
    for _ in range(2):
        with transactions.transaction(request_) as current:
            current.join(store)
    assert (current, store.calls) == (mine, [])
    request_.tm.abort()
    assert set(store.calls) == {"abort"}


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_abort(request_, attempt, error):
    """Any exception of the block aborts it, and comes out."""
    store = Store()
    with pytest.raises(error) as raised, transactions.transaction(request_) as current:
        current.join(store)
        raise error
    assert store.calls == ["abort"]
    assert raised.value is not attempt.transient
    assert not attempt.acted
    assert fetch(request_.tm) is None


@pytest.mark.parametrize("by", ["transaction", "manager"])
def test_doomed(request_, by):
    """What was doomed is aborted, without an exception."""
    store = Store()
    with transactions.transaction(request_) as current:
        current.join(store)
        (current if by == "transaction" else request_.tm).doom()
    assert store.calls == ["abort"]
    assert fetch(request_.tm) is None


def test_commit_that_fails(request_, attempt):
    """The error of the commit comes out, and the transaction is over."""
    store = Store(refuses=ValueError("disk full"))
    with (
        pytest.raises(ValueError, match="disk full") as raised,
        transactions.transaction(request_) as current,
    ):
        current.join(store)
    assert "finish" not in store.calls
    assert raised.value is not attempt.transient
    assert not attempt.acted
    assert fetch(request_.tm) is None
    with transactions.transaction(request_) as current:
        current.join(again := Store())
    assert again.calls == ["commit", "finish"]


@pytest.mark.parametrize("where", ["block", "commit"])
@pytest.mark.parametrize(
    ("error", "retry"),
    [(TransientError("conflict"), False), (KeyError("serialization"), True)],
    ids=["transient", "as the store says"],
)
def test_retryable(request_, attempt, where, error, retry):
    """The manager's own judgement: a transient error, or one that a data manager knows."""
    store = Store(refuses=error if where == "commit" else None, retry=retry)
    with pytest.raises(type(error)) as raised, transactions.transaction(request_) as current:
        current.join(store)
        if where == "block":
            raise error
    assert raised.value is attempt.transient
    assert fetch(request_.tm) is None


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (TransientError(), True),
        (RetryableException(), True),
        (ValueError(), False),
        (SystemExit(), False),
    ],
    ids=repr,
)
def test_retryable_without_a_transaction(error, retry):
    """What is so by its class, for the transaction package or for pyramid_retry."""
    assert is_retryable(error, None) is retry


def test_without_pyramid_tm():
    """RuntimeError, with what to write."""
    request = Request.blank("/chat")
    with (
        pytest.raises(RuntimeError, match=r'config.include\("pyramid_tm"\)'),
        transactions.transaction(request),
    ):
        raise AssertionError("there is none to begin")
    request.tm = None
    with pytest.raises(RuntimeError), transactions.transaction(request):
        raise AssertionError("there is none to begin")


async def test_in_an_asynchronous_hook_with_a_manager_of_its_own():
    """Two of them at once do not share a transaction."""
    stores = [Store(), Store()]

    async def hook(store, error):
        request = Request.blank("/chat")
        request.tm = transaction.TransactionManager(explicit=True)
        with transactions.transaction(request) as current:
            current.join(store)
            await asyncio.sleep(0)
            if error is not None:
                raise error

    results = await asyncio.gather(
        hook(stores[0], None), hook(stores[1], ValueError("mine")), return_exceptions=True
    )
    assert [str(result) for result in results] == ["None", "mine"]
    assert [store.calls for store in stores] == [["commit", "finish"], ["abort"]]


async def test_in_an_asynchronous_hook_with_the_threads_manager():
    """RuntimeError, with what to do; in a thread that the hook waits for it is allowed."""
    request = Request.blank("/chat")
    request.tm = transaction.ThreadTransactionManager()
    with (
        pytest.raises(RuntimeError, match=r"tm\.manager_hook = pyramid_tm\.explicit_manager"),
        transactions.transaction(request),
    ):
        raise AssertionError("it must not begin")
    store = Store()

    def work():
        with transactions.transaction(request) as current:
            current.join(store)

    await asyncio.to_thread(work)
    assert store.calls == ["commit", "finish"]


@pytest.mark.parametrize("explicit", [True, False])
async def test_managers_of_pyramid_tm(explicit):
    """What pyramid_tm itself puts on a request, as its own setting says."""
    hook = {"tm.manager_hook": "pyramid_tm.explicit_manager"} if explicit else {}
    config = Configurator(settings=hook)
    config.include("pyramid_tm")
    config.commit()
    request = Request.blank("/chat")
    request.registry = config.registry
    apply_request_extensions(request)
    if explicit:
        with transactions.transaction(request) as current:
            current.join(store := Store())
        assert store.calls == ["commit", "finish"]
    else:
        with pytest.raises(RuntimeError, match="explicit_manager"):
            transactions.transaction(request).__enter__()


@pytest.mark.parametrize(("settings", "count"), [({}, 3), ({"retry.attempts": "7"}, 7)])
def test_attempts(settings, count):
    """As pyramid_retry has it."""
    assert attempts(settings) == count


@pytest.mark.parametrize("value", ["0", "often"])
def test_wrong_attempts(value):
    """That is told at start-up, and not by a hook."""
    config = Configurator(settings={"retry.attempts": value})
    with pytest.raises(ConfigurationError) as wrong:
        config.include("sockjs_bridge")
    assert f"retry.attempts = {value!r}" in str(wrong.value)


def test_error_that_cannot_be_judged(request_):
    """Whatever goes wrong with an error, its transaction is aborted."""

    class Asks(Store):
        def should_retry(self, error):
            raise ValueError("not now")

    store = Asks()
    with pytest.raises(ValueError, match="not now"), transactions.transaction(request_) as current:
        current.join(store)
        raise KeyError
    assert store.calls == ["abort"]


# What ``request.tm`` is for a connection


@pytest.fixture
def manager():
    """The connection's, around one that is no thread's."""

    class Own(transaction.TransactionManager):
        label = "the application's"

    return transactions.Manager(Own(explicit=True))


def test_names_that_the_manager_does_not_know(manager):
    """The application's own knows them."""
    assert manager.label == "the application's"
    with pytest.raises(AttributeError):
        _ = manager.nonsense


def test_manager_as_a_context(manager):
    """It commits what ends, and aborts what raises."""
    good, bad = Store(), Store()
    with manager as current:
        current.join(good)
    with pytest.raises(ZeroDivisionError), manager as current:
        current.join(bad)
        raise ZeroDivisionError
    assert (good.calls, bad.calls) == (["commit", "finish"], ["abort"])


def test_savepoint(manager):
    class Savepoint:
        def rollback(self):
            store.calls.append("rollback")

    store = Store()
    store.savepoint = Savepoint
    manager.begin().join(store)
    manager.savepoint().rollback()
    assert not manager.isDoomed()
    manager.doom()
    assert manager.isDoomed()
    manager.abort()
    assert store.calls == ["rollback", "abort"]


async def test_a_thread_that_asynchronous_code_waits_for():
    """It begins nothing: nobody would end it there."""
    manager = transactions.Manager(transaction.ThreadTransactionManager())
    manager.enter(True)
    with pytest.raises(RuntimeError, match=r"tm\.manager_hook"):
        await asyncio.to_thread(manager.get)
    manager.exit()


def test_a_thread_of_plain_code_has_a_transaction_of_its_own():
    """The connection neither begins nor ends it."""
    manager = transactions.Manager(transaction.ThreadTransactionManager())
    manager.enter(False)
    mine = manager.get()
    others = []

    def work():
        others.append(manager.get())
        others[0].abort()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert others[0] is not mine
    assert manager.get() is mine
    mine.abort()
    manager.exit()


def test_attribute_of_requests():
    """What is set stays, and the class has it too."""
    own = transaction.TransactionManager(explicit=True)
    made = transactions.ManagerProperty(lambda request: own)

    class Asked(Request):
        tm = made

    assert Asked.tm is made
    request = Asked.blank("/chat")
    assert request.tm is own
    other = transaction.TransactionManager(explicit=True)
    request.tm = other
    assert request.tm is other


def test_transient_error_outside_of_an_attempt():
    """Nobody asks for it there."""
    note_transient(ValueError())
