"""Pictures and files in real browsers: chosen, dropped and pasted; sent, seen, and taken back."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.chromium import Chromium
from tests.e2e.conftest import Serve
from tests.e2e.conversation import meet
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, Server
from tests.e2e.test_looks import FITS, PICTURES, picture, show
from tests.e2e.test_phone import SHIFTS
from tests.pyramid_chat.pictures import SECRET, jpeg

# Gives files to the page as a user does who drops or pastes them.
GIVE = """
const [kind, name, content] = arguments;
const data = new DataTransfer();
data.items.add(new File([Uint8Array.from(atob(content), (char) => char.charCodeAt(0))], name));
const about = { bubbles: true, cancelable: true };
// Firefox makes no paste with files.
const paste = Object.defineProperty(new Event("paste", about), "clipboardData", { value: data });
const event = kind === "paste" ? paste : new DragEvent("drop", { ...about, dataTransfer: data });
document.querySelector(kind === "paste" ? "#text" : "main").dispatchEvent(event);
"""
# What is shown of the files of messages; null: a picture that is not there yet.
SHOWN = """
return [...document.querySelectorAll("#log .files a")].map((link) => {
    const picture = link.querySelector("img");
    if (!picture) return [link.className, link.querySelector("bdi").textContent];
    return picture.naturalWidth ? [link.className, picture.alt, picture.naturalWidth] : null;
});
"""
ROWS = """
return [...document.querySelectorAll("#attachment-list li")].map((row) => row.className);
"""
FETCH = """
window.fetched = null;
fetch(arguments[0]).then(async (response) => {
    window.fetched = [response.status, response.headers.get("Content-Disposition"),
        btoa(String.fromCharCode(...new Uint8Array(await response.arrayBuffer())))];
});
"""
STYLE = "Applying inline style|Content-Security-Policy"


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve({"chat.max_file_size": "3000000"})


def give(page: ChatPage, kind: str, name: str, content: bytes) -> None:
    page.script(GIVE, kind, name, base64.b64encode(content).decode())


def until_rows(page: ChatPage, *rows: str) -> None:
    page.until(lambda: page.script(ROWS) == list(rows), f"the files that wait: {rows}")


def until_shown(page: ChatPage, *files: list[object]) -> None:
    page.until(lambda: page.script(SHOWN) == list(files), f"the files of the log: {files}")


def kept(server: Server) -> set[str]:
    """The files in the folder."""
    folder = server.database.parent / "files"
    return {path.name for path in folder.iterdir()}


def address_of(page: ChatPage, selector: str) -> str:
    found: str = page.script("return document.querySelector(arguments[0]).href", selector)
    return found


def fetched(page: ChatPage, address: str) -> tuple[int, str, bytes]:
    """Return status, disposition and body of what the page gets from an address."""
    page.script(FETCH, address)
    page.until(lambda: page.script("return window.fetched"), f"an answer of {address}")
    status, disposition, content = page.script("return window.fetched")
    return status, disposition or "", base64.b64decode(content)


def lobby(server: Server) -> str:
    return f"{server.url}/rooms/{server.room('Lobby')}"


def test_a_picture_and_a_file(browsers: list[ChatPage], server: Server, tmp_path: Path) -> None:
    """Chosen with the browser's dialog; the other one sees them at once, and after a reload."""
    photo, plan = tmp_path / "garden.jpg", tmp_path / "plan <b>.html"
    photo.write_bytes(jpeg(1600, 1200))
    plan.write_text("<script>document.title = 'taken over'</script>")
    ada, grace = meet(browsers, lobby(server))
    grace.chromium.before_load(SHIFTS)
    grace.script(SHIFTS)
    chooser = ada.chromium.find_element("css selector", "#attach-input")
    chooser.send_keys(f"{photo}\n{plan}")
    until_rows(ada, "ready", "ready")
    assert ada.text("#attachment-note") == "2 files ready to send"
    for size, scheme in PICTURES:
        show(ada, size, scheme)
        assert ada.script(FITS) == [0, 0, 0]
        picture(ada, f"files-attached-{size}-{scheme}")
    show(ada, "desktop", "light")
    # The focus is in the field, so Enter sends them, without a word.
    assert ada.script("return document.activeElement.id") == "text"
    ada.driver.press(Keys.ENTER)
    shown = [["picture", "garden.jpg", 480], ["file", "plan _b_.html"]]
    for page in browsers:
        until_shown(page, *shown)
    assert not ada.shows("#attachments")
    ada.say("There it is.")
    for page in browsers:
        page.until_said("There it is.")
    assert grace.script("return window.shifts") < 0.1
    for size, scheme in PICTURES:
        show(grace, size, scheme)
        assert grace.script(FITS) == [0, 0, 0]
        picture(grace, f"files-{size}-{scheme}")
    show(grace, "desktop", "light")
    status, disposition, content = fetched(grace, address_of(grace, ".file"))
    assert (status, disposition.split(";")[0]) == (200, "attachment")
    assert content == plan.read_bytes()
    address = address_of(grace, ".picture")
    assert SECRET not in fetched(grace, address)[2]
    # The whole picture, as the browser shows one: its own style for that is none of the file's.
    grace.expect_errors(STYLE)
    grace.driver.get(address)
    assert grace.script("return document.contentType") == "image/jpeg"
    assert grace.script("return document.images[0].naturalWidth") == 1600
    picture(grace, "files-whole-picture")
    grace.driver.get(lobby(server))
    until_shown(grace, *shown)
    # What is deleted is gone, for the other one too.
    number = ada.message("")["number"]
    ada.script("document.querySelector(arguments[0]).click()", f"[data-number='{number}'] .delete")
    ada.click("#delete-ok")
    for page in browsers:
        until_shown(page)
    assert fetched(grace, address)[0] == 404
    grace.expect_errors(f"{address}.* 404")


def test_progress_cancel_and_what_cannot_be_sent(browsers: list[ChatPage], server: Server) -> None:
    """The way up is slow: a message waits for its files, one is stopped, others are too large."""
    ada, _ = meet(browsers, lobby(server))
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    ada.chromium.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    give(ada, "drop", "long.bin", b"x" * 2_000_000)
    give(ada, "drop", "too long.bin", b"x" * 3_000_001)
    give(ada, "paste", "short.txt", b"short")
    until_rows(ada, "uploading", "failed", "waiting")
    ada.until(
        lambda: 0 < ada.script("return document.querySelector('#attachments progress').value") < 1,
        "how far it is",
    )
    picture(ada, "files-progress")
    assert ada.text("#attachments .failed .reason") == "It is larger than 2.9 MB."
    ada.say("Wait for it")
    assert ada.text("#attachment-note") == "Not every file can be sent."
    assert ada.message("Wait for it") is None
    ada.click("#attachments .failed .remove")
    ada.focus("#text")
    ada.driver.press(Keys.ENTER)
    ada.until(
        lambda: (
            ada.text("#attachment-note") == "Your message goes out when its files are uploaded."
        ),
        "that it waits",
    )
    assert ada.asks_before_leaving
    ada.click("#attachments .uploading .remove")
    ada.expect_errors("net::ERR_ABORTED")
    fast = {**slow, "uploadThroughput": -1}
    ada.chromium.execute_cdp_cmd("Network.emulateNetworkConditions", fast)
    until_rows(ada, "ready")
    assert ada.message("Wait for it") is None
    ada.focus("#text")
    ada.driver.press(Keys.ENTER)
    for page in browsers:
        page.until_said("Wait for it")
        until_shown(page, ["file", "short.txt"])
    ada.until(lambda: len(kept(server)) == 1, "that the stopped one is nowhere")
    assert not ada.asks_before_leaving


def test_an_upload_waits_while_there_is_no_network(
    browsers: list[ChatPage], server: Server
) -> None:
    """It goes on by itself, and so does the message that has been sent meanwhile; once."""
    ada, grace = meet(browsers, lobby(server))
    ada.expect_errors("net::ERR_INTERNET_DISCONNECTED|WebSocket connection to")
    ada.chromium.go_offline()
    ada.until(lambda: ada.state != "open", "that the connection is lost")
    give(ada, "drop", "late.jpg", jpeg(300, 200))
    ada.say("Here it is")
    ada.until(lambda: ada.script(ROWS) == ["waiting"], "that the file waits")
    ada.until(
        lambda: ada.text("#attachment-note") == "Not connected: the upload goes on later.",
        "that it is offline",
    )
    # In the meantime the writer looks at another room.
    ada.choose_room(server.room("Surprise party"))
    assert not ada.shows("#attachments")
    ada.chromium.go_offline(False)
    grace.until_said("Here it is")
    until_shown(grace, ["picture", "late.jpg", 300])
    assert [text for *_, text in server.messages(server.room("Lobby"))].count("Here it is") == 1
    ada.choose_room(server.room("Lobby"))
    ada.until_said("Here it is")
    assert ada.script("return document.querySelector('#text').value") == ""


def test_every_browser_takes_them(browser: Chromium | Firefox, server: Server) -> None:
    page = ChatPage(browser, "Ada", PATIENCE)
    page.open(lobby(server))
    page.until_connected()
    give(page, "drop", "garden.jpg", jpeg(900, 600))
    give(page, "paste", "notes.txt", "Ä".encode())
    until_rows(page, "ready", "ready")
    page.say("Both")
    page.until_said("Both")
    until_shown(page, ["picture", "garden.jpg", 480], ["file", "notes.txt"])
    status, _, content = fetched(page, address_of(page, ".file"))
    assert (status, content) == (200, "Ä".encode())
    page.expect_errors(STYLE)
    page.driver.get(address_of(page, ".picture"))
    assert page.script("return document.images[0].naturalWidth") == 900
    assert not page.errors()
