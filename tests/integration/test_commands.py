"""Pyramid's commands know the endpoints of an application (issue 3, "Conflicts and mistakes")."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.pserve import PATIENCE, ROOT

pytestmark = pytest.mark.integration

INI = """
[app:main]
paste.app_factory = tests.pkgs.shapes_app:main
{setting}

[server:main]
use = egg:sockjs-bridge
"""


def write_ini(folder: Path, setting: str = "") -> Path:
    path = folder / "test.ini"
    path.write_text(INI.format(setting=setting))
    return path


def run(command: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command that came with Pyramid to its end."""
    return subprocess.run(
        [Path(sys.executable).with_name(command), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_proutes(tmp_path):
    """The endpoint's route is shown with its pattern and who serves pages and connections."""
    done = run("proutes", write_ini(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    sessions = "tests.pkgs.shapes_app.sessions"
    assert rows["session_keyword"] == ["/session/keyword", f"{sessions}.ByKeyword", "SockJS"]
    assert rows["session_second"] == ["/session/second", f"{sessions}.Stacked", "SockJS"]
    function = "tests.pkgs.shapes_app.asynchronous.function"
    assert rows["async_function"] == ["/async/function", function, "SockJS"]


def test_pviews(tmp_path):
    """Page and connection of one route are shown side by side, told apart by the predicate."""
    done = run("pviews", write_ini(tmp_path), "/blocking/predicate")
    assert done.returncode == 0, done.stderr
    views = done.stdout.split("View:")
    (page,) = (view for view in views if "shapes_app.blocking.page" in view)
    (connection,) = (view for view in views if "shapes_app.blocking.beside_the_page" in view)
    assert "websocket = True" in connection
    assert "websocket" not in page


SHELL = """
print("broadcast:", request.sockjs.broadcast("hello"), request.sockjs is registry.sockjs)
print("rooms:", request.sockjs.rooms(), request.sockjs.members("lobby"))
print("endpoint:", request.sockjs.endpoints["session_keyword"].settings.heartbeat_delay)
entries = registry.introspector.get_category("sockjs endpoints")
entry = next(e["introspectable"] for e in entries if e["introspectable"]["name"] == "async_method")
print("introspected:", entry["pattern"], entry["settings"].heartbeat_delay)
print("websocket:", request.websocket)
"""


def test_pshell(tmp_path):
    """request.sockjs is at hand; nobody is connected where nothing is served."""
    ini = write_ini(tmp_path, "sockjs.heartbeat_delay = 20")
    done = run("pshell", "-p", "python", ini, stdin=SHELL)
    assert done.returncode == 0, done.stderr
    for line in (
        "broadcast: 0 True",
        "rooms: [] []",
        "endpoint: 20.0",
        "introspected: /async/method 20.0",
        "websocket: None",
    ):
        assert line in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("command", ["proutes", "pshell"])
def test_wrong_setting(tmp_path, command):
    """A mistake ends them, as it ends pserve, with one sentence."""
    done = run(command, write_ini(tmp_path, "sockjs.heartbeat_delay = soon"))
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line)
    assert line.startswith("sockjs.heartbeat_delay = 'soon' cannot be: allowed is a number")
