"""A hundred open tabs cost one query."""

from __future__ import annotations

from matinee.ui import session


def test_an_unfinished_run_is_read_with_its_progress_and_its_place(fake):
    run = fake.submit("plan", {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"})
    assert session.live(run.id).position == 0
    fake.begin(run.id, 0.5, "half")
    assert session.live(run.id).entry.progress.message == "half"
    fake.finish(run.id, {})
    assert session.live(run.id).entry is None
