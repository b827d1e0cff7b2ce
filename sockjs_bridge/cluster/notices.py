"""What processes tell each other over the store: short notices, each of a kind.

A notice is a JSON object on the wire. Kinds that a process does not know are passed over: others
may run a newer version.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from sockjs_bridge.cluster.store import Done, Store, StoreError

logger = logging.getLogger("sockjs_bridge.cluster")

#: Hears a notice: its fields, and the process that it comes from.
Hear = Callable[[dict[str, Any], str], object]


class Notices:
    """Sends notices, and hands on those that come.

    Args:
        store: what they go over.
        node: the name of this process.
    """

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._node = node
        self._hear: dict[str, Hear] = {}

    def on(self, kind: str, hear: Hear) -> None:
        """Has notices of a kind heard, on the loop; also those of this process."""
        self._hear[kind] = hear

    def tell(
        self,
        node: str | None,
        kind: str,
        done: Done[int] | None = None,
        **fields: Any,
    ) -> None:
        """Sends a notice; to be called on the loop.

        Args:
            node: who gets it; None for all processes, this one too.
            kind: what it is about.
            done: hears how many processes get it; by default a failure is logged.
            **fields: of the notice, such as JSON has.
        """
        text = json.dumps({**fields, "kind": kind, "from": self._node}, separators=(",", ":"))

        def told(result: int | StoreError) -> None:
            if isinstance(result, StoreError):
                logger.warning("a notice %r did not get through: %s", kind, result)

        self._store.tell(node, text, told if done is None else done)

    def heard(self, text: str) -> None:
        """Hands a notice on (`Listener.told`)."""
        try:
            fields = json.loads(text)
            kind, sender = fields.pop("kind"), str(fields.pop("from"))
            hear = self._hear.get(kind)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            logger.warning("what another process said is no notice: %.100r", text)
            return
        if hear is None:
            return
        try:
            hear(fields, sender)
        except (KeyError, TypeError, ValueError):
            logger.exception("a notice %r of %s cannot be", kind, sender)
