"""A batch worker: `python -m matinee.runtime.worker`, told by its environment (`Settings`) which slot it holds.

This process supervises: it claims runs, keeps their lease and watches cancel, deadline and memory. User code runs in
a child process, which is started first of all so that it imports the component while the store opens.
"""

from __future__ import annotations

import json  # noqa: F401 (with the next: what both processes need, imported once, before the fork)
import sys

from matinee.errors import MatineeError
from matinee.runtime import child
from matinee.runtime.supervisor_spawn import fork
from matinee.settings import Settings


def main() -> int:
    """Drain the queue of one predictor; return the exit code."""
    forked = fork(child.main)
    from matinee.runtime.supervisor import Supervisor

    try:
        return Supervisor.open(Settings.from_environment(), forked).run()
    except MatineeError as error:
        print(error, file=sys.stderr)  # noqa: T201 (the launcher gives a worker's last line as the reason)
        return 1


if __name__ == "__main__":
    sys.exit(main())
