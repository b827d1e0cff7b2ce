"""The shapes of asynchronous views: those of blocking ones, but for one view for the page too."""

from pyramid.view import view_config, view_defaults

from sockjs_bridge import websocket_view


async def echo_as(name, request):
    async for message in request.websocket:
        request.websocket.send(f"{name}: {message}")


@websocket_view(route_name="async_function")
async def function(request):
    await echo_as("async function", request)


@websocket_view(route_name="async_context_function")
async def function_of_a_context(context, request):
    assert context is request.context
    await echo_as("async context_function", request)


class Views:
    def __init__(self, request):
        self.request = request

    @websocket_view(route_name="async_method")
    async def serve(self):
        await echo_as("async method", self.request)


@view_defaults(route_name="async_defaults")
class Defaults:
    def __init__(self, request):
        self.request = request

    @view_config(renderer="string")
    def page(self):
        return "the page of async_defaults"

    @websocket_view()
    async def serve(self):
        await echo_as("async defaults", self.request)


@websocket_view(route_name="async_class")
class Callable:
    def __init__(self, request):
        self.request = request

    async def __call__(self):
        await echo_as("async class", self.request)


@websocket_view(route_name="async_context_class")
class CallableOfAContext:
    def __init__(self, context, request):
        self.context = context
        self.request = request

    async def __call__(self):
        assert self.context is self.request.context
        await echo_as("async context_class", self.request)


class Instance:
    async def __call__(self, request):
        await echo_as("async instance", request)

    async def serve(self, request):
        await echo_as("async instance_attr", request)


async def directive(request):
    await echo_as("async directive", request)


async def dotted(request):
    await echo_as("async dotted_name", request)


@view_config(route_name="async_predicate", renderer="string")
def page(request):
    return "the page of async_predicate"


@view_config(route_name="async_predicate", websocket=True)
async def beside_the_page(request):
    await echo_as("async predicate", request)
