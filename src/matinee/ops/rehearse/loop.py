"""The loop on which the front and the entry listen: one thread, ended with everything that still hangs on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from matinee.ops.rehearse.wire import BrokenExchangeError, Peer

T = TypeVar("T")
Serve = Callable[[Peer], Awaitable[None]]


class Loop:
    """An asyncio loop in a thread of its own. `listen` gives the port; `stop` closes ports and connections."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="rehearsal", daemon=True)
        self._thread.start()

    def listen(self, serve: Serve, port: int = 0) -> int:
        """Serve connections on 127.0.0.1 and return the port; OSError when it is taken."""
        return self.run(self._listen(serve, port))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it on the loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """End everything."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, serve: Serve, port: int) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(Peer(reader, writer))
            except (BrokenExchangeError, ConnectionError, TimeoutError, asyncio.CancelledError):
                pass  # whoever asked is gone, or we are
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)  # what was being accepted has its task now
        mine = asyncio.current_task()
        while tasks := [task for task in asyncio.all_tasks() if task is not mine]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()
