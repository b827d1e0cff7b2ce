"""How Sphinx builds the documentation: ``make docs``. Nothing is fetched from the network."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

import sockjs_bridge

ROOT = Path(__file__).parent.parent

project = "sockjs_bridge"
author = "sockjs_bridge contributors"
copyright = author
version = release = sockjs_bridge.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "alabaster"
html_theme_options = {
    "description": "SockJS for Pyramid",
    "fixed_sidebar": True,
    "page_width": "1100px",
}
html_show_sourcelink = False
exclude_patterns = ["README*"]
pygments_style = "friendly"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# In docstrings a name between single backticks is a link where we document it, and code elsewhere.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", r".*"),
    # Other projects' names: their documentation would have to be fetched.
    (
        "py:class",
        r"(Manager|Request|Settings|URL|multidict\..*|sockjs_bridge\.pyramid\.views\.Connection)",
    ),
    ("py:(?!obj).*", r"(aiohttp|asyncio|collections|contextlib|pyramid|typing|wsgiref|yarl)\..*"),
]


def changes_as_rest(app: Sphinx, docname: str, source: list[str]) -> None:
    """Puts CHANGES.md, whose Markdown is headings, lists and code, in the place of its page."""
    if docname != "changes":
        return
    lines: list[str] = []
    for line in (ROOT / "CHANGES.md").read_text(encoding="utf-8").splitlines():
        line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
        line = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", line)
        if heading := re.match(r"(#+) (.*)", line):
            underline = "=-~"[len(heading[1]) - 1] * len(heading[2])
            lines += [heading[2], underline]
        else:
            lines.append(line)
    source[0] = "\n".join([*lines, ""])


def setup(app: Sphinx) -> None:
    """Connects the event handlers."""
    app.connect("source-read", changes_as_rest)
