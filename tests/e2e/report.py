"""The table of the proxies: who was behind what, and how long it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "build" / "e2e" / "proxies.txt"
PROPERTY = "proxy"


def row(way: str, transport: str, times: dict[str, float]) -> tuple[str, str]:
    """Return a property for a test's report, which also comes out of the workers of xdist."""
    seconds = f"{times['connected']:10.2f} s {times['delivered']:10.2f} s"
    return PROPERTY, f"{way:<52} {transport:<15} {seconds}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table and keep it."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not rows:
        return
    head = f"{'way':<52} {'transport':<15} {'connected':>12} {'1st message':>12}"
    terminalreporter.section("behind proxies, from the start of the page's load")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("\n".join([head, *sorted(rows), ""]), encoding="utf-8")
    for line in (head, *sorted(rows)):
        terminalreporter.write_line(line)
