"""Single messages: changed, deleted, refused, too many, and hostile ones."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.conversation import assert_complete, meet
from tests.e2e.page import ChatPage
from tests.e2e.server import PLENTY, Server

OVERRIDE = "\u202e"

HOSTILE = {
    "long word": "x" * 4000,
    "script": "<script>window.hacked = 1</script>",
    "image": '<img src=x onerror="window.hacked = 1">',
    "template": "${request} {{7*7}} <tal:x replace='1'/>",
    "javascript link": "javascript:window.hacked=1 https://a/'\"onmouseover=window.hacked=1//",
    "right to left": f"{OVERRIDE}gnp.exe{OVERRIDE} and more",
    "emoji": "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 👍🏽",
    "combining": "Z" + "\u0310" * 60 + "algo",
    "JSON": '"}],"type":"left","room":1}',
    "line separators": "one\u2028two\u2029three",
}


def row(page: ChatPage, text: str) -> str:
    """Return the selector of a message's row."""
    message = page.message(text)
    assert message and message["number"]
    return f"#log .message[data-number='{message['number']}']"


def act(page: ChatPage, text: str, action: str) -> None:
    """Press one of the buttons of a message."""
    page.click(f"{row(page, text)} .{action}")


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(PLENTY)


@pytest.fixture
def pages(browsers: list[ChatPage], server: Server) -> tuple[ChatPage, ChatPage]:
    """Both in the lobby."""
    return meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")


def test_edit_and_delete(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """Its author changes it, and takes it back; everybody sees that, and that it was done."""
    ada, grace = pages
    ada.say("frist", "second")
    grace.until_said("frist", "second")
    assert not grace.has(f"{row(grace, 'frist')} .edit")
    act(ada, "frist", "edit")
    ada.until(lambda: ada.shows("#editing"), "that it is edited")
    ada.write("#text", "first", Keys.ENTER)
    for page in pages:
        page.until(lambda page=page: (page.message("first") or {}).get("edited"), "the other text")
        assert page.message("frist") is None
        assert page.texts()[-2:] == ["first", "second"]
    number = ada.message("second")["number"]
    act(ada, "second", "delete")
    ada.click("#delete-ok")
    for page in pages:
        page.until(lambda page=page: page.messages()[-1]["state"] == "deleted", "that it is gone")
        assert page.messages()[-1]["number"] == number
        assert page.message("second") is None
    ((text,),) = server.query("SELECT text FROM message WHERE key = ?", ada.messages()[-1]["key"])
    assert text == ""


def test_a_message_that_is_refused_can_be_tried_again(
    pages: tuple[ChatPage, ChatPage], server: Server
) -> None:
    """It is marked, with the reason, and stays until it is sent or thrown away."""
    ada, _ = pages
    membership = "membership WHERE room_id = ? AND user_id = ?"
    whose = server.room("Lobby"), server.user("Ada")
    ((read,),) = server.query(f"SELECT read FROM {membership}", *whose)
    ((joined,),) = server.query(f"SELECT joined FROM {membership}", *whose)
    server.change(f"DELETE FROM {membership}", *whose)
    ada.say("refused", "refused too")
    for text in ("refused", "refused too"):
        ada.until(lambda text=text: ada.state_of(text) == "failed", "that it failed")
        assert ada.message(text)["reason"]
    ada.screenshot(SCREENSHOTS / "failed.png")
    server.change(
        "INSERT INTO membership (room_id, user_id, read, joined) VALUES (?, ?, ?, ?)",
        *(*whose, read, joined),
    )
    key = ada.message("refused too")["key"]
    ada.click(f"#log .message[data-key='{key}'] .discard")
    ada.until(lambda: ada.message("refused too") is None, "that it is gone")
    key = ada.message("refused")["key"]
    ada.click(f"#log .message[data-key='{key}'] .retry")
    for page in pages:
        page.until_said("refused")
    assert_complete(list(pages), server, whose[0])


def test_a_flood_is_slowed_down(browsers: list[ChatPage], serve: Serve) -> None:
    """Its author is told, nothing is lost, and others are not disturbed."""
    server = serve({"chat.messages_per_minute": "60", "chat.message_burst": "5"})
    room = server.room("Lobby")
    ada, grace = meet(browsers, f"{server.url}/rooms/{room}")
    # Some twenty seconds of it, in which a busy machine can look.
    flood = [f"flood {number}" for number in range(25)]
    ada.post(flood, 0)
    ada.until(lambda: ada.state_of(flood[-1]) == "waiting", "that it has to wait")
    assert any(message["reason"] for message in ada.messages())
    ada.screenshot(SCREENSHOTS / "flood.png")
    grace.say("undisturbed")
    ada.until_said("undisturbed")
    assert flood[-1] not in ada.texts()
    for page in browsers:
        page.until_said(*flood)
        page.until(lambda page=page: all(m["number"] for m in page.messages()), "confirmed")
    assert_complete(browsers, server, room)
    stored = [text for _, _, text in server.messages(room) if text in flood]
    assert stored == flood


def test_hostile_messages(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """They are shown as the text that they are, and disturb nothing around them."""
    ada, grace = pages
    ada.post(HOSTILE.values(), 30)
    for page in pages:
        page.until_said(*HOSTILE.values())
        assert page.script("return window.hacked ?? null") is None
        assert not page.has("#log script, #log img[src='x'], #log [onmouseover]")
        links = page.script("return [...document.querySelectorAll('#log a')].map((a) => a.href)")
        assert all(link.startswith("https://") for link in links)
        assert (
            page.script(
                "const s = document.querySelector('#scroller');return s.scrollWidth - s.clientWidth"
            )
            == 0
        )
    ada.say("a link: https://example.com/?a=b&c=d.")
    grace.until_said("a link: https://example.com/?a=b&c=d.")
    (link,) = grace.script(
        "return [...document.querySelectorAll('#log .message:last-child a')]"
        ".map((a) => [a.href, a.target, a.rel])"
    )
    assert link[0] == "https://example.com/?a=b&c=d"
    assert "noopener" in link[2] or link[1] == ""
    ada.screenshot(SCREENSHOTS / "hostile-messages.png")
    assert_complete(list(pages), server, server.room("Lobby"))


def test_nul_and_64_kb(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """NUL is replaced; what is too long cannot be sent and is not lost."""
    ada, grace = pages
    ada.post(["a\0b"])
    grace.until_said("a\ufffdb")
    ada.script(
        "const text = document.querySelector('#text'); text.value = 'y'.repeat(65536);"
        "text.dispatchEvent(new Event('input'))"
    )
    ada.focus("#text")
    ada.driver.press(Keys.ENTER)
    ada.until(lambda: ada.shows("#counter"), "that it is too long")
    ada.screenshot(SCREENSHOTS / "too-long.png")
    assert len(ada.script("return document.querySelector('#text').value")) == 65536
    assert ada.state == "open"
    ada.script("document.querySelector('#text').value = ''")
    ada.say("fine")
    grace.until_said("fine")


@pytest.mark.parametrize(
    "name", ["<b>bold</b><img src=x onerror=alert(1)>", f"{OVERRIDE}ecarG", "👩\u200d🚀 Émile"]
)
def test_hostile_names(browsers: list[ChatPage], server: Server, name: str) -> None:
    """A name is refused with a sentence, or shown as the text that it is."""
    ada, grace = browsers
    ada.open(f"{server.url}/rooms/{server.room('Lobby')}")
    ada.until_connected()
    grace.expect_errors(r"/register .* 400 ")
    grace.driver.get(f"{server.url}/register")
    grace.script("document.querySelector('#name').value = arguments[0]", name)
    grace.write("#password", "a good password")
    grace.write("#password-again", "a good password", Keys.ENTER)
    grace.until(lambda: grace.has("#form-error, #say"), "an answer")
    assert not grace.has("img[src=x], b")
    if grace.has("#form-error"):
        assert grace.text("#form-error")
        return
    grace.driver.get(f"{server.url}/rooms/{server.room('Lobby')}")
    grace.until_connected()
    assert grace.text("#me") == name
    if grace.shows("#join-room"):
        grace.click("#join-room")
    grace.until(lambda: grace.shows("#say"), "the field to write")
    grace.say("hello")
    ada.until_said("hello")
    assert ada.message("hello")["name"] == name
    assert not ada.has("#log b, img[src=x]")


def test_forged_messages_change_nothing(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """A replay of one's own key makes nothing new; others' messages and rooms are out of reach."""
    ada, grace = pages
    ada.say("original")
    grace.until_said("original")
    message = grace.message("original")
    lobby = server.room("Lobby")
    forged = [
        "rubbish",
        '["an", "array"]',
        '{"type":"message"}',
        f'{{"type":"edit","room":{lobby},"number":{message["number"]},"text":"forged","key":"k"}}',
        f'{{"type":"delete","room":{lobby},"number":{message["number"]},"key":"k"}}',
        '{"type":"message","room":99999,"key":"a","text":"nowhere"}',
        f'{{"type":"message","room":{lobby},"key":"b","text":"genuine"}}',
        f'{{"type":"message","room":{lobby},"key":"b","text":"replayed"}}',
    ]
    before = server.messages(lobby)
    grace.script(
        """const sock = new WebSocket("/chat/websocket");
        window.heard = [];
        sock.onopen = () => arguments[0].forEach((text) => sock.send(text));
        sock.onmessage = (event) => window.heard.push(JSON.parse(event.data));
        sock.onclose = (event) => window.heard.push({ type: "closed", code: event.code });""",
        forged,
    )
    ada.until_said("genuine")
    grace.until(
        lambda: grace.script("return window.heard.filter((m) => m.key === 'b').length") >= 1,
        "the answers",
    )
    ada.say("end")
    grace.until_said("end")
    stored = server.messages(lobby)
    assert [text for _, _, text in stored] == [
        *(text for _, _, text in before), "genuine", "end",
    ]  # fmt: skip
    assert_complete(list(pages), server, lobby)
    codes = grace.script("return window.heard.map((m) => m.code ?? null)")
    assert {"bad-json", "bad-request", "not-author", "bad-room"} <= set(codes)
