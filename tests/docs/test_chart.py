"""The chart of the performance page shows the figures that the page prints."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

from tests.docs.blocks import DOCS, collect

(PRINTED,) = [block.code for block in collect() if block.key == ("performance", "make bench")]


@pytest.fixture(scope="module")
def chart() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart", DOCS / "chart.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_bar_is_as_long_as_its_figure(chart: ModuleType) -> None:
    """Within a load, the lengths have the ratios of the microseconds."""
    bars = [int(width) for width in re.findall(r'<rect .*?width="(\d+)"', chart.svg(PRINTED))]
    figures = chart.figures(PRINTED)
    assert figures["ws-echo c100"]["ours"] == 36.77
    assert len(bars) == len(chart.LOADS) * len(chart.SERVERS)
    for number, load in enumerate(chart.LOADS):
        values = [figures[load][server] for server in chart.SERVERS]
        widths = bars[number * len(values) :][: len(values)]
        for value, width in zip(values, widths, strict=True):
            assert width == pytest.approx(chart.BARS * value / max(values), abs=1)


def test_what_is_not_measured_is_not_drawn(chart: ModuleType) -> None:
    for missing in ("xhr-echo c100", "tornado"):
        with pytest.raises(ValueError, match=missing):
            chart.figures(PRINTED.replace(missing, "something"))
