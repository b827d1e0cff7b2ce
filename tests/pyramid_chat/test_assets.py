"""Where the page's files are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyramid import testing
from pyramid.request import Request

from pyramid_chat.assets import Assets
from pyramid_chat.settings import CannotStart

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
