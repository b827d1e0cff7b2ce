"""The client's files as they are served: compressed when they were built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.static import static_view

# By its path: pkg_resources finds no files of a package whose modules pytest has rewritten, as it
# does with those of a plugin.
STATIC = f"{Path(__file__).parent.parent / 'static'}/"
#: What the build makes of each script beside it, and Pyramid sends to who takes it.
ENCODINGS = ("br", "gzip")


def etag_deriver(view: Any, info: Any) -> Any:
    """Gives each encoding of a file of the client an entity tag of its own (RFC 9110, 8.8.3.3).

    By the date alone a client that goes on with a part of a file would take bytes of another
    encoding for the rest.
    """
    files = info.original_view
    if not isinstance(files, static_view) or files.docroot != STATIC:
        return view

    def tagged(context: object, request: Request) -> Response:
        response = view(context, request)
        # What differs between encodings is the length.
        response.etag = f"{response.last_modified.timestamp():.0f}-{response.content_length}"
        return response

    return tagged
