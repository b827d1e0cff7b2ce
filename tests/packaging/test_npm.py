"""The client as npm packs it, in a project of its own that has nothing else, and no network."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JS = ROOT / "js"
TOOLS = JS / "node_modules"
NAME = "sockjs-bridge-client"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command, which must succeed, and return what it says."""
    done = subprocess.run(
        command,
        cwd=cwd,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=230,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``npm pack`` makes of a copy of ``js/``."""
    copy = tmp_path_factory.mktemp("checkout") / "js"
    ignored = shutil.ignore_patterns("node_modules", "dist", ".built")
    shutil.copytree(JS, copy, ignore=ignored)
    (copy / "node_modules").symlink_to(TOOLS)
    shutil.copy(ROOT / "LICENSE", copy.parent)
    run("npm", "pack", "--offline", "--pack-destination", copy.parent, cwd=copy)
    (found,) = copy.parent.glob("*.tgz")
    return found


@pytest.fixture(scope="module")
def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project into which it is installed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{ "private": true, "type": "module" }')
    run("npm", "install", "--offline", "--no-audit", "--no-fund", tarball, cwd=folder)
    yield folder
    shutil.rmtree(folder)


def test_contents(tarball: Path) -> None:
    """Three files, their maps and types, readme and licence; nothing of the chat or the tools."""
    with tarfile.open(tarball) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        manifest = json.loads(archive.extractfile("package/package.json").read())  # type: ignore[union-attr]
    types = {name for name in names if name.startswith("dist/types/")}
    assert {"dist/types/index.d.ts", "dist/types/host.d.ts"} <= types
    assert all(name.endswith(".d.ts") for name in types)
    assert names - types == {
        *("package.json", "README.md", "dist/LICENSE"),
        *("dist/sockjs-bridge-client.js", "dist/sockjs-bridge-client.js.map"),
        *("dist/sockjs-bridge-connection.js", "dist/sockjs-bridge-connection.js.map"),
        *("dist/sockjs-bridge-share.js", "dist/sockjs-bridge-share.js.map"),
    }
    assert not manifest.keys() & {"private", "dependencies"}


def test_version() -> None:
    """It is released with the Python package, under one number."""
    version = json.loads((JS / "package.json").read_text())["version"]
    assert f"\nversion = {version}\n" in (ROOT / "setup.cfg").read_text()


def test_no_other_package_comes_with_it(project: Path) -> None:
    packages = {path.name for path in (project / "node_modules").iterdir()}
    assert {name for name in packages if not name.startswith(".")} == {NAME}


def test_imported_by_node(project: Path) -> None:
    script = f"import {{ SockJS }} from '{NAME}'; console.log(SockJS.OPEN, new SockJS('http://127.0.0.1:9/x').url)"
    said = run("node", "--input-type=module", "-e", f"{script}; process.exit()", cwd=project)
    assert said == "1 http://127.0.0.1:9/x\n"


def test_bundled_by_esbuild(project: Path) -> None:
    """What is not used of it is left out."""
    (project / "page.js").write_text(
        f"import {{ SockJS }} from '{NAME}'; globalThis.connect = (url) => new SockJS(url);"
    )
    (project / "unused.js").write_text(f"import '{NAME}';")
    sizes = []
    for name in ("page", "unused"):
        out = project / f"{name}.bundle.js"
        command = ("--bundle", "--minify", "--format=esm", f"--outfile={out}", f"{name}.js")
        said = run(TOOLS / ".bin" / "esbuild", "--log-level=warning", *command, cwd=project)
        # Of the other one it says that there is nothing to bundle.
        assert name == "unused" or said == ""
        sizes.append(out.stat().st_size)
    script = "import './page.bundle.js'; console.log(connect('http://127.0.0.1:9/x/').url)"
    said = run("node", "--input-type=module", "-e", f"{script}; process.exit()", cwd=project)
    assert said == "http://127.0.0.1:9/x\n"
    assert sizes[1] == 0


@pytest.mark.parametrize("module", ["esnext --moduleResolution bundler", "nodenext"])
def test_typed(project: Path, module: str) -> None:
    """The compiler sees the types of all of the API."""
    shutil.copy(JS / "tests" / "built" / "usage.ts", project)
    options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--types", ""]
    command = [TOOLS / ".bin" / "tsc", *options, "--module", *module.split(), "usage.ts"]
    assert run(*command, cwd=project) == ""
