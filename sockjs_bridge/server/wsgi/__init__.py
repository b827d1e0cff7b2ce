"""The WSGI application behind the server: its environ, its threads, its responses."""
