"""One application per part of Pyramid that a connection passes, page and connection alike.

Where a view is reached it answers every message with what it knows; what is refused is refused
before it. Most believe whoever says in ``X-User`` who he is: how people sign in is not the theme.
"""
