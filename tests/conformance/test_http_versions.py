"""HTTP/1.0 and HTTP/1.1 (Http10, Http11)."""

from __future__ import annotations

import pytest

from tests.conformance.wire import HTTP_TRANSPORTS, STREAMING, Client, new_tag

GREETING = b"Welcome to SockJS!\n"
ENDPOINTS = pytest.mark.parametrize("endpoint", ["/close", "/blocking_close"])


@pytest.mark.parametrize("headers", [[("Connection", "Keep-Alive")], []])
def test_http10_synchronous(client: Client, headers: list[tuple[str, str]]) -> None:
    """Http10: never Transfer-Encoding; either a length, or the end of the connection."""
    connection = client.connect()
    answer = connection.request("GET", "/echo", headers, version="1.0")
    assert answer.status == 200
    assert answer["Transfer-Encoding"] is None
    assert answer.body == GREETING
    if (answer["Connection"] or "").lower() == "keep-alive":
        assert answer["Content-Length"] == "19"
        again = connection.request("GET", "/echo", headers, version="1.0")
        assert again.body == GREETING
    elif answer["Content-Length"] is not None:
        assert connection.ended()


@ENDPOINTS
def test_http10_streaming(client: Client, endpoint: str) -> None:
    """Http10: a stream has neither Transfer-Encoding nor length, and ends with the connection."""
    connection = client.connect()
    target = f"{endpoint}/000/{new_tag()}/xhr_streaming"
    answer = connection.request("POST", target, [("Connection", "Keep-Alive")], version="1.0")
    assert answer.status == 200
    assert answer["Transfer-Encoding"] is None
    assert answer["Content-Length"] is None
    assert connection.read_exactly(2049) == b"h" * 2048 + b"\n"
    assert connection.read_exactly(2) == b"o\n"
    assert connection.read_exactly(19) == b'c[3000,"Go away!"]\n'
    assert connection.ended()


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_http10_receivers(client: Client, name: str) -> None:
    """No receiver sends chunks to an HTTP/1.0 client."""
    session = client.session("/close", name)
    row = session.transport
    target = session.url(row.path, row.query)
    answer = client.request(row.method, target, version="1.0")
    assert answer.status == 200
    assert answer["Transfer-Encoding"] is None
    body = answer.body
    if row.streaming:
        assert body.endswith(b"\n")
        assert body.count(b"Go away!") == 1
    else:
        assert row.unwrap(body) == "o"


def test_http11_synchronous(client: Client) -> None:
    """Http11: keep-alive is the default, and the connection is used again."""
    connection = client.connect()
    for _ in range(3):
        answer = connection.request("GET", "/echo", [("Connection", "Keep-Alive")])
        assert answer.version == "1.1"
        assert (answer["Connection"] or "keep-alive").lower() == "keep-alive"
        assert answer["Content-Length"] in ("19", None)
        assert answer.body == GREETING


@ENDPOINTS
@pytest.mark.direct("balancers make chunks of their own")
def test_http11_streaming(client: Client, endpoint: str) -> None:
    """Http11: a stream is chunked and ends with a proper zero chunk; the connection stays."""
    connection = client.connect()
    target = f"{endpoint}/000/{new_tag()}/xhr_streaming"
    answer = connection.request("POST", target, [("Connection", "Keep-Alive")])
    assert answer.status == 200
    assert answer["Transfer-Encoding"] == "chunked"
    assert answer["Content-Length"] is None
    assert answer.chunk() == b"h" * 2048 + b"\n"
    assert answer.chunk() == b"o\n"
    assert answer.chunk() == b'c[3000,"Go away!"]\n'
    assert answer.chunk() == b""
    assert connection.request("GET", "/echo").body == GREETING


@pytest.mark.parametrize("name", STREAMING)
@pytest.mark.direct("balancers make chunks of their own")
def test_frames_are_chunks(client: Client, name: str) -> None:
    """The prelude, ``o`` and each frame arrive as separate chunks on one connection."""
    session = client.session("/close", name)
    answer = session.attach()
    chunks = []
    while data := answer.chunk():
        chunks.append(data)
    assert len(chunks) == 3
    assert session.transport.unwrap(chunks[1]) == "o"
    assert session.transport.unwrap(chunks[2]) == 'c[3000,"Go away!"]'


def test_polls_and_sends_over_one_connection(client: Client) -> None:
    """A browser uses its connections again for polls and sends."""
    session = client.session("/echo")
    connection = client.connect()
    assert session.finish(session.start(connection=connection)) == "o"
    for number in range(5):
        answer = session.post(f'["{number}"]', connection=connection)
        assert (answer.status, answer.body) == (204, b"")
        poll = session.start(connection=connection)
        assert session.finish(poll) == f'a["{number}"]'


def test_pipelined_requests(client: Client) -> None:
    """RFC 9112, 9.3.2: requests sent ahead are answered in order."""
    session = client.session("/echo")
    connection = client.connect()
    session.start(connection=connection)
    connection.start_request("POST", session.url("xhr_send"), [], '["a"]')
    session.start(connection=connection)
    assert session.finish(connection) == "o"
    assert connection.response("POST").status == 204
    assert session.finish(connection) == 'a["a"]'


def test_post_without_content_length(client: Client) -> None:
    """A POST with neither length nor body works."""
    connection = client.connect()
    answer = connection.request("POST", f"/echo/000/{new_tag()}/xhr", body=None)
    assert (answer.status, answer.body) == (200, b"o\n")


def test_chunked_send(client: Client) -> None:
    """A send may come in chunks."""
    session = client.session("/echo").open()
    connection = client.connect()
    connection.start_request("POST", session.url("xhr_send"), [("Transfer-Encoding", "chunked")])
    connection.send(b'3\r\n["a\r\n')
    connection.send(b'2\r\n"]\r\n0\r\n\r\n')
    assert connection.response("POST").status == 204
    assert session.receive() == 'a["a"]'


def test_expect_continue(client: Client) -> None:
    """RFC 9110, 10.1.1: a client that waits for 100 before its body gets on."""
    session = client.session("/echo").open()
    connection = client.connect()
    connection.start_request(
        "POST", session.url("xhr_send"), [("Expect", "100-continue"), ("Content-Length", "5")]
    )
    assert connection.response("POST").status == 100
    connection.send(b'["a"]')
    assert connection.response("POST").status == 204
    assert session.receive() == 'a["a"]'
