"""Transactions of pyramid_tm for the code of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from pyramid.path import DottedNameResolver
from pyramid.request import Request
from pyramid.settings import asbool

from sockjs_bridge.endpoint.handshake import HANDSHAKE
from sockjs_bridge.ini import count
from sockjs_bridge.pyramid.attempt import note_act, note_transient

try:
    from pyramid_retry import IRetryableError
except ImportError:  # pragma: no cover - the tests have it installed
    IRetryableError = None

#: How often a hook runs at the most where its errors are retryable; pyramid_retry's default.
ATTEMPTS = 3

#: What asynchronous code hears that would need a transaction of its own.
SHARED = (
    "asynchronous code would share its transaction with that of other sessions: set"
    " tm.manager_hook = pyramid_tm.explicit_manager, or make it a plain hook or view"
)


class Manager:
    """What ``request.tm`` is for a connection: it begins a transaction where one is first used.

    It lives as long as the connection, so that what was made of it, a database session for
    example, can be held. Where it does not know a name, the application's own manager does.

    Args:
        manager: the application's own.

    Attributes:
        runs: code of the connection runs now.
        shared: the application's manager is one for all code of a thread.
        used: that code has asked for a transaction.
    """

    __slots__ = (
        *("_before", "_home", "_manager", "_own", "_path", "_user"),
        *("runs", "shared", "used"),
    )

    def __init__(self, manager: Any) -> None:
        # Whoever has a request of pyramid_tm has its requirements.
        from transaction import ThreadTransactionManager

        self._manager = manager
        self.shared = isinstance(manager, ThreadTransactionManager)
        self.runs = False
        self.used = False
        self._path = self._user = ""
        # The thread that the code runs in; None on the loop.
        self._home: int | None = None
        # The transaction that the code has begun itself, or taken over.
        self._own: Any = None
        # The one that the loop's thread had before asynchronous code came.
        self._before: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    # What the application calls

    def get(self) -> Any:
        """Returns the transaction under way."""
        if self.runs:
            if self.shared and self._home is None and _on_loop():
                # Refused here, a database session would keep the connection that it has just
                # taken. It joins, and the end of the code says what is wrong.
                self._before = None
            else:
                self._ensure()
        return self._manager.get()

    def begin(self) -> Any:
        """Begins a transaction, or takes over one that is under way without having been begun.

        It was begun for the code, or by a database session that knows the thread's manager only.

        Raises:
            RuntimeError: on the loop, where the manager is one for all.
        """
        self._refuse_loop()
        self.used = True
        if not self.runs:
            return self._manager.begin()
        current = under_way(self._manager)
        if current is None or current is self._own:
            # One that the code has begun itself is aborted, or an error: as the manager has it.
            current = self._manager.begin()
        self._own = current
        return current

    __enter__ = begin

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is None:
            self.commit()
        else:
            self.abort()

    def commit(self) -> None:
        """Commits the transaction under way."""
        self.get().commit()
        note_act()

    def abort(self) -> None:
        """Aborts the transaction under way."""
        self.get().abort()

    def doom(self) -> Any:
        """Has the transaction under way aborted at its end."""
        return self.get().doom()

    def isDoomed(self) -> bool:
        """Tells whether the transaction under way is doomed."""
        doomed: bool = self.get().isDoomed()
        return doomed

    def savepoint(self, optimistic: bool = False) -> Any:
        """Returns a savepoint of the transaction under way."""
        return self.get().savepoint(optimistic)

    # What the connection calls

    def describe(self, path: str, user: str) -> None:
        """Notes what transactions are described by, as pyramid_tm does it.

        Args:
            path: of the request.
            user: who made it; empty where that is not to be said.
        """
        self._path, self._user = path, user

    def enter(self, asynchronous: bool) -> None:
        """Says that code of the connection runs from now on: ``runs`` is all, if not `shared`.

        Args:
            asynchronous: on the loop.
        """
        self.runs = True
        if self.shared:
            self._home = None if asynchronous else get_ident()
            self._before = self._manager.manager._txn if asynchronous else None

    def is_shared_used(self) -> bool:
        """Tells whether a shared manager is in use by code that did not ask this one for it."""
        used: bool = self._manager.manager._txn is not self._before
        return used

    def is_own(self) -> bool:
        """Tells whether the code has begun a transaction itself, and not ended it."""
        return self._own is not None and self._own is under_way(self._manager)

    def use(self) -> None:
        """Begins a transaction for code that takes hold of the manager.

        Raises:
            RuntimeError: it is asynchronous, and the manager is one for all.
        """
        self._refuse_loop()
        if self.runs:
            self._ensure()

    def go_on(self) -> None:
        """Begins a transaction behind the one that the code has ended by itself."""
        if self.runs and self._is_at_home():
            self._ensure()

    def complete(self, request: Request) -> None:
        """Commits the transaction of the code, if there is one; aborts one that was doomed.

        Args:
            request: the handshake's.

        Raises:
            RuntimeError: the code is asynchronous, and the manager is one for all.
        """
        current = self._present()
        if current is None:
            return
        if self.shared and self._home is None:
            raise RuntimeError(SHARED)
        if current.isDoomed() or is_vetoed(request):
            current.abort()
        else:
            current.commit()
            note_act()

    def drop(self, error: BaseException) -> bool:
        """Aborts the transaction of the code, if there is one: the code, or its commit, raised.

        Returns:
            Whether it may succeed another time.
        """
        current = self._present()
        try:
            # Its data managers are asked before they are let go.
            return is_retryable(error, current)
        finally:
            if current is not None:
                current.abort()

    def discard(self) -> None:
        """Aborts what finished callbacks have begun, behind the end of the code."""
        current = self._present()
        if current is not None:
            current.abort()

    def exit(self) -> None:
        """Says that code of the connection runs no longer."""
        self.runs = False
        if self.used:
            self.used = False
            self._own = self._before = None

    def _refuse_loop(self) -> None:
        if self.shared and _on_loop():
            raise RuntimeError(SHARED)

    def _is_at_home(self) -> bool:
        return not self.shared or self._home == get_ident()

    def _present(self) -> Any:
        current = under_way(self._manager)
        return None if current is self._before else current

    def _ensure(self) -> None:
        self.used = True
        if under_way(self._manager) is not None:
            return
        if self._is_at_home():
            begun = self._manager.begin()
            begun.note(self._path)
            if self._user:
                begun.user = self._user
        elif self._home is None:
            # In a thread that the code waits for: nobody would end it there.
            raise RuntimeError(SHARED)


class ManagerProperty:
    """The attribute ``tm`` of requests: a connection's is a `Manager`.

    Args:
        make: makes the application's own.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __get__(self, request: Any, kind: type | None = None) -> Any:
        if request is None:
            return self
        attributes = vars(request)
        if "tm" not in attributes:
            manager = self._make(request)
            attributes["tm"] = Manager(manager) if HANDSHAKE in request.environ else manager
        manager = attributes["tm"]
        if isinstance(manager, Manager):
            manager.use()
        return manager

    def __set__(self, request: Any, manager: Any) -> None:
        vars(request)["tm"] = manager


@contextmanager
def transaction(request: Request) -> Iterator[Any]:
    """Has a block run in a transaction of ``request.tm`` that ends with it.

    Args:
        request: the handshake's.

    Yields:
        The transaction.

    Raises:
        RuntimeError: see `WebSocketSession.transaction`.
    """
    # Not by its property, which begins one: it may be that a thread of asynchronous code is here.
    manager = vars(request).get("tm") or getattr(request, "tm", None)
    if manager is None:
        raise RuntimeError('transaction() needs pyramid_tm: config.include("pyramid_tm")')
    if not isinstance(manager, Manager):
        # A unit test's, which may have begun one.
        present = under_way(manager)
        if present is not None and present.isDoomed():
            # As Pyramid's template does, so that nothing is stored: a new one would be.
            yield present
            return
        manager = Manager(manager)
        if present is not None:
            manager.enter(asynchronous=False)
    if manager.is_own():
        raise RuntimeError("a transaction() inside of another one would commit half of that")
    current = manager.begin()
    if not current.description:
        current.note(request.path)
    try:
        yield current
        if manager.isDoomed():
            manager.abort()
        else:
            manager.commit()
    except BaseException as error:
        try:
            # Its data managers are asked before they are let go.
            if is_retryable(error, current):
                note_transient(error)
        finally:
            manager.abort()
        raise
    manager.go_on()


def is_retryable(error: BaseException, current: Any) -> bool:
    """Tells whether another attempt may succeed where an exception ended one.

    Args:
        error: the exception.
        current: the transaction that it ended; None where there was none.
    """
    if not isinstance(error, Exception):
        return False
    if IRetryableError is not None and IRetryableError.providedBy(error):
        return True
    from transaction.interfaces import TransientError

    return isinstance(error, TransientError) or bool(
        current is not None and current.isRetryableError(error)
    )


def under_way(manager: Any) -> Any:
    """Returns the transaction of a manager, None where there is none.

    By the back door: asked for it, a manager that is not explicit makes one, and one that is
    raises an exception, which costs as much as a short hook.

    Args:
        manager: of the package ``transaction``; of a thread-local one this thread's counts.
    """
    return getattr(getattr(manager, "manager", manager), "_txn", None)


def annotates_user(settings: Mapping[str, Any]) -> bool:
    """Tells whether transactions say who the user is, by pyramid_tm's ``tm.annotate_user``."""
    annotates: bool = asbool(settings.get("tm.annotate_user", True))
    return annotates


def is_vetoed(request: Request) -> bool:
    """Asks pyramid_tm's ``tm.commit_veto`` whether a commit is to be an abort.

    Args:
        request: the handshake's; its ``response`` is what the veto sees.
    """
    settings = request.registry.settings
    veto = settings.get("tm.commit_veto", settings.get("pyramid_tm.commit_veto"))
    if not veto:
        return False
    return bool(DottedNameResolver(None).maybe_resolve(veto)(request, request.response))


def attempts(settings: Mapping[str, Any]) -> int:
    """Returns how often a hook may run for one message.

    Args:
        settings: of the application; pyramid_retry's ``retry.attempts`` is among them.

    Raises:
        ValueError: it is no whole number from 1.
    """
    return count(1, "attempts")(settings.get("retry.attempts", ATTEMPTS))


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
