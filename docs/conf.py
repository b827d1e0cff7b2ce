"""How Sphinx builds the documentation: ``make docs``. Nothing is fetched from the network."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

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
    "page_width": "1150px",
    "sidebar_width": "250px",
}
html_show_sourcelink = False
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
    # Variables of types.
    ("py:class", r"sockjs_bridge\.ini\.[DT]"),
    ("py:obj", r".*"),
    # Other projects' names: their documentation would have to be fetched.
    (
        "py:class",
        r"(Endpoint|Request|Settings|URL|multidict\..*|sockjs_bridge\.pyramid\.connections\.Connection)",
    ),
    ("py:(?!obj).*", r"(aiohttp|asyncio|collections|contextlib|pyramid|typing|wsgiref|yarl)\..*"),
]


def changes_as_rest(app: Sphinx, docname: str, source: list[str]) -> None:
    """Puts CHANGES.md, whose Markdown is headings, lists and code, in the place of its page."""
    if docname != "changes":
        return
    text = (ROOT / "CHANGES.md").read_text(encoding="utf-8")
    text = re.sub(r"`([^`]+)`", r"``\1``", text)
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", text)
    source[0] = re.sub(r"^(#+) (.*)$", _heading, text, flags=re.MULTILINE)


def _heading(match: re.Match[str]) -> str:
    level, words = len(match[1]), match[2]
    return f"{words}\n{'=-~'[level - 1] * len(words)}"


def public_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Finds what a docstring of another module calls by its public name."""
    if node["refdomain"] != "py" or node["reftype"] != "obj":
        return None
    node["py:module"] = "sockjs_bridge"
    return env.domains["py"].resolve_xref(
        env, env.docname, app.builder, "obj", node["reftarget"], node, content
    )


def setup(app: Sphinx) -> None:
    """Connects the event handlers."""
    app.connect("source-read", changes_as_rest)
    app.connect("missing-reference", public_name)
