"""A WSGI filter, as one writes it for PasteDeploy: it asks for a key and leaves a header."""

from __future__ import annotations


def factory(global_config, **settings):
    """Make the filter (``paste.filter_factory``)."""

    def guard(app):
        def guarded(environ, start_response):
            if "key=right" not in environ["QUERY_STRING"]:
                start_response("403 Forbidden", [("Content-Type", "text/plain")])
                return [b"the key is wrong"]

            def start(status, headers, exc_info=None):
                return start_response(status, [*headers, ("X-Guard", "passed")], exc_info)

            return app(environ, start)

        return guarded

    return guard
