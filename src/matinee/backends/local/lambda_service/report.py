"""The lines Lambda itself writes into a function's log."""

from __future__ import annotations

import math


def start_line(request_id: str, version: str) -> str:
    """Return what is logged before a request."""
    return f"START RequestId: {request_id} Version: {version}"


def report_line(
    request_id: str, duration_s: float, memory_mb: int, peak_bytes: int, init_s: float | None, status: str
) -> tuple[str, str]:
    """Return what is logged after a request. A start is billed too; `status` is "" when all went well."""
    duration_ms, init_ms = duration_s * 1000, (init_s or 0.0) * 1000
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {max(1, math.ceil(duration_ms + init_ms))} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {math.ceil(peak_bytes / 2**20)} MB",
    ]
    if init_s is not None:
        fields.append(f"Init Duration: {init_ms:.2f} ms")
    if status:
        fields.append(f"Status: {status}")
    return f"END RequestId: {request_id}", "\t".join(fields)
