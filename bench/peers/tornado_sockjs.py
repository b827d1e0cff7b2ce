"""sockjs-tornado, with ``/echo`` and ``/broadcast``; nothing logged.

python tornado_sockjs.py PORT
"""

import asyncio
import logging
import sys
from typing import ClassVar

from sockjs.tornado import SockJSConnection, SockJSRouter
from tornado.web import Application


class Echo(SockJSConnection):
    def on_message(self, message):
        self.send(message)


class Broadcast(SockJSConnection):
    everybody: ClassVar = set()

    def on_open(self, info):
        self.everybody.add(self)

    def on_message(self, message):
        self.broadcast(self.everybody, message)

    def on_close(self):
        self.everybody.discard(self)


async def main(port):
    logging.disable(logging.CRITICAL)
    urls = SockJSRouter(Echo, "/echo").urls + SockJSRouter(Broadcast, "/broadcast").urls
    Application(urls, log_function=lambda handler: None).listen(port, "127.0.0.1", backlog=1024)
    await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1])))
