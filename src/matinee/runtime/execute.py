"""One prediction: check → decode → call → encode → check the result."""

from __future__ import annotations

import _frozen_importlib as _bootstrap  # what importlib.util is made of, without its 3 ms
import _frozen_importlib_external as _machinery
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

from matinee.errors import ComponentError, InputError, Interruption, MatineeError, PredictionError
from matinee.own_paths import hint_for_missing_file, name_own_files, snapshot_of
from matinee.predictors import declare
from matinee.predictors.context import Context, context
from matinee.values import blobs, decode, encode, validate

if TYPE_CHECKING:
    from matinee.backends.factory import Backend
    from matinee.client.core import Client
    from matinee.runs import Run
    from matinee.settings import Settings
# ruff: noqa: PTH100, PTH120 - importing pathlib costs a predictor's start 3 ms


Json = Any

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_TRACEBACK_LINES = 40


def execute(
    function: Callable[..., Any], manifest: dict[str, Any], inputs: Json, files: Any, *, prefix: str = ""
) -> Json:
    """Run the predictor on JSON inputs and return its JSON result.

    `manifest` is its PredictorManifest as JSON, `files` the port Files (or None: then nothing can be too large),
    `prefix` where large files of the result go: by default to the run's own.
    Raises InputError for inputs that do not fit, PredictionError for everything that goes wrong after.
    """
    checked = validate.check(manifest["parameters"], blobs.load_payload(files, inputs))
    with blobs.Reader(files) as read_blob:  # files that the function has as paths are there until its result is encoded
        arguments = decode.decode_arguments(function, checked, read_blob)
        result = call_function(function, **arguments)
        return _encoded(function.__name__, manifest["result"], result, files, prefix)


def call_function(function: Callable[..., Any], *arguments: Any, **inputs: Any) -> Any:
    """Return what the user's function returns; InputError passes, all else that it raises is a PredictionError."""
    name = getattr(function, "__name__", type(function).__name__)
    try:
        return function(*arguments, **inputs)
    except (InputError, Interruption):
        raise
    except MemoryError as error:
        raise PredictionError(
            f"{name} ran out of memory.",
            kind="out_of_memory",
            hint="Raise memory_mb, or work on the data in smaller parts.",
            traceback=user_traceback(error),
        ) from error
    except MatineeError as error:
        raise PredictionError(error.message, hint=error.hint, traceback=user_traceback(error)) from error
    except BaseException as error:  # CancelledError, GeneratorExit, SystemExit too: the caller learns what ended it
        message = name_own_files(f"{name} raised {type(error).__name__}: {error}".rstrip(": "))
        raise PredictionError(message, hint=hint_for_missing_file(error), traceback=user_traceback(error)) from error


def _encoded(name: str, schema: dict[str, Any], result: Any, files: Any, prefix: str) -> Json:
    now = context()
    own = f"results/{now.run_id or 'run'}/{now.attempt}"
    try:
        value = encode.to_json(result, blobs.blob_writer(files, prefix or own))
        found = validate.problems(schema, value)
        if found:
            raise InputError(problems=tuple(found[:5]))
    except InputError as error:
        wrong = "; ".join(f"{p.path} {p.message}" if p.path else f"it {p.message}" for p in error.problems)
        raise PredictionError(
            f"The result of {name} does not fit its return annotation: {wrong}.",
            kind="invalid_result",
            hint=error.hint or "Mend what it returns, or its annotation.",
        ) from error
    return value


def user_traceback(error: BaseException) -> str:
    """Return the traceback's last lines without Matinee's own frames."""
    import traceback

    summary = traceback.TracebackException(type(error), error, _without_ours(error.__traceback__))
    inner: traceback.TracebackException | None = summary
    while inner is not None:
        inner.stack = traceback.StackSummary.from_list([f for f in inner.stack if not f.filename.startswith(_OURS)])
        inner = inner.__cause__ or inner.__context__
    return name_own_files("\n".join("".join(summary.format()).rstrip().splitlines()[-_TRACEBACK_LINES:]))


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames


# --- loading a component ----------------------------------------------------------------------------------------
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH118, PTH119, PTH120, PTH122, PTH123 - importing pathlib costs a predictor's start 3 ms

Function = Callable[..., Any]


def load_component(source: str) -> dict[str, Function]:
    """Return the predictors of `NAME.py`, or of the folder `NAME/` with its `predictor.py`, in definition order.

    The module is `NAME`, or `NAME.predictor` of the package `NAME`, and child processes can import it by that name:
    its folder, and the package's, come first on `sys.path`. What the module itself raises passes through;
    ComponentError if there is no such module, it declares no predictor, or two of one name.
    """
    home = os.path.abspath(source)
    path = os.path.join(home, "predictor.py") if os.path.isdir(home) else home
    if not os.path.isfile(path):
        hint = "A component is NAME.py, or a folder NAME/ with predictor.py."
        raise ComponentError(f"There is no {path}.", hint=hint, file=path)
    for folder in dict.fromkeys((os.path.dirname(home), os.path.dirname(path))):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    hold_snapshot(home)
    before = len(declare.declared)
    name = os.path.splitext(os.path.basename(home))[0]
    if home == path:
        _execute(_free_name(name, path), path)
    else:
        _execute(f"{_import_package(name, home)}.predictor", path)
    inside = home if home == path else home + os.sep
    own = [f for f in declare.declared[before:] if os.path.abspath(f.__code__.co_filename).startswith(inside)]
    return _by_name(own, path)


def hold_snapshot(home: str) -> None:
    """Keep the snapshot that this process runs from, if it runs from one, from being removed."""
    folder = snapshot_of(home)[1]
    if folder and os.path.exists(f"{folder}.lock"):
        import fcntl

        held = os.open(f"{folder}.lock", os.O_RDONLY)  # as long as this process lives
        fcntl.flock(held, fcntl.LOCK_SH)


def _import_package(name: str, home: str) -> str:
    """Import the component's folder as a package and return its name; a library of that name is left alone."""
    try:
        package = __import__(name)
    except ImportError:
        package = None
    if package is not None and home in map(os.path.abspath, getattr(package, "__path__", ())):
        return name
    name = f"{name}_component"
    init = os.path.join(home, "__init__.py")
    _execute(name, init if os.path.isfile(init) else None, home)
    return name


def _free_name(name: str, path: str) -> str:
    """Return the module's name; a library that is already imported under it is left alone."""
    other = sys.modules.get(name)
    return name if other is None or getattr(other, "__file__", None) == path else f"{name}_component"


def _execute(name: str, path: str | None, package: str = "") -> None:
    """Import a module from its file (None: a package without `__init__.py`) as the import system does, but always anew.

    Not from a compiled copy: two texts of one size that were saved within a second have the same.
    """
    decode.forget(name)
    spec = _machinery.spec_from_file_location(name, path, submodule_search_locations=[package] if package else None)
    if spec is None:
        spec = _bootstrap.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [package]
    module = _bootstrap.module_from_spec(spec)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if path is None:
        return
    try:
        with open(path, "rb") as stream:
            code = compile(stream.read(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - running the user's module is the task
    except BaseException:
        del sys.modules[name]
        raise
    if parent:
        setattr(sys.modules[parent], child, module)


def _by_name(functions: list[Function], path: str) -> dict[str, Function]:
    found: dict[str, Function] = {}
    for function in functions:
        name, line = function.__name__, function.__code__.co_firstlineno
        if found.get(name, function) is not function:
            raise ComponentError(
                f"{os.path.basename(path)} declares two predictors named {name}.",
                hint="Rename one of them.",
                file=path,
                line=line,
            )
        found[name] = function
    if not found:
        raise ComponentError(
            f"{os.path.basename(path)} declares no predictor.",
            hint="Put @realtime or @batch above a function: `from matinee import realtime`.",
            file=path,
        )
    return found


# --- the binding ------------------------------------------------------------------------------------------------
# What a running predictor reaches through `state`, `progress` and `predictor(name)`: the app's own backend.
#
# Store and client are opened when first used, and once per process: most predictors use neither, and must start fast.

_MAX_PARALLEL = 16
Report = Callable[[float | None, str], None]


class RuntimeBinding:
    """Implements `predictors.context.Binding`. `settings` None: the environment's; `report` None: nobody asks."""

    def __init__(self, settings: Settings | None, context: Context, report: Report | None = None) -> None:
        self._settings = settings
        self._context = context
        self._report = report

    @property
    def context(self) -> Context:
        """Return the present run's context."""
        return self._context

    def report(self, fraction: float | None, message: str) -> None:
        """Report how far the run is."""
        if self._report is not None:
            self._report(fraction, message)

    # --- other predictors ---

    def call(self, name: str, inputs: Mapping[str, Any]) -> Any:
        """Call another predictor and wait; a batch predictor too. Raises PredictionError when it fails."""
        client = self._client()
        if client.predictor(name).kind == "realtime":
            run = client.predict(name, self._json(name, inputs), parent=self._context.run_id)
        else:
            run = client.wait(self.submit(name, inputs))
        return _result(client, run)

    def map(self, name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Call for every row in parallel; the results are in the rows' order."""
        from concurrent.futures import ThreadPoolExecutor

        if not rows:
            return []
        self._client()  # opened before the threads need it
        with ThreadPoolExecutor(min(len(rows), _MAX_PARALLEL)) as pool:
            return list(pool.map(lambda row: self.call(name, row), rows))

    def submit(self, name: str, inputs: Mapping[str, Any]) -> str:
        """Submit a run of a batch predictor and return its id."""
        return self._client().submit(name, self._json(name, inputs), parent=self._context.run_id).id

    # --- state ---

    def state_get(self, key: str) -> Any:
        """Return the shared value, None if there is none."""
        return backend(self._settings).store.state_get(key)

    def state_set(self, key: str, value: Any) -> None:
        """Set the shared value; None removes it."""
        backend(self._settings).store.state_set(key, value)

    def state_increment(self, key: str, by: float) -> float:
        """Add atomically and return the sum."""
        return backend(self._settings).store.state_increment(key, by)

    def state_swap(self, key: str, old: Any, new: Any) -> bool:
        """Set `new` only if the value is still `old`."""
        return backend(self._settings).store.state_swap(key, old, new)

    # --- its own ---

    def _client(self) -> Client:
        return _client(self._settings, self._context.user)

    def _json(self, name: str, inputs: Mapping[str, Any]) -> Any:
        from matinee.runs import inputs_key, new_run_id
        from matinee.values import blobs, encode

        prefix = f"{inputs_key(name, self._context.run_id)}/{new_run_id()}"
        return encode.to_json(dict(inputs), blobs.blob_writer(backend(self._settings).files, prefix))


def backend(settings: Settings | None = None) -> Backend:
    """Return the backend of these settings (None = the environment's), opened once per process."""
    from matinee.settings import Settings

    return _open(settings or Settings.from_environment())


@cache
def _open(settings: Settings) -> Backend:
    from matinee.backends.factory import open_backend

    return open_backend(settings)


@cache
def _client(settings: Settings | None, user: str) -> Client:
    from matinee.client.core import Client
    from matinee.settings import Settings

    found = settings or Settings.from_environment()
    return Client(_open(found), found, user, owner=True)  # the app itself: what its user gave was checked


def _result(client: Client, run: Run) -> Any:
    from matinee.errors import PredictionError
    from matinee.runs import Status
    from matinee.values import records

    if run.status is Status.SUCCEEDED:
        schema = client.predictor(run.predictor).result
        return records.from_json(schema, client.result(run), client.read_blob)
    failure = run.failure
    if failure is None:
        raise PredictionError(f"The run {run.id} of {run.predictor} was cancelled.")
    raise PredictionError(failure.message, kind=failure.kind, hint=failure.hint, traceback=failure.traceback)
