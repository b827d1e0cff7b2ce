"""The wheel, the sdist and the build hook, in a copy of the checkout.

The copy holds what git would hold: no virtual environment, no node_modules, no files for browsers.
"""

from __future__ import annotations

import email
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from buildtools.long_description import standing_alone

# Each build fetches and installs what it needs.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]
STATIC = "sockjs_bridge/static"
#: Extensions of a script or stylesheet, its source map, and what is compressed of it.
WITH_EACH = ("", ".map", ".br", ".gz")
CLIENT = f"{STATIC}/sockjs.min.js"
OWN = f"{STATIC}/sockjs-bridge-client.js"
CONNECTION = f"{STATIC}/sockjs-bridge-connection.js"
SHARE = f"{STATIC}/sockjs-bridge-share.js"
BRIDGE_FILES = {
    *(file + more for file in (CLIENT, OWN, CONNECTION, SHARE) for more in WITH_EACH),
    f"{STATIC}/sockjs.LICENSE",
}
CHAT = "pyramid_chat/static/dist"
#: Of each of the three builds, one.
OUTPUTS = (CLIENT, OWN, f"{CHAT}/manifest.json")
BUILD = [sys.executable, "buildtools/browser_files.py"]
PACKAGES = ("sockjs_bridge", "pyramid_chat")
NOT_IN_GIT = shutil.ignore_patterns(
    ".*_cache", ".coverage*", ".git", ".hypothesis", ".venv", "*.egg-info", "*.pyc", "*.so",
    ".built", "__pycache__", "build", "dist", "htmlcov", "node_modules",
)  # fmt: skip


class Built(NamedTuple):
    """A checkout and what was built from it."""

    checkout: Path
    wheel: Path
    sdist: Path


def environment(path: str) -> dict[str, str]:
    """Return the environment with ``path`` as PATH, and without measuring the build's coverage."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**kept, "PATH": path}


def run(*command: str | Path, cwd: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; the caller looks at the status."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(path),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=500,
    )


def build(checkout: Path, *what: str, path: str) -> subprocess.CompletedProcess[str]:
    """Build in ``checkout`` with this environment's setuptools, so that nothing is downloaded."""
    command = [sys.executable, "-m", "build", "--no-isolation", *what]
    return run(*command, cwd=checkout, path=path)


def copy_checkout(target: Path) -> Path:
    """Copy the tree as a fresh clone would have it."""
    shutil.copytree(ROOT, target, ignore=NOT_IN_GIT)
    shutil.rmtree(target / STATIC, ignore_errors=True)
    return target


def wheel_files(wheel: Path) -> set[str]:
    """Return the names in a wheel, the metadata directory apart."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def wheel_text(wheel: Path, name: str) -> str:
    """Return a file of the wheel's metadata directory."""
    with zipfile.ZipFile(wheel) as archive:
        path = next(path for path in archive.namelist() if path.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


@pytest.fixture
def no_npm(tmp_path: Path) -> str:
    """A PATH on which there is no npm, nor anything else."""
    empty = tmp_path / "empty-path"
    empty.mkdir()
    return str(empty)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A wheel and an sdist, built from a checkout that had to fetch the client."""
    directory = tmp_path_factory.mktemp("packaging")
    checkout = copy_checkout(directory / "checkout")
    result = build(checkout, "--sdist", "--wheel", path=os.environ["PATH"])
    assert result.returncode == 0, result.stdout
    (wheel,) = (checkout / "dist").glob("*.whl")
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    yield Built(checkout, wheel, sdist)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    """The wheel's METADATA."""
    return email.message_from_string(wheel_text(built.wheel, "METADATA"))


def chat_files(checkout: Path) -> set[str]:
    """Return what the manifest names, what that imports, what stands beside it, the manifest."""
    manifest = json.loads((checkout / CHAT / "manifest.json").read_text())
    assert manifest.keys() == {"chat.js", "chat.css"}
    script = (checkout / CHAT / manifest["chat.js"]).read_text()
    later = re.findall(r'import\("\./([\w-]+-\w+\.js)"\)', script)
    assert {name.rpartition("-")[0] for name in later} == {"connection", "markdown-parser", "share"}
    names = {file + more for file in {*manifest.values(), *later} for more in WITH_EACH}
    return {f"{CHAT}/{name}" for name in {*names, "manifest.json", "markdown-parser.LICENSE"}}


def under(checkout: Path, folder: str) -> set[str]:
    """Return the files of a folder."""
    return {f"{folder}/{path.name}" for path in (checkout / folder).iterdir()}


def test_wheel_and_sdist_contain_the_files_for_browsers(built: Built) -> None:
    """Both hold the two clients and the page of the chat, compressed too, with source maps."""
    expected = BRIDGE_FILES | chat_files(built.checkout)
    assert under(built.checkout, STATIC) | under(built.checkout, CHAT) == expected
    assert wheel_files(built.wheel) >= expected
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= expected


def test_what_is_compressed_is_the_file_beside_it(built: Built) -> None:
    """A browser that accepts it gets the same script."""
    unpack = (
        "const { readFileSync } = require('fs'), { brotliDecompressSync } = require('zlib');"
        "process.stdout.write(brotliDecompressSync(readFileSync(process.argv[1])));"
    )
    files = sorted(name for name in BRIDGE_FILES | chat_files(built.checkout) if name[-3:] == ".br")
    assert len(files) == 9
    for name in files:
        file = built.checkout / name
        plain = file.with_suffix("").read_bytes()
        assert gzip.decompress(file.with_suffix(".gz").read_bytes()) == plain
        command = ["node", "-e", unpack, str(file)]
        assert subprocess.run(command, check=True, capture_output=True).stdout == plain


def test_source_maps_name_no_place_of_the_machine(built: Built) -> None:
    """A source map names the sources by relative paths, and brings their text along."""
    maps = [built.checkout / f"{OWN}.map", *(built.checkout / CHAT).glob("*.map")]
    assert len(maps) == 6
    for file in maps:
        content = json.loads(file.read_text())
        assert all(source.startswith("../") for source in content["sources"])
        assert all(content["sourcesContent"])
        assert str(built.checkout.parent) not in file.read_text()


def test_wheel_contains_all_files_of_the_packages_and_nothing_else(built: Built) -> None:
    """No module, template or data file is forgotten, no test or tool is installed."""
    expected = {
        path.relative_to(built.checkout).as_posix()
        for package in PACKAGES
        for path in (built.checkout / package).rglob("*")
        if path.is_file()
    }
    assert wheel_files(built.wheel) == expected


def test_sdist_contains_what_a_build_and_a_test_run_need(built: Built) -> None:
    """The sdist holds the build hook, the lock file, the tests and the demo; no node_modules."""
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = (
        "LICENSE Makefile demo.ini js/package-lock.json js/build.mjs js/client.mjs js/compress.mjs"
        " js/README.md setup.py"
    )
    tools = {
        f"buildtools/{name}.py"
        for name in ("browser_files", "build_backend", "compiled", "long_description")
    }
    assert names >= {*needed.split(), *tools, "tests/packaging"}
    assert not [name for name in names if re.search(r"node_modules|__pycache__|js/dist", name)]


def test_name_version_and_python_of_the_metadata(metadata: Message) -> None:
    """The distribution is sockjs-bridge, MIT, for Python 3.11 to 3.13."""
    assert metadata["Name"] == "sockjs-bridge"
    assert metadata["Version"] == "0.1.0"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    prefix = "Programming Language :: Python :: 3."
    classifiers = metadata.get_all("Classifier", [])
    minors = {line.removeprefix(prefix) for line in classifiers if line.startswith(prefix)}
    assert minors == {"11", "12", "13"}
    systems = {line for line in classifiers if line.startswith("Operating System")}
    assert systems == {"Operating System :: POSIX", "Operating System :: POSIX :: Linux"}


def test_the_description_stands_alone(metadata: Message) -> None:
    """What indexes show is the README, without links to files beside it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = metadata.get_payload()
    assert isinstance(said, str)
    assert said.strip() == standing_alone(readme, "").strip()
    targets = re.findall(r"\]\(([^)]+)\)", said)
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []


def test_pictures_are_shown_where_the_repository_has_an_address() -> None:
    text = "[a](https://a.example) ![two](docs/two.png), ![one](https://b.example/one.png)"
    there = text.replace("(docs/", "(https://c.example/d/raw/HEAD/docs/")
    assert standing_alone(text, "https://c.example/d") == there
    assert standing_alone(text, "") == text.replace("![two](docs/two.png)", "*two*")


def test_every_requirement_has_an_upper_bound_or_is_a_tool(metadata: Message) -> None:
    """A major release of a library that we run on does not reach users untested."""
    runtime = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {line.partition("<")[0] for line in runtime} == {
        "aiohttp",
        "httptools",
        "plaster_pastedeploy",
        "pyramid",
        "setuptools",
        "uvloop",
    }


def test_entry_points(built: Built) -> None:
    """``egg:sockjs-bridge`` is the server, ``…#chat`` the chat; pytest finds its plugin."""
    assert wheel_text(built.wheel, "entry_points.txt").split("\n\n") == [
        "[console_scripts]\npyramid-chat = pyramid_chat.scripts:main\n"
        "sockjs-bridge = sockjs_bridge.scaffold:main",
        "[paste.app_factory]\nchat = pyramid_chat:main",
        "[paste.server_factory]\nmain = sockjs_bridge.server.paste:server_factory",
        "[pytest11]\nsockjs_bridge = sockjs_bridge.pytest_plugin\n",
    ]


def test_wheel_installs_without_network_and_npm(built: Built, tmp_path: Path, no_npm: str) -> None:
    """A fresh virtual environment gets the package and its client from the wheel alone."""
    venv = tmp_path / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", venv]
    made = run(*command, cwd=tmp_path, path=no_npm)
    assert made.returncode == 0, made.stdout
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps"]
    installed = run(*pip, built.wheel, cwd=tmp_path, path=no_npm)
    assert installed.returncode == 0, installed.stdout
    script = (
        "from importlib import metadata, util\n"
        "from pathlib import Path\n"
        "package = Path(util.find_spec('sockjs_bridge').origin).parent\n"
        "assert package.is_relative_to(Path(__import__('sys').prefix)), package\n"
        "banner = (package / 'static' / 'sockjs.min.js').read_text().partition('\\n')[0]\n"
        "print(metadata.version('sockjs-bridge'), banner)\n"
    )
    shown = run(python, "-I", "-c", script, cwd=tmp_path, path=no_npm)
    assert shown.stdout.startswith("0.1.0 /* sockjs-client v1.6.1 "), shown.stdout


def test_sdist_builds_the_same_wheel_without_npm(built: Built, tmp_path: Path, no_npm: str) -> None:
    """Who builds from the sdist needs no Node."""
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("sockjs_bridge-*")
    result = build(source, "--wheel", path=no_npm)
    assert result.returncode == 0, result.stdout
    (wheel,) = (source / "dist").glob("*.whl")
    assert wheel_files(wheel) == wheel_files(built.wheel)


def test_checkout_without_npm_says_what_to_do(tmp_path: Path, no_npm: str) -> None:
    """The build of a checkout fails with one sentence and no traceback of ours."""
    checkout = copy_checkout(tmp_path / "checkout")
    result = run(*BUILD, cwd=checkout, path=no_npm)
    assert result.returncode == 1
    assert result.stdout.startswith("error: A checkout needs npm (Node 20 or later) to build ")
    assert result.stdout.count("\n") == 1


@pytest.fixture
def checkout(built: Built, tmp_path: Path) -> Iterator[Path]:
    """A checkout in which all is built, to be changed."""
    target, packages = tmp_path / "checkout", Path("js/node_modules")
    shutil.copytree(built.checkout, target, ignore=shutil.ignore_patterns(packages.name))
    # Nothing writes into them, and they are many.
    shutil.copytree(
        built.checkout / packages, target / packages, symlinks=True, copy_function=os.link
    )
    yield target
    shutil.rmtree(target)


def test_what_is_built_is_not_built_again(checkout: Path, no_npm: str) -> None:
    """Where nothing has changed, no npm is needed."""
    result = run(*BUILD, cwd=checkout, path=no_npm)
    assert (result.returncode, result.stdout) == (0, "")


def spoil(path: Path, how: str) -> None:
    if how == "changed":
        path.write_text("/* an older one */\n")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_each_changed_or_missing_output_is_noticed(checkout: Path, no_npm: str, how: str) -> None:
    """A single one is enough to have all made again, for which npm would be needed."""
    for file in OUTPUTS:
        path = checkout / file
        original = path.read_bytes()
        spoil(path, how)
        result = run(*BUILD, cwd=checkout, path=no_npm)
        assert result.returncode == 1
        assert result.stdout.startswith("error: A checkout needs npm"), file
        path.write_bytes(original)
        result = run(*BUILD, cwd=checkout, path=no_npm)
        assert (result.returncode, result.stdout) == (0, ""), file


@pytest.mark.turns("how")
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_changed_or_missing_outputs_are_made_again(checkout: Path, how: str) -> None:
    """What is served is what the lock file and the sources say, after the next build."""
    originals = {file: (checkout / file).read_bytes() for file in OUTPUTS}
    for file in OUTPUTS:
        spoil(checkout / file, how)
    result = run(*BUILD, cwd=checkout, path=os.environ["PATH"])
    assert result.returncode == 0, result.stdout
    assert {file: (checkout / file).read_bytes() for file in OUTPUTS} == originals


def test_a_changed_source_changes_the_name(checkout: Path) -> None:
    """Browsers keep the page's script for a year; what the old name stood for is removed."""
    before = chat_files(checkout)
    with (checkout / "js/src/chat/main.js").open("a") as script:
        script.write('\nglobalThis.marker = "changed";\n')
    # What the first build left behind must not get into the wheel.
    assert under(checkout / "build/lib", CHAT) == before
    result = build(checkout, "--wheel", path=os.environ["PATH"])
    assert result.returncode == 0, result.stdout
    after = chat_files(checkout)
    assert {name for name in after - before if name.endswith(".js")}
    assert {name for name in before & after if name.endswith(".css")}
    assert under(checkout, CHAT) == after
    (wheel,) = (checkout / "dist").glob("*.whl")
    assert {name for name in wheel_files(wheel) if name.startswith(CHAT)} == after


def test_a_failing_build_says_why(checkout: Path) -> None:
    """A mistake in a script ends the build with the place, and without a traceback of ours."""
    (checkout / "js/src/chat/main.js").write_text("let = ;\n")
    result = run(*BUILD, cwd=checkout, path=os.environ["PATH"])
    assert result.returncode == 1
    assert result.stdout.startswith("error: npm run build in js/ ended with status 1:\n")
    assert "src/chat/main.js:1:" in result.stdout
    assert "Traceback" not in result.stdout
    assert run(*BUILD, cwd=checkout, path=os.environ["PATH"]).returncode == 1


def test_lock_file_pins_by_checksum_and_names_no_registry() -> None:
    """The client is pinned to one release, and any mirror of the registry can serve it."""
    manifest = json.loads((ROOT / "js" / "package.json").read_text())
    lock = json.loads((ROOT / "js" / "package-lock.json").read_text())
    pins = manifest["devDependencies"].values()
    assert all(pin[0].isdigit() and not set(pin) & set("^~*<> |x") for pin in pins)
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not [name for name, entry in packages.items() if "resolved" in entry]


def test_version_in_the_change_log() -> None:
    """The newest heading of CHANGES.md is the version in setup.cfg."""
    changes = (ROOT / "CHANGES.md").read_text()
    headings = [line for line in changes.splitlines() if line.startswith("## ")]
    setup = (ROOT / "setup.cfg").read_text()
    version = next(line for line in setup.splitlines() if line.startswith("version = "))
    assert headings[0].split()[1] == version.removeprefix("version = ")
