"""The PEP 517 backend: setuptools, with the files for browsers and the description built before.

A wheel, an sdist and an editable install of a checkout all need them. An sdist contains the files
for browsers, so a build from an sdist runs no npm. With ``SOCKJS_BRIDGE_COMPILE=1`` a wheel has
machine code beside the sources (`compiled`).
"""

from __future__ import annotations

import shutil
from typing import Any

import compiled
import long_description
from browser_files import ROOT, build_or_exit
from setuptools import build_meta
from setuptools.build_meta import (
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
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

# Each of setuptools' hooks reads setup.cfg, which names it.
long_description.write()


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Returns what a wheel needs to be built (PEP 517); a compiled one needs the compiler."""
    needed = build_meta.get_requires_for_build_wheel(config_settings)
    return [*needed, compiled.REQUIRED] if compiled.wanted() else needed


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Builds a wheel with the files for browsers inside (PEP 517)."""
    build_or_exit()
    # setuptools would put all into the wheel that an earlier build left here.
    for folder in (ROOT / "build").glob("lib*"):
        shutil.rmtree(folder)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Builds an editable wheel of a checkout that has the files for browsers (PEP 660)."""
    build_or_exit()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Builds an sdist with the files for browsers inside (PEP 517)."""
    build_or_exit()
    return build_meta.build_sdist(sdist_directory, config_settings)
