"""The settings of [server:main], and the sockets that they describe (issue 2, "The server")."""

from __future__ import annotations

import errno
import os
import socket
import stat

import pytest

from sockjs_bridge.ini import SettingError
from sockjs_bridge.server import options
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.proxy import TrustedProxy


def test_defaults():
    options = ServerOptions.parse({})
    assert options == ServerOptions()
    assert options.listen == ("127.0.0.1:6543",)
    assert options.proxy == TrustedProxy()


def test_strings_of_an_ini():
    """Every setting is read from the string that an ini file holds."""
    options = ServerOptions.parse(
        {
            "listen": "127.0.0.1:80, [::1]:81\n*:82 unix:/run/x.sock",
            "unix_socket_perms": "660",
            "threads": "4",
            "shutdown_timeout": "0",
            "keepalive_timeout": "5.5",
            "body_timeout": "60",
            "max_request_header_size": "65536",
            "max_body_size": "0",
            "max_body_memory": "65536",
            "max_body_disk": "0",
            "max_response_memory": "1048576",
            "send_timeout": "0.5",
            "response_threads": "0",
            "url_scheme": "https",
            "full_gc_after": "0",
            "access_log_polls": "yes",
            "trusted_proxy": "127.0.0.1",
            "trusted_proxy_headers": "x-forwarded-for",
        }
    )
    assert options == ServerOptions(
        listen=("127.0.0.1:80", "[::1]:81", "*:82", "unix:/run/x.sock"),
        unix_socket_perms=0o660,
        threads=4,
        shutdown_timeout=0.0,
        keepalive_timeout=5.5,
        body_timeout=60.0,
        max_request_header_size=65536,
        max_body_size=0,
        max_body_memory=65536,
        max_body_disk=0,
        max_response_memory=1048576,
        send_timeout=0.5,
        response_threads=0,
        url_scheme="https",
        full_gc_after=0,
        access_log_polls=True,
        proxy=TrustedProxy.from_settings(
            {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-for"}
        ),
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *[
            ("listen", value, "one or more of host:port, [ipv6]:port, *:port, unix:/path")
            for value in (
                *("", "6543", "localhost:", ":6543", "localhost:http", "localhost:65536"),
                *("::1:80", "unix:", "localhost:-1", "localhost:\u0663"),
            )
        ],
        ("unix_socket_perms", "rw", "octal"),
        ("unix_socket_perms", "8", "octal"),
        ("threads", "0", "a whole number of threads, 1 or more"),
        ("shutdown_timeout", "-1", "a number of seconds from 0 to 3600"),
        ("keepalive_timeout", "0", "a number of seconds from 0.05"),
        ("body_timeout", "never", "a number of seconds from 0.05"),
        ("max_request_header_size", "8191", "a whole number of bytes, 8192 or more"),
        ("max_body_size", "1G", "a whole number of bytes, 0 or more"),
        ("max_body_memory", "65535", "a whole number of bytes, 65536 or more"),
        ("max_body_disk", "-1", "a whole number of bytes, 0 or more"),
        ("max_response_memory", "1", "a whole number of bytes, 1048576 or more"),
        ("send_timeout", "0", "a number of seconds from 0.05"),
        ("response_threads", "many", "a whole number of threads, 0 or more"),
        ("url_scheme", "ws", "http or https"),
        ("full_gc_after", "-1", "a whole number of collections, 0 or more"),
        ("access_log_polls", "perhaps", "true or false"),
    ],
)
def test_wrong_value(name, value, allowed):
    """The error names the key, the value and what is allowed."""
    with pytest.raises(SettingError) as wrong:
        ServerOptions.parse({name: value})
    assert f"{name} = {value!r}" in str(wrong.value)
    assert allowed in str(wrong.value)


def test_wrong_proxy_setting():
    """The settings of proxies are checked at the start as well."""
    with pytest.raises(SettingError, match="trusted_proxy_count = 0"):
        ServerOptions.parse({"trusted_proxy": "127.0.0.1", "trusted_proxy_count": "0"})


def test_unknown_name():
    """The error names those that there are, the proxies' included."""
    with pytest.raises(SettingError) as unknown:
        ServerOptions.parse({"port": "80"})
    assert "port is no setting" in str(unknown.value)
    for name in ("listen", "threads", "trusted_proxy"):
        assert name in str(unknown.value)


# Sockets


@pytest.fixture
def bound():
    """Binds, and closes at the end."""
    sockets = []

    def bind(listen, **settings):
        found = ServerOptions.parse({"listen": listen, **settings}).bind()
        sockets.extend(found)
        return found

    yield bind
    for sock in sockets:
        sock.close()


@pytest.mark.parametrize(
    ("listen", "family", "host"),
    [("127.0.0.1:0", socket.AF_INET, "127.0.0.1"), ("[::1]:0", socket.AF_INET6, "::1")],
)
def test_bind(bound, listen, family, host):
    """A bound socket takes connections into its queue at once, while the application loads."""
    (sock,) = bound(listen)
    assert (sock.family, sock.getsockname()[0]) == (family, host)
    with socket.create_connection(sock.getsockname()[:2], timeout=40):
        pass


def test_bind_all_addresses(bound):
    """`*` is every address, of IPv4 and IPv6, on one port each."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sockets = bound(f"*:{port}")
    hosts = {sock.getsockname()[:2] for sock in sockets}
    assert ("0.0.0.0", port) in hosts
    assert hosts <= {("0.0.0.0", port), ("::", port)}


def test_bind_several(bound, tmp_path):
    sockets = bound(f"127.0.0.1:0 127.0.0.1:0 unix:{tmp_path}/a unix:{tmp_path}/b")
    assert [sock.family for sock in sockets] == [socket.AF_INET] * 2 + [socket.AF_UNIX] * 2


def test_bind_unix(bound, tmp_path):
    """The socket has its permissions before anybody can connect."""
    path = tmp_path / "s"
    bound(f"unix:{path}", unix_socket_perms="620")
    mode = os.stat(path).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o620


def test_port_in_use():
    """A port in use is an error that names it; sockets that were bound before are closed."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            first = probe.getsockname()[1]
        listen = f"127.0.0.1:{first} 127.0.0.1:{port}"
        with pytest.raises(SettingError, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
            ServerOptions.parse({"listen": listen}).bind()
        with socket.create_server(("127.0.0.1", first)):
            pass


def test_two_servers_that_start_at_once(bound):
    """Of two that bind the same port before either accepts, the second is told."""
    (sock,) = bound("127.0.0.1:0")
    port = sock.getsockname()[1]
    with pytest.raises(SettingError, match="in use"):
        ServerOptions.parse({"listen": f"127.0.0.1:{port}"}).bind()


def test_one_address_of_several_in_use():
    """Where a name has several addresses, all of them are had or none."""
    with socket.create_server(("::", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingError, match=rf"cannot listen on \*:{port}"):
            ServerOptions.parse({"listen": f"*:{port}"}).bind()
        with socket.create_server(("127.0.0.1", port)):
            pass


@pytest.fixture
def machine(monkeypatch):
    """Gives `localhost` two addresses, and has the one of IPv6 fail."""

    def play(step, number, *, first):
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]

        class Socket(socket.socket):
            def __init__(self, family, *more):
                self.fail("socket", family)
                super().__init__(family, *more)

            def bind(self, place):
                self.fail("bind", self.family)
                super().bind(place)

            def fail(self, here, family):
                if here == step and family == socket.AF_INET6:
                    raise OSError(number, os.strerror(number))

        monkeypatch.setattr(options.socket, "socket", Socket)
        monkeypatch.setattr(
            options.socket, "getaddrinfo", lambda *_, **__: found if first else found[::-1]
        )

    return play


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("step", "number"), [("bind", errno.EADDRNOTAVAIL), ("socket", errno.EAFNOSUPPORT)]
)
def test_a_name_with_an_address_that_is_not_here(bound, machine, caplog, step, number, first):
    """In many a container `localhost` is `::1` too, which no interface has: one will do."""
    machine(step, number, first=first)
    (sock,) = bound("localhost:0")
    assert sock.getsockname()[0] == "127.0.0.1"
    (line,) = caplog.messages
    assert line == f"listening on localhost:0, but not on its ::1: {os.strerror(number)}"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("number", [errno.EADDRINUSE, errno.EACCES])
def test_a_name_with_an_address_that_is_taken(bound, machine, caplog, number, first):
    """Half of a name's clients would reach somebody else."""
    machine("bind", number, first=first)
    with pytest.raises(SettingError, match=f"localhost:0: {os.strerror(number)}"):
        bound("localhost:0")
    assert caplog.messages == []


def test_a_name_without_an_address_that_is_here(bound, caplog):
    """RFC 5737: 192.0.2.0/24 is nobody's."""
    with pytest.raises(SettingError, match=f"192.0.2.1:0: {os.strerror(errno.EADDRNOTAVAIL)}"):
        bound("192.0.2.1:0")
    assert caplog.messages == []


@pytest.mark.parametrize(
    "address",
    ["no.such.host.invalid:80", "a..b:80", "unix:/no/such/folder/s", "unix:/" + "x" * 200],
)
def test_socket_that_cannot_be_had(address):
    with pytest.raises(SettingError) as wrong:
        ServerOptions.parse({"listen": address}).bind()
    assert str(wrong.value).startswith(f"cannot listen on {address}: ")
    assert len(str(wrong.value)) > len(f"cannot listen on {address}: ")


def test_stale_unix_socket(bound, tmp_path):
    """A socket without a process is replaced."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.exists()
    bound(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))


def test_living_unix_socket(bound, tmp_path):
    """A socket that somebody listens on is left alone."""
    path = tmp_path / "s"
    bound(f"unix:{path}")
    with pytest.raises(SettingError, match="in use"):
        ServerOptions.parse({"listen": f"unix:{path}"}).bind()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))


def test_file_in_the_way(tmp_path):
    """What is no socket is never removed."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(SettingError, match="in use"):
        ServerOptions.parse({"listen": f"unix:{path}"}).bind()
    assert path.read_text() == "precious"
