"""A Pyramid application with a view for each thing that a WSGI server can get wrong."""

from __future__ import annotations

import hashlib
import threading

from pyramid.config import Configurator
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory

closed: list[str] = []
"""Names of the threads in which the streams were closed."""


class Stream:
    """An app_iter of three blocks, of which the last may fail."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def __iter__(self):
        yield b"one,"
        yield b"two,"
        if self.fails:
            raise RuntimeError("the stream broke")
        yield b"three"

    def close(self):
        closed.append(threading.current_thread().name)


def upload(request):
    """Digest of a file of a form, with its name and size."""
    field = request.POST["file"]
    data = field.file.read()
    # WebOb copies the body into temporary files of its own, which nobody else closes.
    field.file.close()
    request.body_file_raw.close()
    return Response(f"{field.filename} {len(data)} {hashlib.sha256(data).hexdigest()}")


def raw(request):
    return Response(f"{len(request.body)} {request.content_length}")


def stream(request):
    return Response(app_iter=Stream("fail" in request.GET), content_type="text/plain")


def path(request):
    return Response(f"{request.matchdict['name']} {request.path_info} {request.GET.get('q')}")


def link(request):
    return Response(f"{request.route_url('path', name='é x')} {request.client_addr}")


def cookies(request):
    response = Response(",".join(f"{name}={value}" for name, value in request.cookies.items()))
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return Response(str(request.session["count"]))


def boom(request):
    raise RuntimeError("the view broke")


def this_file(request):
    return FileResponse(__file__, request=request, content_type="text/x-python")


def cached(request):
    response = Response("cached", conditional_response=True)
    response.etag = "e"
    return response


def make_app():
    with Configurator() as config:
        config.set_session_factory(SignedCookieSessionFactory("secret"))
        for view in (upload, raw, stream, link, cookies, count, boom, this_file, cached):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__)
        config.add_route("path", "/path/{name}")
        config.add_view(path, route_name="path")
        return config.make_wsgi_app()
