"""The program that looks at pictures, and what becomes of one that breaks it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from pyramid_chat import picture_worker, pictures
from pyramid_chat.pictures import AT_ONCE, NoPicture, Picture, Pictures, PoolFull
from tests.pyramid_chat.conftest import PATIENCE
from tests.pyramid_chat.pictures import jpeg, png

# It starts programs.
pytestmark = pytest.mark.server


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


def read(pool: Pictures, source: Path, user: int = 1) -> Picture | None:
    return pool.read(user, source, source.with_name("picture"), source.with_name("small"))


def test_colours_become_those_that_browsers_take_for_granted(source: Path) -> None:
    """A profile is applied, and no part of the file any more."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (30, 20), (200, 30, 30)).save(source, "PNG", icc_profile=lab)
    assert read(Pictures(), source) == Picture("PNG", 30, 20)
    with Image.open(source.with_name("picture")) as made:
        assert "icc_profile" not in made.info
        assert made.getpixel((5, 5)) == (200, 30, 30)
    # One that is none is left out.
    Image.new("RGB", (30, 20), "red").save(source, "JPEG", icc_profile=b"nonsense")
    assert read(Pictures(), source) == Picture("JPEG", 30, 20)


def test_what_is_transparent_stays_so(source: Path) -> None:
    image = Image.new("P", (30, 20))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(source, "PNG", transparency=0)
    assert read(Pictures(), source) == Picture("PNG", 30, 20)
    for name in ("picture", "small"):
        with Image.open(source.with_name(name)) as made:
            assert made.mode == "RGBA" and made.getpixel((5, 5))[3] == 0


def test_a_camera_keeps_a_second_picture_behind_the_first(source: Path) -> None:
    first, second = (Image.new("RGB", (60, 40), colour) for colour in ("red", "blue"))
    first.save(source, "MPO", save_all=True, append_images=[second])
    assert read(Pictures(), source) == Picture("JPEG", 60, 40)
    with Image.open(source.with_name("picture")) as made:
        assert made.format == "JPEG" and made.getpixel((5, 5))[0] > 200


def test_a_worker_that_takes_too_long_is_given_up(source: Path) -> None:
    source.write_bytes(jpeg(3000, 2000))
    pool = Pictures(patience=0.001)
    with pytest.raises(NoPicture, match="too long"):
        read(pool, source)
    assert not pool._waiting


def test_a_worker_that_breaks_breaks_nothing_else(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a decoder has a fault: the process is gone, by a signal."""
    worker = tmp_path / "worker.py"
    worker.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    source.write_bytes(png(30, 20))
    pool = Pictures()
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "_WORKER", worker)
        with pytest.raises(NoPicture, match="cannot be looked at"):
            read(pool, source)
    assert "ended its worker (-11)" in caplog.text
    assert read(pool, source) == Picture("PNG", 30, 20)


def test_only_so_many_are_looked_at_at_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait in a short queue, and of one person no more than two."""
    folder = tmp_path / "running"
    folder.mkdir()
    worker = tmp_path / "worker.py"
    # Each says that it runs, and waits until it may end.
    worker.write_text(
        "import os, pathlib, time\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "(folder / str(os.getpid())).touch()\n"
        "while not (folder.parent / 'end').exists(): time.sleep(0.01)\n"
        "print('{\"format\": null}')\n"
    )
    monkeypatch.setattr(pictures, "_WORKER", worker)
    pool = Pictures()
    found: list[Picture | None] = []
    threads = [
        threading.Thread(target=lambda user=user: found.append(read(pool, source, user)))
        for user in range(4)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    while len(list(folder.iterdir())) < AT_ONCE or pool._waiting.total() < len(threads):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(list(folder.iterdir())) == AT_ONCE
    with pool._place(0), pytest.raises(PoolFull):
        read(pool, source, 0)
    (tmp_path / "end").touch()
    for thread in threads:
        thread.join()
    assert found == [None] * len(threads)
    assert not pool._waiting


def test_its_limits_are_those_that_are_said() -> None:
    assert picture_worker.MAX_PIXELS == 50_000_000
    assert picture_worker.THUMBNAIL == 480
    assert set(picture_worker.FORMATS) - {"GIF"} == set(pictures.FORMATS)
