"""A Pyramid application of pages only: what Pyramid's own functional tests ask of a server.

It answers the same under every WSGI server: nothing of a response depends on the time (but where
a page says so), on the port, or on who serves it.
"""

from __future__ import annotations

import hashlib
import json
import queue
from pathlib import Path
from typing import Any

from pyramid.authorization import Allow, Authenticated
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPGone, HTTPNoContent, HTTPNotModified
from pyramid.request import Request
from pyramid.response import FileIter, FileResponse, Response
from pyramid.session import SignedCookieSessionFactory
from pyramid.static import QueryStringConstantCacheBuster, static_view
from pyramid.view import (
    exception_view_config,
    forbidden_view_config,
    notfound_view_config,
    view_config,
)
from pyramid.wsgi import wsgiapp2

STATIC = Path(__file__).parent / "static"
LONG = 300_000
"""Bytes of the long bodies: more than any buffer on the way holds."""

closed: queue.SimpleQueue[str] = queue.SimpleQueue()
"""The iterables that were closed, by name if they have one, each as often as it was."""


# Bodies that come in blocks


def tell_closed(name: str) -> None:
    if name:
        closed.put(name)


class Blocks:
    """An app_iter that tells when it is closed.

    Args:
        name: under which its end is told.
        blocks: of the body; an exception among them is raised in its turn.
    """

    def __init__(self, name: str, *blocks: bytes | Exception) -> None:
        self.name = name
        self.blocks = blocks

    def __iter__(self):
        for block in self.blocks:
            if isinstance(block, Exception):
                raise block
            yield block

    def close(self):
        tell_closed(self.name)


def streamed(*blocks: bytes | Exception, length: int | None = None) -> Any:
    """Make a view that streams; its iterable is named by the query's ``name``."""

    def view(request):
        response = Response(content_type="text/plain")
        response.app_iter = Blocks(request.GET.get("name", ""), *blocks)
        response.content_length = length
        return response

    return view


STREAMS = {
    "stream": streamed(b"one,", b"", b"two,", b"three"),
    "stream/counted": streamed(b"one,", b"two,", b"three", length=13),
    "stream/one": streamed(b"the only block"),
    "stream/none": streamed(),
    "stream/long": streamed(*[b"x" * 1000] * (LONG // 1000)),
    "stream/too-long": streamed(b"one,", b"two,", b"three", length=6),
    "stream/fails": streamed(b"one,", b"two,", RuntimeError("in the middle of the stream")),
    "stream/fails-counted": streamed(b"one,", RuntimeError("in the middle"), length=13),
    "stream/fails-first": streamed(RuntimeError("before the first block")),
    "stream/too-short": streamed(b"one,", b"two,", length=13),
}


@view_config(route_name="generator")
def generator(request):
    def blocks():
        try:
            yield b"generated "
            yield b"text"
        finally:
            tell_closed(request.GET.get("name", ""))

    return Response(app_iter=blocks(), content_type="text/plain")


@view_config(route_name="blocks")
def blocks_of_a_list(request):
    count = int(request.matchdict["count"])
    return Response(app_iter=[b"block "] * count, content_type="text/plain")


@view_config(route_name="long")
def long_body(request):
    return Response(b"y" * LONG, content_type="text/plain")


# Files


@view_config(route_name="file")
def file(request):
    """A FileResponse: ranges, conditions, wsgi.file_wrapper where the server has one."""
    return FileResponse(STATIC / "long.txt", request=request, cache_max_age=None)


@view_config(route_name="file_iter")
def file_iter(request):
    file = (STATIC / "long.txt").open("rb")
    return Response(app_iter=FileIter(file, 5000), content_type="text/plain")


@view_config(route_name="file_wrapper")
def file_wrapper(request):
    """The wrapper that waitress has, taken for granted, as some applications do."""
    file = (STATIC / "long.txt").open("rb")
    file.seek(int(request.GET.get("from", "0")))
    response = Response(content_type="text/plain")
    response.app_iter = request.environ["wsgi.file_wrapper"](file)
    if "length" in request.GET:
        response.content_length = int(request.GET["length"])
    return response


# What conditions, ranges and statuses do


@view_config(route_name="cached")
def cached(request):
    response = Response("cached", conditional_response=True)
    response.etag = "e"
    response.last_modified = 1_000_000_000
    response.app_iter = Blocks(request.GET.get("name", ""), b"cach", b"ed")
    response.content_length = 6
    return response


@view_config(route_name="no_content")
def no_content(request):
    return HTTPNoContent(headers=[("X-Done", "yes")])


@view_config(route_name="not_modified")
def not_modified(request):
    raise HTTPNotModified(headers=[("ETag", '"e"')])


@view_config(route_name="status")
def status(request):
    """Any status, with a reason of one's own."""
    response = Response("as asked", content_type="text/plain")
    response.status = request.matchdict["line"]
    return response


# Redirects and URLs


@view_config(route_name="found")
def found(request):
    return HTTPFound(request.GET.get("to", "elsewhere/é"))


@view_config(route_name="urls", renderer="json")
def urls(request):
    return {
        "url": request.url,
        "path": request.path,
        "path_qs": request.path_qs,
        "path_info": request.path_info,
        "script_name": request.script_name,
        "host": request.host,
        "application_url": request.application_url,
        "route_url": request.route_url("urls", tail=("é", "x y"), _query={"a": "ü"}),
        "static_url": request.static_url("tests.pkgs.plain_app:static/minimal.txt"),
        "busted_url": request.static_url("tests.pkgs.plain_app:busted/minimal.txt"),
        "matchdict": request.matchdict,
        "query": list(request.GET.items()),
    }


@view_config(route_name="participants", renderer="json")
def participants(request):
    """A pattern that is not ASCII."""
    return {"name": request.matchdict["name"], "path": request.path_info}


# What requests carry


@view_config(route_name="upload", request_method="POST", renderer="json")
def upload(request):
    """Fields and files of a form; of files their digest."""
    found: list[Any] = []
    for name, field in request.POST.items():
        if hasattr(field, "file"):
            data = field.file.read()
            # WebOb copies the body into temporary files, which nobody else closes.
            field.file.close()
            found.append(
                [name, field.filename, field.type, len(data), hashlib.sha256(data).hexdigest()]
            )
        else:
            found.append([name, field])
    request.body_file_raw.close()
    return found


@view_config(route_name="body", renderer="json")
def body(request):
    data = request.body
    # As in `upload`.
    request.body_file_raw.close()
    return {
        "method": request.method,
        "length": request.content_length,
        "type": request.content_type,
        "size": len(data),
        "digest": hashlib.sha256(data).hexdigest(),
        "start": data[:40].decode("latin-1"),
    }


@view_config(route_name="lines", renderer="json")
def lines(request):
    """The body read line by line, as from any file."""
    source = request.environ["wsgi.input"]
    return [line.decode() for line in (source.readline(), *source.readlines())]


@view_config(route_name="headers", renderer="json")
def headers(request):
    return sorted([name, value] for name, value in request.headers.items())


@view_config(route_name="long_headers")
def long_headers(request):
    response = Response("", content_type="text/plain")
    response.headerlist += [(f"X-Long-{number}", f"{number}" * 1000) for number in range(80)]
    response.headerlist.append(("X-Latin-1", "caf\xe9"))
    return response


@view_config(route_name="own_headers")
def own_headers(request):
    """Headers that are the server's where the application does not send them."""
    return Response("", headers={"Server": "the application's", "Date": "today"})


@view_config(route_name="hop_by_hop")
def hop_by_hop(request):
    return Response("as asked", headers={"Connection": "close"})


@view_config(route_name="cookies", renderer="json")
def cookies(request):
    request.response.set_cookie("one", "1")
    request.response.set_cookie("two", "a=b/c", path="/x", httponly=True, samesite="Lax")
    request.response.delete_cookie("three")
    return dict(request.cookies)


@view_config(route_name="count")
def count(request):
    """A session in a cookie, signed with the time."""
    request.session["count"] = request.session.get("count", 0) + 1
    return Response(str(request.session["count"]))


# Renderers and negotiation


@view_config(route_name="page", renderer="page.pt")
def page(request):
    return {"words": ["grün", "<b>", "日本"]}


@view_config(route_name="json", renderer="json")
def as_json(request):
    return {"ü": [1, None, True]}


@view_config(route_name="accept", accept="text/plain", renderer="string")
def accept_plain(request):
    return "plain"


@view_config(route_name="accept", accept="application/json", renderer="json")
def accept_json(request):
    return ["json"]


# Methods


@view_config(route_name="only_post", request_method="POST", renderer="string")
def only_post(request):
    return "posted"


@view_config(route_name="only_post", request_method="PROPFIND", renderer="string")
def propfind(request):
    return "found"


# Exceptions, permissions, subrequests


class Teapot(Exception):
    pass


@view_config(route_name="teapot")
def teapot(request):
    raise Teapot(request.path)


@exception_view_config(Teapot)
def teapot_view(exception, request):
    return Response(f"short and stout: {exception}", status=418)


@view_config(route_name="boom")
def boom(request):
    raise RuntimeError("the view broke")


@view_config(route_name="gone")
def gone(request):
    raise HTTPGone("it was here")


@view_config(route_name="secret", permission="see", renderer="string")
def secret(request):
    return f"seen by {request.authenticated_userid}"


@forbidden_view_config()
def forbidden(request):
    if request.authenticated_userid is None:
        return Response("who are you?", status=401, headers={"WWW-Authenticate": "Basic"})
    return Response("not you", status=403)


@notfound_view_config(append_slash=True, path_info="^/slashed")
@notfound_view_config()
def notfound(request):
    return Response(f"no such page: {request.path}", status=404)


@view_config(route_name="slashed", renderer="string")
def slashed(request):
    return "with a slash"


@view_config(route_name="subrequest")
def subrequest(request):
    """Another view's response; with tweens, an exception in it is a response too."""
    blank = Request.blank(request.GET["path"])
    return request.invoke_subrequest(blank, use_tweens="tweens" in request.GET)


def mounted(environ, start_response):
    """A WSGI application below a route, with a script name of its own."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
    return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]


# Traversal


class Resource(dict):
    """A node of the tree of the traversed pages."""

    __acl__ = ((Allow, Authenticated, "see"),)


TREE = Resource(a=Resource(b=Resource()))
TREE["größe"] = Resource(tief=Resource())


@view_config(context=Resource, renderer="json")
@view_config(context=Resource, name="edit", renderer="json")
def traversed(context, request):
    return {
        "keys": sorted(context),
        "name": request.view_name,
        "subpath": request.subpath,
        "traversed": request.traversed,
    }


@view_config(route_name="hybrid", renderer="json")
def hybrid(context, request):
    """A route whose rest is traversed."""
    return ["hybrid", sorted(context), request.matchdict["kind"], request.traversed]


class Policy:
    """Whoever says a name has it."""

    def authenticated_userid(self, request):
        return request.headers.get("X-User")

    identity = authenticated_userid

    def permits(self, request, context, permission):
        return request.headers.get("X-User") == "anna"

    def remember(self, request, userid, **kw):
        return []

    forget = remember


ROUTES = {
    "generator": "/generator",
    "blocks": "/blocks/{count}",
    "long": "/long",
    "file": "/file",
    "file_iter": "/file_iter",
    "file_wrapper": "/file_wrapper",
    "cached": "/cached",
    "no_content": "/no_content",
    "not_modified": "/not_modified",
    "status": "/status/{line}",
    "found": "/found",
    "urls": "/urls*tail",
    "participants": "/avaliação/{name}",
    "upload": "/upload",
    "body": "/body",
    "lines": "/lines",
    "headers": "/headers",
    "long_headers": "/long_headers",
    "own_headers": "/own_headers",
    "hop_by_hop": "/hop_by_hop",
    "cookies": "/cookies",
    "count": "/count",
    "page": "/page",
    "json": "/json",
    "accept": "/accept",
    "only_post": "/only_post",
    "teapot": "/teapot",
    "boom": "/boom",
    "gone": "/gone",
    "secret": "/secret",
    "slashed": "/slashed/",
    "subrequest": "/subrequest",
}


def include_prefixed(config):
    config.add_route("prefixed", "/inner/{word}")
    config.add_view(lambda request: Response(request.path), route_name="prefixed")


def main(global_config: Any = None, *, static: Path | None = None, **settings: Any) -> Any:
    """Make the WSGI application.

    Args:
        global_config: what PasteDeploy passes; unused.
        static: a folder to serve below ``/made``, with names that a source tree should not have.
        settings: the application's settings.
    """
    with Configurator(settings=settings, root_factory=lambda request: TREE) as config:
        config.include("pyramid_chameleon")
        # The pages must not notice that there are endpoints too.
        config.include("sockjs_bridge")
        config.add_sockjs_route("socket", "/socket")
        config.set_security_policy(Policy())
        config.set_session_factory(SignedCookieSessionFactory("secret"))
        for name, pattern in ROUTES.items():
            config.add_route(name, pattern)
        for path, view in STREAMS.items():
            config.add_route(path, f"/{path}")
            config.add_view(view, route_name=path)
        config.add_route("mounted", "/mounted*subpath")
        config.add_view(wsgiapp2(mounted), route_name="mounted")
        config.add_route("hybrid", "/hybrid/{kind}*traverse")
        config.include(include_prefixed, route_prefix="outer/é")
        config.add_static_view("static", "tests.pkgs.plain_app:static", cache_max_age=None)
        config.add_static_view("busted", "tests.pkgs.plain_app:busted", cache_max_age=3600)
        config.override_asset("tests.pkgs.plain_app:busted/", "tests.pkgs.plain_app:static/")
        config.add_cache_buster("tests.pkgs.plain_app:busted", QueryStringConstantCacheBuster("v1"))
        if static is not None:
            config.add_static_view("made", str(static), cache_max_age=None)
            config.add_route("packed", "/packed*subpath")
            packed = static_view(
                str(static), cache_max_age=None, use_subpath=True, content_encodings=["gzip"]
            )
            config.add_view(packed, route_name="packed")
        config.scan(__name__)
        return config.make_wsgi_app()


def mirror(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Show what any WSGI application is given: each key with its value, or with its type."""
    shown: dict[str, Any] = {}
    for key, value in environ.items():
        plain = isinstance(value, (str, bool, int, tuple))
        shown[key] = value if plain else f"<{'callable' if callable(value) else 'object'}>"
    shown["the body"] = environ["wsgi.input"].read().decode("latin-1")
    answer = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [answer]
