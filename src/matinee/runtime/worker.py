"""A batch worker: `python -m matinee.runtime.worker`, told by its environment (`Settings`) which slot it holds.

This process supervises: it claims runs, keeps their lease and watches cancel, deadline and memory. User code runs in
a child process, which is started first of all so that it imports the component while the store opens.
"""

from __future__ import annotations

import sys

from matinee.runtime.worker_imports import import_without


def main() -> int:
    """Drain the queue of one predictor; return the exit code."""
    import_without("dataclasses", "inspect")
    import_without("urllib.parse", "ipaddress")
    import json  # noqa: F401 (with the next: what both processes need, imported once, before the fork)

    from matinee.errors import MatineeError
    from matinee.runtime.supervisor_spawn import fork
    from matinee.settings import Settings

    forked = fork(_serve)
    from matinee.runtime.supervisor import Supervisor

    try:
        return Supervisor.open(Settings.from_environment(), forked).run()
    except MatineeError as error:
        print(error, file=sys.stderr)  # noqa: T201 (the launcher gives a worker's last line as the reason)
        return 1


def _serve(commands: int, reports: int, life: int) -> None:
    from matinee.runtime import child

    child.main(commands, reports, life)


if __name__ == "__main__":
    sys.exit(main())
