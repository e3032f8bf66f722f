"""Runs one predictor's runs in the child: inputs in, result or failure out."""

from __future__ import annotations

import faulthandler
import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

from matinee.backends.factory import open_files
from matinee.errors import ComponentError, InputError, MatineeError, PredictionError
from matinee.log_lines import cut, error_text
from matinee.own_paths import name_own_files
from matinee.predictor.inside import Context, bind
from matinee.runtime.binding import RuntimeBinding
from matinee.runtime.child_files import Patiently, insist
from matinee.runtime.child_link import Link, LogStream
from matinee.runtime.execute import execute
from matinee.runtime.load import load_component
from matinee.settings import Settings
from matinee.values import blobs

Json = Any
INLINE_BYTES = 3500  # results above go to Files; below PIPE_BUF with what is around it, so reports never mix
MAX_TEXT_CHARS = 1000
MAX_TRACEBACK_CHARS = 2000


class Runner:
    """A loaded predictor and what it takes to run it."""

    def __init__(self, link: Link, streams: list[LogStream], settings: Settings, function: Callable[..., Any]) -> None:
        self._link = link
        self._streams = streams
        self._settings = settings
        self._function = function
        self._manifest = _manifest(settings)
        self._files = open_files(settings)

    @classmethod
    def start(cls, link: Link, streams: list[LogStream]) -> Runner | None:
        """Import the component and say so; None when it cannot be imported, said as well."""
        faulthandler.enable(2)  # where native code crashed: into the log
        settings = Settings.from_environment()
        try:
            runner = cls(link, streams, settings, load_component(str(settings.source))[settings.predictor])
        except BaseException as error:  # whatever user code does at import is said on the run
            link.send("broken", _start_failure(settings, error))
            return None
        link.send("ready", os.getpid())
        return runner

    def serve(self, command: bytes) -> None:
        """Run one run and report how it ended."""
        run = json.loads(command)
        bind(RuntimeBinding(self._settings, self._context(run), report=self._report))
        try:
            kind, value = "result", self._execute(run)
        except BaseException as error:  # SystemExit too: a predictor cannot end its worker
            kind, value = "error", _failure(error)
        finally:
            bind(None)
        for stream in self._streams:
            stream.finish_line()
        self._link.send(kind, value)

    def _execute(self, run: dict[str, Any]) -> Json:
        inputs = insist("read the inputs", lambda: blobs.load_payload(self._files, run["inputs"]))
        if self._manifest["kind"] == "realtime":  # what comes to its queue are runs of many rows
            return self._execute_rows({**run, "inputs": inputs})
        result = execute(self._function, self._manifest, inputs, Patiently(self._files))
        key = f"results/{run['run']}/{run['attempt']}.json"
        return blobs.store_large(Patiently(self._files), key, result, INLINE_BYTES)

    def _execute_rows(self, run: dict[str, Any]) -> Json:
        from matinee.runtime.rows_run import RowsRun

        def predict(number: int, inputs: Json) -> Json:
            bind(RuntimeBinding(self._settings, self._context(run)))
            prefix = f"results/{run['run']}/files/{number}"
            return execute(self._function, self._manifest, inputs, Patiently(self._files), prefix=prefix)

        return RowsRun(run, self._manifest, self._files, self._link, insist=insist).work(predict)

    def _context(self, run: dict[str, Any]) -> Context:
        deadline_s = time.time() + run["timeout_s"]
        return Context(
            run["run"], run["user"], run["version"], run["attempt"], deadline_s, predictor=self._settings.predictor
        )

    def _report(self, fraction: float | None, message: str) -> None:
        self._link.send("progress", [fraction, cut(message, MAX_TEXT_CHARS)])


def _manifest(settings: Settings) -> dict[str, Json]:
    component = json.loads(settings.manifest.read_bytes())
    found: dict[str, Json] = next(p for p in component["predictors"] if p["name"] == settings.predictor)
    return found


def _failure(error: BaseException) -> dict[str, str]:
    if isinstance(error, InputError):
        return _words("invalid_input", error.message, error.hint)
    if isinstance(error, PredictionError):
        return _words(error.kind, error.message, error.hint, error.traceback)
    if isinstance(error, MatineeError):
        return _words("exception", error.message, error.hint)
    kind = "out_of_memory" if isinstance(error, MemoryError) else "exception"
    return _words(kind, error_text(error, MAX_TEXT_CHARS), "", "".join(traceback.format_exception(error)))


def _start_failure(settings: Settings, error: BaseException) -> dict[str, str]:
    if isinstance(error, ComponentError):
        where = f" ({error.file}:{error.line})" if error.file else ""
        return _words("start", f"{error.message}{where}", error.hint)
    if isinstance(error, KeyError) and error.args == (settings.predictor,):
        return _words("start", f"{settings.source} has no predictor {settings.predictor}.", "Release the app again.")
    text = f"{settings.component} cannot be imported: "
    text += error_text(error, MAX_TEXT_CHARS - len(text))
    return _words("start", text, "Mend the component and save it.", "".join(traceback.format_exception(error)))


def _words(kind: str, message: str, hint: str = "", trace: str = "") -> dict[str, str]:
    return {
        "kind": kind,
        "message": cut(name_own_files(message), MAX_TEXT_CHARS),
        "hint": cut(hint, MAX_TEXT_CHARS),
        "traceback": cut(name_own_files(trace), MAX_TRACEBACK_CHARS),
    }
