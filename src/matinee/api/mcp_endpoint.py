"""placeholder"""

from __future__ import annotations


class McpEndpoint:
    def __init__(self, *a): ...
    async def __call__(self, scope, receive, send): ...
