"""What ended a process that was killed is said by what is known of its memory."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from matinee.worker import job

PREDICTOR = SimpleNamespace(name="count", component="one", memory_mb=128)
KILLED, SEGMENTATION_FAULT = -9, -11


@pytest.mark.parametrize(
    ("exit_code", "peak_mb", "had_no_memory", "kind", "words"),
    [
        (KILLED, 0, True, "out_of_memory", "ran out of its 128 MB of memory"),
        (KILLED, 120, False, "out_of_memory", "used 120 MB of its 128 MB of memory"),
        (KILLED, 20, False, "crash", "was ended by signal SIGKILL"),
        (SEGMENTATION_FAULT, 120, True, "crash", "was ended by signal SIGSEGV"),
    ],
)
def test_a_process_that_was_killed_ran_out_of_memory_or_not(exit_code, peak_mb, had_no_memory, kind, words):
    failure = job.crashed(
        PREDICTOR, exit_code, peak_bytes=peak_mb * 2**20, had_no_memory=had_no_memory, last_lines="", ready=True
    )
    assert failure.kind == kind
    assert words in failure.message
