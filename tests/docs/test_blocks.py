"""No block of code in the documentation escapes its test."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from sockjs_bridge.core import protocol
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.pyramid import threads
from sockjs_bridge.server.options import ServerOptions
from tests.docs import (
    test_cluster,
    test_examples,
    test_kit,
    test_metrics,
    test_protocol,
    test_servers,
)
from tests.docs.blocks import OTHER_WAYS, Block, check_javascript, collect, pages
from tests.interop import test_reconnecting_client

BLOCKS = collect()

#: Blocks that no test runs, and why.
NOT_RUN = {
    ("installation", "$ pip install sockjs-bridge"): "it would fetch from the network",
    ("cluster", '$ pip install "sockjs-bridge[cluster]"'): "it would fetch from the network",
    (
        "installation",
        "$ SOCKJS_BRIDGE_COMPILE=1 pip wheel --no-deps .",
    ): "tests/packaging/test_compiled.py does so",
    (
        "installation",
        '$ python -c "import sockjs_bridge; print(sockjs_bridge.compiled)"',
    ): "as above",
    ("installation", "$ sockjs-bridge init notes"): "tests/scaffold has its steps",
    ("installation", "$ PYTHONPATH=. pserve hello.ini"): "test_servers starts it by its own means",
    ("installation", "$ python client.py http://127.0.0.1:6543/echo"): "so it does with this",
    ("authentication", 'for ws in request.sockjs.members(f"user:{userid}"):'): (
        "a part of members.py above it, which is run; here it is only compiled"
    ),
    ("authentication", "desk.js"): "a part of a page; test_examples does its steps",
    (
        "chat",
        "install the chat",
    ): "it changes the system; tests/proxies/test_deploy.py has its files",
    ("chat", "install the chat with PostgreSQL"): "as above",
    ("chat-administration", "a command"): "tests/pyramid_chat/test_accounts.py runs all of them",
    ("chat-administration", "back up SQLite"): "tests/pyramid_chat/test_backup.py does the same",
    ("chat-administration", "back up PostgreSQL"): "as above",
    ("chat-administration", "restore SQLite"): "as above",
    ("chat-administration", "restore PostgreSQL"): "as above",
    (
        "chat-administration",
        "build the index of the search anew",
    ): "tests/pyramid_chat/test_search.py does the same",
    ("chat-administration", "restore the files"): "test_clean_files.py beside it does the same",
    ("chat-administration", "upgrade the chat"): "it would fetch from the network",
    (
        "howto/deployment",
        "$ pip install 'sockjs-bridge[gunicorn]'",
    ): "it would fetch from the network; tests/integration/test_gunicorn.py starts the rest",
    ("howto/deployment", "restart"): "it changes the system; tests/proxies has the unit",
    ("performance", "$ make bench"): "it measures for twenty minutes",
    ("performance", '$ make bench LOADS="ws-echo c500,xhr-echo c100 k4" PEERS=ours,limit'): (
        "it would install a peer; tests/bench tries its arguments"
    ),
    (
        "performance",
        '$ make bench PEERS=ours LOADS="ws-echo c100,r1-echo c100,idle n5000,r1-idle n5000"',
    ): "it measures for minutes",
    (
        "performance",
        '$ make bench PEERS=ours LOADS="cluster-fanout n1000,cluster-poll c100 r2000"',
    ): "it measures for minutes; tests/bench tries its loads",
    (
        "performance",
        "$ make bench-killed SESSIONS=5000 SHARE=100",
    ): "it measures for minutes; tests/bench tries it in small",
    ("performance", "make bench"): "what that printed",
    ("performance", "make bench PEERS=ours, the loads of resumable sessions"): "what that printed",
    ("performance", "make bench PEERS=ours, the loads of a cluster"): "what that printed",
    ("howto/migrating", "before.js, sockjs-client 1.6"): "what a page had; it only has to parse",
    ("howto/migrating", "after.js"): "a part of a page; howto/reconnecting has a whole one",
    ("howto/migrating", "before.js, the former ReconnectingSockJS"): "a client that is no more",
    ("howto/migrating", "after.js, ReconnectingSockJS"): "a part of a page, as above",
    ("howto/migrating", "before.js, Socket.IO 4"): "another project's API",
    ("howto/migrating", "after.js, for who knew Socket.IO"): "a part of a page, as above",
    ("migration/pyramid-sockjs", "before.py"): "the other project's API, for Python 2",
    ("migration/sockjs", "before.py"): "the other project's API",
    ("migration/sockjs-tornado", "before.py"): "the other project's API",
    ("migration/socketio", "before.py"): "the other project's API",
    ("migration/channels", "before.py"): "the other project's API",
}


def ids(block: Block) -> str:
    return str(block)


def written_in(*languages: str) -> pytest.MarkDecorator:
    """Parametrise a test by the blocks in some languages."""
    chosen = [block for block in BLOCKS if block.language in languages]
    assert chosen
    return pytest.mark.parametrize("block", chosen, ids=ids)


def test_the_collection_finds_every_block() -> None:
    """Code stands in code blocks, which name their language."""
    for page, text in pages():
        assert not (found := OTHER_WAYS.search(text)), f"{page}: {found and found[0]}"
        assert text.count(".. code-block::") == sum(block.page == page for block in BLOCKS), page
    assert all(block.language and block.code.strip() for block in BLOCKS)


def test_every_block_is_run_or_excused() -> None:
    """What no test runs is listed with a reason, and nothing is that is run."""
    run = {
        *(example.block.key for example in test_examples.EXAMPLES),
        *test_cluster.RUN,
        *test_kit.RUN,
        *test_metrics.RUN,
        *test_protocol.RUN,
        *test_reconnecting_client.RUN,
        *test_servers.RUN,
        *(block.key for block in BLOCKS if block.page == "tutorial"),
        # The tests below run nothing else of these.
        *(block.key for block in BLOCKS if block.language == "ini"),
    }
    assert run.isdisjoint(NOT_RUN)
    assert {block.key for block in BLOCKS} == run | NOT_RUN.keys()


@written_in("python")
def test_python_compiles(block: Block) -> None:
    compile(block.code, str(block), "exec")


@written_in("javascript")
def test_javascript_parses(block: Block, tmp_path: Path) -> None:
    check_javascript(block.code, tmp_path)


@written_in("ini")
def test_settings_in_ini_files_are_real(block: Block) -> None:
    """Their settings exist and have possible values."""
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(block.code)
    for section in ini.sections():
        items = dict(ini[section])
        if section.startswith("app:"):
            prefix = "sockjs."
            own = {key.removeprefix(prefix): items[key] for key in items if key.startswith(prefix)}
            Settings().override(own)
        elif section.startswith("server:"):
            assert items.pop("use") == "egg:sockjs-bridge"
            ServerOptions.parse(items)


def test_codes_of_the_bridge_are_explained() -> None:
    """How a connection ends: all codes that we close with, and their reasons."""
    rows = re.findall(r"^   \* - (\d+)\n     - (.*)$", dict(pages())["concepts"], re.MULTILINE)
    explained = {(int(code), reason) for code, reason in rows}
    assert explained >= {
        threads.NO_THREAD,
        protocol.BROKEN_FRAMING,
        protocol.FAILED,
        protocol.GO_AWAY,
        protocol.INTERRUPTED,
        protocol.NORMAL,
        protocol.NO_HEARTBEAT,
        protocol.SIGNED_OUT,
        protocol.SLOW_CONSUMER,
        protocol.TIMED_OUT,
    }
