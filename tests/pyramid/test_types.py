"""What checkers of types say of an application (api.md, section 16)."""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pyramid.config import Configurator

from sockjs_bridge import SockJSRequest
from tests.docs.blocks import collect
from tests.pkgs import typed_app
from tests.pyramid.support import Connected

ROOT = Path(__file__).parents[2]

MYPY = """\
[mypy]
strict = true
# As for a package that is installed: what is wrong in it is not the application's.
follow_imports = silent
"""

PYRIGHT = {
    "include": ["application.py"],
    "extraPaths": [str(ROOT)],
    "typeCheckingMode": "strict",
    "reportUnnecessaryTypeIgnoreComment": "error",
}

CLEAN = {
    "mypy": (0, "Success: no issues found in 1 source file\n"),
    "pyright": (0, "0 errors, 0 warnings, 0 informations\n"),
}

DECORATED = """\
@view_config(route_name="chat")
def chat(request: object) -> None:
    pass
"""

Check = Callable[[str, str], tuple[int, str]]

each_checker = pytest.mark.parametrize("checker", CLEAN)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy keeps of the modules that each application imports."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def check(tmp_path: Path, cache: Path) -> Check:
    """Runs a checker over a module, and returns its status and what it says."""
    return functools.partial(_check, tmp_path, cache)


def _check(directory: Path, cache: Path, checker: str, code: str) -> tuple[int, str]:
    path = directory / "application.py"
    path.write_text(code)
    environ = dict(os.environ)
    if checker == "mypy":
        config = directory / "mypy.ini"
        config.write_text(MYPY)
        environ["MYPYPATH"] = str(ROOT)
        command = [sys.executable, "-m", "mypy", "--cache-dir", str(cache), "--config-file"]
        command += [str(config), str(path)]
    else:
        (directory / "pyrightconfig.json").write_text(json.dumps(PYRIGHT))
        command = ["node", str(ROOT / "js/node_modules/pyright/index.js")]
        command += ["--pythonpath", sys.executable]
    done = subprocess.run(
        command, cwd=directory, env=environ, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@each_checker
def test_an_application_is_typed(check, checker):
    """Strictly, with no type of Pyramid's known; a misuse is told, and nothing else."""
    assert check(checker, Path(typed_app.__file__).read_text()) == CLEAN[checker]


@each_checker
def test_the_example_of_the_reference_is_typed(check, checker):
    (code,) = [block.code for block in collect() if block.key == ("api", "typed.py")]
    assert check(checker, code) == CLEAN[checker]


@pytest.mark.parametrize(
    ("checker", "said"), [("mypy", "untyped-decorator"), ("pyright", "UntypedFunctionDecorator")]
)
def test_a_decorator_without_types_would_be_seen(check, checker, said):
    """What these tests are for: so it was for whoever uses Pyramid's own."""
    code = f"from pyramid.view import view_config\n\n\n{DECORATED}"
    status, told = check(checker, code)
    assert (status, said in told) == (1, True)


@pytest.fixture
def app():
    config = Configurator(request_factory=typed_app.Request)
    config.include("sockjs_bridge")
    for name in ("blocking", "coroutine", "talk", "method"):
        config.add_sockjs_route(name, f"/{name}/{{room}}")
    config.add_route("page", "/page")
    config.add_view(typed_app.page, route_name="page", renderer="string")
    config.scan("tests.pkgs.typed_app")
    return config.make_wsgi_app()


@pytest.mark.parametrize("name", ["blocking", "talk", "method"])
def test_the_same_runs(app, caplog, name):
    """The decorator declares what it leaves as it was, and the class of requests is one."""
    connected = Connected(app, f"/{name}/here")
    connected.session.deliver(["a", "b"], 2)
    connected.session.close(1000, "")
    assert connected.settle() == ["o", 'c[1000,""]']
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


def test_a_page_of_its_own_class_of_requests(app):
    request = typed_app.Request.blank("/page")
    assert isinstance(request, SockJSRequest)
    urls = request.get_response(app).text.split()
    assert all(url.startswith("/_sockjs/") for url in urls)
    names = ["sockjs.min.js", "sockjs-bridge-client.js", "sockjs-bridge-client.js"]
    assert [url.rpartition("/")[2] for url in urls] == names
