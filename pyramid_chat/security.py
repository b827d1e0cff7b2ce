"""Who may do what: the context with its access control list, and the security policy."""

from __future__ import annotations

from typing import Any

from pyramid.authorization import ACLHelper, Allow, Authenticated, Everyone
from pyramid.config import Configurator
from pyramid.request import Request


class ChatContext:
    """The context of every route: everybody may see the page and take part.

    Args:
        request: the current one.
    """

    __acl__ = ((Allow, Everyone, "view"),)

    def __init__(self, request: Request) -> None:
        self.request = request


class SecurityPolicy:
    """Asks the context's access control list. Nobody is signed in: everybody is anonymous."""

    def __init__(self) -> None:
        self._acl = ACLHelper()

    def identity(self, request: Request) -> str | None:
        """Returns who is signed in; None stands for nobody."""
        return None

    def authenticated_userid(self, request: Request) -> str | None:
        """Returns the user id of the identity."""
        return self.identity(request)

    def permits(self, request: Request, context: object, permission: str) -> Any:
        """Decides whether the identity has a permission on a context."""
        principals = [Everyone]
        if (userid := self.authenticated_userid(request)) is not None:
            principals += [Authenticated, userid]
        return self._acl.permits(context, principals, permission)

    def remember(self, request: Request, userid: str, **options: Any) -> list[tuple[str, str]]:
        """Returns the headers that sign somebody in: there is no sign-in."""
        return []

    def forget(self, request: Request, **options: Any) -> list[tuple[str, str]]:
        """Returns the headers that sign somebody out: there is no sign-in."""
        return []


def includeme(config: Configurator) -> None:
    """Sets the root factory and the security policy."""
    config.set_root_factory(ChatContext)
    config.set_security_policy(SecurityPolicy())
