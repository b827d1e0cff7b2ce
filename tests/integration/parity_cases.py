"""What is asked of waitress and of our server, of the application `tests/pkgs/plain_app`."""

from __future__ import annotations

from dataclasses import dataclass

from tests.integration.parity import HOST, ask


@dataclass(frozen=True)
class Case:
    """What is asked, and what is expected of both servers.

    Attributes:
        data: the request, or several at once.
        statuses: of the responses, in order.
        shows: what the last body holds.
        tells: a header of the last response.
        methods: of the requests, where they are not all GET.
    """

    data: bytes
    statuses: tuple[int, ...] = (200,)
    shows: str | None = None
    tells: tuple[str, str] | None = None
    methods: tuple[str, ...] = ()

    @classmethod
    def of(cls, target, *headers, status=200, shows=None, tells=None, **keywords):
        data = ask(target, *headers, **keywords)
        return cls(data, (status,), shows, tells, (keywords.get("method", "GET"),))


def multipart(*parts):
    """Make the body of a form with files, and its Content-Type."""
    body = b"".join(
        b'--limit\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (name, b'; filename="%b"\r\nContent-Type: a/b' % filename if filename else b"", data)
        for name, filename, data in parts
    )
    return body + b"--limit--\r\n", "Content-Type: multipart/form-data; boundary=limit"


def post(target, *headers, body, status=200, shows=None):
    return Case.of(target, *headers, method="POST", body=body, status=status, shows=shows)


def chunked(*chunks, end=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


SMALL_FORM, FORM_TYPE = multipart(
    (b"title", b"", b"gr\xc3\xbcn"), (b"file", b"\xc3\xa9.bin", bytes(range(256)))
)
LARGE_FORM, _ = multipart((b"file", b"large", bytes(range(256)) * 3000), (b"other", b"o", b""))
CHUNKED = "Transfer-Encoding: chunked"
MANY = [f"X-Many-{number}: {'v' * (600 if number % 2 else 10)}" for number in range(80)]
E_ACUTE = "%C3%A9"
URL = f"http://{HOST}"

CASES = {
    # Static files
    "static": Case.of("/static/minimal.txt", shows="minimal"),
    "static, hidden": Case.of("/static/.hidden", shows="hidden"),
    "static, no such file": Case.of("/static/nothing.txt", status=404),
    "static, index": Case.of("/static/sub/", shows="index"),
    "static, no slash": Case.of(
        "/static/sub?a=1&b=2", status=301, tells=("Location", f"{URL}/static/sub/?a=1&b=2")
    ),
    "static, dots": Case.of("/static/../__init__.py", status=404),
    "static, quoted dots": Case.of("/static/%2E%2E/__init__.py", status=404),
    "static, quoted slash": Case.of("/static/%2F__init__.py", status=404),
    "static, quoted slash inside": Case.of("/static/sub%2Findex.html", shows="index"),
    "static, NUL": Case.of("/static/minimal.txt%00", status=404),
    "static, not ASCII": Case.of(f"/made/h{E_ACUTE}h{E_ACUTE}/caf{E_ACUTE}.html", shows="café"),
    "static, not ASCII, no slash": Case.of(
        f"/made/h{E_ACUTE}h{E_ACUTE}",
        status=301,
        tells=("Location", f"{URL}/made/h{E_ACUTE}h{E_ACUTE}/"),
    ),
    "static, by subpath": Case.of("/packed/notes.txt", shows="notes"),
    "static, packed": Case.of(
        "/packed/notes.txt", "Accept-Encoding: gzip", tells=("Content-Encoding", "gzip")
    ),
    "static, busted": Case.of(
        "/busted/minimal.txt?x=v1", shows="minimal", tells=("Cache-Control", "max-age=3600")
    ),
    # Conditions and ranges
    **{
        f"{name}, {what}": Case.of(target, *headers, status=status)
        for name, target in {
            "file": "/file",
            "static": "/static/long.txt",
            "made": "/made/large.bin",
        }.items()
        for what, status, *headers in (
            ("range", 206, "Range: bytes=10-19"),
            ("range to the end", 206, "Range: bytes=3990-"),
            ("range of the end", 206, "Range: bytes=-5"),
            ("range beyond", 416, "Range: bytes=1000000-2000000"),
            ("range of nothing known", 200, "Range: elephants=1-5"),
            ("two ranges", 206, "Range: bytes=0-0,-1"),
            ("whole range", 206, "Range: bytes=0-"),
            ("if-range of old", 200, "Range: bytes=0-9", 'If-Range: "other"'),
            ("not modified", 304, "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT"),
            ("modified", 200, "If-Modified-Since: Fri, 31 Dec 1999 23:59:59 GMT"),
            ("no date", 200, "If-Modified-Since: yesterday"),
        )
    },
    "cached": Case.of("/cached", shows="cached"),
    "cached, same": Case.of("/cached", 'If-None-Match: "e"', status=304),
    "cached, same, weak": Case.of("/cached", 'If-None-Match: "x", W/"e"', status=304),
    "cached, other": Case.of("/cached", 'If-None-Match: "f"'),
    "cached, range": Case.of("/cached", "Range: bytes=1-2", status=206, shows="ac"),
    "no content": Case.of("/no_content", status=204),
    "not modified, raised": Case.of("/not_modified", status=304),
    "status": Case.of("/status/299%20Most%20Unusual", status=299, shows="as asked"),
    "status without a reason": Case.of("/status/599", status=599),
    # Bodies in blocks
    "stream": Case.of("/stream", shows="one,two,three"),
    "stream with a length": Case.of("/stream/counted", shows="one,two,three"),
    "stream of one block": Case.of("/stream/one", shows="the only block"),
    "stream of nothing": Case.of("/stream/none", shows=""),
    "stream, long": Case.of("/stream/long"),
    "stream, too long": Case.of("/stream/too-long", shows="one,tw"),
    "stream, too short": Case.of("/stream/too-short"),
    "stream that fails": Case.of("/stream/fails"),
    "stream that fails, with a length": Case.of("/stream/fails-counted"),
    "stream that fails at once": Case.of("/stream/fails-first", status=500),
    "generator": Case.of("/generator", shows="generated text"),
    "list of no block": Case.of("/blocks/0", shows=""),
    "list of one block": Case.of("/blocks/1", shows="block "),
    "list of two blocks": Case.of("/blocks/2", shows="block block "),
    "long body": Case.of("/long"),
    "file_iter": Case.of("/file_iter", shows="line 0399"),
    "file_wrapper": Case.of("/file_wrapper", shows="line 0399"),
    "file_wrapper, from the middle": Case.of("/file_wrapper?from=3990", shows="line 0399\n"),
    "file_wrapper, length": Case.of("/file_wrapper?length=10", shows="line 0000\n"),
    "file_wrapper, too long a length": Case.of("/file_wrapper?length=5000"),
    # Redirects and URLs
    "redirect": Case.of("/found", status=302, tells=("Location", f"{URL}/elsewhere/\xe9")),
    "redirect to a path": Case.of(
        "/found?to=/x%3Fy=1%23z", status=302, tells=("Location", f"{URL}/x?y=1#z")
    ),
    "redirect to elsewhere": Case.of(
        "/found?to=https://other.example/", status=302, tells=("Location", "https://other.example/")
    ),
    "redirect, other host": Case.of(
        "/found?to=/", host="other.example", status=302, tells=("Location", "http://other.example/")
    ),
    "redirect, slashes first": Case.of(
        "//other.example//slashed", status=404, shows="no such page: /other.example//slashed"
    ),
    "urls": Case.of("/urls/a/b?c=d", shows='"http://example.org:8080/urls/a/b?c=d"'),
    "urls, quoted": Case.of(f"/urls/%2F/a%2Fb/{E_ACUTE}/%25/+?a=%26&b=+%20&=&d"),
    "urls, slashes": Case.of("/urls//a///b/"),
    "urls, slashes first": Case.of("//urls/a", status=200),
    "urls, three slashes first": Case.of("///urls//a?b", status=200),
    "urls, only slashes": Case.of("//", status=200),
    "urls, odd query": Case.of("/urls?&&=&a&b=%&c=%zz&d=%C3%A9&e=a=b&f=;&?&/", status=200),
    "urls, no UTF-8 in the query": Case.of("/urls?a=%FF", status=500),
    "urls, no UTF-8 in the path": Case.of("/urls/%FF", status=500),
    "urls, percent": Case.of("/urls/%/%zz/%4"),
    "urls, dots": Case.of("/urls/./../x"),
    "urls, parameters": Case.of("/urls/a;b=c,d:e@f!$&'()*~"),
    "urls, fragment": Case.of("/urls/a#b", status=200),
    "urls, fragment in the query": Case.of("/urls/a?b=c#d?e", status=200),
    "urls, absolute": Case.of("http://example.org:8080/urls/a?b=c"),
    "urls, absolute, no path": Case.of("http://example.org:8080"),
    "urls, absolute, other host": Case.of("http://other.example/urls"),
    "urls, other port": Case.of("/urls", host="example.org:80"),
    "urls, no port": Case.of("/urls", host="example.org"),
    "urls, IPv6": Case.of("/urls", host="[::1]:8080"),
    "pattern that is not ASCII": Case.of(f"/avalia%C3%A7%C3%A3o/jos{E_ACUTE}", shows="jos\\u00e9"),
    "route prefix": Case.of(f"/outer/{E_ACUTE}/inner/x", shows="/outer/%C3%A9/inner/x"),
    "mounted": Case.of(f"/mounted/a/{E_ACUTE}/", shows="/mounted|/a/é/"),
    "append slash": Case.of(
        "/slashed?a=%C3%A9", status=307, tells=("Location", f"{URL}/slashed/?a=%C3%A9")
    ),
    "append slash, slashes first": Case.of(
        "//slashed", status=307, tells=("Location", f"{URL}/slashed/")
    ),
    "slash": Case.of("/slashed/", shows="with a slash"),
    # Traversal
    "root": Case.of("/", shows='"keys"'),
    "traversal": Case.of("/a/b", shows='"keys"'),
    "traversal, view": Case.of("/a/edit/x/y", shows='"subpath": ["x", "y"]'),
    "traversal, not ASCII": Case.of("/gr%C3%B6%C3%9Fe/tief", shows="tief"),
    "traversal, nothing": Case.of("/a/c", status=404, shows="/a/c"),
    "hybrid": Case.of("/hybrid/x/a/b", shows='["hybrid", [], "x", ["a", "b"]]'),
    "hybrid, nothing": Case.of("/hybrid/x/a/c", status=404),
    # Requests with bodies
    "form, empty": post("/upload", "Content-Type: application/x-www-form-urlencoded", body=b""),
    "form": post(
        "/upload",
        "Content-Type: application/x-www-form-urlencoded",
        body=b"a=%C3%A9&b=+&a=2",
        shows='[["a", "\\u00e9"], ["b", " "], ["a", "2"]]',
    ),
    "upload, small": post("/upload", FORM_TYPE, body=SMALL_FORM, shows='"\\u00e9.bin"'),
    "upload, large": post("/upload", FORM_TYPE, body=LARGE_FORM, shows="768000"),
    "post": post("/body", "Content-Type: a/b; c=d", body=b"abc", shows='"size": 3'),
    "post, empty": post("/body", body=b"", shows='"size": 0'),
    "post, no length": Case.of("/body", method="POST", shows='"size": 0'),
    "post, large": post("/body", body=b"z" * 700_000, shows='"size": 700000'),
    "get with a body": Case.of("/body", body=b"abc", shows='"size": 3'),
    "lines": post("/lines", body=b"a\nb\r\n\nc", shows='["a\\n", "b\\r\\n", "\\n", "c"]'),
    "form in HTTP/1.0": Case.of("/body", method="POST", version="HTTP/1.0", body=b"abc"),
    "form, long header": post("/body", f"X-Long: {'l' * 8000}", body=b"abc"),
    **{
        f"chunks, {name}": Case(
            ask("/body", CHUNKED, "Content-Type: a/b", method="POST") + data,
            methods=("POST",),
            shows=f'"size": {size}',
        )
        for name, size, data in (
            ("none", 0, chunked()),
            ("two", 5, chunked(b"abc", b"de")),
            ("extensions", 3, b"3;a=b;c\r\nabc\r\n0\r\n\r\n"),
            ("large", 700_000, chunked(*[b"z" * 7000] * 100)),
            ("upper case", 10, b"A\r\n0123456789\r\n0\r\n\r\n"),
            ("trailer", 3, chunked(b"abc", end=b"0\r\nX-Trailer: t\r\n\r\n")),
        )
    },
    "chunked form": Case(
        ask("/upload", CHUNKED, FORM_TYPE, method="POST")
        + chunked(SMALL_FORM[:90], SMALL_FORM[90:]),
        methods=("POST",),
        shows='"\\u00e9.bin"',
    ),
    "continue": Case(
        ask("/body", "Expect: 100-continue", method="POST", body=b"abc"),
        (100, 200),
        '"size": 3',
        methods=("POST", "POST"),
    ),
    "continue, chunks": Case(
        ask("/body", "Expect: 100-Continue", CHUNKED, method="POST") + chunked(b"abc"),
        (100, 200),
        '"size": 3',
        methods=("POST", "POST"),
    ),
    "continue, HTTP/1.0": Case.of(
        "/body", "Expect: 100-continue", method="POST", version="HTTP/1.0", body=b"abc"
    ),
    "chunks, HTTP/1.0": Case(
        ask("/body", CHUNKED, method="POST", version="HTTP/1.0") + chunked(b"abc"),
        methods=("POST",),
        shows='"size": 3',
    ),
    "continue, no body": Case.of("/body", "Expect: 100-continue", method="POST"),
    "expect what nobody knows": post("/body", "Expect: rain", body=b"abc"),
    # Headers
    "many headers": Case.of("/headers", *MANY, shows="v" * 600),
    "headers twice": Case.of("/headers", "X-A: 1", "x-a: 2", "X-B:", "X-A:  3 ", shows="1, 2, 3"),
    "headers, latin-1": Case.of("/headers", "X-A: caf\xe9", "X-B: \xc3\xa9"),
    "headers, underscore": Case.of("/headers", "X_A: 1", "X-A: 2", "X_B: 3"),
    "headers, forwarded": Case.of(
        "/headers", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "Forwarded: for=_x"
    ),
    "headers, authorization": Case.of("/headers", "Authorization: Basic YTpi", shows="YTpi"),
    "headers, no host": Case.of("/headers", host=None, status=400),
    "headers, no host, HTTP/1.0": Case.of("/headers", host=None, version="HTTP/1.0"),
    "headers, empty host": Case.of("/headers", host=""),
    "long headers": Case.of("/long_headers", tells=("X-Latin-1", "caf\xe9")),
    "headers of the server": Case.of("/own_headers", tells=("Server", "the application's")),
    "hop-by-hop header": Case.of("/hop_by_hop", shows="as asked"),
    "cookies": Case.of("/cookies", 'Cookie: a=1; b="x y"; c=caf\xc3\xa9', shows='"a": "1"'),
    "cookies, twice": Case.of("/cookies", "Cookie: a=1", "Cookie: b=2"),
    "headers, two hosts": Case.of("/headers", f"Host: {HOST}", status=400),
    "headers, more than 128": Case.of("/headers", *MANY, *["X-B: b"] * 50, status=431),
    "headers, a line above 8 KB": Case.of("/headers", f"X-A: {'a' * 9000}", shows="a" * 9000),
    "headers above 32 KB": Case.of("/headers", *[f"X-A: {'a' * 9000}"] * 4, status=431),
    "target above 8 KB": Case.of(f"/page?{'a' * 9000}", shows="<li>grün</li>"),
    "target of bytes": Case.of("/urls/caf\xc3\xa9", status=400),
    # Renderers
    "page": Case.of("/page", shows="<li>grün</li>"),
    "json": Case.of("/json", shows="[1, null, true]"),
    "accept plain": Case.of("/accept", "Accept: text/plain, application/json;q=0.5", shows="plain"),
    "accept json": Case.of("/accept", "Accept: application/json", shows='["json"]'),
    "accept nothing": Case.of("/accept", "Accept: image/png", status=404),
    "socket's page": Case.of("/socket", shows="SockJS"),
    # Methods
    "only post": Case.of("/only_post", status=404),
    "only post, posted": post("/only_post", body=b"", shows="posted"),
    **{
        f"method {method}": Case.of("/body", method=method, shows=f'"method": "{method}"')
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "REPORT", "PURGE", "M-SEARCH")
    },
    "method PROPFIND": Case.of("/only_post", method="PROPFIND", shows="found"),
    "method of nobody": Case.of("/body", method="BREW", status=400),
    "method in lower case": Case.of("/body", method="get", status=400),
    "no path": Case.of("*", method="OPTIONS"),
    # Exceptions and permissions
    "exception view": Case.of("/teapot", status=418, shows="short and stout: /teapot"),
    "exception": Case.of("/boom", status=500),
    "exception, posted": post("/boom", body=b"abc", status=500),
    "gone": Case.of("/gone", status=410, shows="it was here"),
    "gone, json": Case.of("/gone", "Accept: application/json", status=410, shows='"code": "410'),
    "unauthorized": Case.of("/secret", status=401, shows="who are you?"),
    "forbidden": Case.of("/secret", "X-User: bert", status=403, shows="not you"),
    "allowed": Case.of("/secret", "X-User: anna", shows="seen by anna"),
    "not found": Case.of("/nowhere", status=404, shows="no such page: /nowhere"),
    "subrequest": Case.of("/subrequest?path=/json", shows="[1, null, true]"),
    "subrequest, exception view": Case.of("/subrequest?path=/teapot&tweens", status=418),
    "subrequest, exception": Case.of("/subrequest?path=/teapot", status=418),
    "subrequest, stream": Case.of("/subrequest?path=/stream", shows="one,two,three"),
    # Connections
    "keep-alive, HTTP/1.0": Case(
        ask("/long", "Connection: keep-alive", version="HTTP/1.0")
        + ask("/page", version="HTTP/1.0"),
        (200, 200),
    ),
    "no keep-alive, HTTP/1.0": Case(ask("/page", version="HTTP/1.0") + b"\r\n"),
    "close": Case(
        ask("/body", "Connection: close", method="POST", body=b"abc") + b"\r\n", methods=("POST",)
    ),
    "close, and more": Case(ask("/page", "Connection: close") + ask("/page"), (400,)),
    # As nginx passes it on with the README's configuration.
    "upgrade to nothing": Case(ask("/page", "Connection: upgrade") * 2, (200, 200)),
    "upgrade to HTTP/2": Case.of(
        "/page", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"
    ),
    "upgrade of a page": Case.of(
        "/page", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"
    ),
    "upgrade, posted": post("/body", "Connection: Upgrade", "Upgrade: h2c", body=b"abc"),
    "upgrade of a page, and more": Case(
        ask("/body", "Connection: Upgrade", "Upgrade: websocket", method="POST", body=b"abc")
        + ask("/page"),
        (200, 200),
        methods=("POST", "GET"),
    ),
    "pipelined": Case(
        ask("/page")
        + ask("/body", method="POST", body=b"abc")
        + ask("/long", method="HEAD")
        + ask("/cached", 'If-None-Match: "f"')
        + b"\r\n"
        + ask("/body", CHUNKED, method="POST")
        + chunked(b"abcd")
        + ask("/found"),
        (200, 200, 200, 200, 200, 302),
        methods=("GET", "POST", "HEAD", "GET", "POST", "GET"),
    ),
}
