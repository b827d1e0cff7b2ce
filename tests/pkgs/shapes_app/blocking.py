"""The shapes of blocking views."""

from pyramid.view import view_config, view_defaults

from sockjs_bridge import websocket_view


def echo_as(name, request):
    while True:
        request.websocket.send(f"{name}: {request.receive()}")


@websocket_view(route_name="blocking_function")
def function(request):
    echo_as("blocking function", request)


@websocket_view(route_name="blocking_context_function")
def function_of_a_context(context, request):
    assert context is request.context
    echo_as("blocking context_function", request)


class Views:
    def __init__(self, request):
        self.request = request

    @websocket_view(route_name="blocking_method")
    def serve(self):
        echo_as("blocking method", self.request)


@view_defaults(route_name="blocking_defaults")
class Defaults:
    def __init__(self, request):
        self.request = request

    @view_config(renderer="string")
    def page(self):
        return "the page of blocking_defaults"

    @websocket_view()
    def serve(self):
        echo_as("blocking defaults", self.request)


@websocket_view(route_name="blocking_class")
class Callable:
    def __init__(self, request):
        self.request = request

    def __call__(self):
        echo_as("blocking class", self.request)


@websocket_view(route_name="blocking_context_class")
class CallableOfAContext:
    def __init__(self, context, request):
        self.context = context
        self.request = request

    def __call__(self):
        assert self.context is self.request.context
        echo_as("blocking context_class", self.request)


class Instance:
    def __call__(self, request):
        echo_as("blocking instance", request)

    def serve(self, request):
        echo_as("blocking instance_attr", request)


def directive(request):
    echo_as("blocking directive", request)


def dotted(request):
    echo_as("blocking dotted_name", request)


@view_config(route_name="blocking_predicate", renderer="string")
def page(request):
    return "the page of blocking_predicate"


@view_config(route_name="blocking_predicate", websocket=True)
def beside_the_page(request):
    echo_as("blocking predicate", request)


@view_config(route_name="blocking_both", renderer="string")
def both(request):
    if request.websocket:
        echo_as("blocking both", request)
    return "the page of blocking_both"
