"""Two imports that a worker's start does without: together a tenth of the time to the user's function.

`dataclasses` imports `inspect` (and with it six more) only to make docstrings for classes that have none, and
`urllib.parse` (which `pathlib` needs) `ipaddress` for addresses in brackets. Each gets a stand-in that imports the real
module when something of it is used; `sys.modules` knows only the real one.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType


def import_without(name: str, unused: str) -> None:
    """Import the module `name` without its import of `unused`."""
    if name in sys.modules or unused in sys.modules:
        return
    stand_in = ModuleType(unused)
    stand_in.__getattr__ = lambda attribute: getattr(import_module(unused), attribute)  # type: ignore[method-assign]
    sys.modules[unused] = stand_in
    try:
        import_module(name)
    finally:
        del sys.modules[unused]
