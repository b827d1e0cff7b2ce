"""The folder of files. What is in it is known by the database (`pyramid_chat.files`)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pyramid_chat.settings import CannotStart

DRAFT, THUMBNAIL, SOURCE = ".part", ".thumbnail", ".source"
"""What the names end with of files in the making, of thumbnails, and of what was uploaded."""
_BLOCK = 256 * 1024
_NAME = re.compile(r"([0-9a-f]{32})(?:\.[a-z.]+)?")


class FileStore:
    """A folder with one file for each id, and perhaps a thumbnail.

    Args:
        folder: it is made by `prepare`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Makes the folder, which nobody else may look into.

        Raises:
            pyramid_chat.settings.CannotStart: it cannot be made, or not be written.
        """
        probe = self.folder / f"probe-{os.getpid()}{DRAFT}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe.touch(0o600)
            probe.unlink()
        except OSError as error:
            raise CannotStart(
                f"chat.files_folder = {self.folder} cannot be used: {error}"
            ) from None

    def path(self, file_id: str) -> Path:
        """Returns where a file is."""
        return self.folder / file_id

    def thumbnail(self, file_id: str) -> Path:
        """Returns where its thumbnail is, if it has one."""
        return self.folder / f"{file_id}{THUMBNAIL}"

    def draft(self, path: Path) -> Path:
        """Returns where what is to be at a path is written first."""
        return path.with_name(f"{path.name}{DRAFT}")

    def write(self, file_id: str, content: IO[bytes]) -> Path:
        """Writes what was uploaded, and returns where; `keep` or `remove` come next.

        Raises:
            OSError: there is no room, for example.
        """
        source = self._source(file_id)
        with source.open("xb") as file:
            shutil.copyfileobj(content, file, _BLOCK)
        return source

    def keep_source(self, file_id: str) -> int:
        """Makes the file of what was uploaded, as it is; see `keep`."""
        self._source(file_id).replace(self.draft(self.path(file_id)))
        return self.keep(self.path(file_id))

    def keep_picture(self, file_id: str) -> int:
        """Makes the file, and its thumbnail, of their drafts; see `keep`."""
        size = self.keep(self.path(file_id), self.thumbnail(file_id))
        self._source(file_id).unlink()
        return size

    def keep(self, *paths: Path) -> int:
        """Makes files of drafts; what was kept survives a power cut.

        Returns:
            Bytes that they have.

        Raises:
            OSError: they cannot be written to the end.
        """
        size = 0
        for path in paths:
            draft = self.draft(path)
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
                size += os.fstat(file.fileno()).st_size
            draft.chmod(0o600)
            draft.replace(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return size

    def remove(self, file_id: str) -> None:
        """Removes all that there is of a file.

        Raises:
            OSError: it cannot be removed.
        """
        self._source(file_id).unlink(missing_ok=True)
        for path in (self.path(file_id), self.thumbnail(file_id)):
            for one in (path, self.draft(path)):
                one.unlink(missing_ok=True)

    def _source(self, file_id: str) -> Path:
        return self.folder / f"{file_id}{SOURCE}"

    def ids(self) -> Iterator[tuple[str, float]]:
        """Lists what is in the folder: the id of a file, and when it was written (seconds)."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if match := _NAME.fullmatch(entry.name):
                    yield match[1], entry.stat(follow_symlinks=False).st_mtime
