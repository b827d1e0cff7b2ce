"""One class for all requests of an application (extensions.py)."""

from __future__ import annotations

import gc
import weakref
from functools import cached_property

import pytest
from pyramid.config import Configurator
from pyramid.decorator import reify
from pyramid.interfaces import IRequest, IRequestExtensions
from pyramid.registry import Registry
from pyramid.request import Request, apply_request_extensions
from pyramid.response import Response
from zope.interface import implementedBy, providedBy

from sockjs_bridge.pyramid.extensions import (
    CLASSES,
    REIFIED,
    Reified,
    let_go,
    note_properties,
    share_request_class,
)


class Marked(property):
    pass


def application(view, factory=None):
    seen = []

    def page(request):
        seen.append(request)
        return view(request)

    with Configurator() as config:
        config.include("sockjs_bridge")
        if factory is not None:
            config.set_request_factory(factory)
        config.add_request_method(lambda request: [request], "kept", reify=True)
        config.add_request_method(lambda request: [request], "made", property=True)
        config.add_request_method(Marked(lambda request: "data"), "marked")
        config.add_request_method(lambda request, word: (request, word), "said")
        config.add_route("page", "/")
        config.add_view(page, route_name="page")
        return config.make_wsgi_app(), seen


def plain(request):
    return Response()


def test_all_requests_have_one_class():
    app, (first, second) = ask(plain, times=2)
    assert type(first) is type(second)
    assert isinstance(first, Request)
    assert (type(first).__name__, type(first).__module__) == ("Request", "pyramid.request")
    assert implementedBy(type(first)) is implementedBy(Request)
    assert IRequest in providedBy(first)
    # Where Pyramid did without these, it would add nothing to requests any more.
    extensions = app.registry.getUtility(IRequestExtensions)
    assert list(extensions.methods) == ["__class__"]
    assert extensions.descriptors == {}
    assert app.request_extensions is extensions


def ask(view, factory=None, times=1):
    app, seen = application(view, factory)
    for _ in range(times):
        Request.blank("/").get_response(app)
    return app, seen


def test_members_behave_as_pyramids():
    _, (request,) = ask(plain)
    assert request.kept is request.kept
    assert request.made is not request.made
    request.made = "set"
    assert request.made == "set"
    assert request.marked == "data"
    with pytest.raises(AttributeError):
        request.marked = "other"
    assert request.said("word") == (request, "word")
    assert isinstance(vars(Request)["session"], reify)


def test_a_request_is_free_when_nobody_holds_it():
    app, seen = application(plain)
    Request.blank("/").get_response(app)
    gc.disable()
    try:
        gone = weakref.ref(seen.pop())
        assert gone() is None
    finally:
        gc.enable()


def test_factories_of_requests():
    """Each class is extended once; what a factory has set gives way, as Pyramid does it."""

    class Own(Request):
        pass

    def factory(environ):
        request = (Own if "own" in environ["QUERY_STRING"] else Request)(environ)
        request.said = "by the factory"
        return request

    app, seen = application(plain, factory)
    for path in ("/", "/?own", "/?own"):
        Request.blank(path).get_response(app)
    assert [isinstance(request, Own) for request in seen] == [False, True, True]
    assert type(seen[1]) is type(seen[2])
    assert all(request.said(1) == (request, 1) for request in seen)


def test_a_factory_that_makes_classes_fills_no_memory():
    def factory(environ):
        return type("Own", (Request,), {})(environ)

    app, seen = application(plain, factory)
    Request.blank("/").get_response(app)
    first = weakref.ref(type(seen.pop()))
    for _ in range(CLASSES):
        Request.blank("/").get_response(app)
    seen.clear()
    gc.collect()
    assert first() is None


def test_a_copy_for_a_subrequest_has_the_class_too():
    def view(request):
        if not request.query_string:
            copy = request.copy()
            copy.query_string = "inner"
            request.invoke_subrequest(copy)
        return Response()

    _, (outer, inner) = ask(view)
    assert type(outer) is type(inner)
    assert inner.said(1) == (inner, 1)


def test_what_is_added_later_is_added():
    """By a test, for example, to an application that was made before."""
    app, seen = application(plain)
    config = Configurator(registry=app.registry, autocommit=True)
    config.add_request_method(lambda request: "late", "late", property=True)
    config.add_request_method(lambda request: "method", "method")
    Request.blank("/").get_response(app)
    assert (seen[0].late, seen[0].method()) == ("late", "method")
    request = Request.blank("/")
    request.registry = app.registry
    apply_request_extensions(request)
    assert (request.late, request.said(1)) == ("late", (request, 1))


def test_what_a_request_reifies_by_itself_is_noted():
    """Pyramid's set_property makes a class of one request; it is looked at once."""
    _, (request,) = ask(plain)
    request.set_property(lambda request: [request], "noted", reify=True)
    note_properties(request)
    members = {**vars(type(request))}
    note_properties(request)
    assert vars(type(request)) == members
    assert request.noted is request.noted
    assert vars(request)[REIFIED]["noted"] is request.noted
    let_go(request)
    assert "noted" not in vars(request)


def test_what_a_request_has_reified_before_is_noted():
    _, (request,) = ask(plain)
    request.set_property(lambda request: [request], "noted", reify=True)
    value = request.noted
    note_properties(request)
    assert vars(request)[REIFIED]["noted"] is value
    let_go(request)
    assert request.noted is not value


def test_request_of_no_application_of_ours():
    """It reifies as ever."""
    request = Request.blank("/")
    request.set_property(lambda request: [request], "made", reify=True)
    note_properties(request)
    assert request.made is request.made
    assert REIFIED not in vars(request)


def test_cached_property_is_noted_too():
    class Own(Request):
        @cached_property
        def cached(self):
            return [self]

    _, (request,) = ask(plain, Own)
    assert request.cached is request.cached
    assert vars(request)[REIFIED]["cached"] is request.cached
    assert isinstance(type(request).cached, Reified)


def test_share_request_class_twice():
    """The second time there is nothing to do; nor is there in an application without extensions."""
    app, _ = application(plain)
    extensions = app.registry.getUtility(IRequestExtensions)
    methods = extensions.methods
    share_request_class(app.registry)
    assert extensions.methods is methods
    share_request_class(Registry())
