"""One HTTP exchange that does nothing: by the service's own protocol, or by uvicorn with a bare ASGI app."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading

import uvicorn
import uvloop

from matinee.backends.local.lambda_service.http import JSON_TYPE, Connection, Request

ANSWER = b'{"label": "what shall i do?", "score": 0.15}'


def own(request: Request) -> None:
    request.respond(200, ANSWER, JSON_TYPE)


async def app(_scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def serve(listening: socket.socket, way: str) -> None:
    if way == "uvicorn":
        settings = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", log_level="critical")
        await uvicorn.Server(settings).serve([listening])
    else:
        server = await asyncio.get_running_loop().create_server(lambda: Connection(own), sock=listening)
        await server.serve_forever()


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvloop.run(serve(listening, sys.argv[1]))
