"""Where the page's files are."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from pyramid import testing
from pyramid.config import Configurator
from pyramid.request import Request

from pyramid_chat.assets import STATIC, Assets
from pyramid_chat.settings import CannotStart
from tests.pyramid_chat.conftest import Chat

COLD = 50_000
"""Bytes that a browser reads to show the chat for the first time, the fields of heads included."""

BUILT = {"chat.js": "chat-A1.js", "chat.css": "chat-B2.css"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files as the build leaves them."""
    (tmp_path / "icon.svg").write_text("<svg/>")
    dist = tmp_path / "dist"
    dist.mkdir()
    for name in BUILT.values():
        (dist / name).touch()
    (dist / "manifest.json").write_text(json.dumps(BUILT))
    return tmp_path


@pytest.fixture
def request_():
    """A request to an application that serves the files."""
    request = Request.blank("/")
    with testing.testConfig(request=request) as config:
        config.add_static_view("static", "pyramid_chat:static")
        request.registry = config.registry
        yield request


@pytest.mark.parametrize(
    ("name", "path"),
    [("chat.js", "/static/dist/chat-A1.js"), ("chat.css", "/static/dist/chat-B2.css")],
)
def test_built_files_have_the_names_of_the_manifest(folder, request_, name, path):
    assert Assets(folder).path(request_, name) == path


def test_the_icon_has_another_address_when_it_changes(folder, request_):
    before = Assets(folder).path(request_, "icon.svg")
    (folder / "icon.svg").write_text("<svg><!-- another --></svg>")
    after = Assets(folder).path(request_, "icon.svg")
    assert before.startswith("/static/icon.svg?v=")
    assert after.startswith("/static/icon.svg?v=")
    assert before != after


def test_another_file_is_an_error(folder, request_):
    with pytest.raises(KeyError, match="other"):
        Assets(folder).path(request_, "other.js")


@pytest.mark.parametrize("manifest", [None, "no JSON", "{}"])
def test_a_page_that_is_not_built_ends_the_start(folder, manifest):
    file = folder / "dist" / "manifest.json"
    if manifest is None:
        file.unlink()
    else:
        file.write_text(manifest)
    with pytest.raises(CannotStart, match=r"not built.*make browser-files"):
        Assets(folder)


def test_a_file_that_is_missing_is_named(folder):
    (folder / "dist" / BUILT["chat.css"]).unlink()
    with pytest.raises(CannotStart, match=r"\(chat\.css of "):
        Assets(folder)


@pytest.mark.parametrize("name", ["chat.js", "chat.css"])
@pytest.mark.parametrize(
    ("accept", "extension"),
    [("gzip, br", ".br"), ("gzip", ".gz"), ("br;q=0", ""), ("identity;q=0", ""), (None, "")],
)
def test_who_accepts_it_gets_what_was_compressed(name, accept, extension):
    """By a tag of its own, so that a part is never taken for one of another encoding."""
    config = Configurator()
    config.include("pyramid_chat.assets")
    app = config.make_wsgi_app()
    (file,) = (STATIC / "dist").glob(name.replace(".", "-*."))
    headers = {"Accept-Encoding": accept} if accept else {}
    responses = [
        Request.blank(f"/static/dist/{file.name}", headers=asked).get_response(app)
        for asked in (headers, {})
    ]
    response, plain = responses
    assert response.body == file.with_name(file.name + extension).read_bytes()
    assert plain.body == file.read_bytes()
    assert (response.etag == plain.etag) == (extension == "")
    assert {tuple(each.vary) for each in responses} == {("Accept-Encoding",)}
    assert len({each.content_type for each in responses}) == 1


async def test_the_chat_is_small_for_who_comes_first(chat: Chat) -> None:
    """As the server writes it: the page, and all that its HTML names."""
    headers = {"Accept-Encoding": "gzip, deflate, br, zstd"}
    async with chat.browser("Ada") as browser:

        async def load(path: str) -> tuple[int, bytes]:
            async with browser.http.get(
                chat.url + path, headers=headers, auto_decompress=False
            ) as response:
                assert response.status == 200
                body = await response.read()
                head = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
                return head + len(body), body

        size, packed = await load("/chat")
        page = gzip.decompress(packed).decode()
        links = {*re.findall(r'(?:src|href)="([^"]*/static/[^"]*)"', page)}
        assert len(links) == 3
        for link in links:
            size += (await load(link))[0]
    assert size < COLD
