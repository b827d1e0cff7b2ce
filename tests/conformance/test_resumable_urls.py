"""``~r1``, "URLs": what there is below an endpoint, and what every answer has; ours only."""

from __future__ import annotations

import json

import pytest

from tests.conformance.rawclient import Response
from tests.conformance.resumable import Resumable, assert_common, lines_of, token, told
from tests.conformance.wire import Client, assert_cors

pytestmark = pytest.mark.ours

S = "s" * 22
ORIGIN = ("Origin", "https://page.example")
RECEIVERS = ["xhr", "xhr_streaming"]
POSTED = [*RECEIVERS, "xhr_send"]


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


@pytest.fixture
def one(client: Client) -> Resumable:
    return Resumable(client)


# What is found


@pytest.mark.parametrize(
    "prefix", ["~r1", "%7Er1", "%7er1", "~r1-home", "%7Er1-home", "~r1-0123456789abcdef"]
)
def test_prefixes_and_a_home_that_is_not_known_is_as_none(one: Resumable, prefix: str) -> None:
    target = one.url("xhr", prefix=prefix)
    response = one.client.post(target, json.dumps(one.fields(new=True)))
    assert told(lines_of(response)[0])["from"] == 1
    # It is the same session by whatever name of the home.
    assert told(one.poll(now=True)[0])["from"] == 1


@pytest.mark.parametrize(
    "path",
    [
        *(f"~r1{home}/{S}/xhr" for home in ("-", "-abc", "-UPPER", "-" + "a" * 17, "-a_bc")),
        *(f"~r1/{session}/xhr" for session in ("a" * 21, "a" * 23, "a" * 21 + ".", "a" * 21 + "=")),
        *(f"~r1/{S}/{name}" for name in ("jsonp", "eventsource", "htmlfile", "jsonp_send", "x")),
        f"~r1/{S}/XHR",
        f"~r1/{S}/xhr/",
        f"~r1/{S}/",
        f"~r1/{S}",
        "~r1/",
        "~r1",
    ],
)
def test_all_else_is_404(client: Client, path: str) -> None:
    body = json.dumps({"key": token(), "request": 1, "received": 0, "new": True})
    assert client.post(f"/echo/{path}", body).status == 404


@pytest.mark.parametrize("transport", [*POSTED, "websocket", "websocket?new"])
@pytest.mark.parametrize("prefix", ["~r1", "%7Er1", "~r1-home"])
def test_without_a_window_all_is_404_never_a_stock_session(
    client: Client, transport: str, prefix: str
) -> None:
    target = f"/off/{prefix}/{S}/{transport}"
    if transport.startswith("websocket"):
        assert client.websocket(target).handshake.status == 404
    else:
        body = json.dumps({"key": token(), "request": 1, "received": 0, "new": True})
        assert client.post(target, body).status == 404


@pytest.mark.parametrize("query", ["", "?", "?t=1", "?new", "?%ff"])
def test_query_of_a_request_is_void(one: Resumable, query: str) -> None:
    response = one.client.post(one.url("xhr") + query, json.dumps(one.fields(new=True)))
    assert told(lines_of(response)[0])["from"] == 1


def test_transports_that_are_off_are_404(client: Client) -> None:
    one = Resumable(client, "/polls").open()
    assert one.send(1, "a")["arrived"] == 1
    assert client.post(one.url("xhr_streaming"), json.dumps(one.fields())).status == 404
    assert one.handshake("new").handshake.status == 404


# Methods


@pytest.mark.parametrize(
    ("method", "transport", "allowed"),
    [
        *((method, path, "POST") for path in POSTED for method in ("GET", "HEAD", "PUT", "DELETE")),
        *((method, "websocket", "GET") for method in ("POST", "HEAD", "OPTIONS", "PUT")),
    ],
)
def test_other_methods_are_405(one: Resumable, method: str, transport: str, allowed: str) -> None:
    """With ``Allow``, before anything is looked up: here there is no session."""
    response = one.client.request(method, one.url(transport), [ORIGIN], "")
    assert response.status == 405
    assert allowed in (response["Allow"] or "").replace(" ", "").split(",")
    assert_common(response)
    assert_cors(response, ORIGIN[1])


@pytest.mark.parametrize("transport", POSTED)
def test_preflights_are_answered(one: Resumable, transport: str) -> None:
    headers = [
        ORIGIN,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ]
    response = one.client.request("OPTIONS", one.url(transport), headers)
    assert response.status in (200, 204)
    assert_cors(response, ORIGIN[1])
    assert "POST" in (response["Access-Control-Allow-Methods"] or "")
    assert response["Access-Control-Allow-Headers"] == "content-type"
    assert_common(response)


# What answers have


@pytest.mark.parametrize("origin", [None, "https://page.example", "null"])
@pytest.mark.parametrize("transport", POSTED)
def test_headers_of_all_answers(one: Resumable, transport: str, origin: str | None) -> None:
    if origin is not None:
        one.headers = [("Origin", origin)]
    one.open()
    unknown = Resumable(one.client)
    unknown.headers = one.headers
    answers = [
        one.post(transport, one.fields(now=True)),
        one.post(transport, one.thief().fields()),
        one.post(transport, {"key": one.key, "request": 0, "received": -1}),
        one.post(transport, "x" * 70000),
        unknown.post(transport, unknown.fields()),
    ]
    assert [answer.status for answer in answers[:4]] == [200, 403, 400, 413]
    assert answers[4].status == (404 if transport == "xhr_send" else 200)
    for answer in answers:
        assert_cors(answer, origin)


def content_type(response: Response) -> str:
    return (response["Content-Type"] or "").lower()


def test_content_types(one: Resumable) -> None:
    poll = one.post("xhr", one.fields(new=True))
    assert content_type(poll) == "application/javascript; charset=utf-8"
    assert poll["Transfer-Encoding"] is None
    assert int(poll["Content-Length"] or 0) == len(poll.body)
    stream = one.post("xhr_streaming", one.fields())
    assert content_type(stream) == "application/javascript; charset=utf-8"
    assert stream["Content-Length"] is None
    answer = one.post("xhr_send", {"key": one.key})
    assert content_type(answer) == "application/json"


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "x", "image/png;a=b"])
@pytest.mark.parametrize("transport", POSTED)
def test_any_type_of_body_or_none_is_taken(
    one: Resumable, transport: str, kind: str | None
) -> None:
    one.open()
    headers = [] if kind is None else [("Content-Type", kind)]
    body = json.dumps({"key": one.key, "request": 2, "received": 0, "now": True})
    assert one.client.post(one.url(transport), body, headers).status == 200


def test_nothing_is_compressed(one: Resumable) -> None:
    one.headers = [("Accept-Encoding", "gzip, deflate, br")]
    one.open().send(1, "x" * 20000)
    assert one.poll()[-1] == 'a["' + "x" * 20000 + '"]'


def test_handshake_offers_no_compression_and_sets_no_cookie(one: Resumable) -> None:
    one.headers = [("Sec-WebSocket-Extensions", "permessage-deflate"), ORIGIN]
    handshake = one.handshake("new").handshake
    assert handshake.status == 101
    assert handshake["Sec-WebSocket-Extensions"] is None
    assert handshake["Set-Cookie"] is None


def test_there_is_no_open_frame_and_no_prelude(one: Resumable) -> None:
    assert one.poll(new=True)[0].startswith("r{")
    assert one.stream().line().startswith("r{")
    link = one.link()
    assert "from" in one.hello(link)


# Origins


@pytest.mark.parametrize("transport", POSTED)
@pytest.mark.parametrize("size", [1, 100000])
def test_other_sites_are_refused_before_their_body_is_looked_at(
    client: Client, transport: str, size: int
) -> None:
    one = Resumable(client, "/listed")
    one.headers = [("Origin", "https://evil.example")]
    response = one.post(transport, "x" * size)
    assert response.status == 403
    assert response["Access-Control-Allow-Origin"] is None


def test_other_sites_get_no_websocket(client: Client) -> None:
    one = Resumable(client, "/listed")
    one.headers = [("Origin", "https://evil.example")]
    refused = one.handshake("new").handshake
    assert refused.status == 403
    assert_common(refused)
    one.headers = [("Origin", "https://app.example")]
    assert one.handshake("new").handshake.status == 101


def test_allowed_origin(client: Client) -> None:
    one = Resumable(client, "/listed")
    one.headers = [("Origin", "https://app.example")]
    assert_cors(one.post("xhr", one.fields(new=True)), "https://app.example")


# Handshakes


@pytest.mark.parametrize("query", ["", "new", "new=1", "new&t=1"])
def test_requests_for_a_websocket_that_are_none_are_400(one: Resumable, query: str) -> None:
    response = one.client.get(one.url("websocket", query))
    assert response.status in (400, 426)
    assert_common(response)


def test_stock_urls_and_these_are_two_dictionaries(one: Resumable) -> None:
    one.open()
    stock = f"/echo/000/{one.session}"
    assert one.client.post(f"{stock}/xhr_send", '["evil"]').status == 404
    assert one.client.post(f"{stock}/xhr").text == "o\n"
    other = Resumable(one.client)
    assert one.client.post(f"/echo/000/{other.session}/xhr").text == "o\n"
    assert told(other.poll()[0]) == {"lost": {}}


# The application's pipeline


@pytest.mark.parametrize("transport", RECEIVERS)
@pytest.mark.parametrize("endpoint", ["/forbidden", "/members"])
def test_refused_by_the_application_over_http(
    client: Client, transport: str, endpoint: str
) -> None:
    one = Resumable(client, endpoint)
    response = one.post(transport, one.fields(new=True))
    assert (response.status, response.text) == (200, 'c[4403,"Forbidden"]\n')


@pytest.mark.parametrize("endpoint", ["/forbidden", "/members"])
def test_refused_by_the_application_before_a_websocket(client: Client, endpoint: str) -> None:
    one = Resumable(client, endpoint)
    one.headers = [ORIGIN]
    refused = one.handshake("new").handshake
    assert refused.status == 403
    assert_common(refused)
    assert_cors(refused, ORIGIN[1])


def test_application_that_does_not_see_the_handshake_of_an_unknown_session(
    client: Client,
) -> None:
    """Without ``new`` no pipeline: the hello is answered ``lost``."""
    one = Resumable(client, "/forbidden")
    link = one.link()
    assert one.hello(link) == {"lost": {}}
    assert link.closed()


def test_requests_over_one_connection(one: Resumable) -> None:
    """Answers keep the connection alive, refusals too."""
    connection = one.client.connect()
    for body, status in (
        (one.fields(new=True), 200),
        ({"key": "short"}, 400),
        (one.thief().fields(), 403),
        (one.fields(now=True), 200),
    ):
        one.start("xhr", body, connection)
        response = connection.response("POST")
        assert (response.status, bool(response.body)) == (status, True)


def test_http_10_ends_its_streams_with_the_connection(one: Resumable) -> None:
    one.open().deliver(1, "a")
    target, body = one.url("xhr_streaming"), json.dumps(one.fields())
    response = one.client.request("POST", target, [], body, version="1.0")
    assert response["Transfer-Encoding"] is None
    assert one.run(2, ["close", 4321, "x"])["arrived"] == 2
    lines = response.text.splitlines()
    assert lines[:2] == ['r{"from":1,"received":1}', 'a["a"]']
    assert lines[-1] == 'c[4321,"x"]'


def test_http_10_polls(one: Resumable) -> None:
    one.open()
    body = json.dumps(one.fields(now=True))
    response = one.client.request("POST", one.url("xhr"), [], body, version="1.0")
    assert response.text == 'r{"from":1,"received":0}\n'
