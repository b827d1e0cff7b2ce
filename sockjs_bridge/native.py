"""What mypyc is told beside the code, and whether machine code runs. It is not compiled itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:
    T = TypeVar("T")

    # Nothing needs its package when the program runs.
    def mypyc_attr(**told: object) -> Callable[[T], T]:
        """Leaves a class as it is: what is told is read by the compiler."""
        return lambda kind: kind


__all__ = ("COMPILED", "mypyc_attr")

#: The library with all machine code is there; `buildtools/compiled.py` names it.
COMPILED: Final = find_spec("sockjs_bridge._compiled__mypyc") is not None
