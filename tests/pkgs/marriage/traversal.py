"""Traversal: the path below a route leads through a tree of folders and documents.

A folder takes connections by one view, a document by another; what the tree does not hold is not
found. Who may enter is written on the folders, and holds for all that is below them.
"""

from pyramid.authorization import Allow, Deny, Everyone
from pyramid.config import Configurator
from pyramid.view import view_config

from sockjs_bridge import WebSocketSession, websocket_view
from tests.pkgs.marriage.security import HeaderPolicy


class Folder(dict):
    def __init__(self, parent=None, name=""):
        self.__parent__ = parent
        self.__name__ = name

    def add(self, name, kind=None):
        child = self[name] = (kind or Folder)(self, name)
        return child


class Document:
    def __init__(self, parent, name):
        self.__parent__ = parent
        self.__name__ = name


def root_factory(request):
    root = Folder()
    root.__acl__ = [(Allow, Everyone, "read")]
    root.add("readme", Document)
    root.add("übersicht", Document)
    staff = root.add("staff")
    staff.__acl__ = [(Allow, "ada", "read"), (Deny, Everyone, "read")]
    staff.add("salaries", Document)
    return root


@websocket_view(route_name="tree", context=Folder, permission="read")
class Listing(WebSocketSession):
    def on_message(self, message):
        # The context and what traversal made of the path are the handshake's.
        context = self.request.context
        subpath = "/".join(self.request.subpath)
        self.send(f"folder {context.__name__!r} with {', '.join(context)}; {subpath!r} below")


@websocket_view(route_name="tree", context=Document, permission="read")
def edit(context, request):
    while True:
        request.receive()
        request.websocket.send(f"document {context.__name__!r} in {context.__parent__.__name__!r}")


@websocket_view(route_name="tree", context=Document, name="history", permission="read")
async def history(context, request):
    async for _ in request.websocket:
        request.websocket.send(f"history of {context.__name__!r}: {'/'.join(request.subpath)!r}")


@view_config(route_name="tree", context=Document, renderer="string", permission="read")
def page(context, request):
    return f"the page of {context.__name__}"


def main(global_config=None, **settings):
    settings.setdefault("sockjs.allowed_origins", "")
    with Configurator(settings=settings, security_policy=HeaderPolicy()) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("tree", "/tree*traverse", factory=root_factory)
        config.scan(__name__)
        return config.make_wsgi_app()
