"""A batch worker: `python -m matinee.worker.main`. Its environment (`Settings`) names the slot that it holds.

This process supervises: it claims runs, keeps their lease and watches cancel, deadline and memory. User code runs in
a child process, which is started first of all so that it imports the component while the store opens.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType


def main() -> int:
    """Drain the queue of one predictor; return the exit code."""
    import_without("dataclasses", "inspect")
    import_without("urllib.parse", "ipaddress")
    import json  # noqa: F401 (with the next: what both processes need, imported once, before the fork)

    from matinee.errors import MatineeError
    from matinee.settings import Settings
    from matinee.worker.spawn import fork

    forked = fork(_serve)
    from matinee.worker.supervisor import Supervisor

    try:
        return Supervisor.open(Settings.from_environment(), forked).run()
    except MatineeError as error:
        print(error, file=sys.stderr)  # noqa: T201 (the launcher gives a worker's last line as the reason)
        return 1


def _serve(commands: int, reports: int, life: int) -> None:
    from matinee.worker import child

    child.main(commands, reports, life)


# --- a faster start ---------------------------------------------------------------------------------------------
# Two imports that a worker's start does without: together a tenth of the time to the user's function.
#
# `dataclasses` imports `inspect` (and with it six more) only to make docstrings for classes that have none, and
# `urllib.parse` (which `pathlib` needs) `ipaddress` for addresses in brackets. Each gets a stand-in that imports the
# real module when something of it is used; `sys.modules` knows only the real one.


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


if __name__ == "__main__":
    sys.exit(main())
