"""The page that shows which process serves what: in a demo of several processes."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass

from pyramid.request import Request

from pyramid_chat.decorators import view_config
from pyramid_chat.messages import JSONObject
from pyramid_chat.presence import ONLINE
from pyramid_chat.views import read_only
from sockjs_bridge import PresenceUnknown, SockJS

EVERY = 2
"""Seconds after which the page loads itself again."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A process, as the page shows it.

    Attributes:
        name: of the process.
        sessions: how many connections it has.
        state: in a word or two.
        people: who is connected to it, with how many connections.
    """

    name: str
    sessions: int
    state: str
    people: str


@view_config(
    route_name="processes",
    request_method="GET",
    renderer="pyramid_chat:templates/processes.pt",
    permission="view",
)
def processes(request: Request) -> JSONObject:
    """Shows the processes."""
    sockjs: SockJS = request.sockjs
    people: dict[str, list[str]] = defaultdict(list)
    try:
        for who in sockjs.presence(ONLINE):
            people[who.id.partition("/")[0]].append(str(who.info.get("name", "")))
        known = True
    except PresenceUnknown:
        known = False
    shown = [
        Shown(
            process.name,
            process.sessions,
            "leaves" if process.leaving else "serves",
            ", ".join(sorted(people[process.name])) if known else "not known at present",
        )
        for process in sockjs.processes()
    ]
    values = read_only(request, shown=sorted(shown, key=_name), name=shown[0].name, pid=os.getpid())
    request.response.headers["Refresh"] = str(EVERY)
    return values


def _name(shown: Shown) -> str:
    return shown.name
