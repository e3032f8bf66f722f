"""A batch worker: `python -m matinee.runtime.worker`, told by its environment (`Settings`) which slot it holds.

This process supervises: it claims runs, keeps their lease and watches cancel, deadline and memory. User code runs in
a child process, which is started first of all so that it imports the component while the store opens.
"""

from __future__ import annotations

import sys

from matinee.runtime.supervisor_spawn import spawn


def main() -> int:
    """Drain the queue of one predictor; return the exit code."""
    spawned = spawn()
    from matinee.errors import MatineeError
    from matinee.runtime.supervisor import Supervisor
    from matinee.settings import Settings

    try:
        return Supervisor.open(Settings.from_environment(), spawned).run()
    except MatineeError as error:
        print(error, file=sys.stderr)  # noqa: T201 (the launcher gives a worker's last line as the reason)
        return 1


if __name__ == "__main__":
    sys.exit(main())
