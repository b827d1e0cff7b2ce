"""The policies of Pyramid 1, which applications of that time still have.

The view predicate ``effective_principals`` knows only them.
"""

from pyramid.authentication import RemoteUserAuthenticationPolicy
from pyramid.authorization import ACLAuthorizationPolicy, Allow
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession


class Root:
    __acl__ = ((Allow, "group:editors", "edit"),)

    def __init__(self, request):
        """Nothing is kept."""


class Who(WebSocketSession):
    def on_message(self, message):
        self.send(f"{self.request.authenticated_userid}")


def groups(userid, request):
    return {"ada": ["group:editors"], "bob": []}.get(userid)


def main(global_config=None, **settings):
    with Configurator(settings=settings, root_factory=Root) as config:
        config.include("sockjs_bridge")
        config.set_authentication_policy(
            RemoteUserAuthenticationPolicy("HTTP_X_USER", callback=groups)
        )
        config.set_authorization_policy(ACLAuthorizationPolicy())
        config.add_sockjs_route("permission", "/permission")
        config.add_websocket_view(Who, route_name="permission", permission="edit")
        config.add_sockjs_route("principals", "/principals")
        config.add_websocket_view(
            Who, route_name="principals", effective_principals=["group:editors"]
        )
        return config.make_wsgi_app()
