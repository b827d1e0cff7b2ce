"""Where bytes move: SockJS endpoints and a WSGI application, both served by aiohttp."""
