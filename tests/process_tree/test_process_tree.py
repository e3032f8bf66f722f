"""The memory of a process and its children: shared pages count once, and a container's limit is seen in its count."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from matinee import process_tree

MB = 2**20
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="read from Linux's /proc")
FORKS = r"""
import os, sys
held = bytes(range(256)) * 4096 * 60
parent = os.getpid()
for _ in range(3):
    if not os.fork():
        held.count(b"x")
        os.write(1, b"ready\n")
        sys.stdin.read()
        os._exit(0)
sys.stdin.read()
"""


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
    monkeypatch.setattr(process_tree, "_KILL_COUNTS", (os.devnull, tmp_path / "absent", tmp_path / "events"))
    assert process_tree.kills_for_memory() == kills


@ON_LINUX
def test_pages_that_forked_processes_share_count_once_when_they_are_too_many():
    process = subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        assert [process.stdout.readline() for _ in range(3)] == ["ready\n"] * 3
        assert len(process_tree.descendants(process.pid)) == 3
        exact = process_tree.tree_bytes(process.pid, above=100 * MB)
        assert 60 * MB < exact < 100 * MB
        assert process_tree.tree_bytes(process.pid, above=1000 * MB) > 200 * MB  # cheap, and small enough as it is


@ON_LINUX
def test_what_is_held_by_a_child_alone_counts_too():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = "held = bytes(range(256)) * 4096 * 60; print('ready', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        assert process_tree.tree_bytes(process.pid) > 60 * MB


def test_a_process_that_is_gone_uses_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert process_tree.tree_bytes(process.pid) == 0


def test_where_shared_pages_cannot_be_told_apart_the_largest_process_counts():
    listing = """
      7   1  5000
     40  12   900
     12   7  9000
     11   1 99000
    """.strip()
    assert process_tree.largest_of_tree(7, listing) == 9000 * 1024
    assert process_tree.largest_of_tree(40, listing) == 900 * 1024
    assert process_tree.largest_of_tree(99, listing) == 0
