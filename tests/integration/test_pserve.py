"""The server process behind `pserve` (issue 2, "The server"; api.md, section 1)."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import socket
import stat
import threading
import time
from urllib.parse import urlsplit

import pytest

from sockjs_bridge.client import TRANSPORTS
from tests.conformance.rawclient import WebSocketClosed
from tests.conformance.wire import Client, new_tag
from tests.integration.pserve import PATIENCE, running, write_ini
from tests.integration.support import connected

pytestmark = pytest.mark.integration

ORIGINS = "sockjs.allowed_origins = https://app.example.com"
GO_AWAY = 'c[3000,"Go away!"]'


@pytest.fixture
def client():
    """Makes blocking clients of a URL, and closes their connections."""
    clients = []

    def make(url):
        clients.append(Client(url))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


# Start


async def test_serves_page_and_sockjs(tmp_path):
    """One process answers the pages and the endpoints, over every transport, and says where."""
    with running(write_ini(tmp_path, app=ORIGINS), interpreter=True) as pserve:
        (url,) = await asyncio.to_thread(pserve.urls)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        status, text = await asyncio.to_thread(fetch, url, "/page")
        assert (status, text.split()[-1]) == (200, "hello")
        for transport in TRANSPORTS:
            async with connected(f"{url}/echo", transport) as connection:
                await connection.send(f"over {transport}")
                assert await connection.recv() == f"over {transport}"


def fetch(url, path, *, method="GET", body=None, headers=None):
    """Make one request; return status and text."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_several_sockets(tmp_path):
    """`listen` takes several host:port and unix: sockets, IPv6 included."""
    path = tmp_path / "the.sock"
    listen = f"listen = 127.0.0.1:0 [::1]:0\n    unix:{path}\nunix_socket_perms = 660"
    with running(write_ini(tmp_path, listen)) as pserve:
        urls = pserve.urls(3)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", urls[0])
        assert re.fullmatch(r"http://\[::1\]:\d+", urls[1])
        assert urls[2] == f"unix:{path}"
        assert fetch(urls[0], "/page")[0] == 200
        assert fetch(urls[1], "/page")[1].startswith("::1 http")
        assert fetch(urls[1], "/echo/info")[0] == 200
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(path))
            sock.sendall(b"GET /echo/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_stale_unix_socket(tmp_path):
    """A socket that a dead process left is replaced; one that lives is not."""
    path = tmp_path / "the.sock"
    ini = write_ini(tmp_path, f"listen = unix:{path}")
    with running(ini) as first:
        first.urls()
        first.signal(signal.SIGKILL)
        first.exit_code()
    assert path.exists()
    with running(ini) as second:
        second.urls()
        with running(ini) as third:
            assert third.exit_code() != 0
            assert f"cannot listen on unix:{path}" in third.said
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(path))
            sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.0 200 OK\r\n")


# Errors at the start: one sentence


def one_sentence(pserve):
    """Wait for the failure; return what pserve said, which is one line and no traceback."""
    assert pserve.exit_code() not in (0, None)
    lines = [line for line in pserve.err + pserve.out if line]
    assert len(lines) == 1, pserve.said
    return lines[0]


def test_port_in_use(tmp_path):
    """A port in use: the error names it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running(write_ini(tmp_path, f"listen = 127.0.0.1:{port}"), interpreter=True) as pserve:
            text = one_sentence(pserve)
    assert f"cannot listen on 127.0.0.1:{port}" in text
    assert "in use" in text


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("no.such.host.invalid:80", "cannot listen on no.such.host.invalid:80"),
        ("unix:/no/such/folder/the.sock", "cannot listen on unix:/no/such/folder/the.sock"),
        ("6543", "listen = '6543' cannot be"),
        ("203.0.113.7:0", "cannot listen on 203.0.113.7:0"),
    ],
)
def test_socket_that_cannot_be_had(tmp_path, listen, said):
    """Whatever keeps a socket from being had, it is named."""
    with running(write_ini(tmp_path, f"listen = {listen}")) as pserve:
        assert said in one_sentence(pserve)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("treads = 4", ("treads is no setting", "threads")),
        ("threads = none", ("threads = 'none'", "1 or more")),
        ("trusted_proxy = example.com", ("trusted_proxy = example.com", "IP addresses")),
    ],
)
def test_wrong_server_setting(tmp_path, line, said):
    """An unknown or wrong setting of the server: named, with what is allowed."""
    with running(write_ini(tmp_path, f"listen = 127.0.0.1:0\n{line}")) as pserve:
        text = one_sentence(pserve)
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "sockjs.hartbeat_delay = 4",
            ("sockjs.hartbeat_delay = '4' is no setting", "heartbeat_delay"),
        ),
        ("sockjs.heartbeat_delay = 40", ("sockjs.heartbeat_delay = '40'", "0.05 to 35")),
    ],
)
def test_wrong_sockjs_setting(tmp_path, line, said):
    """The same for the settings of the endpoints."""
    with running(write_ini(tmp_path, app=line)) as pserve:
        text = one_sentence(pserve)
    assert all(part in text for part in said), text


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_shutdown(tmp_path, client, number):
    """Nobody new is accepted, every client is told, a running request ends, exit code 0."""
    with running(write_ini(tmp_path, app=ORIGINS), interpreter=True) as pserve:
        (url,) = pserve.urls()
        clients = client(url)
        sessions = []
        for name in ("xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"):
            session = clients.session("/echo", name).open()
            polling = not session.transport.streaming
            sessions.append((session, session.start() if polling else None))
        absent = clients.session("/echo", "xhr").open()
        socket_ = clients.websocket(f"/echo/000/{new_tag()}/websocket")
        assert socket_.recv() == "o"
        raw = clients.websocket("/echo/websocket")
        raw.send("raw")
        assert raw.recv() == "raw"
        answers = []
        request = threading.Thread(
            target=lambda: answers.append(fetch(url, "/slow?seconds=1")), daemon=True
        )
        request.start()
        pserve.wait_for("slow view begins")
        pserve.signal(number)
        pserve.wait_for("shutting down")
        for session, poll in sessions:
            frame = session.finish(poll) if poll is not None else session.receive()
            assert frame == GO_AWAY
        assert socket_.recv() == GO_AWAY
        with pytest.raises(WebSocketClosed) as closed:
            socket_.recv()
        assert closed.value.code == 1000
        with pytest.raises(WebSocketClosed) as closed:
            raw.recv()
        assert (closed.value.code, closed.value.reason) == (3000, "Go away!")
        with pytest.raises(ConnectionRefusedError):
            fetch(url, "/page")
        request.join(10)
        assert answers == [(200, "slow but sure")]
        assert absent.client is clients
        assert pserve.exit_code() == 0
    assert "Traceback" not in pserve.said
    assert "ERROR" not in pserve.said
    assert len(re.findall(r"ended after .* with 3000 'Go away!'", pserve.said)) == 8


def hang_request(clients):
    clients.connect().start_request("GET", "/slow?seconds=300")


def hang_body(clients):
    clients.connect().start_request("POST", "/page", [("Content-Length", "10")])


def hang_send(clients):
    session = clients.session("/echo", "xhr").open()
    connection = clients.connect()
    connection.start_request("POST", session.url("xhr_send"), [("Content-Length", "10")])


def hang_hook(clients):
    session = clients.websocket(f"/echo/000/{new_tag()}/websocket")
    session.send('"get stuck"')
    assert [session.recv(), session.recv()] == ["o", 'a["stuck"]']


def hang_view(clients):
    session = clients.websocket(f"/blocking/000/{new_tag()}/websocket")
    session.send('"get stuck"')
    assert [session.recv(), session.recv()] == ["o", 'a["get stuck"]']


def hang_websocket(clients):
    """A peer that never answers the close frame."""
    assert clients.websocket(f"/echo/000/{new_tag()}/websocket").recv() == "o"


HANGING = [hang_request, hang_body, hang_send, hang_hook, hang_view, hang_websocket]


@pytest.mark.parametrize("hang", HANGING)
def test_what_is_stuck_cannot_hold_it(tmp_path, client, hang):
    """After shutdown_timeout the process ends, whatever hangs."""
    with running(write_ini(tmp_path, "listen = 127.0.0.1:0\nshutdown_timeout = 0.5")) as pserve:
        (url,) = pserve.urls()
        hang(client(url))
        if hang is hang_request:
            pserve.wait_for("slow view begins")
        began = time.monotonic()
        pserve.signal(signal.SIGTERM)
        assert pserve.exit_code() == 0
        # Far from the 300 s that the view takes; the machine may be slow.
        assert time.monotonic() - began < 60
    assert "Traceback" not in pserve.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hang", [hang_request, hang_hook])
def test_second_signal_hurries(tmp_path, client, number, hang):
    """A second signal ends the waiting."""
    with running(write_ini(tmp_path, "listen = 127.0.0.1:0\nshutdown_timeout = 120")) as pserve:
        (url,) = pserve.urls()
        hang(client(url))
        if hang is hang_request:
            pserve.wait_for("slow view begins")
        pserve.signal(number)
        pserve.wait_for("shutting down, waiting up to 120 s")
        pserve.signal(number)
        assert pserve.exit_code() == 0
    assert "Traceback" not in pserve.said


def test_idle_server_ends_at_once(tmp_path, client):
    """Open connections without a request, keep-alive or fresh, are not waited for."""
    with running(write_ini(tmp_path, "listen = 127.0.0.1:0\nshutdown_timeout = 120")) as pserve:
        (url,) = pserve.urls()
        clients = client(url)
        kept = clients.connect()
        assert kept.request("GET", "/page").body.endswith(b"hello")
        fresh = clients.connect()
        half = clients.connect()
        half.send(b"GET /page HTTP/1.1\r\n")
        pserve.signal(signal.SIGTERM)
        assert kept.ended()
        assert fresh.ended()
        assert pserve.exit_code() == 0


def test_reload(tmp_path, client):
    """--reload: a touched file restarts the server, which serves again on the same port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ini = write_ini(tmp_path, f"listen = 127.0.0.1:{port}")
    with running(ini, "--reload") as pserve:
        (url,) = pserve.urls()
        session = client(url).websocket(f"/echo/000/{new_tag()}/websocket")
        assert session.recv() == "o"
        write_ini(tmp_path, f"listen = 127.0.0.1:{port}", app="greeting = hello-again")
        # The reloader looks at files once a second; what was changed before its first look is
        # no change to it.
        touched = 0
        while session.connection.is_quiet(0.5):
            touched += 1
            assert touched < 30, pserve.said
            later = time.time() + touched
            os.utime(ini, (later, later))
        # The clients are told, as by any other end.
        assert session.recv() == GO_AWAY
        session.close()
        pserve.urls(2)
        assert fetch(url, "/page")[1].endswith("hello-again")
        pserve.signal(signal.SIGINT)
        pserve.exit_code()
    assert "Traceback" not in pserve.said


# Logging


COMBINED = re.compile(
    r"(?P<host>\S+) - (?P<user>\S+) \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    r'"(?P<request>[^"]+)" (?P<status>\d{3}) (?P<size>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>.*)"'
)


@pytest.mark.parametrize("polls", [False, True])
def test_access_log(tmp_path, client, polls):
    """One line per HTTP request in the combined format; polls only where they are asked for."""
    server = f"listen = 127.0.0.1:0\naccess_log_polls = {str(polls).lower()}"
    with running(write_ini(tmp_path, server)) as pserve:
        (url,) = pserve.urls()
        clients = client(url)
        session = clients.session("/echo", "xhr").open()
        session.send("hello")
        assert session.receive() == 'a["hello"]'
        assert clients.get("/echo/info").body
        websocket = clients.websocket(f"/echo/000/{new_tag()}/websocket")
        assert websocket.recv() == "o"
        websocket.close()
        assert clients.get("/page", [("Referer", "http://x/"), ("User-Agent", 'a "b"')]).body
        pserve.wait_for("/websocket HTTP")
        pserve.wait_for("/page HTTP")
        pserve.signal(signal.SIGTERM)
        assert pserve.exit_code() == 0
    lines = [COMBINED.fullmatch(line) for line in pserve.out if " HTTP/1." in line]
    assert all(lines), pserve.out
    requests = sorted(re.sub(r"/\w{32}/", "/s/", line["request"]) for line in lines)
    expected = [
        "GET /echo/000/s/websocket HTTP/1.1",
        "GET /echo/info HTTP/1.1",
        "GET /page HTTP/1.1",
    ]
    if polls:
        polled = [request for request in requests if request not in expected]
        assert [re.sub(r"/\d+/", "/000/", request) for request in polled] == [
            "POST /echo/000/s/xhr HTTP/1.1",
            "POST /echo/000/s/xhr HTTP/1.1",
            "POST /echo/000/s/xhr_send HTTP/1.1",
        ]
    else:
        assert requests == expected
    (page,) = [line for line in lines if "/page" in line.string]
    assert (page["host"], page["user"], page["status"]) == ("127.0.0.1", "-", "200")
    assert int(page["size"]) > 0
    assert '"http://x/" "a \\"b\\""' in page.string


@pytest.mark.parametrize("name", ["websocket", "xhr"])
def test_session_log(tmp_path, client, name):
    """One line per session end: id, transport, duration, messages and bytes each way, code."""
    with running(write_ini(tmp_path)) as pserve:
        (url,) = pserve.urls()
        clients = client(url)
        if name == "websocket":
            session = clients.websocket(f"/echo/000/{new_tag()}/websocket")
            assert session.recv() == "o"
            session.send('["hello"]')
            assert session.recv() == 'a["hello"]'
            session.send('["close"]')
            assert session.recv() == 'c[4001,"as you asked"]'
            transport = "websocket"
        else:
            polled = clients.session("/echo", "xhr").open()
            polled.send("hello")
            assert polled.receive() == 'a["hello"]'
            polled.send("close")
            assert polled.receive() == 'c[4001,"as you asked"]'
            transport = "xhr-polling"
            pserve.signal(signal.SIGTERM)
        (line,) = pserve.wait_for(r"INFO \[sockjs_bridge\.session\] (.*)")
    match = re.fullmatch(
        r"(\S+) (\S+) ended after (\d+\.\d) s with 4001 'as you asked': "
        r"in 2 messages, (\d+) bytes; out 1 messages, (\d+) bytes",
        line[1],
    )
    assert match is not None, line[1]
    assert match[2] == transport
    assert int(match[4]) == len('["hello"]["close"]')
    assert int(match[5]) >= len('oa["hello"]c[4001,"as you asked"]')


def test_quiet_log(tmp_path):
    """The ini decides: at WARNING the process says where it serves, and nothing else."""
    ini = write_ini(tmp_path, level="WARNING")
    with running(ini) as pserve:
        (url,) = pserve.urls()
        pserve.signal(signal.SIGTERM)
        pserve.exit_code()
    said = [line for line in pserve.said.splitlines() if "Starting server" not in line]
    assert said == [f"serving on {url}"]


def test_ini_without_loggers(tmp_path):
    """Whoever starts it sees where to look."""
    ini = write_ini(tmp_path)
    ini.write_text(ini.read_text().partition("[loggers]")[0])
    with running(ini) as pserve:
        (url,) = pserve.urls()
        assert f"serving on {url}" in pserve.out
        assert fetch(url, "/page")[0] == 200


# Proxies


def page_behind(url, **headers):
    """Return what the application sees of a request: address, scheme and host."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    status, text = fetch(url, "/page", headers=headers)
    assert status == 200
    return text.split()[:3]


FORWARDED = {
    "X_Forwarded_For": "198.51.100.7",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "chat.example.com",
}


@pytest.mark.parametrize(
    ("trusted", "believed"),
    [("127.0.0.1", True), ("10.0.0.0/8 127.0.0.0/8", True), ("10.0.0.1", False), (None, False)],
)
def test_trusted_proxy(tmp_path, trusted, believed):
    """X-Forwarded-For/Proto/Host have their effect only for the named peers."""
    lines = ["listen = 127.0.0.1:0"]
    if trusted:
        lines += [
            f"trusted_proxy = {trusted}",
            "trusted_proxy_headers = x-forwarded-for x-forwarded-proto x-forwarded-host",
        ]
    with running(write_ini(tmp_path, "\n".join(lines))) as pserve:
        (url,) = pserve.urls()
        seen = page_behind(url, **FORWARDED)
        if believed:
            assert seen == ["198.51.100.7", "https", "chat.example.com"]
        else:
            assert seen == ["127.0.0.1", "http", urlsplit(url).netloc]
        # Section 8: the page's own origin is compared with what the proxy says of the host.
        forwarded = {name.replace("_", "-"): value for name, value in FORWARDED.items()}
        own = "https://chat.example.com" if believed else f"http://{urlsplit(url).netloc}"
        other = f"http://{urlsplit(url).netloc}" if believed else "https://chat.example.com"
        for path, status in (("/echo/info", 200), ("/echo/000/1/xhr", 200)):
            method = "GET" if path.endswith("info") else "POST"
            headers = {**forwarded, "Origin": own}
            assert fetch(url, path, method=method, headers=headers)[0] == status
            headers = {**forwarded, "Origin": other}
            assert fetch(url, path, method=method, headers=headers)[0] == 403
        # The access line has the client's address.
        host = "198.51.100.7" if believed else "127.0.0.1"
        pserve.wait_for(rf'^{re.escape(host)} - - .*"GET /page')


def test_malformed_forwarding_header(tmp_path):
    """A trusted proxy that sends nonsense is answered 400, on pages and endpoints."""
    server = (
        "listen = 127.0.0.1:0\ntrusted_proxy = 127.0.0.1\ntrusted_proxy_headers = x-forwarded-for"
    )
    with running(write_ini(tmp_path, server)) as pserve:
        (url,) = pserve.urls()
        for path in ("/page", "/echo/info"):
            assert fetch(url, path, headers={"X-Forwarded-For": "not an address"})[0] == 400
        assert fetch(url, "/page")[0] == 200
    assert "Traceback" not in pserve.said
