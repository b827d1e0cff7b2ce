"""A project of the published template takes up the bridge, whatever its author has answered."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from tests.docs.test_tutorial import STARTER, STEPS, Project, starter_page
from tests.integration.support import connected, get, outcome
from tests.selection import FULL

PARTS = Path(__file__).with_name("template")
"""What the template writes for other answers than the tutorial's, and what an author adds to it."""

INIS = ("development.ini", "production.ini", "testing.ini")

SUFFIXES = {"jinja2": ".jinja2", "chameleon": ".pt"}
"""Of template files, by language."""

CHANGES = {
    step.caption: step
    for step in STEPS
    if step.language == "diff" and step.caption.endswith((".toml", ".ini", "__init__.py"))
}
"""The tutorial's changes that turn the bridge on, by file."""

DEPENDENCIES = """
"alembic",
"pyramid_retry",
"pyramid_tm",
"SQLAlchemy",
"transaction",
"zope.sqlalchemy",
"""

SETTINGS = """
sqlalchemy.url = sqlite:///%(here)s/{database}.sqlite
retry.attempts = 3
"""

ALEMBIC = """
[alembic]
script_location = myproject/alembic
"""

SCRIPTS = """
[project.scripts]
initialize_myproject_db = "myproject.scripts.initialize_db:main"
"""

MODELS = """
from .message import Message
from .user import User
"""

USERS = """
dbsession.add(models.User(name='ann', role='member'))
dbsession.add(models.User(name='eve', role='guest'))
"""

RUN_SCRIPT = """
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="initialize_myproject_db")
script.load()()
"""


async def sign_in(url: str, name: str) -> dict[str, str]:
    """Fill in the form, and return the header that says so."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        # Who is not signed in is sent to the form.
        async with http.get(f"{url}/rooms/lobby") as response:
            assert response.url.path == "/login"
            token = re.search(r'name="csrf_token" value="(\w+)"', await response.text())
        assert token is not None
        form = {"csrf_token": token[1], "name": name}
        async with http.post(f"{url}/login", data=form, allow_redirects=False) as response:
            assert response.status == 303
            return {"Cookie": f"auth_tkt={response.cookies['auth_tkt'].coded_value}"}


class Variant(Project):
    """A project whose author gave other answers than the tutorial's.

    Args:
        folder: where it will be.
        language: of its templates.
        database: it has one, by SQLAlchemy.
    """

    def __init__(self, folder: Path, language: str, *, database: bool) -> None:
        super().__init__(folder, self.visit, self.visit)
        self.language, self.database = language, database
        self.stored: list[str] = []

    def make(self) -> None:
        """Write what the template writes."""
        self.add(STARTER)
        if self.language == "chameleon":
            self.add(PARTS / "chameleon")
        if self.database:
            self.add(PARTS / "sqlalchemy")
            self.insert("myproject/__init__.py", "include('.routes')", "config.include('.models')")
            self.insert("pyproject.toml", '"waitress",', DEPENDENCIES)
            self.append("pyproject.toml", SCRIPTS)
            for name in INIS:
                database = "testing" if name == "testing.ini" else "myproject"
                self.insert(name, "default_locale_name", SETTINGS.format(database=database))
                self.append(name, ALEMBIC)

    def turn_on(self) -> None:
        """Change the files that the tutorial changes."""
        for step in CHANGES.values():
            self.change(replace(step, code=self.translated(step.code)))

    def add_room(self) -> None:
        """Add people who sign in, and a room for some of them."""
        self.add(PARTS / "room")
        self.insert("myproject/__init__.py", "include('.routes')", "config.include('.security')")
        for name in INIS:
            self.insert(name, "default_locale_name", f"auth.secret = of {name}")
        if not self.database:
            self.add(PARTS / "room_none")
            return
        self.add(PARTS / "room_sqlalchemy")
        self.insert("myproject/models/__init__.py", "from .mymodel", MODELS)
        self.insert("myproject/scripts/initialize_db.py", "add(models.MyModel", USERS)

    def initialize(self) -> None:
        """Make the tables, and their first rows."""
        alembic = ("-m", "alembic", "-c", "development.ini")
        self.python(*alembic, "revision", "--autogenerate", "-m", "init")
        self.python(*alembic, "upgrade", "head")
        self.python("-c", RUN_SCRIPT, "development.ini")

    async def visit(self, url: str) -> None:
        """See who gets into the room, over which transport, and what is kept of what is said."""
        await starter_page(url)
        if not self.database:
            self.stored.clear()
        room = f"{url}/rooms/lobby"
        ann, eve = await sign_in(url, "ann"), await sign_in(url, "eve")
        for transport in ("websocket", "xhr-polling"):
            assert await outcome(room, transport) == 403
            assert await outcome(room, transport, headers=eve) == 403
            async with connected(room, "websocket", headers=ann) as first:
                await first.send("hi")
                assert await first.recv() == "ann: hi"
                async with connected(room, transport, headers=ann) as second:
                    await second.send("hello")
                    for connection in (first, second):
                        assert await connection.recv() == "ann: hello"
                # The user is a row of its hook's transaction, and of no earlier one.
                await first.send("bye")
                assert await first.recv() == "ann: bye"
            self.stored += ["hi", "hello", "bye"]
            _, _, html = await get(room, headers=ann)
            listed = re.search('<ol data-endpoint="/rooms/lobby">(.*?)</ol>', html, re.S)
            assert listed is not None
            assert re.findall("<li>(.*?)</li>", listed[1]) == self.stored

    def add(self, part: Path) -> None:
        """Copy files into the project, of templates those in its language."""
        others = {suffix for name, suffix in SUFFIXES.items() if name != self.language}
        for source in part.rglob("*"):
            if source.is_file() and source.suffix not in {*others, ".pyc"}:
                target = self.folder / source.relative_to(part)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(self.translated(source.read_text(encoding="utf-8")))

    def translated(self, code: str) -> str:
        """Return code with what it names in the project's language of templates."""
        code = code.replace("pyramid_jinja2", f"pyramid_{self.language}")
        return code.replace(".jinja2'", f"{SUFFIXES[self.language]}'")

    def insert(self, name: str, mark: str, lines: str) -> None:
        """Insert lines behind the one that has a mark, as far indented."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        place = re.search(rf"^( *).*{re.escape(mark)}.*\n", text, re.M)
        assert place is not None, f"{name} has no {mark!r}"
        added = textwrap.indent(f"{lines.strip()}\n", place[1])
        path.write_text(text[: place.end()] + added + text[place.end() :], encoding="utf-8")

    def append(self, name: str, lines: str) -> None:
        """Append lines to a file."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(lines)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("language", "database"),
    [("chameleon", False), ("jinja2", True), *([("chameleon", True)] if FULL else [])],
)
def test_variant(tmp_path: Path, language: str, database: bool) -> None:
    """It is made, changed as the documentation says, tested by its own tests, and served."""
    variant = Variant(tmp_path / "myproject", language, database=database)
    variant.make()
    variant.turn_on()
    variant.add_room()
    variant.install()
    if database:
        variant.initialize()
    variant.test()
    variant.serve("development.ini")
    variant.serve("production.ini")
