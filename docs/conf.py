"""How Sphinx builds the documentation: ``make docs``. Nothing is fetched from the network."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import sockjs_bridge

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import chart  # noqa: E402

project = "sockjs_bridge"
author = "sockjs_bridge contributors"
copyright = author
version = release = sockjs_bridge.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"sockjs_bridge {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

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


#: Pages that are Markdown elsewhere in the project.
MARKDOWN = {
    "changes": "CHANGES.md",
    "contributing": "CONTRIBUTING.md",
    "security-policy": "SECURITY.md",
}


def markdown_as_rest(app: Sphinx, docname: str, source: list[str]) -> None:
    """Puts Markdown, which is headings, lists, links and code, in the place of its page."""
    if docname not in MARKDOWN:
        return
    text = (ROOT / MARKDOWN[docname]).read_text(encoding="utf-8")
    prose, *rest = re.split(r"^```", text, flags=re.MULTILINE)
    parts = [_prose(prose)]
    for code, prose in zip(rest[::2], rest[1::2], strict=True):
        language, _, lines = code.partition("\n")
        parts += [f".. code-block:: {language}\n\n{textwrap.indent(lines, '   ')}\n", _prose(prose)]
    source[0] = "".join(parts)


def _prose(text: str) -> str:
    text = re.sub(r"`([^`]+)`", r"``\1``", text)
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", text)
    return re.sub(r"^(#+) (.*)$", _heading, text, flags=re.MULTILINE)


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


def public_types(app: Sphinx, doctree: nodes.document) -> None:
    """Calls the types in signatures by their public names, not by the modules that define them."""
    public = {
        f"{value.__module__}.{value.__qualname__}": name
        for name in sockjs_bridge.__all__
        if isinstance(value := getattr(sockjs_bridge, name), type)
    }
    for link in doctree.findall(addnodes.pending_xref):
        name = public.get(link["reftarget"])
        if name is not None:
            link["reftarget"] = f"{sockjs_bridge.__name__}.{name}"
            for text in [*link.findall(nodes.Text)]:
                text.parent.replace(text, nodes.Text(name))


class BenchChart(Directive):
    """Draws the figures of its own page."""

    def run(self) -> list[nodes.Node]:
        """Returns the chart."""
        text = "\n".join(self.state_machine.input_lines)
        return [nodes.raw("", chart.svg(text), format="html")]


def setup(app: Sphinx) -> None:
    """Adds what is made here."""
    app.add_directive("bench-chart", BenchChart)
    app.connect("doctree-read", public_types)
    app.connect("source-read", markdown_as_rest)
    app.connect("missing-reference", public_name)
