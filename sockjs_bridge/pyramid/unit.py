"""A request's worth of application code, in a connection that lives much longer.

Each hook, and a view between two messages, begins and ends as a request does: with a transaction
where pyramid_tm is active, with finished callbacks, and with nothing left over of the one before.
"""

from __future__ import annotations

import logging
from contextvars import Token

from pyramid.request import Request
from pyramid.threadlocal import RequestContext

from sockjs_bridge.pyramid import attempt
from sockjs_bridge.pyramid.extensions import REIFIED, let_go, noted_userid
from sockjs_bridge.pyramid.transactions import Manager, annotates_user

logger = logging.getLogger("sockjs_bridge.views")


class InThread:
    """Makes the code of a ``with`` block that of a connection, in a thread.

    Args:
        unit: of the connection.
    """

    __slots__ = ("_context", "_token", "_unit")

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._context = RequestContext(unit.request)

    def __enter__(self) -> None:
        self._context.begin()
        self._token: Token[attempt.Attempt | None] = attempt.enter(self._unit)

    def __exit__(self, *error: object) -> None:
        attempt.leave(self._token)
        self._context.end()


class Unit(attempt.Attempt):
    """Runs the application's code for one connection, a request's worth at a time.

    Whoever runs some calls `begin`, and when the code has returned `end`. Where that, or the code
    itself, raises an exception: `fail`.

    Args:
        request: the handshake's, while that is under way.

    Attributes:
        request: the handshake's.
    """

    __slots__ = ("_attributes", "_context", "_manager", "request")

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request
        self._attributes = vars(request)
        # The router takes the context away when the handshake is over.
        self._context = request.context
        manager = self._attributes.get("tm") if request.environ.get("tm.active") else None
        self._manager: Manager | None = manager if isinstance(manager, Manager) else None

    def open(self) -> None:
        """Makes the request of a handshake that is over one of a connection."""
        request, manager = self.request, self._manager
        request.context = self._context
        if manager is not None:
            request.environ.update({"tm.active": True, "tm.manager": manager})
            userid = noted_userid(request) if annotates_user(request.registry.settings) else None
            manager.describe(request.path, str(userid) if userid else "")

    def in_thread(self) -> InThread:
        """Has the code of a ``with`` block be that of the connection, in a thread."""
        return InThread(self)

    def in_task(self) -> None:
        """Has what the present task does from now on be code of the connection."""
        attempt.enter(self)

    def begin(self, asynchronous: bool) -> None:
        """Begins. What costs something, a transaction, begins when it is used.

        Args:
            asynchronous: the code runs on the loop.
        """
        self.acted = False
        self.transient = None
        manager = self._manager
        if manager is not None:
            manager.runs = True
            if manager.shared:
                manager.enter(asynchronous)

    def end(self) -> None:
        """Ends code that has returned: its transaction is committed."""
        # Most code did nothing that would have an end: that costs a look at it.
        manager = self._manager
        if manager is None:
            if REIFIED in self._attributes:
                self._clean()
        elif manager.used or (manager.shared and manager.is_shared_used()):
            manager.complete(self.request)
            self._clean()
        elif REIFIED in self._attributes:
            self._clean()
        else:
            manager.runs = False

    def fail(self, error: BaseException) -> bool:
        """Ends code that has raised an exception: its transaction is aborted.

        Args:
            error: the exception.

        Returns:
            Whether the code may run again: another attempt may succeed, and nobody knows of this.
        """
        try:
            try:
                if self._manager is not None and self._manager.drop(error):
                    self.transient = error
            finally:
                self._clean()
        except Exception:
            path = self.request.path
            logger.exception("%s: the cleanup after an exception raised another one", path)
        return self.transient is error and not self.acted

    def next(self, *, asynchronous: bool) -> None:
        """Ends what a view did so far, and begins what comes: the view asks for a message.

        Args:
            asynchronous: as for `begin`.
        """
        try:
            self.end()
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            self.begin(asynchronous)

    def _clean(self) -> None:
        manager = self._manager
        try:
            if REIFIED in self._attributes:
                self._finish(manager)
        finally:
            if manager is not None:
                manager.exit()

    def _finish(self, manager: Manager | None) -> None:
        callbacks = self._attributes.get("finished_callbacks", ())
        called = bool(callbacks)
        first: Exception | None = None
        try:
            while callbacks:
                try:
                    callbacks.popleft()(self.request)
                except Exception as error:
                    # No request of a connection goes away, and takes the others with it.
                    if first is None:
                        first = error
                    else:
                        path = self.request.path
                        logger.exception("%s: another finished callback raised", path)
        finally:
            if called and manager is not None:
                manager.discard()
            # Where nothing ends what was reified, it may be kept as long as the connection.
            if called or manager is not None:
                let_go(self.request)
        if first is not None:
            raise first
