"""The handshake that leads through the application, and what an application says of a request.

Here the server and the framework meet, in the WSGI environ; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable

from sockjs_bridge.core.credentials import UNKNOWN
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.opening import Opening
from sockjs_bridge.resume.contracts import ResumableHandler

#: The key of the `Handshake` in the WSGI environ.
HANDSHAKE = "sockjs_bridge.handshake"
#: The key of the `Inquiry` in the WSGI environ of every other request: its server is ours.
INQUIRY = "sockjs_bridge.inquiry"


class Handshake:
    """A question to the application, asked by a GET request of the endpoint's base URL.

    The server puts it into the WSGI environ; the application answers here and by its response.

    Attributes:
        endpoint: the one that is asked for.
        session: the one that is to open; a placeholder where an open one is to go on.
        renewal: the session is open; a request of it came with other credentials than before.
        reached: it came as far as the routes; else a tween or a WSGI filter answered it.
        taken: a view would serve the connection.
        view: the dotted name of that view, for people.
        handler: the application's side of a session that is to open.
        identity: who asks, as the application's security policy says; None stands for nobody.
        failure: the status of the exception that an exception view turned into a response.
        release: drops what the application made for its response; called when that is over.
    """

    __slots__ = (
        *("endpoint", "failure", "handler", "identity", "reached", "release", "renewal"),
        *("session", "taken", "view"),
    )

    def __init__(self, endpoint: Endpoint, session: Opening, *, renewal: bool = False) -> None:
        self.endpoint = endpoint
        self.session = session
        self.renewal = renewal
        self.reached = False
        self.taken = False
        self.view = ""
        self.handler: ResumableHandler | None = None
        self.identity: object = UNKNOWN
        self.failure: int | None = None
        self.release: Callable[[], None] | None = None


class Inquiry:
    """What an application says of a request that the server handed to it as to any page.

    Attributes:
        found: the application's endpoints, when the request is for one of them: where the
            application is mounted behind other WSGI code, only it knows its own paths. With them
            its ``SCRIPT_NAME`` and ``PATH_INFO``.
        body: of that request, which the endpoint cannot read a second time.
    """

    def __init__(self) -> None:
        self.found: tuple[Endpoints, str, str] | None = None
        self.body = b""
