"""aio-libs sockjs on aiohttp and uvloop, with ``/echo`` and ``/broadcast``.

python aio_sockjs.py PORT
"""

import asyncio
import sys

import sockjs
import uvloop
from aiohttp import web


async def echo(manager, session, message):
    if message.type == sockjs.MsgType.MESSAGE:
        session.send(message.data)


async def broadcast(manager, session, message):
    if message.type == sockjs.MsgType.MESSAGE:
        manager.broadcast(message.data)


async def main(port):
    app = web.Application()
    sockjs.add_endpoint(app, echo, name="echo", prefix="/echo")
    sockjs.add_endpoint(app, broadcast, name="broadcast", prefix="/broadcast")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


uvloop.run(main(int(sys.argv[1])))
