"""The chart of the performance page, drawn from the tables that the page itself prints."""

from __future__ import annotations

import re
from html import escape

#: What is compared, and what it is called.
LOADS = {
    "ws-echo c100": "An echo over WebSocket, 100 clients",
    "ws-echo c100 k16": "The same, 16 messages under way for each",
    "ws-fanout n1000 k16": "A message to 1000 WebSockets, 16 under way",
    "xhr-echo c100": "An echo over long-polling, 100 clients",
    "open c32": "Opening a session",
}
SERVERS = {
    "ours": "sockjs_bridge",
    "sockjs-node": "sockjs-node",
    "aio-libs": "aio-libs sockjs",
    "tornado": "sockjs-tornado",
}

WIDTH = 380
NAMES = 108
"""The width of the column of names."""
BARS = 190
"""The width of the longest bar."""
ROW = 18
"""The height of a bar with its distance to the next."""


def figures(text: str) -> dict[str, dict[str, float]]:
    """Return the microseconds of CPU time for a message, by load and server.

    Args:
        text: what ``make bench`` printed.

    Raises:
        ValueError: a load or a server of the chart is not there.
    """
    found: dict[str, dict[str, float]] = {}
    for load in LOADS:
        table = re.search(rf"^ *{load}\n(?:.+\n)+", text, re.MULTILINE)
        rows = [line.split() for line in table[0].splitlines()[2:]] if table else []
        # Server, rate, two latencies, use of the core, and this.
        found[load] = {row[0]: float(row[5]) for row in rows}
        if missing := SERVERS.keys() - found[load].keys():
            raise ValueError(f"no figures of {load} for {', '.join(sorted(missing))}")
    return found


def _shown(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.2g}"


def svg(text: str) -> str:
    """Return the chart as an element of HTML."""
    parts, y = [], 0
    for load, values in figures(text).items():
        y += 24
        parts.append(f'<text x="0" y="{y}" font-weight="bold">{escape(LOADS[load])}</text>')
        longest = max(values[server] for server in SERVERS)
        for server, name in SERVERS.items():
            y += ROW
            width = max(1, round(BARS * values[server] / longest))
            kind = "ours" if server == "ours" else "other"
            parts += [
                f'<text x="{NAMES - 8}" y="{y}" text-anchor="end">{name}</text>',
                f'<rect class="{kind}" x="{NAMES}" y="{y - 11}" width="{width}" height="13"/>',
                f'<text x="{NAMES + width + 6}" y="{y}">{_shown(values[server])} µs</text>',
            ]
        y += 10
    return (
        f'<figure class="picture"><svg viewBox="0 0 {WIDTH} {y}" role="img" font-family="inherit"'
        ' font-size="12" fill="currentColor"><title>CPU time for a message: shorter is better'
        f"</title>{''.join(parts)}</svg>"
        "<figcaption>CPU time for a message, or for an opening: shorter is better. Each group has a"
        " scale of its own.</figcaption></figure>"
    )
