"""Reads what a server shows to Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.support import PATIENCE, get


class Scrape:
    """What was shown at one moment.

    Args:
        text: in Prometheus' format.
    """

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {
            family.name: family for family in text_string_to_metric_families(text)
        }
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in self.families.values()
            for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name that have some labels; 0 where there are none."""
        return sum(
            value
            for found, its, value in self._samples
            if found == f"sockjs_{name}" and labels.items() <= its.items()
        )

    @property
    def labels(self) -> dict[str, set[str]]:
        """The labels that samples have, by their names."""
        found: dict[str, set[str]] = {}
        for name, labels, _ in self._samples:
            found.setdefault(name, set()).update(labels)
        return found


async def scrape(url: str) -> Scrape:
    """Read the metrics of a server."""
    status, _, text = await get(f"{url}/metrics")
    assert status == 200, text
    return Scrape(text)


async def scrape_until(url: str, condition: Callable[[Scrape], object]) -> Scrape:
    """Read the metrics again and again, until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition(found := await scrape(url)):
            await asyncio.sleep(0.05)
    return found
