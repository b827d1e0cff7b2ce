"""Pyramid's decorators of views, which carry no types: a view keeps its own.

They are Pyramid's themselves, so that a scan finds what they decorate, in its line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from pyramid import view

View = TypeVar("View", bound=Callable[..., object])


class Decorator(Protocol):
    """Leaves a view as it is."""

    def __call__(self, view: View, /) -> View:
        """Returns the view."""
        raise NotImplementedError


view_config: Callable[..., Decorator] = view.view_config
exception_view_config: Callable[..., Decorator] = view.exception_view_config
forbidden_view_config: Callable[..., Decorator] = view.forbidden_view_config
notfound_view_config: Callable[..., Decorator] = view.notfound_view_config
