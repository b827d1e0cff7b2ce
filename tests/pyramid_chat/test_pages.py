"""What the pages answer to a plain HTTP client."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import aiohttp
import pytest
from pyramid.testing import DummyRequest

from pyramid_chat import main
from pyramid_chat.security import ChatContext, SecurityPolicy
from sockjs_bridge.testing import serve


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def page_of(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        return await response.text()


async def test_the_root_leads_to_the_chat(http, chat_url: str) -> None:
    async with http.get(chat_url, allow_redirects=False) as response:
        assert response.status == 302
        assert urljoin(chat_url, response.headers["Location"]) == f"{chat_url}/chat"


async def test_the_page_names_its_endpoint(http, chat_url: str) -> None:
    """api.md section 9: the page connects to ``request.route_path('chat')``."""
    assert 'data-endpoint="/chat"' in await page_of(http, f"{chat_url}/chat")


async def test_the_page_loads_everything_from_the_application_itself(http, chat_url: str) -> None:
    page = await page_of(http, f"{chat_url}/chat")
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert any("sockjs" in link for link in links)
    assert len(links) >= 4
    for link in links:
        assert link.startswith("/")
        async with http.get(chat_url + link) as response:
            assert response.status == 200, link
            assert re.search(r"max-age=\d{7,}", response.headers["Cache-Control"]), link


async def test_a_module_imports_only_files_that_there_are(http, chat_url: str) -> None:
    page = await page_of(http, f"{chat_url}/chat")
    script = chat_url + re.search(r'src="([^"]*chat\.js)"', page)[1]
    async with http.get(script) as response:
        imports = re.findall(r'from "(\./[^"]*)"', await response.text())
    assert imports
    for name in imports:
        async with http.get(urljoin(script, name)) as response:
            assert response.status == 200, name
            assert response.content_type in ("text/javascript", "application/javascript")


async def test_the_page_runs_under_a_strict_content_security_policy(http, chat_url: str) -> None:
    async with http.get(f"{chat_url}/chat") as response:
        policy = response.headers["Content-Security-Policy"]
        page = await response.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"\s(?:style|on\w+)=", page)


async def test_below_a_prefix_all_links_carry_it(http) -> None:
    """A filter or a composite may mount the application anywhere."""
    app = main({}, **{"pyramid.includes": "sockjs_bridge"})

    def mounted(environ, start_response):
        environ["SCRIPT_NAME"] = "/apps/one"
        return app(environ, start_response)

    with serve(mounted) as url:
        page = await page_of(http, f"{url}/chat")
    links = re.findall(r'(?:src|href|data-endpoint)="([^"]*)"', page)
    assert all(link.startswith("/apps/one/") for link in links)


async def test_the_chat_answers_no_other_method_as_the_page_does(http, chat_url: str) -> None:
    async with http.post(f"{chat_url}/chat") as response:
        assert response.status in (404, 405)


async def test_a_page_that_is_not_there_is_not_found(http, chat_url: str) -> None:
    async with http.get(f"{chat_url}/nothing") as response:
        assert response.status == 404


def test_everybody_may_view_and_nothing_else_is_allowed() -> None:
    policy = SecurityPolicy()
    request = DummyRequest()
    context = ChatContext(request)
    assert policy.identity(request) is None
    assert policy.authenticated_userid(request) is None
    assert policy.permits(request, context, "view")
    assert not policy.permits(request, context, "administrate")


def test_who_is_signed_in_has_principals_of_ones_own() -> None:
    """Sign-in has its place: a policy that knows an identity needs to override only `identity`."""

    class SignedIn(SecurityPolicy):
        def identity(self, request):
            return "ada"

    class Context(ChatContext):
        __acl__ = (("Allow", "ada", "speak"),)

    request = DummyRequest()
    assert SignedIn().permits(request, Context(request), "speak")
    assert not SecurityPolicy().permits(request, Context(request), "speak")


async def test_who_may_not_view_gets_neither_page_nor_connection(http, monkeypatch) -> None:
    """The same permission guards the page and the handshake."""
    monkeypatch.setattr(ChatContext, "__acl__", ())
    with serve(main({})) as url:
        async with http.get(f"{url}/chat") as response:
            assert response.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{url}/chat/websocket")
        assert refused.value.status == 403
        for frame in ("o", 'c[4403,"Forbidden"]'):
            async with http.post(f"{url}/chat/000/abc/xhr") as response:
                assert await response.text() == f"{frame}\n"
