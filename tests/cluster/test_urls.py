"""URLs of stores; what is shown of one holds no password."""

from __future__ import annotations

import pytest

from sockjs_bridge.cluster.urls import Address, parse


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("memory://", Address("memory"), "memory://"),
        ("redis://host", Address("redis", (("host", 6379),)), "redis://host:6379/0"),
        ("redis://[::1]/", Address("redis", (("::1", 6379),)), "redis://[::1]:6379/0"),
        (
            "redis://ann:p%40ss@host:1/2",
            Address("redis", (("host", 1),), database=2, username="ann", password="p@ss"),
            "redis://ann:***@host:1/2",
        ),
        (
            "redis://:secret@host",
            Address("redis", (("host", 6379),), password="secret"),
            "redis://:***@host:6379/0",
        ),
        (
            "redis://ann@host",
            Address("redis", (("host", 6379),), username="ann"),
            "redis://ann@host:6379/0",
        ),
        (
            "rediss://host?ssl_ca_certs=/ca.pem",
            Address("redis", (("host", 6379),), tls={"ssl_ca_certs": "/ca.pem"}),
            "rediss://host:6379/0",
        ),
        ("rediss://host", Address("redis", (("host", 6379),), tls={}), "rediss://host:6379/0"),
        ("unix:///run/r.sock", Address("unix", path="/run/r.sock"), "unix:///run/r.sock"),
        (
            "unix://:secret@/run/r%20s?db=3",
            Address("unix", path="/run/r s", database=3, password="secret"),
            "unix://:***@/run/r s",
        ),
        (
            "redis+sentinel://:secret@one,two:5/main/4?sentinel_password=other",
            Address(
                "redis",
                (("one", 26379), ("two", 5)),
                service="main",
                database=4,
                password="secret",
                sentinel_password="other",
            ),
            "redis+sentinel://:***@one:26379,two:5/main/4",
        ),
        (
            "rediss+sentinel://one/main?sentinel_username=ann",
            Address("redis", (("one", 26379),), service="main", sentinel_username="ann", tls={}),
            "rediss+sentinel://one:26379/main/0",
        ),
    ],
)
def test_what_a_url_says(url: str, address: Address, shown: str) -> None:
    assert parse(url) == address
    assert str(address) == shown
    assert "secret" not in repr(address)
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "text without a scheme is no URL"),
        ("localhost:6379", "text without a scheme"),
        ("http://:secret@host", "http:// is no URL"),
        ("redis://", "a host is missing"),
        ("redis://:secret@", "a host is missing"),
        ("redis://host:0", "a port is a number"),
        ("redis://host:secret", "a port is a number"),
        ("redis://host:65536", "a port is a number"),
        ("redis://[::1", "IPv6 address is in"),
        ("redis://one,two", "several hosts are for redis\\+sentinel"),
        ("redis://host/secret", "a database is a number"),
        ("redis://host/123456", "a database is a number"),
        ("redis://host/1/2", "the number of a database"),
        ("redis://host#secret", "is written as %23"),
        ("redis://host?secret=1", "unknown \\(there are: none\\)"),
        ("unix:///run/r.sock?secret=1", "there are: db"),
        ("redis://host?secret", "not name=value"),
        ("rediss://host?ssl_cert_reqs=optional", "required or none"),
        ("redis+sentinel://host", "name of the service is missing"),
        ("unix://run/r.sock", "absolute"),
        ("unix://", "absolute"),
        ("memory://host", "nothing follows it"),
    ],
)
def test_what_is_none(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        parse(url)
    assert "secret" not in str(error.value)
    assert "redis+sentinel://" in str(error.value)
