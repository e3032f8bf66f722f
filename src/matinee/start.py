"""`python -m matinee.start ROLE`: what every image starts with. The command picks what the container is.

    realtime     a Lambda function: AWS's runtime client with the handler of `matinee.runtime.realtime`
    worker       a batch worker: `matinee.worker.main`
    inspect      prints the component's manifest
    ui           the UI and the API, in the UI's image
    dispatcher   a Lambda function too, in the UI's image

Each runs in this process: a container has one. As the first process of a container it is asked to end by SIGTERM,
which the kernel drops there unless a handler is set (https://man7.org/linux/man-pages/man7/pid_namespaces.7.html).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from matinee.settings import LIFELINE_FD, ships_output, whole_number

ENDED_BY_SIGTERM = 128 + 15
UI_ADDRESS = ("--host", "0.0.0.0", "--port", "8501")  # noqa: S104 (a container's own address)


def main(arguments: Sequence[str]) -> int:
    """Start the role that is named first; return its exit code, 2 for a name that is none."""
    role, *rest = arguments or ("",)
    start = ROLES.get(role)
    if start is None:
        sys.stderr.write(f"There is no role {role!r}. Name one as the command: {', '.join(ROLES)}.\n")
        return 2
    if os.getpid() == 1:
        _end_at_sigterm(in_native_code=start in (_realtime, _dispatcher))
    return start(rest) or 0


def _realtime(_: Sequence[str]) -> int:
    return _function("matinee.runtime.realtime.handler")


def _dispatcher(_: Sequence[str]) -> int:
    _speak_json()
    return _function("matinee.runtime.dispatcher.handler")


def _function(handler: str) -> int:
    """Take requests for a handler until the service ends this process."""
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        sys.stderr.write(
            "This is a Lambda function: start it on Lambda, with `matinee dev --containers`, "
            "or under AWS's Runtime Interface Emulator.\n"
        )
        return 2
    _end_with_lifeline()
    from matinee.runtime.lambda_client import serve

    serve(["awslambdaric", handler])
    return 0


def _worker(_: Sequence[str]) -> int:
    from matinee.worker.main import main as work

    return work()


def _inspect(_: Sequence[str]) -> None:
    from matinee.runtime.inspect import main as inspect

    inspect()


def _ui(rest: Sequence[str]) -> None:
    from importlib import import_module

    _speak_json()
    import_module("matinee.ui.serve").main([*UI_ADDRESS, *rest])


def _speak_json() -> None:
    """On AWS, say each event as one line of JSON; predictors do so themselves, with their run's id."""
    if ships_output():
        from matinee.runtime.output import install

        install()


def _end_with_lifeline() -> None:
    """End when the input that LIFELINE_FD names does: whoever started this container is gone."""
    lifeline = whole_number(os.environ, LIFELINE_FD, -1)
    if lifeline < 0:
        return
    import threading

    def wait() -> None:
        while os.read(lifeline, 64):
            pass
        os._exit(ENDED_BY_SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _end_at_sigterm(*, in_native_code: bool) -> None:
    """End at SIGTERM until a role that does better sets its own handler.

    The runtime client waits in native code, where Python's handlers do not run: there the signal's number comes through
    a pipe to a thread.
    """
    import signal

    if not in_native_code:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(ENDED_BY_SIGTERM))
        return
    import threading

    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)

    def wait() -> None:
        while signal.SIGTERM not in os.read(read_fd, 64):
            pass
        os._exit(ENDED_BY_SIGTERM)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()


ROLES: dict[str, Callable[[Sequence[str]], int | None]] = {
    "realtime": _realtime,
    "worker": _worker,
    "inspect": _inspect,
    "ui": _ui,
    "dispatcher": _dispatcher,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
