"""Pictures to send."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SECRET = b"the secret place"
"""What no picture has that others get."""


def _written(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(width: int, height: int, mode: str = "RGB", orientation: int = 1) -> bytes:
    """A photograph: red at its top left, blue at its bottom left; and what a camera notes of it."""
    image = Image.new("RGB", (width, height), "white")
    image.paste("red", (0, 0, width // 2, height // 2))
    image.paste("blue", (width // 2, 0, width, height // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = SECRET.decode()
    return _written(image.convert(mode), "JPEG", exif=exif, comment=SECRET, quality=95)


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    """A plain one, with a comment."""
    about = PngInfo()
    about.add_text("Comment", SECRET.decode())
    return _written(Image.new(mode, (width, height)), "PNG", pnginfo=about)


def gif(frames: int) -> bytes:
    """One that moves, if it has several frames."""
    images = [Image.new("L", (20, 20), 255 * (n % 2)) for n in range(frames)]
    return _written(images[0], "GIF", save_all=True, append_images=images[1:], duration=100)
