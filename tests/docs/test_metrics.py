"""The metrics that the page, the dashboard and the alerts name are those that are shown."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession
from sockjs_bridge.testing import serve
from tests.docs.blocks import DOCS, collect
from tests.integration.metrics import Scrape, scrape, scrape_until
from tests.integration.support import connected, get
from tests.support import XHR

BLOCKS = {block.key: block for block in collect()}
#: The blocks that are run here.
RUN = {("metrics", "gunicorn.conf.py")}

PAGE = (DOCS / "metrics.rst").read_text(encoding="utf-8")
ROW = re.compile(
    r"^   \* - ``sockjs_(?P<name>\w+)``\n     - (?P<type>\w+)(?:: (?P<labels>.*))?\n"
    r"     - (?P<unit>\w+)\n     - (?P<text>.*)$",
    re.MULTILINE,
)
METRIC = re.compile(r"sockjs_\w+")
# A metric, the labels that it is chosen by, or those that a sum is made by.
SELECTED = re.compile(r"(sockjs_\w+)\{([^}]*)\}")
BY = re.compile(r"\bby \(([^)]*)\)")
#: What Prometheus adds to what it reads, and to histograms.
ADDED = {"job", "instance", "le"}


def queries_of_the_dashboard() -> list[str]:
    """All that it asks: of panels, and of the lists to choose from."""
    found = json.loads((DOCS / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    targets = [target["expr"] for panel in found["panels"] for target in panel.get("targets", ())]
    return [*targets, *(each["definition"] for each in _lists(found))]


def _lists(dashboard: Any) -> Iterator[Any]:
    yield from (each for each in dashboard["templating"]["list"] if each["type"] == "query")


def queries_of_the_alerts() -> list[str]:
    text = (DOCS / "deploy" / "alerts.yml").read_text(encoding="utf-8")
    queries = re.findall(r"^        expr: (.*)$", text, re.MULTILINE)
    assert len(queries) == text.count("- alert:")
    return queries


def queries_of_the_page() -> list[str]:
    return re.findall(r"^- ``(.*?)``", re.sub(r"\n +", " ", PAGE), re.MULTILINE)


class Echo(WebSocketSession):
    def on_message(self, message: str) -> None:
        self.request.sockjs.broadcast(message)


@pytest.fixture(scope="module")
def app() -> Any:
    with Configurator() as config:
        config.include("sockjs_bridge.ops")
        config.add_sockjs_route("echo", "/echo", session=Echo)
        return config.make_wsgi_app()


@pytest.fixture
async def shown(app: Any) -> Scrape:
    """What an application shows that was used in all ways, as far as one process goes."""
    with serve(app) as url:
        async with connected(f"{url}/echo", "websocket") as connection:
            await connection.send("a")
            assert await connection.recv() == "a"
            await scrape_until(url, lambda found: found.value("sessions"))
        assert (await get(f"{url}/echo/0/s/xhr_send", method="POST"))[0] == 404
        await scrape_until(url, lambda found: found.value("sessions_closed_total"))
        endpoints = app.registry.sockjs.endpoints
        # Nobody else is there, and no client that was away.
        endpoints.monitor.relayed("answered")
        endpoints.resumption.resumed(XHR)
        return await scrape(url)


@pytest.mark.parametrize(
    "queries", [queries_of_the_dashboard, queries_of_the_alerts, queries_of_the_page]
)
async def test_what_is_asked_for_is_shown(shown: Scrape, queries: Any) -> None:
    """Each metric is there, and has the labels that it is chosen and summed by."""
    asked = queries()
    assert len(asked) > 1
    for query in asked:
        names = METRIC.findall(query)
        assert names, query
        for name in names:
            assert name in shown.labels, query
        for name, chosen in SELECTED.findall(query):
            labels = {part.split("=")[0].rstrip("!").strip() for part in chosen.split(", ")}
            assert labels <= shown.labels[name] | ADDED, query
        for labels in BY.findall(query):
            for name in names:
                assert {*labels.split(", ")} <= shown.labels[name] | ADDED, query


async def test_the_dashboard_shows_each_metric() -> None:
    """But for those of which another one says the same."""
    rows = {match["name"] for match in ROW.finditer(PAGE)}
    asked = {name for query in queries_of_the_dashboard() for name in METRIC.findall(query)}
    seen = {re.sub(r"^sockjs_|_bucket$", "", name) for name in asked}
    assert rows - seen == {"sessions_opened_total"}


async def test_the_page_has_each_metric(shown: Scrape) -> None:
    """With its type, its labels and its unit."""
    rows = {match["name"]: match for match in ROW.finditer(PAGE)}
    there = {
        name.removeprefix("sockjs_") + ("_total" if family.type == "counter" else ""): family
        for name, family in shown.families.items()
        if name.startswith("sockjs_") and not name.endswith("_created")
    }
    assert rows.keys() == there.keys()
    for name, row in rows.items():
        assert row["type"] == there[name].type
        full = f"sockjs_{name}" + ("_count" if row["type"] == "histogram" else "")
        labels = {*re.findall(r"``(\w+)``", row["labels"] or "")}
        assert labels == shown.labels[full], name
        if name.removesuffix("_total").endswith(("_seconds", "_bytes")):
            assert name.removesuffix("_total").endswith(row["unit"])
        assert row["text"]


def test_a_process_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn says so; what it left of gauges goes, of counters it stays."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for name in ("gauge_livesum_77", "gauge_livesum_78", "counter_77"):
        (tmp_path / f"{name}.db").touch()
    hooks: dict[str, Any] = {}
    exec(BLOCKS["metrics", "gunicorn.conf.py"].code, hooks)
    hooks["child_exit"](None, SimpleNamespace(pid=77))
    assert sorted(os.listdir(tmp_path)) == ["counter_77.db", "gauge_livesum_78.db"]
