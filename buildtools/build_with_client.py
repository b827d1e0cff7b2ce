"""The PEP 517 backend: setuptools, with the SockJS browser client fetched before a build.

A wheel, an sdist and an editable install of a checkout all need the client. An sdist contains it,
so a build from an sdist runs no npm.
"""

from __future__ import annotations

from typing import Any

from browser_client import fetch_or_exit
from setuptools import build_meta
from setuptools.build_meta import (
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, Any] | None


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel with the client inside (PEP 517)."""
    fetch_or_exit()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build an editable wheel of a checkout that has the client (PEP 660)."""
    fetch_or_exit()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Build an sdist with the client inside (PEP 517)."""
    fetch_or_exit()
    return build_meta.build_sdist(sdist_directory, config_settings)
