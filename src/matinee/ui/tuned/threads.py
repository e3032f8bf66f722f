"""Scripts run in threads that are kept: Streamlit starts one for each run, a twentieth of a click."""

from __future__ import annotations

import contextvars
import functools
import threading
from typing import Any

from matinee.ui.waiting import Threads

KEPT = 32  # threads that wait for the next script


def reuse() -> None:
    """Run scripts in threads that are kept, each run in a context of its own, as in a thread of its own."""
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
    from streamlit.runtime.scriptrunner_utils.script_run_context import SCRIPT_RUN_CONTEXT_ATTR_NAME

    if hasattr(ScriptRunner.start, "__wrapped__"):
        return
    threads = Threads(KEPT)

    @functools.wraps(ScriptRunner.start)
    def start(self: Any) -> None:
        def run() -> None:
            thread = self._script_thread = threading.current_thread()
            try:
                contextvars.Context().run(self._run_script_thread)
            finally:
                vars(thread).pop(SCRIPT_RUN_CONTEXT_ATTR_NAME, None)  # or it would outlive its session here

        if self._script_thread is not None:
            raise RuntimeError("ScriptRunner was already started")
        threads.run(run)

    ScriptRunner.start = start
