"""How files come and go by HTTP: upload, download, thumbnail."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import BinaryIO

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import FileIter, Response
from webob.byterange import ContentRange

from pyramid_chat import files
from pyramid_chat.database import RETRY_AFTER, Database
from pyramid_chat.decorators import exception_view_config, view_config
from pyramid_chat.errors import OCTETS, Problem, problem, rate_limited
from pyramid_chat.file_names import content_disposition
from pyramid_chat.live import live_of
from pyramid_chat.messages import MAX_ID, JSONObject
from pyramid_chat.models import File
from pyramid_chat.pictures import NoPicture, PoolFull
from pyramid_chat.rooms import RoomContext
from pyramid_chat.security import Nowhere, find_room
from pyramid_chat.uploads import NotAllowed, Uploads

logger = logging.getLogger("pyramid_chat")

UPLOAD = "room_files"
"""The route to which files are uploaded."""
FILE = "[0-9a-f]{32}"
"""What the id of a file looks like."""
POLICY = "default-src 'none'; sandbox"
"""What a file may do that a browser shows as a page: nothing."""
FULL = "There is no room for files at the moment. Ask who looks after this chat."


def uploads_of(request: Request) -> Uploads:
    """Returns what takes and keeps files."""
    uploads: Uploads = request.registry.chat_uploads
    return uploads


def room_factory(request: Request) -> RoomContext | Nowhere:
    """Finds the room of a route, in a transaction that is over: uploads take their time.

    Raises:
        pyramid.httpexceptions.HTTPNotFound: there is none, or it may not be seen.
    """
    database: Database = request.registry.chat_database
    with database.session() as session:
        return find_room(request, session)


@view_config(route_name=UPLOAD, request_method="POST", renderer="json", permission="post")
def upload(context: RoomContext, request: Request) -> JSONObject:
    """Takes a file: the body is its content, ``name`` of the query its name."""
    uploads = uploads_of(request)
    if wait := uploads.sent.take(request.identity.id):
        raise rate_limited(wait)
    size = request.content_length or 0
    if not size:
        raise Problem(400, "That file is empty.", "file")
    name = request.GET.get("name", "")
    try:
        told = uploads.take(context.id, request.identity.id, name, request.body_file, size)
    except files.NoRoom as full:
        if full.mine:
            text = "You have sent as much as you may. Delete messages with files that nobody needs."
            raise Problem(409, text, "file") from None
        logger.error("there is no room for files: chat.max_files_total is reached")
        raise Problem(503, FULL, "file", RETRY_AFTER) from None
    except OSError as error:
        logger.error("a file cannot be kept: %s", error)
        raise Problem(503, FULL, "file", RETRY_AFTER) from None
    request.response.status_int = 201
    return told


@view_config(
    route_name="room_file_discard", request_method="POST", renderer="json", permission="post"
)
def discard(context: RoomContext, request: Request) -> JSONObject:
    """Gives an upload up that was not sent."""
    if wait := live_of(request.registry).requests.take(request.identity.id):
        raise rate_limited(wait)
    database: Database = request.registry.chat_database
    file_id = request.matchdict["file"]
    with database.writing() as session, session.begin():
        return {"discarded": files.discard(session, file_id, request.identity.id)}


@view_config(route_name="room_file", request_method="GET", permission="view")
def download(context: RoomContext, request: Request) -> Response:
    """Gives somebody a file."""
    file = _found(context, request)
    kind = "inline" if file.media_type else "attachment"
    response = _served(request, uploads_of(request).store.path(file.id), file.media_type or OCTETS)
    response.headers["Content-Disposition"] = content_disposition(kind, file.name)
    return response


@view_config(route_name="room_thumbnail", request_method="GET", permission="view")
def thumbnail(context: RoomContext, request: Request) -> Response:
    """Gives somebody a picture in small."""
    file = _found(context, request)
    if not file.media_type:
        raise HTTPNotFound
    return _served(request, uploads_of(request).store.thumbnail(file.id), "image/webp")


def _found(context: RoomContext, request: Request) -> File:
    if wait := uploads_of(request).seen.take(request.identity.id):
        raise rate_limited(wait)
    database: Database = request.registry.chat_database
    with database.session() as session:
        file = files.find(session, context.id, request.matchdict["file"], request.identity.id)
    if file is None:
        raise HTTPNotFound
    return file


class Part(io.RawIOBase):
    """A part of a file, which the server sends without holding a thread: it is one of the disk's.

    Args:
        file: is closed with it.
        start: the first byte.
        stop: the first one behind it.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file = file
        self._start = start
        self._stop = stop
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes."""
        left = self._stop - self._file.tell()
        return self._file.read(left if size < 0 else min(size, left))

    def tell(self) -> int:
        """Returns how much was read."""
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes elsewhere in it."""
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._stop}
        return self._file.seek(base[whence] + offset) - self._start

    def fileno(self) -> int:
        """Returns the file's descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _served(request: Request, path: Path, media_type: str) -> Response:
    """Makes the response with a file, or with a part of it (RFC 9110, 13 and 14)."""
    try:
        size = path.stat().st_size
        response = Response(content_type=media_type, charset=None)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Accept-Ranges"] = "bytes"
        # Each time it is asked whether somebody may still see it; the content of an id is the same.
        response.headers["Cache-Control"] = "private, no-cache"
        response.etag = path.name
        if response.etag in request.if_none_match:
            response.status_int = 304
            return response
        part: ContentRange | None = None
        if request.range is not None and response in request.if_range:
            part = request.range.content_range(size)
            if part is None:
                response.status_int = 416
                response.content_range = (None, None, size)
                return response
            response.status_int = 206
            response.content_range = part
        start, stop = (part.start, part.stop) if part is not None else (0, size)
        content = Part(path.open("rb"), start, stop)
    except OSError as error:
        logger.error("a file cannot be read: %s", error)
        raise HTTPNotFound from None
    wrapper = request.environ.get("wsgi.file_wrapper", FileIter)
    response.app_iter = wrapper(content)
    response.content_length = stop - start
    return response


@exception_view_config(context=NoPicture)
@exception_view_config(context=NotAllowed)
def not_taken(error: NoPicture | NotAllowed, request: Request) -> Response:
    """Says why a file cannot be sent."""
    return problem(Problem(415, str(error), "file"), request)


@exception_view_config(context=PoolFull)
def too_many(request: Request) -> Response:
    """Says that others come first."""
    text = "Too many files are uploaded at the moment. Please try again soon."
    return problem(Problem(503, text, "file", RETRY_AFTER), request)


def includeme(config: Configurator) -> None:
    """Adds the routes, and makes the folder.

    Raises:
        pyramid_chat.settings.CannotStart: it cannot be used.
    """
    uploads: Uploads = config.registry.chat_uploads
    uploads.store.prepare()
    number = f"[0-9]{{1,{len(str(MAX_ID))}}}"
    room = f"/rooms/{{room:{number}}}/files"
    # Where all else is a form.
    config.add_body_limit(f"/rooms/{number}/files", config.registry.chat_settings.max_file_size)
    for name, path in (
        (UPLOAD, room),
        ("room_file", f"{room}/{{file:{FILE}}}"),
        ("room_thumbnail", f"{room}/{{file:{FILE}}}/thumbnail"),
        ("room_file_discard", f"{room}/{{file:{FILE}}}/discard"),
    ):
        config.add_route(name, path, factory="pyramid_chat.file_views.room_factory")
