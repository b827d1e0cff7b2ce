"""The files of the client, in the encoding asked for (RFC 9110, sections 8.8.3.3, 12.5.3, 14)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge.pyramid.files import STATIC

NAMES = [
    *("sockjs.min.js", "sockjs-bridge-client.js"),
    *("sockjs-bridge-connection.js", "sockjs-bridge-share.js"),
]
EXTENSIONS = {"br": ".br", "gzip": ".gz", None: ""}
ENCODINGS = list(EXTENSIONS)


@pytest.fixture(scope="module")
def app():
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_view(lambda request: Response(request.sockjs_client_url()))
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def folder(app):
    """The URL of the folder of the files."""
    return Request.blank("/").get_response(app).text.rpartition("/")[0]


def get(app, path, accept, method="GET", **headers):
    if accept is not None:
        headers["Accept-Encoding"] = accept
    response = Request.blank(path, headers=headers, method=method).get_response(app)
    # Reads and closes the file.
    assert len(response.body) <= len(content(path.rpartition("/")[2], None))
    return response


def content(name, encoding):
    return Path(STATIC, name + EXTENSIONS[encoding]).read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        (None, None),
        ("", None),
        ("gzip, deflate, br, zstd", "br"),
        ("br", "br"),
        ("gzip", "gzip"),
        ("*", "br"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, *", "br"),
        ("zstd", None),
        ("identity;q=1, *;q=0", None),
        ("identity;q=0, gzip", "gzip"),
        # Nothing is acceptable; what everybody understands is better than no script (15.5.7).
        ("identity;q=0", None),
    ],
)
def test_the_smallest_that_is_accepted_is_sent(app, folder, name, accept, encoding):
    response = get(app, f"{folder}/{name}", accept)
    assert (response.status_int, response.content_encoding) == (200, encoding)
    assert response.body == content(name, encoding)
    assert response.content_type in ("application/javascript", "text/javascript")
    assert response.vary == ("Accept-Encoding",)
    assert response.cache_control.max_age == 31536000
    head = get(app, f"{folder}/{name}", accept, "HEAD")
    assert (head.status_int, head.body) == (200, b"")
    for header in ("Content-Encoding", "Content-Length", "ETag", "Vary"):
        assert head.headers.get(header) == response.headers.get(header)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_known_already_is_not_sent_again(app, folder, encoding):
    """By the tag of its encoding, which no other one has."""
    path = f"{folder}/sockjs.min.js"
    tags = {known: get(app, path, known).etag for known in ENCODINGS}
    assert len({*tags.values()}) == 3
    for known, tag in tags.items():
        response = get(app, path, encoding, **{"If-None-Match": f'"{tag}"'})
        assert response.status_int == (304 if known == encoding else 200)
        assert (response.etag, response.vary) == (tags[encoding], ("Accept-Encoding",))
        assert response.cache_control.max_age == 31536000


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_part_is_one_of_the_same_encoding(app, folder, encoding):
    path = f"{folder}/sockjs.min.js"
    for known in ENCODINGS:
        condition = f'"{get(app, path, known).etag}"'
        response = get(app, path, encoding, Range="bytes=100-199", **{"If-Range": condition})
        whole = content("sockjs.min.js", encoding)
        assert response.content_encoding == encoding
        if known == encoding:
            assert (response.status_int, response.body) == (206, whole[100:200])
            assert response.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
        else:
            assert (response.status_int, response.body) == (200, whole)


def test_other_static_views_are_left_alone(tmp_path):
    (tmp_path / "page.js").write_text("")
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_static_view("own", str(tmp_path))
    response = Request.blank("/own/page.js").get_response(config.make_wsgi_app())
    assert (response.status_int, response.etag, response.body) == (200, None, b"")
