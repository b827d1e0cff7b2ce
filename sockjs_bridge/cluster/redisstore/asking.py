"""How commands are sent, and what their answers come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from sockjs_bridge.cluster.redisstore.keys import decode
from sockjs_bridge.cluster.redisstore.lifecycle import Lifecycle
from sockjs_bridge.cluster.redisstore.scripts import Script, command
from sockjs_bridge.cluster.store import Done, StoreError

#: Keys that one command names.
AT_ONCE = 500


class Asking(Lifecycle):
    """What the methods of `RedisStore` are written with."""

    def _ask(self, done: Done[Any], convert: Callable[[Any], Any], *wanted: Any) -> None:
        """Has a command sent, and its answer converted."""
        self._commands.call(wanted, partial(converted, done, convert))

    def _run_script(
        self,
        done: Done[Any],
        convert: Callable[[Any], Any],
        script: Script,
        keys: Iterable[bytes],
        *arguments: Any,
    ) -> None:
        self._ask(done, convert, *command(script, keys, *arguments))

    def _run_for_each(
        self,
        done: Done[Any],
        convert: Callable[[list[Any]], Any],
        script: Script,
        keys: Iterable[bytes],
        each: Sequence[int] = (),
        *arguments: Any,
    ) -> None:
        """Has a script run for many keys, so many at once; its answers become one.

        Args:
            done: hears of it.
            convert: makes a result of all answers.
            script: what runs.
            keys: of all.
            each: an argument for each key; empty where there are none.
            arguments: for all.
        """
        every = [*keys]
        slices = [slice(at, at + AT_ONCE) for at in range(0, max(1, len(every)), AT_ONCE)]
        found: list[Any] = []

        def gather(answer: Any) -> None:
            found.append(answer)
            if len(found) == len(slices):
                error = next((part for part in found if isinstance(part, StoreError)), None)
                converted(done, convert, error or found)

        for part in slices:
            self._commands.call(command(script, every[part], *each[part], *arguments), gather)


def milliseconds(seconds: float) -> int:
    """Returns how Redis is told how long something lives: at least for one."""
    return max(1, round(seconds * 1000))


def converted(done: Done[Any], convert: Callable[[Any], Any], answer: Any) -> None:
    """Tells what an answer comes to."""
    if not isinstance(answer, StoreError):
        try:
            answer = convert(answer)
        except (ValueError, TypeError, IndexError) as error:
            answer = StoreError(f"the cluster's keys hold what is not ours: {error}")
    done(answer)


def nothing(answer: Any) -> None:
    """Converts an answer that says nothing."""


def optional_text(answer: bytes | None) -> str | None:
    """Converts a text, which may not be there."""
    return None if answer is None else decode(answer)


def mapping(answer: list[bytes | None]) -> dict[str, str]:
    """Converts keys and values in turns; without those that have no value."""
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return {decode(key or b""): decode(value) for key, value in pairs if value is not None}
