"""A program of its own that makes a picture of what somebody has uploaded.

What strangers send is decoded here, and not in the server: it may be slow, take memory, or be made
to break a decoder. It imports nothing but Pillow, so that it begins at once.

    python -I picture_worker.py SOURCE PICTURE THUMBNAIL

It writes the picture and a thumbnail, and one line of JSON to its output: ``{"format": "JPEG",
"width": 4000, "height": 3000}`` where the source is a picture, ``{"format": null}`` where it is
none, or an animated one, and ``{"refused": "..."}`` with a sentence for people.
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from contextlib import suppress

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""What is tried; each is written as what it was, but GIF, which becomes PNG."""
MAX_PIXELS = 50_000_000
"""Pixels of a picture: 200 MB where each takes four bytes."""
THUMBNAIL = 480
"""Pixels of a thumbnail's longer side."""
MAX_MEMORY = 2 * 1024**3
"""Bytes that this program may have."""
MAX_SECONDS = 30
"""Seconds that it may compute."""
NICENESS = 10
"""By how much it gives way to the server."""

_TOO_LARGE = f"A picture has at most {MAX_PIXELS // 1_000_000} million pixels."
_DAMAGED = "That picture is damaged."
_OPTIONS: dict[str, dict[str, int]] = {
    "JPEG": {"quality": 85},
    "PNG": {"compress_level": 6},
    "WEBP": {"quality": 85, "method": 2},
}


def make(source: str, picture: str, thumbnail: str) -> dict[str, object]:
    """Writes a picture and its thumbnail without anything that is not to be seen.

    That is where and with what it was taken (EXIF), comments, and what follows the picture in its
    file. How it was held is applied; colours become sRGB.

    Args:
        source: the path of what was uploaded.
        picture: the path where the picture is written.
        thumbnail: the path where that is written, as WebP.

    Returns:
        What is said of it, see above.
    """
    try:
        with Image.open(source, formats=FORMATS) as opened:
            # Cameras keep a second picture behind the first one, as MPO.
            kind = "JPEG" if opened.format == "MPO" else str(opened.format)
            if kind != "JPEG" and getattr(opened, "is_animated", False):
                return {"format": None}
            if opened.width * opened.height > MAX_PIXELS:
                return {"refused": _TOO_LARGE}
            opened.load()
            shown = _plain(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        return {"format": None}
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        return {"refused": _TOO_LARGE}
    except (OSError, SyntaxError, ValueError, EOFError):
        return {"refused": _DAMAGED}
    kind = "PNG" if kind == "GIF" else kind
    shown.save(picture, kind, **_OPTIONS[kind])
    about = {"format": kind, "width": shown.width, "height": shown.height}
    shown.thumbnail((THUMBNAIL, THUMBNAIL))
    shown.save(thumbnail, "WEBP", quality=80)
    return about


def _plain(image: Image.Image) -> Image.Image:
    """Returns the pixels alone, as grey, RGB or RGBA."""
    profile = image.info.get("icc_profile")
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    if image.mode == "P":
        image = image.convert("RGBA" if transparent else "RGB")
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        # One that is not understood is left out.
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            image = _in_srgb(image, profile)
    wanted = "RGBA" if transparent else "L" if image.mode in ("1", "L") else "RGB"
    if image.mode != wanted:
        image = image.convert(wanted)
    image.info = {}
    return image


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    made = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode=mode)
    return made or image


def _limit() -> None:
    """Takes no more than its share, where the system knows such limits and lets it set them."""
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
        # A picture that breaks it leaves no image of its memory.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(arguments: list[str]) -> None:
    """Runs the program."""
    _limit()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    print(json.dumps(make(*arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
