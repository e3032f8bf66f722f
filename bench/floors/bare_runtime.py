"""The least that can stand before awslambdaric: an Invoke address and a Runtime API without checks, limits or logs.

Run as a script it prints its address, starts WORKERS processes of `python -m awslambdaric floors.plain.handler` and
serves until its input ends.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Bridge:
    """Gives each waiting request to a waiting worker."""

    def __init__(self) -> None:
        self.requests: deque[tuple[Connection, bytes]] = deque()
        self.workers: deque[Connection] = deque()
        self.running: dict[str, Connection] = {}
        self.count = 0

    def match(self) -> None:
        while self.requests and self.workers:
            caller, body = self.requests.popleft()
            self.count += 1
            request_id = f"{self.count:08d}"
            self.running[request_id] = caller
            head = OK % len(body) + (
                b"Content-Type: application/json\r\nLambda-Runtime-Deadline-Ms: 99999999999999\r\n"
                b"Lambda-Runtime-Invoked-Function-Arn: arn\r\nLambda-Runtime-Aws-Request-Id: "
            )
            self.workers.popleft().transport.write(head + request_id.encode() + b"\r\n\r\n" + body)


class Connection(asyncio.Protocol):
    """HTTP as these very clients speak it: a head, a Content-Length, a body."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(rest) < length:
                return
            body, self.buffer = rest[:length], rest[length:]
            self.serve(head.split(b" ", 2)[1].decode(), body)

    def serve(self, path: str, body: bytes) -> None:
        bridge = self.bridge
        if path.endswith("/next"):
            bridge.workers.append(self)
        elif path.endswith("/invocations"):
            bridge.requests.append((self, body))
        else:
            caller = bridge.running.pop(path.split("/")[-2]).transport
            if not caller.is_closing():
                caller.write(OK % len(body) + b"\r\n" + body)
            self.transport.write(ACCEPTED)
            return
        bridge.match()


async def serve(workers: int) -> None:
    bridge = Bridge()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(bridge), "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    environment = {
        **os.environ,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = [sys.executable, "-m", "awslambdaric", "floors.plain.handler"]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(workers)]
    print(f"http://127.0.0.1:{port}", flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    await ended.wait()
    for process in processes:
        process.kill()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
