"""What a worker's start imports, and what it must not."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"boto3", "botocore", "pydantic", "asyncio", "streamlit", "inspect", "ipaddress", "logging", "subprocess"}


def output(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30).stdout


def test_a_supervisor_imports_nothing_heavy() -> None:
    code = """
import sys
from matinee.worker.main import import_without
import_without("dataclasses", "inspect")
import_without("urllib.parse", "ipaddress")
import matinee.worker.supervisor, matinee.backends.local.store, matinee.backends.local.logs
print(*sys.modules)
"""
    assert not HEAVY & set(output(code).split())


def test_modules_left_out_are_there_when_they_are_used() -> None:
    code = """
from matinee.worker.main import import_without
import_without("dataclasses", "inspect")
import dataclasses, sys
assert "inspect" not in sys.modules
@dataclasses.dataclass
class NoDocstring:
    a: int = 1
print(NoDocstring.__doc__)
import inspect
print(inspect.signature(NoDocstring))
"""
    assert output(code).split() == ["NoDocstring(a:", "int", "=", "1)", "(a:", "int", "=", "1)", "->", "None"]
