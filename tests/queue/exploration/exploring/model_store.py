"""The world as a `Store`, so that the store's contract can say whether the model is a true one.

Only what the protocol uses is the model's own; feedback, state, documents and the release are SQLite's.
"""

from __future__ import annotations

import json
import threading

from exploring import world as model

from matinee.backends.local.store import SqliteStore
from matinee.errors import UsageError
from matinee.runs import evolve, first_run_id


class ModelStore(SqliteStore):
    """One world per predictor."""

    def __init__(self, path):
        super().__init__(path)
        self._lock = threading.Lock()
        self._worlds = {}

    def _world(self, predictor):
        return self._worlds.get(predictor) or model.World(predictor=predictor)

    def _do(self, predictor, name, *args, **kwargs):
        with self._lock:
            self._worlds[predictor], answer = getattr(model, name)(self._world(predictor), *args, **kwargs)
        return list(answer) if isinstance(answer, tuple) else answer

    def submit(self, runs):
        _check_json([run.inputs for run in runs])
        put = {}
        for predictor in {run.predictor for run in runs}:
            group = [run for run in runs if run.predictor == predictor]
            answers = self._do(predictor, "submit", group)
            put |= {run.id: answer for run, answer in zip(group, answers, strict=True)}
        return [put[run.id] for run in runs]

    def record(self, run):
        with self._lock:
            world = self._world(run.predictor)
            if model.run(world, run.id)[1] is None:
                self._worlds[run.predictor] = evolve(world, runs=(*world.runs, run))

    def run(self, run_id):
        found = (model.run(world, run_id)[1] for world in list(self._worlds.values()))
        return next(filter(None, found), None)

    def runs(self, query):
        bounds = (
            (query.user is None, lambda run: run.user == query.user),
            (query.predictor is None, lambda run: run.predictor == query.predictor),
            (not query.statuses, lambda run: run.status in query.statuses),
            (query.since is None, lambda run: run.id >= first_run_id(query.since)),
            (query.until is None, lambda run: run.id < first_run_id(query.until)),
            (query.include_nested, lambda run: not run.parent),
            (not query.before, lambda run: run.id < query.before),
        )
        every = [run for world in self._worlds.values() for run in world.runs]
        kept = [run for run in every if all(free or holds(run) for free, holds in bounds)]
        return sorted(kept, key=lambda run: run.id, reverse=True)[: query.limit]

    def apply(self, *changes):
        _check_json([change.after.result for change in changes])
        return self._do(changes[0].before.predictor, "apply", *changes)

    def entry(self, predictor, run_id):
        return self._do(predictor, "entry", predictor, run_id)

    def due(self, predictor, now, limit=1):
        return self._do(predictor, "due", predictor, now, limit)

    def leased(self, predictor):
        return self._do(predictor, "leased", predictor)

    def next_due_at(self, predictor, now):
        return self._do(predictor, "next_due_at", predictor, now)

    def entries(self, predictor, limit=1000):
        return list(self._world(predictor).entries[:limit])

    def unfinished(self, user):
        return sum(entry.user == user for world in self._worlds.values() for entry in world.entries)

    def heartbeat(self, entry, *, visible_at, progress):
        return self._do(entry.predictor, "heartbeat", entry, visible_at=visible_at, progress=progress)

    def pool(self, predictor):
        return self._do(predictor, "pool", predictor)

    def pools(self):
        return sorted(name for name, world in self._worlds.items() if world.entries or world.slots)

    def take_slot(self, slot):
        return self._do(slot.predictor, "take_slot", slot)

    def update_slot(self, slot):
        return self._do(slot.predictor, "update_slot", slot)

    def free_slot(self, slot, *, wake=None):
        return self._do(slot.predictor, "free_slot", slot, wake=wake)

    def note(self, predictor, text):
        self._do(predictor, "note", predictor, text)


def _check_json(value):
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise UsageError("JSON cannot carry it.") from error
