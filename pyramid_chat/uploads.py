"""What people upload, in one process: it is taken, looked at, kept, and removed again."""

from __future__ import annotations

import logging
import threading
import time
from typing import IO

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pyramid_chat import files
from pyramid_chat.database import Database
from pyramid_chat.file_names import cleaned_name, ending, with_ending
from pyramid_chat.file_store import FileStore
from pyramid_chat.limits import Buckets, Limits
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import File
from pyramid_chat.pictures import FORMATS, PICTURE_ENDINGS, Picture, Pictures
from pyramid_chat.settings import Settings

logger = logging.getLogger("pyramid_chat")


class NotAllowed(Exception):
    """A file of that type cannot be sent here; the text says so, for people."""


class Uploads:
    """Takes files, and removes those that have to go.

    Args:
        database: where it is noted which files there are.
        settings: of the chat, with a folder.
        limits: makes its limits.

    Attributes:
        store: the folder.
        sent: how many files somebody may upload.
        seen: how many somebody may look at, in this process.
    """

    #: Uploads a minute, and at once.
    SENT = (30, 30)
    #: Files that are looked at a minute, and at once: a room may show 50 messages full of pictures.
    SEEN = (3000, 1000)
    #: Seconds between two looks for files that have to go.
    SWEEP_EVERY = 60.0

    def __init__(self, database: Database, settings: Settings, limits: Limits) -> None:
        assert settings.files_folder is not None
        self._database = database
        self._settings = settings
        self._pictures = Pictures()
        self._sweep_lock = threading.Lock()
        self._swept: float | None = None
        self.store = FileStore(settings.files_folder)
        self.sent = limits.make("uploads", *self.SENT)
        self.seen = Buckets(*self.SEEN)

    def take(
        self, room_id: int, owner_id: int, name: str, content: IO[bytes], size: int
    ) -> JSONObject:
        """Takes a file. No transaction is open while it is written and looked at.

        Args:
            room_id: where it is to be shown.
            owner_id: who uploads it.
            name: as the client has it.
            content: the file.
            size: of that, in bytes.

        Returns:
            What its client is told of it.

        Raises:
            pyramid_chat.files.NoRoom: there are files enough.
            NotAllowed: of that type there are none here.
            pyramid_chat.pictures.NoPicture: it cannot be taken as the picture that it is.
            pyramid_chat.pictures.PoolFull: too many are uploaded at the moment.
            OSError: it cannot be written: the disk is full, for example.
        """
        name = cleaned_name(name)
        most = (self._settings.max_files_per_person, self._settings.max_files_total)
        with self._database.writing() as session, session.begin():
            file_id = files.reserve(session, room_id, owner_id, name, size, most)
        try:
            source = self.store.write(file_id, content)
            path, thumbnail = self.store.path(file_id), self.store.thumbnail(file_id)
            drafts = (self.store.draft(path), self.store.draft(thumbnail))
            picture = self._pictures.read(owner_id, source, *drafts)
            name = self._allowed(name, picture)
            keep = self.store.keep_picture if picture is not None else self.store.keep_source
            kept = keep(file_id)
            with self._database.writing() as session, session.begin():
                return files.told(self._completed(session, file_id, name, kept, picture))
        except BaseException:
            self._give_up(file_id)
            raise

    def _allowed(self, name: str, picture: Picture | None) -> str:
        """Returns the name under which a file is kept, if it may be sent."""
        types = self._settings.file_types
        if picture is not None:
            endings = FORMATS[picture.format][1]
            if not types or types.intersection(endings):
                return with_ending(name, endings)
        elif not types or ending(name) in types:
            # An animated picture is kept as a file.
            if not types or ending(name) not in PICTURE_ENDINGS - {"gif"}:
                return name
            raise NotAllowed("That is no picture, whatever its name says.")
        raise NotAllowed(f"Files that can be sent here: {', '.join(sorted(types))}.")

    def _completed(
        self, session: Session, file_id: str, name: str, size: int, picture: Picture | None
    ) -> File:
        values = {"name": name, "size": size, "complete": True}
        if picture is not None:
            media_type = FORMATS[picture.format][0]
            values |= {"media_type": media_type, "width": picture.width, "height": picture.height}
        completed = update(File).where(File.id == file_id, File.removed.is_(False)).values(**values)
        file: File | None = session.scalar(completed.returning(File))
        if file is None:
            raise NotAllowed("The room was removed meanwhile.")
        return file

    def _give_up(self, file_id: str) -> None:
        """Leaves nothing behind; what cannot be removed now, is when it is an hour old."""
        try:
            self.store.remove(file_id)
            with self._database.writing() as session, session.begin():
                files.forget(session, [file_id])
        except Exception as error:
            logger.warning("an upload that failed is removed later: %s", error)

    def sweep(self) -> None:
        """Removes some of the files that have to go, in one thread at a time.

        When all are gone, it does nothing for `SWEEP_EVERY`.
        """
        now = time.monotonic()
        if self._swept is not None and now - self._swept < self.SWEEP_EVERY:
            return
        if self._sweep_lock.acquire(blocking=False):
            try:
                # Some at a time: who calls this has other things to do.
                if not self.remove_due():
                    self._swept = now
            finally:
                self._sweep_lock.release()

    def remove_due(self) -> int:
        """Removes some of the files that have to go.

        Returns:
            How many are gone; 0: there are none, or they cannot be removed at the moment.
        """
        with self._database.session() as session:
            due = files.due(session)
        if not due:
            return 0
        with self._database.writing() as session, session.begin():
            claimed = files.claim(session, due)
        gone = [file_id for file_id in claimed if self._removed(file_id)]
        with self._database.writing() as session, session.begin():
            files.forget(session, gone)
        return len(gone)

    def _removed(self, file_id: str) -> bool:
        try:
            self.store.remove(file_id)
        except OSError as error:
            logger.error("a file cannot be removed: %s", error)
            return False
        return True

    def missing(self) -> list[tuple[str, str]]:
        """Lists ids and names of files that should be in the folder, and are not."""
        with self._database.session() as session:
            kept = select(File.id, File.name).where(File.complete, File.removed.is_(False))
            known = [(row.id, row.name) for row in session.execute(kept.order_by(File.created))]
        return [one for one in known if not self.store.path(one[0]).is_file()]

    def orphans(self, age: float) -> list[str]:
        """Lists the ids of what is in the folder, and not in the database.

        Args:
            age: seconds for which it has been there, at the least.
        """
        before = time.time() - age
        old = {file_id for file_id, written in self.store.ids() if written < before}
        with self._database.session() as session:
            return sorted(old.difference(session.scalars(select(File.id))))
