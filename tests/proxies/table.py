"""The table of `make proxies`: each client in each browser through each way.

``python -m tests.proxies.table --ways 'cut after' --clients stock --browsers chromium``
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.proxies.programs import find_program
from tests.proxies.trial import CLIENTS, Browser, Patience, Result, available, place, run
from tests.proxies.ways import WAYS

FILE = Path(__file__).parents[2] / "build" / "proxies" / "table.txt"
LOADING = 40.0
"""Seconds that a page may take to load."""

COLUMNS = (
    *("way", "transport", "connected", "1st echo", "lost", "doubled", "reordered"),
    *("silence", "all back", "connections", "end"),
)
WIDTHS = (46, 14, 10, 9, 5, 8, 10, 8, 9, 12, 0)
STOCK = Patience(quiet=8.0, all=60.0)


def chromium(folder: Path) -> Browser:
    """Starts Chromium."""
    from tests.e2e.chromium import Chromium

    return Chromium(folder, LOADING)


def firefox(folder: Path) -> Browser:
    """Starts Firefox."""
    from tests.e2e.firefox import Firefox

    return Firefox(find_program("firefox-esr"), folder, LOADING)


BROWSERS: dict[str, Callable[[Path], Browser]] = {"chromium": chromium, "firefox": firefox}


def line(cells: Sequence[str]) -> str:
    """Returns one line of the table."""
    return "".join(
        cell.ljust(width) if index < 2 else cell.rjust(width) if width else f"  {cell}"
        for index, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ).rstrip()


def row(way: str, result: Result) -> str:
    """Returns the line of a trial."""
    return line(
        [
            way,
            result.transport or "–",
            *(seconds(result.connected), seconds(result.first)),
            *map(str, (result.lost, result.doubled, result.reordered)),
            seconds(result.longest if result.first is not None else None),
            seconds(result.finished),
            str(result.opened),
            result.ended,
        ]
    )


def seconds(value: float | None) -> str:
    """Returns a time as the table has it."""
    return "–" if value is None else f"{value:.2f} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table, and keeps it."""
    options = parser().parse_args(arguments)
    ways = [name for name in WAYS if any(part in name for part in options.ways.split("|"))]
    options.file.parent.mkdir(parents=True, exist_ok=True)
    with place() as where, options.file.open("w", encoding="utf-8") as file:

        def tell(text: str) -> None:
            for output in (None, file):
                print(text, file=output, flush=True)

        for name in options.browsers.split(","):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                browser = BROWSERS[name](Path(folder))
                try:
                    for client in options.clients.split(","):
                        tell(f"\n{client} in {name}\n{line(COLUMNS)}")
                        for way in ways:
                            with tempfile.TemporaryDirectory() as files:
                                patience = STOCK if client == "stock" else None
                                result = run(
                                    *(browser, where, WAYS[way], client, Path(files)),
                                    patience=patience,
                                )
                            tell(row(way, result))
                finally:
                    browser.quit()


def parser() -> argparse.ArgumentParser:
    """Returns what reads the command line."""
    found = argparse.ArgumentParser(prog="python -m tests.proxies.table", description=__doc__)
    found.add_argument("--ways", default="", help="parts of their names, with | between them")
    found.add_argument("--clients", default=",".join(available()), help=", ".join(CLIENTS))
    found.add_argument("--browsers", default=",".join(BROWSERS), help=", ".join(BROWSERS))
    found.add_argument("--file", type=Path, default=FILE, help="where the table is kept")
    return found


if __name__ == "__main__":
    main()
