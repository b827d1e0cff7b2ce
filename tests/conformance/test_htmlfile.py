"""htmlfile (HtmlFile)."""

from __future__ import annotations

import pytest

from tests.conformance.wire import Client, assert_content_type, assert_not_cached, messages_of

PRELUDE_END, FRAME_END = b"\r\n\r\n", b"</script>\r\n"


@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
def test_transport(client: Client, endpoint: str) -> None:
    """HtmlFile: a padded page head that calls the callback's object, then a script per frame."""
    session = client.session(endpoint, "htmlfile")
    answer = client.get(session.url("htmlfile", "c=%63allback"))
    assert answer.status == 200
    assert_content_type(answer, "text/html;charset=UTF-8")
    assert_not_cached(answer)
    prelude = answer.part(PRELUDE_END)
    assert len(prelude) > 1024
    page = prelude.decode()
    assert page.lower().startswith("<!doctype html>")
    assert "document.domain = document.domain;" in page
    assert "parent.callback;" in page
    assert "c.start();" in page
    assert "function p(d) {c.message(d);}" in page
    assert "window.onload = function() {c.stop();}" in page
    assert answer.part(FRAME_END) == b'<script>\np("o");\n</script>\r\n'
    session.send("x")
    assert answer.part(FRAME_END) == b'<script>\np("a[\\"x\\"]");\n</script>\r\n'


@pytest.mark.ours
def test_type_is_not_guessed(client: Client) -> None:
    """``X-Content-Type-Options: nosniff`` is on htmlfile too; the reference has none."""
    assert client.session("/echo", "htmlfile").attach()["X-Content-Type-Options"] == "nosniff"


@pytest.mark.ours
@pytest.mark.parametrize("text", ["</script><script>alert(1)//", "</SCRIPT>", "</", "<!--<script>"])
def test_script_injection(client: Client, text: str) -> None:
    """A message cannot end the script element, and arrives unchanged.

    The reference lets ``</`` through.
    """
    session = client.session("/echo", "htmlfile")
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    session.send(text)
    data = answer.part(FRAME_END)
    inner = data.removeprefix(b"<script>").removesuffix(FRAME_END)
    assert b"</" not in inner
    assert messages_of(session.transport.unwrap(data)) == [text]
