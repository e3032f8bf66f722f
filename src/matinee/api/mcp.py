"""`/mcp`: the Model Context Protocol by the official SDK, which is imported only where `[api] mcp = true`.

Every request stands alone (no sessions), so that any process of the app may answer it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from matinee.api.predictions import Later
from matinee.api.requests import MCP_CALL, MEGABYTE, Call, Gate, Rates
from matinee.api.responses import ApiError, of_error
from matinee.errors import BackendError
from matinee.manifest import Release

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

BODY_BYTES = 8 * MEGABYTE


class McpEndpoint:
    """The ASGI app at `/mcp`. The tools are in `mcp_tools`."""

    def __init__(self, gate: Gate, later: Later, rates: Rates, wait_s: float) -> None:
        self._gate = gate
        self._how = (later, rates, wait_s)
        self._served: tuple[asyncio.AbstractEventLoop, StreamableHTTPSessionManager, asyncio.Task[None]] | None = None
        self._starting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the caller in, then leave the request to the SDK."""
        request = Request(scope, receive)
        try:
            person, client, limits = await self._gate.in_thread(self._gate.admit, request)
            release = await self._gate.in_thread(client.release)
            if not is_on(release):
                raise ApiError(404, "This app has no MCP endpoint.", hint="Set mcp = true under [api] in matinee.toml.")
            manager = await self._manager(release)
        except Exception as error:  # whatever it is, it becomes a problem and not a traceback
            await of_error(error)(scope, receive, send)
            return
        within = {**scope, "root_path": f"{scope.get('root_path', '')}/api"}  # where links in answers lead
        call = Call(Request(within), person, client, limits, {})
        await manager.handle_request({**scope, MCP_CALL: call}, receive, send)

    async def _manager(self, release: Release) -> StreamableHTTPSessionManager:
        """Return the SDK's manager, begun by the first request; it ends with its event loop."""
        loop = asyncio.get_running_loop()
        async with self._starting:
            if self._served is None or self._served[0] is not loop or self._served[2].done():
                manager = await self._gate.in_thread(self._make_manager, release)
                begun = asyncio.Event()
                self._served = (loop, manager, loop.create_task(_run_manager(manager, begun)))
                await begun.wait()
            return self._served[1]

    def _make_manager(self, release: Release) -> StreamableHTTPSessionManager:
        try:
            from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

            from matinee.api import mcp_tools
        except ImportError as error:
            raise BackendError(
                "The MCP endpoint needs the package mcp.", hint="Install it: pip install 'matinee[mcp]'"
            ) from error

        tools = mcp_tools.server(release, self._gate, *self._how)
        return StreamableHTTPSessionManager(tools, json_response=True, stateless=True, max_request_body_size=BODY_BYTES)


async def _run_manager(manager: StreamableHTTPSessionManager, begun: asyncio.Event) -> None:
    async with manager.run():
        begun.set()
        await asyncio.Event().wait()


def is_on(release: Release) -> bool:
    """Whether `[api] mcp = true`."""
    settings: Any = release.details.get("api") or {}
    return bool(settings.get("mcp"))
