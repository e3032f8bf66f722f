"""What ends a process at its container's limit is known from the kernel's count, in either form of cgroups."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from matinee.runtime import supervisor_failures as failures
from matinee.runtime import supervisor_memory

PREDICTOR = SimpleNamespace(name="count", component="one", memory_mb=128)
KILLED, SEGMENTATION_FAULT = -9, -11


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("low 0\nhigh 4\nmax 12\noom 2\noom_kill 1\noom_group_kill 7\n", 1),
        ("oom_kill_disable 0\nunder_oom 1\noom_kill 3\n", 3),
        ("", 0),
    ],
    ids=["cgroup v2", "cgroup v1", "not counted"],
)
def test_kills_are_counted_by_the_kernel(tmp_path, monkeypatch, text, kills):
    (tmp_path / "events").write_text(text)
    monkeypatch.setattr(supervisor_memory, "_KILL_COUNTS", (os.devnull, tmp_path / "absent", tmp_path / "events"))
    assert supervisor_memory.kills_for_memory() == kills


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
    failure = failures.crashed(
        PREDICTOR, exit_code, peak_bytes=peak_mb * 2**20, had_no_memory=had_no_memory, last_words="", ready=True
    )
    assert failure.kind == kind
    assert words in failure.message
