"""CORS, OPTIONS, caching headers, and who may connect (sockjs-wire.md, api.md 8)."""

from __future__ import annotations

import pytest

from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    Client,
    assert_cors,
    assert_not_cached,
    new_tag,
)

OPTIONS = [
    ("/info", "GET"),
    ("/abc/abc/xhr", "POST"),
    ("/abc/abc/xhr_send", "POST"),
    ("/abc/abc/xhr_streaming", "POST"),
]
OURS = pytest.mark.ours
ORIGINS = [None, "http://test", "null", "https://a.example:8443"]


def origin_header(origin: str | None) -> list[tuple[str, str]]:
    return [] if origin is None else [("Origin", origin)]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("path", "method"), OPTIONS)
def test_options(client: Client, path: str, method: str, origin: str | None) -> None:
    """InfoTest, XhrPolling, XhrStreaming: OPTIONS is cacheable for a year and names the methods."""
    answer = client.request("OPTIONS", "/echo" + path, origin_header(origin))
    assert answer.status in (200, 204)
    assert answer.body == b""
    assert answer["Cache-Control"] == "public, max-age=31536000"
    assert (answer["Expires"] or "").endswith("GMT")
    assert int(answer["Access-Control-Max-Age"] or "0") > 1_000_000
    methods = (answer["Access-Control-Allow-Methods"] or "").replace(" ", "").split(",")
    assert {"OPTIONS", method} <= set(methods)
    assert_cors(answer, origin)


def test_options_with_a_list_of_methods(client: Client) -> None:
    """A request for the list ``OPTIONS, POST`` is answered with both methods."""
    answer = client.request(
        "OPTIONS",
        "/echo/abc/abc/xhr",
        [("Origin", "http://test"), ("Access-Control-Request-Method", "OPTIONS, POST")],
    )
    methods = (answer["Access-Control-Allow-Methods"] or "").replace(" ", "").split(",")
    assert {"OPTIONS", "POST"} <= set(methods)


@pytest.mark.parametrize(
    "origin",
    [pytest.param(origin, marks=OURS if origin == "null" else ()) for origin in ORIGINS],
)
@pytest.mark.parametrize("name", ["xhr", "xhr_streaming", "eventsource"])
def test_receivers(client: Client, name: str, origin: str | None) -> None:
    """A receiver that scripts read echoes the origin verbatim, ``null`` too.

    The reference answers ``null`` with ``*`` on eventsource.
    """
    session = client.session("/echo", name)
    session.headers = origin_header(origin)
    answer = session.attach()
    assert answer.status == 200
    assert_cors(answer, origin)


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_receivers_are_not_cached(client: Client, name: str) -> None:
    """Receivers must not be cached, those that are requested with GET least of all."""
    assert_not_cached(client.session("/echo", name).attach())


@pytest.mark.parametrize("origin", ORIGINS)
def test_xhr_send(client: Client, origin: str | None) -> None:
    """XhrPolling: the answer of a send carries CORS headers and must not be cached."""
    session = client.session("/echo").open()
    session.headers = origin_header(origin)
    answer = session.post('["x"]')
    assert_cors(answer, origin)
    assert_not_cached(answer)


@pytest.mark.parametrize("origin", ORIGINS)
def test_errors(client: Client, origin: str | None) -> None:
    """CORS headers are on error responses too, or a page could not read the status."""
    session = client.session("/echo").open()
    session.headers = origin_header(origin)
    assert_cors(session.post("["), origin)
    unknown = client.session("/echo")
    unknown.headers = session.headers
    answer = unknown.post('["x"]')
    assert answer.status == 404
    assert_cors(answer, origin)


@pytest.mark.parametrize("requested", ["a, b, c", "", None])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_request_headers_are_echoed(client: Client, method: str, requested: str | None) -> None:
    """XhrPolling: Access-Control-Request-Headers is echoed verbatim; none if empty or absent."""
    headers = [("Origin", "http://test")]
    if requested is not None:
        headers.append(("Access-Control-Request-Headers", requested))
    answer = client.request(method, f"/echo/000/{new_tag()}/xhr", headers, "")
    assert_cors(answer, "http://test")
    assert answer["Access-Control-Allow-Headers"] == (requested or None)


def test_header_injection_is_refused(client: Client) -> None:
    """What is echoed cannot break out of its header."""
    headers = [("Access-Control-Request-Headers", "a\x01b"), ("Origin", "http://a\x01b")]
    answer = client.request("OPTIONS", "/echo/abc/abc/xhr", headers)
    assert answer.status == 400 or "\x01" not in str(answer.headers)


@pytest.mark.ours
@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
@pytest.mark.direct("nginx obeys it, and keeps it to itself", "nginx")
def test_buffering_is_declined(client: Client, name: str) -> None:
    """Receivers carry ``X-Accel-Buffering: no``, so that nginx passes each frame on at once."""
    assert client.session("/echo", name).attach()["X-Accel-Buffering"] == "no"


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_receivers_are_never_compressed(client: Client, name: str) -> None:
    """A compressed stream would be held back on its way."""
    session = client.session("/echo", name)
    session.headers = [("Accept-Encoding", "gzip, deflate, br")]
    assert session.attach()["Content-Encoding"] is None


@pytest.mark.ours
@pytest.mark.parametrize("path", ["/echo/info", "/echo/000/{id}/xhr"])
def test_referer_stands_in_for_a_missing_origin(client: Client, path: str) -> None:
    """Where a proxy stripped Origin, the CORS answer is for the origin of Referer."""
    method = "GET" if path.endswith("info") else "POST"
    headers = [("Referer", "http://page.example:8080/dir/page?q=1#f")]
    answer = client.request(method, path.format(id=new_tag()), headers, "")
    assert answer.status == 200
    assert_cors(answer, "http://page.example:8080")


@pytest.mark.ours
def test_origin_goes_before_referer(client: Client) -> None:
    """Referer counts only where there is no Origin."""
    headers = [("Referer", "http://one.example/"), ("Origin", "http://two.example")]
    assert_cors(client.get("/echo/info", headers), "http://two.example")


ALLOWED = ["https://app.example.com", "https://a.example.org", "https://a.b.example.org"]
REFUSED = [
    "https://evil.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.com",
    "https://evilexample.org",
    "null",
]


@pytest.mark.ours
@pytest.mark.parametrize("origin", ALLOWED)
def test_listed_origins_are_allowed(client: Client, origin: str) -> None:
    """api.md 8: listed origins and wildcards may connect."""
    answer = client.session("/listed_origins")
    answer.headers = [("Origin", origin)]
    response = answer.attach()
    assert response.status == 200
    assert_cors(response, origin)


@pytest.mark.ours
@pytest.mark.parametrize("origin", REFUSED)
@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_other_origins_are_refused(client: Client, name: str, origin: str) -> None:
    """api.md 8: another origin gets 403 and no grant, and nothing is created."""
    session = client.session("/listed_origins", name)
    session.headers = [("Origin", origin)]
    answer = session.attach()
    assert answer.status == 403
    assert answer["Access-Control-Allow-Origin"] is None
    assert answer["Access-Control-Allow-Credentials"] is None
    session.headers = []
    assert not session.exists()


@pytest.mark.ours
@pytest.mark.parametrize("path", ["/info", "/abc/abc/xhr"])
def test_other_origins_get_no_grant_in_advance(client: Client, path: str) -> None:
    """A preflight or /info of another origin carries no CORS grant."""
    method = "GET" if path == "/info" else "OPTIONS"
    answer = client.request(method, "/listed_origins" + path, [("Origin", "https://evil.com")])
    assert answer["Access-Control-Allow-Origin"] is None


@pytest.mark.ours
def test_other_origins_cannot_send(client: Client) -> None:
    """A send from another origin is refused and not delivered; the session is untouched."""
    session = client.session("/listed_origins").open()
    session.headers = [("Origin", "https://evil.com")]
    assert session.post('["evil"]').status == 403
    session.headers = []
    session.send("good")
    assert session.receive() == 'a["good"]'


@pytest.mark.ours
@pytest.mark.parametrize("path", ["/000/{id}/websocket", "/websocket"])
@pytest.mark.parametrize(("origin", "status"), [("https://evil.com", 403), (ALLOWED[0], 101)])
def test_websocket_origin(client: Client, path: str, origin: str, status: int) -> None:
    """A WebSocket handshake is no subject of CORS: the server itself refuses other origins."""
    socket = client.websocket("/listed_origins" + path.format(id=new_tag()), [("Origin", origin)])
    assert socket.handshake.status == status


@pytest.mark.ours
def test_by_default_only_the_same_origin(client: Client) -> None:
    """api.md 8: by default the Origin's host must equal Host; Referer stands in; none passes."""
    host = client.url.removeprefix("http://")
    expected = {
        (): 200,
        (("Origin", client.url),): 200,
        (("Referer", client.url + "/page"),): 200,
        (("Origin", "http://evil.com"),): 403,
        (("Origin", f"http://{host.split(':')[0]}:1"),): 403,
        (("Origin", "null"),): 403,
        (("Referer", "http://evil.com/page"),): 403,
    }
    for headers, status in expected.items():
        answer = client.post(f"/same_origin/000/{new_tag()}/xhr", headers=list(headers))
        assert answer.status == status, headers


@pytest.mark.ours
def test_same_origin_turns_cross_origin_transports_off(client: Client) -> None:
    """api.md 8: iframe and jsonp only serve other origins, so they are off; htmlfile stays."""
    url = f"/same_origin/000/{new_tag()}"
    assert client.get("/same_origin/iframe.html").status == 404
    assert client.get(f"{url}/jsonp?c=x").status == 404
    assert client.post(f"{url}/jsonp_send", "d=[]").status == 404
    assert client.get(f"{url}/htmlfile?c=x").status == 200
