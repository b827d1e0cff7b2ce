"""Which proxies are believed, and what they may say."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from sockjs_bridge.server.proxy import PROXY_HEADERS, Client, MalformedForwarded, TrustedProxy

PEER = "127.0.0.1"
EVERYTHING = "x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-by"


def proxy(headers: str = EVERYTHING, peers: str = PEER, **more: object) -> TrustedProxy:
    return TrustedProxy.from_settings(
        {"trusted_proxy": peers, "trusted_proxy_headers": headers}
        | {f"trusted_proxy_{key}": value for key, value in more.items()}
    )


def told(client: Client) -> tuple[str, str, str]:
    return client.remote, client.scheme, client.host


FORGED = {
    "Host": "inner:8080",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "example.org",
}


@pytest.mark.parametrize("trusted", [TrustedProxy(), proxy(peers="10.0.0.0/8 unix")])
def test_a_peer_that_is_not_trusted_changes_nothing(trusted):
    client = trusted.apply(PEER, "http", FORGED)
    assert told(client) == (PEER, "http", "inner:8080")
    assert client.untrusted == PROXY_HEADERS
    assert client.trimmed == {}


def test_headers_of_strangers_stay_if_they_are_not_to_be_cleared():
    trusted = TrustedProxy.from_settings({"clear_untrusted_proxy_headers": "false"})
    assert trusted.apply(PEER, "http", FORGED).untrusted == frozenset()


@pytest.mark.parametrize(
    ("peers", "peer"),
    [
        ("*", PEER),
        ("*", "unix"),
        ("unix", "unix"),
        ("127.0.0.1", PEER),
        ("10.0.0.0/8, 127.0.0.0/8", PEER),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("::1 fe80::/10", "::1"),
        ("fe80::/10", "fe80::1%eth0"),
    ],
)
def test_a_trusted_peer_is_believed(peers, peer):
    assert told(proxy(peers=peers).apply(peer, "http", FORGED)) == (
        "203.0.113.9",
        "https",
        "example.org",
    )


@pytest.mark.parametrize(
    ("peers", "peer"),
    [
        *(("127.0.0.1", "unix"), ("unix", PEER), ("10.0.0.0/8", PEER), ("0.0.0.0/0", "::1")),
        # A peer whose address could not be had.
        *(("unix", "unknown"), ("0.0.0.0/0 ::/0", "unknown")),
    ],
)
def test_trust_has_limits(peers, peer):
    assert not proxy(peers=peers).trusts(peer)


def test_only_the_listed_headers_count():
    client = proxy("X-Forwarded-Proto").apply(PEER, "http", FORGED)
    assert told(client) == (PEER, "https", "inner:8080")
    assert client.untrusted == PROXY_HEADERS - {"x-forwarded-proto"}


def test_without_a_list_the_scheme_alone_is_believed():
    """As in waitress."""
    trusted = TrustedProxy.from_settings({"trusted_proxy": PEER})
    assert told(trusted.apply(PEER, "http", FORGED)) == (PEER, "https", "inner:8080")


@pytest.mark.parametrize(
    ("value", "count", "remote", "port", "trimmed"),
    [
        ("6.6.6.6, 203.0.113.9", 1, "203.0.113.9", "", "203.0.113.9"),
        ("6.6.6.6,203.0.113.9 , 10.0.0.1", 2, "203.0.113.9", "", "203.0.113.9, 10.0.0.1"),
        ("203.0.113.9", 3, "203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9:4711", 1, "203.0.113.9", "4711", "203.0.113.9:4711"),
        ("2001:db8::1", 1, "2001:db8::1", "", "2001:db8::1"),
        ("[2001:db8::1]:99", 1, "2001:db8::1", "99", "[2001:db8::1]:99"),
        ('"[2001:db8::1]"', 1, "2001:db8::1", "", '"[2001:db8::1]"'),
        ("unknown", 1, PEER, "", "unknown"),
        ("_hidden", 1, PEER, "", "_hidden"),
    ],
)
def test_forwarded_for(value, count, remote, port, trimmed):
    """The last hops are the proxies' own; what stands before them the client made up."""
    client = proxy(count=count).apply(PEER, "http", {"X-Forwarded-For": value})
    assert (client.remote, client.remote_port) == (remote, port)
    assert client.trimmed == {"x-forwarded-for": trimmed}


def test_a_line_that_the_proxy_added_comes_after_the_clients_own():
    """HAProxy appends a header line of its own in place of changing the one it finds."""
    headers = CIMultiDict([("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-for", "203.0.113.9")])
    assert proxy().apply(PEER, "http", headers).remote == "203.0.113.9"
    client = proxy(count=2).apply(PEER, "http", headers)
    assert (client.remote, client.trimmed["x-forwarded-for"]) == ("6.6.6.6", "6.6.6.6, 203.0.113.9")


def test_an_empty_header_says_nothing():
    headers = dict.fromkeys(FORGED, " ") | {"Host": "inner", "X-Forwarded-Port": "81, "}
    assert told(proxy().apply(PEER, "http", headers)) == (PEER, "http", "inner")


def test_an_empty_last_hop_does_not_lend_weight_to_the_one_before():
    client = proxy().apply(PEER, "http", {"X-Forwarded-For": "1.2.3.4, "})
    assert client.remote == PEER


@pytest.mark.parametrize(
    ("headers", "scheme", "host", "port"),
    [
        ({"x-forwarded-proto": "HTTPS"}, "https", "inner", "443"),
        ({"x-forwarded-proto": "wss"}, "https", "inner", "443"),
        ({"x-forwarded-proto": "ws"}, "http", "inner", "80"),
        ({"x-forwarded-host": "example.org"}, "http", "example.org", "80"),
        ({"x-forwarded-host": "example.org:81"}, "http", "example.org:81", "81"),
        ({"x-forwarded-host": "[::1]"}, "http", "[::1]", "80"),
        (
            {"x-forwarded-host": "example.org", "x-forwarded-port": "81"},
            "http",
            "example.org:81",
            "81",
        ),
        (
            {
                "x-forwarded-host": "example.org",
                "x-forwarded-port": "443",
                "x-forwarded-proto": "https",
            },
            "https",
            "example.org",
            "443",
        ),
        (
            {"x-forwarded-host": "example.org", "x-forwarded-proto": "https"},
            "https",
            "example.org",
            "443",
        ),
        ({"x-forwarded-port": "81"}, "http", "inner", "81"),
        ({"x-forwarded-by": "anything at all"}, "http", "inner", ""),
    ],
)
def test_scheme_host_and_port(headers, scheme, host, port):
    client = proxy().apply(PEER, "http", {"Host": "inner", **headers})
    assert (client.scheme, client.host, client.server_port) == (scheme, host, port)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-forwarded-for", "localhost"),
        ("x-forwarded-for", "999.1.1.1"),
        ("x-forwarded-for", "1.2.3.4:99999"),
        ("x-forwarded-for", "[::1"),
        ("x-forwarded-for", "1.2.3.4\x00"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "a b"),
        ("x-forwarded-host", "evil/path"),
        ("x-forwarded-host", "example.org:0"),
        ("x-forwarded-host", "exämple.org"),
        ("x-forwarded-port", "http"),
        ("x-forwarded-port", "65536"),
        ("x-forwarded-port", "²"),
    ],
)
def test_nonsense_of_a_trusted_peer_is_malformed(header, value):
    with pytest.raises(MalformedForwarded) as caught:
        proxy().apply(PEER, "http", {header: value})
    assert caught.value.header == header
    assert caught.value.value == value
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("value", "count", "expected"),
    [
        ("for=203.0.113.9", 1, ("203.0.113.9", "http", "inner", "")),
        (
            'For="[2001:db8::1]:99";Proto=https;host="example.org"',
            1,
            ("2001:db8::1", "https", "example.org", "99"),
        ),
        ("for=6.6.6.6, for=203.0.113.9;by=_x", 1, ("203.0.113.9", "http", "inner", "")),
        (
            "for=6.6.6.6;proto=https, for=203.0.113.9;host=a.org:81 , for=10.0.0.1;host=b.org",
            2,
            ("203.0.113.9", "http", "a.org:81", ""),
        ),
        (r'for="203.0.113.\9";;', 1, ("203.0.113.9", "http", "inner", "")),
        ("for=203.0.113.9, ", 1, ("203.0.113.9", "http", "inner", "")),
        ('for=unknown;ext="a,b;c"', 1, (PEER, "http", "inner", "")),
    ],
)
def test_forwarded(value, count, expected):
    """RFC 7239 section 4."""
    trusted = proxy("forwarded", count=count)
    client = trusted.apply(PEER, "http", {**FORGED, "Host": "inner", "Forwarded": value})
    assert (*told(client), client.remote_port) == expected
    assert client.untrusted == PROXY_HEADERS - {"forwarded"}


def test_forwarded_is_trimmed_to_the_trusted_hops():
    client = proxy("forwarded").apply(PEER, "http", {"Forwarded": 'for=6.6.6.6, for="[::1]";by=_p'})
    assert client.trimmed == {"forwarded": 'for="[::1]";by=_p'}


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("203.0.113.9", "forwarded"),
        ('for="203.0.113.9', "forwarded"),
        ("for =1.2.3.4", "forwarded"),
        ("for=1.2.3.4 host=x", "forwarded"),
        ("for=somebody", "forwarded for"),
        ("proto=gopher", "forwarded proto"),
        ('host="a/b"', "forwarded host"),
    ],
)
def test_malformed_forwarded(value, header):
    with pytest.raises(MalformedForwarded) as caught:
        proxy("forwarded").apply(PEER, "http", {"Forwarded": value})
    assert caught.value.header == header


def test_a_long_forwarded_header_takes_no_long_time():
    """A header of the greatest size aiohttp allows must not be a problem for the expression."""
    trusted = proxy("forwarded")
    with pytest.raises(MalformedForwarded):
        trusted.apply(PEER, "http", {"Forwarded": " " * 8000 + "="})
    with pytest.raises(MalformedForwarded):
        trusted.apply(PEER, "http", {"Forwarded": 'for="' + "\\a" * 4000})


@pytest.mark.parametrize(
    "settings",
    [
        {"trusted_proxy": ["127.0.0.1", "10.0.0.0/8"], "trusted_proxy_count": 2},
        {"trusted_proxy": "127.0.0.1\n10.0.0.0/8", "trusted_proxy_count": " 2 "},
    ],
)
def test_settings_as_text_or_typed(settings):
    trusted = TrustedProxy.from_settings({**settings, "listen": "*:80"})
    assert trusted.trusted_proxy_count == 2
    assert trusted.trusts("10.9.9.9")
    assert TrustedProxy.from_settings({"clear_untrusted_proxy_headers": False}) == TrustedProxy(
        clear_untrusted_proxy_headers=False
    )
    assert TrustedProxy.from_settings({"trusted_proxy": ""}) == TrustedProxy()


@pytest.mark.parametrize("count", ["", None])
def test_a_count_that_is_not_said(count):
    trusted = TrustedProxy.from_settings({"trusted_proxy": "*", "trusted_proxy_count": count})
    assert trusted.trusted_proxy_count == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trusted_proxy": "proxy.local"}, r"trusted_proxy = proxy\.local: .*IP addresses"),
        ({"trusted_proxy": "10.0.0.1/8"}, r"trusted_proxy = 10\.0\.0\.1/8: .*host bits"),
        ({"trusted_proxy": 3.5}, r"trusted_proxy = 3\.5: "),
        (
            {"trusted_proxy": "*", "trusted_proxy_headers": "x-real-ip"},
            "trusted_proxy_headers = x-real-ip: allowed are forwarded x-forwarded-by",
        ),
        (
            {"trusted_proxy": "*", "trusted_proxy_headers": "forwarded x-forwarded-for"},
            "cannot be combined",
        ),
        ({"trusted_proxy": "*", "trusted_proxy_count": "0"}, "trusted_proxy_count = 0: .*1 or"),
        ({"trusted_proxy": "*", "trusted_proxy_count": "two"}, "trusted_proxy_count = two"),
        ({"trusted_proxy_count": "1"}, "trusted_proxy_count = 1: .* without trusted_proxy"),
        ({"trusted_proxy_headers": "x-forwarded-for"}, "without trusted_proxy"),
        (
            {"clear_untrusted_proxy_headers": "maybe"},
            "clear_untrusted_proxy_headers = maybe: must be true or false",
        ),
    ],
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TrustedProxy.from_settings(settings)
