"""The slot a worker holds: renewed while it works, freed when it leaves; and what the release says of it."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from matinee.errors import BackendError, MatineeError
from matinee.queue.claims import renew_slot
from matinee.retry import Backoff, retry
from matinee.runs import LEASE_S, Json, Slot
from matinee.settings import DISPATCHER, LABEL, SLOT_TOKEN, Settings

if TYPE_CHECKING:  # a worker must start fast
    from matinee.ports import Store

RENEW_S = LEASE_S / 3
BACKOFF = Backoff(base_s=0.05, cap_s=2.0, total_s=30.0)  # a store that fails for longer ends the worker
POKE_S = 1.0  # how long a worker that ends may try to reach the dispatcher

T = TypeVar("T")


class Predictor:
    """What a supervisor needs of a predictor's manifest."""

    def __init__(self, manifest: dict[str, Json]) -> None:
        resources = manifest["resources"]
        self.name: str = manifest["name"]
        self.component: str = manifest["component"]
        self.memory_mb: int = resources["memory_mb"]
        self.timeout_s: float = resources["timeout_s"]
        self.retries: int = resources["retries"]


class HeldSlot:
    """The worker's slot and predictor, as its settings name them; BackendError when the manifest lacks them."""

    def __init__(self, settings: Settings, store: Store) -> None:
        component = _read_manifest(settings)
        self.predictor: Predictor = component["predictor"]
        self.label: str = os.environ.get(LABEL) or component["label"] or component["hash"]
        self.token = settings.slot_token
        self.mark = f"{SLOT_TOKEN}={self.token}"  # in the environment of all that this worker starts
        self.renew_at = 0.0
        self.poke_after = False
        self._hash: str = component["hash"]
        self._settings = settings
        self._store = store
        self.slot = Slot(self.predictor.name, settings.slot_number, self.token, self._hash, time.time())

    def renew(self) -> bool:
        """Say that the worker lives; False when the slot is another's by now, and the worker must end."""
        self.renew_at = time.monotonic() + RENEW_S
        return self.retry(lambda: renew_slot(self._store, self.slot, now=time.time()))

    def free(self) -> None:
        """Free the slot although runs may be due: whoever dispatches next fills it anew."""
        self.retry(lambda: self._store.free_slot(self.slot))
        self.poke_after = True

    def is_outdated(self) -> bool:
        """Whether a release has replaced the component this worker was launched for."""
        release = self.retry(self._store.release)
        component = release.component_of(self.predictor.name) if release else None
        return release is not None and (component is None or component.hash != self._hash)

    def poke(self) -> None:
        """Ask the dispatcher to look at the pool, as the last thing before the end; its backstop does it otherwise."""
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, POKE_S)
        self._poke()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def poke_aside(self) -> None:
        """Do the same while work goes on: the client takes half a second to be imported."""
        threading.Thread(target=self._poke, daemon=True).start()

    def _poke(self) -> None:
        if not self._settings.reaches_functions:
            return
        try:
            from matinee.backends.factory import open_invoker

            payload = json.dumps({"predictor": self.predictor.name}).encode()
            open_invoker(self._settings).poke(DISPATCHER, payload)
        except (MatineeError, ImportError, OSError) as error:
            print_error(error)

    def retry(self, step: Callable[[], T]) -> T:
        """Do a step at the store, again and again while it fails; BackendError when BACKOFF has run out."""
        return retry(step, on=(BackendError,), backoff=BACKOFF, report=print_error)


def print_error(error: Exception) -> None:
    """Write what the worker goes on after to its own log."""
    print(error, file=sys.stderr)  # noqa: T201


def _read_manifest(settings: Settings) -> dict[str, Json]:
    """Return the component's label, hash and the `predictor`."""
    try:
        component = json.loads(settings.manifest.read_bytes())
        found = next((p for p in component["predictors"] if p["name"] == settings.predictor), None)
        if found is not None:
            return {"label": component["label"], "hash": component["hash"], "predictor": Predictor(found)}
        reason = f"it has no predictor {settings.predictor}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error)
    raise BackendError(f"The manifest {settings.manifest} cannot be read: {reason}.", hint="Release the app again.")
