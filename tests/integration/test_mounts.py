"""An application anywhere: below prefixes, behind filters, beside others (issue 3, "mounted").

Nothing is configured for it: the first request that reaches the application shows where it is.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import pytest
from paste.cascade import Cascade
from paste.deploy.config import PrefixMiddleware
from pyramid.config import Configurator
from pyramid.wsgi import wsgiapp2
from rutter.urlmap import URLMap

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import TRANSPORTS, connect
from sockjs_bridge.endpoint.handshake import HANDSHAKE
from sockjs_bridge.server.site import Site
from sockjs_bridge.testing import serve
from tests.conformance.wire import Client, messages_of, new_tag
from tests.integration.pserve import running, write_ini
from tests.integration.support import PATIENCE, connected, get, outcome
from tests.pkgs import mounted_app
from tests.pkgs.marriage import security

# The iframe page is on where another origin is allowed.
SETTINGS = {"sockjs.allowed_origins": "https://app.example.com"}

both_kinds = pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])


def urlmap(*mounts: tuple[str, Any]) -> URLMap:
    composite = URLMap()
    for prefix, app in mounts:
        composite[prefix] = app
    return composite


def native(path: str) -> str:
    """A path as a WSGI environ holds it."""
    return path.encode().decode("latin-1")


class Mounting:
    """A way to mount an application.

    Args:
        wrap: puts the application there.
        reached: the path at which the server has it.
        known: the path at which its users have it; a proxy may cut that off.
        settings: for the application.
    """

    def __init__(
        self,
        wrap: Callable[[Any], Any],
        reached: str,
        known: str | None = None,
        **settings: str,
    ) -> None:
        self.wrap = wrap
        self.reached = reached
        self.known = reached if known is None else known
        self.settings = settings

    def app(self) -> Any:
        return self.wrap(mounted_app.main(**SETTINGS, **self.settings))


MOUNTINGS = {
    "direct": Mounting(lambda app: app, ""),
    "filter": Mounting(lambda app: lambda *arguments: app(*arguments), ""),
    "route_prefix": Mounting(lambda app: app, "/below", route_prefix="below"),
    "urlmap": Mounting(lambda app: urlmap(("/app", app)), "/app"),
    "urlmap at the root": Mounting(lambda app: urlmap(("/", app)), ""),
    "two urlmaps": Mounting(lambda app: urlmap(("/a", urlmap(("/b/c", app)))), "/a/b/c"),
    "urlmap and route_prefix": Mounting(
        lambda app: urlmap(("/app", app)), "/app/below", route_prefix="below"
    ),
    "no ASCII": Mounting(lambda app: urlmap((native("/für uns"), app)), quote("/für uns")),
    "prefix filter": Mounting(lambda app: PrefixMiddleware(app, prefix="/app"), "/app"),
    "prefix filter behind a proxy": Mounting(
        lambda app: PrefixMiddleware(app, prefix="/app"), "", "/app"
    ),
    "SCRIPT_NAME": Mounting(mounted_app.set_script_name({}, script_name="/app"), "", "/app"),
    "prefix filter in a urlmap": Mounting(
        lambda app: urlmap(("/inner", PrefixMiddleware(app, prefix="/outer"))), "/inner", "/outer"
    ),
}


def within_another(app: Any) -> Any:
    """The application as a view of another one, which has endpoints too."""
    with Configurator(settings=SETTINGS) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("chat", "/chat", session=WebSocketSession)
        config.add_route("inner", "/inner/*subpath")
        config.add_view(wsgiapp2(app), route_name="inner")
        return config.make_wsgi_app()


def streaming(app: Any) -> Any:
    """Behind a filter that hands on piece by piece what it gets."""

    def stream(environ: Any, start_response: Any) -> Any:
        body = app(environ, start_response)
        try:
            yield from body
        finally:
            getattr(body, "close", tuple)()

    return stream


MOUNTINGS["streaming filter"] = Mounting(streaming, "")
MOUNTINGS["wsgiapp2"] = Mounting(within_another, "/inner")

every_mounting = pytest.mark.parametrize("mounting", MOUNTINGS.values(), ids=MOUNTINGS)


def opens(client: Client, url: str) -> bool:
    return client.websocket(url).handshake.status == 101


FIRST = {
    "info": lambda client, base: client.get(f"{base}/chat/info").status == 200,
    "info by OPTIONS": lambda client, base: (
        client.request("OPTIONS", f"{base}/chat/info").status == 204
    ),
    "xhr": lambda client, base: client.post(f"{base}/chat/000/{new_tag()}/xhr").body == b"o\n",
    "xhr by OPTIONS": lambda client, base: (
        client.request("OPTIONS", f"{base}/chat/000/s1/xhr").status == 204
    ),
    "xhr_send": lambda client, base: (
        client.post(f"{base}/chat/000/s1/xhr_send", b'["x"]').status == 404
    ),
    "iframe": lambda client, base: b"iframe" in client.get(f"{base}/chat/iframe.html").body,
    "websocket": lambda client, base: opens(client, f"{base}/chat/000/s1/websocket"),
    "raw websocket": lambda client, base: opens(client, f"{base}/chat/websocket"),
    "websocket at the base": lambda client, base: opens(client, f"{base}/chat"),
    "greeting": lambda client, base: client.get(f"{base}/chat").body == b"Welcome to SockJS!\n",
    "page": lambda client, base: client.get(f"{base}/page").status == 200,
    "another endpoint": lambda client, base: client.get(f"{base}/rooms/a/info").status == 200,
}


@pytest.mark.parametrize(
    "mounting",
    [
        MOUNTINGS[name]
        for name in ("direct", "filter", "streaming filter", "no ASCII", "SCRIPT_NAME", "wsgiapp2")
    ],
    ids=lambda mounting: mounting.reached,
)
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_first_contact(mounting, first):
    """Whatever asks first is answered, and what comes after it."""
    with serve(mounting.app(), shutdown_timeout="0.1") as url:
        client = Client(url)
        try:
            assert first(client, mounting.reached)
            for again in FIRST.values():
                assert again(client, mounting.reached)
        finally:
            client.close()


@every_mounting
async def test_below_a_prefix(mounting):
    """Every transport, and every URL that the application says of itself, hold the prefix."""
    # Pyramid leaves the SCRIPT_NAME in its URLs as it is.
    known = unquote(mounting.known)
    with serve(mounting.app()) as url:
        base = url + mounting.reached
        for transport in TRANSPORTS:
            assert await outcome(f"{base}/chat", transport) == "mounted: hello"
            where = await outcome(f"{base}/rooms/k%C3%BCche", transport, "where")
            said, _, client_url = where.partition(" with ")
            assert unquote(said) == f"mounted at {known}/rooms/küche"
        page = json.loads((await get(f"{base}/page"))[2])
        assert page["chat"] == f"{known}/chat"
        assert page["client"] == client_url
        assert client_url.startswith(f"{known}/_sockjs/")
        # A proxy takes away what its users have in front.
        client = mounting.reached + client_url.removeprefix(known)
        status, _, script = await get(url + client)
        assert (status, "SockJS" in script) == (200, True)
        iframe = (await get(f"{base}/chat/iframe.html"))[2]
        assert f'<script src="{quote(client_url)}"></script>' in iframe


@every_mounting
async def test_pages_that_look_like_endpoints(mounting):
    """Below another path than the route's, a page is a page, whatever its URL ends with."""
    with serve(mounting.app()) as url:
        base = url + mounting.reached
        for _ in range(2):
            status, _, text = await get(f"{base}/deep/chat/info")
            assert (status, text) == (200, "a page that looks like an endpoint")
            assert (await get(f"{base}/chat/info"))[0] == 200


async def test_other_applications_keep_their_pages():
    """Where one application has an endpoint, another's page of the same name is its own."""
    chat, pages = mounted_app.main(**SETTINGS), mounted_app.pages()
    with serve(urlmap(("/", pages), ("/chats", chat), ("/chats/pages", pages))) as url:
        for _ in range(2):
            for path in (
                "/chat/info",
                "/x/chat/info",
                "/chats/pages/chat/info",
                "/chatsx/chat/info",
            ):
                assert (await get(url + path))[2] == f"page {path}"
            assert '"websocket"' in (await get(f"{url}/chats/chat/info"))[2]


# Several applications in one process


@both_kinds
async def test_two_applications(transport):
    """Each has its connections, its rooms and its own names for them."""
    one, two = (mounted_app.main(name=name, **SETTINGS) for name in ("one", "two"))
    with serve(urlmap(("/", one), ("/two", two))) as url:
        async with (
            connected(f"{url}/chat", transport) as first,
            connected(f"{url}/two/chat", transport) as second,
            connected(f"{url}/two/rooms/a", transport) as third,
        ):
            for client, name in ((first, "one"), (second, "two"), (third, "two")):
                await client.send("hello")
                assert await client.recv() == f"{name}: hello"
            for call in ("all", "lobby"):
                await first.send(call)
                await second.send(call)
                words = "to all of" if call == "all" else "to the lobby of"
                assert await first.recv() == f"{words} one"
                assert await second.recv() == await third.recv() == f"{words} two"
        assert [len(endpoint.manager) for endpoint in one.registry.sockjs.endpoints][1] == 0


@both_kinds
async def test_one_application_at_two_places(transport):
    """Its connections are one crowd, and each hears URLs of the place where it came in."""
    app = mounted_app.main(**SETTINGS)
    with serve(urlmap(("/here", app), ("/there", app))) as url:
        async with (
            connected(f"{url}/here/chat", transport) as one,
            connected(f"{url}/there/chat", transport) as other,
        ):
            for client, place in ((one, "here"), (other, "there")):
                await client.send("where")
                assert (await client.recv()).startswith(f"mounted at /{place}/chat with /{place}/")
            await one.send("all")
            assert await one.recv() == await other.recv() == "to all of mounted"


@both_kinds
async def test_cascade(transport):
    """What the first application does not know is the second's, endpoints too."""
    one = mounted_app.main(name="one", route_prefix="one", **SETTINGS)
    two = mounted_app.main(name="two", **SETTINGS)
    with serve(Cascade([one, two])) as url:
        for _ in range(2):
            assert await outcome(f"{url}/chat", transport) == "two: hello"
            assert await outcome(f"{url}/one/chat", transport) == "one: hello"
        assert json.loads((await get(f"{url}/page"))[2])["name"] == "two"


@both_kinds
async def test_cascade_of_the_same_paths(transport):
    """The first that knows a path has it."""
    one, two = (mounted_app.main(name=name, **SETTINGS) for name in ("one", "two"))
    with serve(Cascade([one, two])) as url:
        for _ in range(2):
            assert await outcome(f"{url}/chat", transport) == "one: hello"


async def test_application_within_another():
    """Who opens a session is whom the application sees that serves it, not the one around it."""
    inner = security.main()
    with serve(within_another(inner)) as url:
        headers = {"X-User": "ada"}
        base = f"{url}/inner/rooms/kitchen"
        assert await outcome(base, "xhr-polling") == 403
        async with connected(base, "xhr-polling", headers=headers):
            (session,) = inner.registry.sockjs.endpoints["room"].manager.open_sessions
            assert session.credentials.identity == "ada"


@both_kinds
async def test_composite_that_is_fickle(caplog, transport):
    """A connection that comes to another application than its endpoint's is refused, and logged."""
    one, two = (mounted_app.main(name=name, **SETTINGS) for name in ("one", "two"))
    with serve(
        lambda environ, start: (two if HANDSHAKE in environ else one)(environ, start)
    ) as url:
        assert await outcome(f"{url}/chat", transport) == 404
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert "route 'chat'" in errors[0].getMessage()


@both_kinds
async def test_virtual_hosts(transport):
    """Applications that share their paths and differ by host."""
    one, two = (mounted_app.main(name=name, **SETTINGS) for name in ("one", "two"))
    with serve(urlmap(("http://one.example", one), ("http://two.example", two))) as url:
        for _ in range(2):
            for name in ("one", "two"):
                headers = {"Host": f"{name}.example"}
                assert await outcome(f"{url}/chat", transport, headers=headers) == f"{name}: hello"
            assert await outcome_of_unknown_host(url, transport) == 404


@both_kinds
async def test_first_requests_at_once(transport):
    """Nobody is refused because the mount was found while he was on his way to it."""
    composite = urlmap(("/app", mounted_app.main(**SETTINGS)))
    together = threading.Barrier(2, timeout=PATIENCE)

    def application(environ, start_response):
        if HANDSHAKE not in environ:
            together.wait()
        return composite(environ, start_response)

    with serve(application) as url:
        outcomes = await asyncio.gather(*(outcome(f"{url}/app/chat", transport) for _ in range(2)))
        assert outcomes == ["mounted: hello"] * 2


async def test_mount_beside_endpoints_at_the_root():
    """It is found for the host that was asked, although no host mattered before it."""
    inner = security.main()
    inquiries = []

    def counted(environ, start_response):
        if HANDSHAKE not in environ:
            inquiries.append(environ["PATH_INFO"])
        return inner(environ, start_response)

    counted.registry = inner.registry
    with serve(within_another(counted)) as url:
        assert await outcome(f"{url}/inner/rooms/kitchen", "xhr-polling") == 403
    assert len(inquiries) == 1


@pytest.mark.parametrize(("size", "status"), [(5, 204), (70_000, 413)])
def test_send_after_its_mount_was_forgotten(monkeypatch, size, status):
    """The body of the request that shows the mount again is not lost to the application."""
    monkeypatch.setattr(Site, "MOUNTS", 1)
    app = mounted_app.main(**SETTINGS)
    with serve(urlmap(("/site", app))) as url:
        client, other = Client(url), Client(url.replace("127.0.0.1", "localhost"))
        try:
            session = client.session("/site/chat", "xhr").open()
            other.session("/site/chat", "xhr").open()
            assert session.post(json.dumps(["x" * size])).status == status
            if status == 204:
                assert messages_of(session.receive()) == [f"mounted: {'x' * size}"]
        finally:
            client.close()
            other.close()


async def outcome_of_unknown_host(url, transport):
    status, _, _ = await get(f"{url}/chat/info", headers={"Host": "three.example"})
    return status


# Through pserve

COMPOSITE = """
[composite:main]
use = egg:rutter#urlmap
/ = pages
/one = one
/two = two

[app:pages]
paste.app_factory = tests.pkgs.mounted_app:pages

[app:one]
paste.app_factory = tests.pkgs.mounted_app:main
name = one
sockjs.allowed_origins = https://app.example.com

[app:two]
paste.app_factory = tests.pkgs.mounted_app:main
name = two
filter-with = proxy

[filter:proxy]
use = egg:PasteDeploy#prefix
prefix = /outside/two
"""


@pytest.mark.integration
async def test_pserve_of_a_composite(tmp_path):
    """urlmap, a filter and several applications, as an ini file puts them together."""
    ini = write_ini(tmp_path)
    text = ini.read_text()
    ini.write_text(COMPOSITE + text[text.index("[server:main]") :])
    with running(ini) as pserve:
        (url,) = pserve.urls()
        for transport in ("websocket", "xhr-polling"):
            async with connect(f"{url}/one/chat", transport=transport) as client:
                await client.send("where")
                assert (await client.recv()).startswith("one at /one/chat with /one/_sockjs/")
            async with connect(f"{url}/two/chat", transport=transport) as client:
                await client.send("where")
                said = await client.recv()
                assert said.startswith("two at /outside/two/chat with /outside/two/_sockjs/")
        assert (await get(f"{url}/chat/info"))[2] == "page /chat/info"
        status, _, iframe = await get(f"{url}/one/chat/iframe.html")
        client_url = iframe.partition('<script src="')[2].partition('"')[0]
        assert (status, client_url.startswith("/one/_sockjs/")) == (200, True)
        assert (await get(url + client_url))[0] == 200
        # Section 8: while only the same origin is allowed, there is no iframe page.
        assert (await get(f"{url}/two/chat/iframe.html"))[0] == 404
