"""What setup.cfg cannot say: the modules that a compiled build makes machine code of."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).parent / "buildtools"))

from compiled import extensions

setup(ext_modules=extensions())
